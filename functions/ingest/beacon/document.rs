//! What a step of the ladder yields: JSON texts, each with the bytes that it stands for.
//!
//! A document's text is valid JSON, always. Where the sender's bytes are not UTF-8 they are masked in the text and
//! kept beside it, so that one odd byte costs the event in which it stands and not its neighbours.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::super::failure::Flaw;
use super::split::Rest;

/// One JSON text.
#[derive(Debug)]
pub struct Document<'a> {
    /// Its text, without white space around it.
    pub text: Cow<'a, RawValue>,
    /// What the sender wrote.
    pub exact: Exact<'a>,
    /// What stands beside it, as a JSON object: the other fields of a form.
    pub beside: Option<Box<RawValue>>,
}

/// The sender's own bytes.
#[derive(Debug)]
pub enum Exact<'a> {
    /// The text itself.
    Text,
    /// As long as the text, in which some are masked.
    Masked(Cow<'a, [u8]>),
    /// The text, an object of strings, was made of these.
    Source {
        /// As sent.
        bytes: &'a [u8],
        /// Where the first U+0000 stands in them.
        nul_at: fn(&[u8]) -> usize,
    },
}

/// A part of a body, in the order in which it stands.
#[derive(Debug)]
pub enum Piece<'a> {
    /// A JSON text.
    Document(Document<'a>),
    /// What is none, among others that are: `flaw` stands at byte `offset`.
    Garbage {
        /// As sent.
        bytes: &'a [u8],
        /// Why it is none.
        flaw: Flaw,
        /// Where.
        offset: usize,
    },
}

impl<'a> Document<'a> {
    /// A document whose text is the sender's.
    pub fn new(text: Cow<'a, RawValue>) -> Self {
        Self {
            text,
            exact: Exact::Text,
            beside: None,
        }
    }

    /// The sender's bytes of `part`, which is a part of the text, where they differ from it.
    pub fn exact_of(&self, part: &RawValue) -> Option<&[u8]> {
        match &self.exact {
            Exact::Text => None,
            Exact::Source { bytes, .. } => Some(bytes),
            Exact::Masked(bytes) => {
                let from = part.get().as_ptr() as usize - self.text.get().as_ptr() as usize;
                let bytes = &bytes[from..from + part.get().len()];
                (bytes != part.get().as_bytes()).then_some(bytes)
            }
        }
    }
}

impl Document<'_> {
    /// Where in the exact bytes a part's `flaw` stands, which stands at `offset` of its text. What is no UTF-8 was found
    /// in the exact bytes; fields that are too many are so as a whole.
    pub fn exact_offset(&self, flaw: Flaw, offset: usize) -> usize {
        match (&self.exact, flaw) {
            (Exact::Source { bytes, nul_at }, Flaw::Nul) => nul_at(bytes),
            (Exact::Source { .. }, Flaw::TooManyValues) => 0,
            _ => offset,
        }
    }

    /// What stands beside it.
    pub fn beside(&self) -> Option<Rest> {
        self.beside.as_ref().map(|beside| Rest {
            text: beside.get().to_owned(),
            exact: None,
        })
    }
}

impl Piece<'_> {
    /// The JSON texts in it.
    pub fn texts(&self) -> impl Iterator<Item = &RawValue> {
        let document = match self {
            Self::Document(document) => Some(document),
            Self::Garbage { .. } => None,
        };
        document
            .into_iter()
            .flat_map(|document| [Some(&*document.text), document.beside.as_deref()])
            .flatten()
    }
}
