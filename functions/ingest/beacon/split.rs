//! Which parts of a document are events of their own; pure.
//!
//! An object is one event, each element of an array one; what is no object becomes `{"value": …}`. Rules for
//! envelopes that name their events go here.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::super::loose_json;

/// One event's text in the document.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Its place in the beacon, from 0.
    pub index: usize,
    /// As the sender wrote it.
    pub raw: &'a RawValue,
    /// Whether it stands in a list, where names of items are meant for it alone.
    pub is_item: bool,
}

/// The events of `document`, in order.
pub fn split(document: &RawValue) -> Vec<Part<'_>> {
    if !document.get().starts_with('[') {
        return vec![Part {
            index: 0,
            raw: document,
            is_item: false,
        }];
    }
    let elements = loose_json::elements(document).into_iter().enumerate();
    elements
        .map(|(index, raw)| Part {
            index,
            raw,
            is_item: true,
        })
        .collect()
}

impl<'a> Part<'a> {
    /// What is stored: always an object.
    pub fn payload(&self) -> Cow<'a, RawValue> {
        let text = self.raw.get();
        if text.starts_with('{') {
            return Cow::Borrowed(self.raw);
        }
        let wrapped = RawValue::from_string(format!("{{\"value\":{text}}}"));
        Cow::Owned(wrapped.expect("a JSON text as the value of a member is JSON"))
    }
}
