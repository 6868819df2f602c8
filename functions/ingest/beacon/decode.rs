//! The ladder: one step after the other, the first that understands a body decides; pure.
//!
//! In: a body without its compression, the query and the headers of a ping. Out: documents in the order in which
//! they stand. The order of the steps is from the strictest to the most lenient, so that no body is taken for
//! something that it only resembles: JSON, a ping, multipart, JSON lines, lines of forms, one form. An empty body
//! gives its place to the query.

use std::borrow::Cow;

use super::super::failure::{Refusal, Undecodable};
use super::document::Piece;
use super::{claims, form, json, lines, multipart, ping, Ping, Stopped, Unpacked, BYTE_ORDER_MARK};

/// What was found in a body.
#[derive(Debug)]
pub struct Decoded<'a> {
    /// Documents, and what stands between them.
    pub(super) pieces: Vec<Piece<'a>>,
    /// The step that understood it.
    pub step: Step,
    /// Where no step did: why, and the bytes as they were sent.
    pub(super) undecodable: Option<(Undecodable, &'a [u8])>,
}

/// A step of the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// One JSON text.
    Json,
    /// A JSON text on each line.
    JsonLines,
    /// A click on a link with `ping`.
    Ping,
    /// Fields of `FormData`.
    Multipart,
    /// Fields of a form, or a form on each line.
    Form,
    /// Fields of the query.
    Query,
    /// None of them.
    Quarantine,
}

/// `sent` is the body before it was unpacked.
///
/// # Errors
/// The body is too large, or has too many lines; or there is neither a body nor a query.
pub fn decode<'a>(
    sent: &'a [u8],
    unpacked: &'a Unpacked<'_>,
    query: &'a str,
    ping: Ping<'_>,
) -> Result<Decoded<'a>, Refusal> {
    match &unpacked.stopped {
        Some(Stopped::Refused(refusal)) => return Err(refusal.clone()),
        Some(Stopped::Broken(broken)) => return Ok(undecodable(broken.clone(), sent)),
        None => {}
    }
    let bytes = unpacked
        .bytes
        .strip_prefix(BYTE_ORDER_MARK)
        .unwrap_or(&unpacked.bytes);
    if bytes.trim_ascii().is_empty() {
        return of_query(query);
    }
    let mark = unpacked.bytes.len() - bytes.len();
    let offset = match json::document(bytes) {
        Ok(document) => return Ok(decoded(Step::Json, vec![Piece::Document(document)])),
        Err(offset) => offset,
    };
    Ok(match of_others(bytes, ping)? {
        Some(decoded) => decoded,
        None => undecodable(why(bytes, offset, mark), sent),
    })
}

fn of_others<'a>(bytes: &'a [u8], ping: Ping<'_>) -> Result<Option<Decoded<'a>>, Refusal> {
    if let Some(document) = ping::document(bytes, ping) {
        return Ok(Some(decoded(Step::Ping, vec![Piece::Document(document)])));
    }
    if let Some(piece) = multipart::piece(bytes) {
        return Ok(Some(decoded(Step::Multipart, vec![piece])));
    }
    if let Some(pieces) = lines::of_json(bytes)? {
        return Ok(Some(decoded(Step::JsonLines, pieces)));
    }
    if let Some(pieces) = lines::of_forms(bytes)? {
        return Ok(Some(decoded(Step::Form, pieces)));
    }
    Ok(form::is_form(bytes).then(|| decoded(Step::Form, vec![form::piece(bytes)])))
}

fn of_query(query: &str) -> Result<Decoded<'_>, Refusal> {
    if query.trim_matches(['&', '?']).is_empty() {
        return Err(Refusal::NoEvent);
    }
    Ok(decoded(Step::Query, vec![Piece::Document(form::query(query))]))
}

/// The byte at which it stops being JSON, which is what most bodies set out to be.
fn why(bytes: &[u8], offset: usize, mark: usize) -> Undecodable {
    let what = match std::str::from_utf8(bytes) {
        Err(error) if error.valid_up_to() <= offset => "invalid UTF-8",
        _ => "neither JSON nor a form",
    };
    Undecodable {
        what,
        offset: mark + offset,
    }
}

fn decoded(step: Step, pieces: Vec<Piece<'_>>) -> Decoded<'_> {
    Decoded {
        pieces,
        step,
        undecodable: None,
    }
}

fn undecodable(undecodable: Undecodable, sent: &[u8]) -> Decoded<'_> {
    Decoded {
        pieces: Vec::new(),
        step: Step::Quarantine,
        undecodable: Some((undecodable, sent)),
    }
}

impl Decoded<'_> {
    /// What sets out to be a site key, where trackers put it.
    pub fn claims(&self) -> Vec<Cow<'_, str>> {
        claims::claims(&self.pieces)
    }
}

impl Step {
    /// A word for logs.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::JsonLines => "json_lines",
            Self::Ping => "ping",
            Self::Multipart => "multipart",
            Self::Form => "form",
            Self::Query => "query",
            Self::Quarantine => "quarantine",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::api_event::Body;
    use super::super::unpack;
    use super::*;

    fn tried<T>(bytes: &[u8], look: impl FnOnce(&Decoded<'_>) -> T) -> T {
        let body = Body {
            bytes: Cow::Borrowed(bytes),
            broken: None,
        };
        let unpacked = unpack(&body, None);
        look(&decode(bytes, &unpacked, "", Ping::default()).unwrap())
    }

    #[test]
    fn what_no_step_takes_is_told_with_the_byte_at_which_it_stops_being_json() {
        for (bytes, what, offset) in [
            (&b"{\"a\":"[..], "neither JSON nor a form", 5),
            (b"\xef\xbb\xbf{\"a\":", "neither JSON nor a form", 8),
            (b"{\"a\":\xff}", "invalid UTF-8", 5),
            (b"{] \xff", "neither JSON nor a form", 1),
        ] {
            let expected = Undecodable { what, offset };
            let told = tried(bytes, |decoded| {
                assert_eq!(decoded.step, Step::Quarantine, "{bytes:?}");
                decoded
                    .undecodable
                    .as_ref()
                    .map(|(told, sent)| (told.clone(), sent.to_vec()))
            });
            assert_eq!(told, Some((expected, bytes.to_vec())));
        }
    }

    #[test]
    fn claims_are_those_of_the_documents() {
        let body = br#"{"token":"stk_1","batch":[{"token":"stk_2"}]}"#;
        assert_eq!(tried(body, |decoded| decoded.claims().join(",")), "stk_1,stk_2");
    }

    #[test]
    fn a_step_is_told_by_its_name() {
        for (step, tag) in [
            (Step::Json, "json"),
            (Step::JsonLines, "json_lines"),
            (Step::Ping, "ping"),
            (Step::Multipart, "multipart"),
            (Step::Form, "form"),
            (Step::Query, "query"),
            (Step::Quarantine, "quarantine"),
        ] {
            assert_eq!(step.tag(), tag);
        }
    }
}
