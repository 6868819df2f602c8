//! Which parts of a body are events of their own; pure.
//!
//! An object is one event, an array one for each element. An object that holds exactly one list of events, under
//! one of three names, is an envelope: each element is an event, and the other members go beside each of them. A
//! body that matches two of the names is one event: nobody can say which list was meant.

use serde_json::value::RawValue;

use super::super::caller::KEY_NAMES;
use super::super::failure::{Flaw, Refusal};
use super::super::loose_json::{self, List, Object};
use super::document::{Document, Piece};
use super::EVENTS_MAX;

/// Names under which trackers put lists of events.
const LISTS: [&str; 3] = ["batch", "events", "data"];

/// The one of them that is also a word for an event's own data.
const DATA: &str = "data";

/// Names that may stand beside `data` if it is to be a list of events, besides those of site keys: every other name
/// is taken for an event's own.
const ENVELOPE_NAMES: &[&str] = &[
    "schema",
    "version",
    "v",
    "sent_at",
    "sentAt",
    "timestamp",
    "upload_time",
    "client_upload_time",
    "context",
    "options",
    "metadata",
    "_metadata",
    "historical_migration",
    "compression",
    "library",
    "sdk",
];

/// What belongs together.
#[derive(Debug)]
pub enum Group<'d> {
    /// Events of one document.
    Events {
        /// Where they stand.
        document: &'d Document<'d>,
        /// As the sender wrote them.
        events: Vec<&'d RawValue>,
        /// Whether they stand in a list or are one line of several: names of items are meant for each alone.
        is_list: bool,
        /// What stands beside the list.
        rest: Option<Rest>,
    },
    /// Something among events that is none.
    Garbage {
        /// As sent.
        bytes: &'d [u8],
        /// Why it is none.
        flaw: Flaw,
        /// Where, in `bytes`.
        offset: usize,
    },
}

/// The members of an envelope without its list, as an object.
#[derive(Debug)]
pub struct Rest {
    /// JSON.
    pub text: String,
    /// The sender's bytes, where they are not the text's.
    pub exact: Option<Vec<u8>>,
}

/// The events of all pieces, in order.
///
/// # Errors
/// They are more than a beacon may have.
pub fn split<'d>(pieces: &'d [Piece<'d>]) -> Result<Vec<Group<'d>>, Refusal> {
    let mut groups = Vec::with_capacity(pieces.len());
    let mut count = 0;
    for piece in pieces {
        let group = match piece {
            Piece::Document(document) => group(document, pieces.len() > 1, &mut count),
            Piece::Garbage { bytes, flaw, offset } => {
                count += 1;
                Group::Garbage {
                    bytes,
                    flaw: *flaw,
                    offset: *offset,
                }
            }
        };
        groups.push(group);
    }
    if count > EVENTS_MAX {
        return Err(Refusal::TooMany(count));
    }
    Ok(groups)
}

fn group<'d>(document: &'d Document<'d>, is_line: bool, count: &mut usize) -> Group<'d> {
    let whole: &RawValue = &document.text;
    if let Some(list) = loose_json::list(whole, EVENTS_MAX) {
        *count += list.count;
        return Group::Events {
            document,
            events: list.elements,
            is_list: true,
            rest: None,
        };
    }
    match envelope(whole) {
        Some((name, list)) => {
            *count += list.count;
            Group::Events {
                document,
                events: list.elements,
                is_list: true,
                rest: rest(document, name),
            }
        }
        None => {
            *count += 1;
            Group::Events {
                document,
                events: vec![whole],
                is_list: is_line,
                rest: None,
            }
        }
    }
}

/// The one list of events that an object holds.
fn envelope(object: &RawValue) -> Option<(&'static str, List<'_>)> {
    let text = object.get();
    if !text.starts_with('{') || !mentions_list(text) {
        return None;
    }
    let picked = loose_json::pick(object, &LISTS);
    let lists = LISTS.iter().zip(picked).filter_map(|(name, value)| {
        let list = loose_json::list(value?, EVENTS_MAX)?;
        (list.count > 0 && list.is_of_objects).then_some((*name, list))
    });
    let mut lists: Vec<_> = lists.collect();
    let found = (lists.len() == 1).then(|| lists.pop()).flatten()?;
    (found.0 != DATA || is_envelope(object)).then_some(found)
}

/// A look that costs little, at what few bodies have.
fn mentions_list(text: &str) -> bool {
    ["\"batch\"", "\"events\"", "\"data\""]
        .iter()
        .any(|name| memchr::memmem::find(text.as_bytes(), name.as_bytes()).is_some())
}

fn is_envelope(object: &RawValue) -> bool {
    let mut names = Object::of(object).members().map(|(name, _)| name);
    names.all(|name| name == DATA || ENVELOPE_NAMES.contains(&&*name) || KEY_NAMES.contains(&&*name))
}

/// All members but the last that is called `list`, each exactly as it stands.
fn rest(document: &Document<'_>, list: &str) -> Option<Rest> {
    let whole: &RawValue = &document.text;
    let exact = document.exact_of(whole);
    let at = |part: &str| part.as_ptr() as usize - whole.get().as_ptr() as usize;
    let members: Vec<_> = Object::of(whole).members().collect();
    let left_out = members.iter().rposition(|(name, _)| name == list);
    let mut rest = Rest {
        text: String::new(),
        exact: exact.map(|_| Vec::new()),
    };
    let mut from = 1;
    for (place, (_, value)) in members.iter().enumerate() {
        let end = at(value.get()) + value.get().len();
        let begin = from + whole.get()[from..].find('"').unwrap_or(0);
        from = end;
        if Some(place) == left_out {
            continue;
        }
        let mark = if rest.text.is_empty() { '{' } else { ',' };
        rest.text.push(mark);
        rest.text.push_str(&whole.get()[begin..end]);
        if let (Some(kept), Some(exact)) = (&mut rest.exact, exact) {
            kept.push(mark as u8);
            kept.extend_from_slice(&exact[begin..end]);
        }
    }
    rest.text.push('}');
    rest.exact.iter_mut().for_each(|exact| exact.push(b'}'));
    (members.len() > 1).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn shape(body: &[u8]) -> (Vec<String>, Option<String>) {
        let pieces = [Piece::Document(json::document(body).unwrap())];
        let groups = split(&pieces).unwrap();
        let Group::Events { events, rest, .. } = &groups[0] else {
            panic!("no events")
        };
        let events = events.iter().map(|event| event.get().to_owned()).collect();
        (events, rest.as_ref().map(|rest| rest.text.clone()))
    }

    #[test]
    fn lists_are_split_and_what_stands_beside_them_is_kept_as_it_is() {
        for (body, events, rest) in [
            (r#"{"a": 1}"#, vec![r#"{"a": 1}"#], None),
            (r#"[{"a":1} , 2]"#, vec![r#"{"a":1}"#, "2"], None),
            ("[]", vec![], None),
            ("7", vec!["7"], None),
            (r#"{"batch":[{"a":1},{}]}"#, vec![r#"{"a":1}"#, "{}"], None),
            (
                r#"{ "v" : 1.10 , "batch":[{"a":1}], "\u0061":"}"}"#,
                vec![r#"{"a":1}"#],
                Some(r#"{"v" : 1.10,"\u0061":"}"}"#),
            ),
            (
                r#"{"events":[{"a":1}],"batch":[]}"#,
                vec![r#"{"a":1}"#],
                Some(r#"{"batch":[]}"#),
            ),
            (
                r#"{"data":[{"a":1}],"schema":"s"}"#,
                vec![r#"{"a":1}"#],
                Some(r#"{"schema":"s"}"#),
            ),
            (
                r#"{"data":[{"a":1}],"token":"t"}"#,
                vec![r#"{"a":1}"#],
                Some(r#"{"token":"t"}"#),
            ),
            (
                r#"{"batch":[{"a":1}],"batch":[{"b":1}]}"#,
                vec![r#"{"b":1}"#],
                Some(r#"{"batch":[{"a":1}]}"#),
            ),
        ] {
            let expected: Vec<_> = events.into_iter().map(str::to_owned).collect();
            assert_eq!(
                shape(body.as_bytes()),
                (expected, rest.map(str::to_owned)),
                "{body}"
            );
        }
    }

    #[test]
    fn what_only_looks_like_an_envelope_is_one_event() {
        for body in [
            r#"{"batch":[]}"#,
            r#"{"batch":[{"a":1},2]}"#,
            r#"{"batch":{"a":1}}"#,
            r#"{"batch":[{"a":1}],"events":[{"b":1}]}"#,
            r#"{"events":[{"a":1}],"data":[{"b":1}]}"#,
            r#"{"data":[{"a":1}],"event":"buy"}"#,
            r#"{"x":{"batch":[{"a":1}]}}"#,
        ] {
            assert_eq!(shape(body.as_bytes()), (vec![body.to_owned()], None), "{body}");
        }
    }

    #[test]
    fn each_piece_counts_as_one() {
        let garbage = |_| Piece::Garbage {
            bytes: b"oops",
            flaw: Flaw::NotJson,
            offset: 0,
        };
        let garbage: Vec<_> = (0..=EVENTS_MAX).map(garbage).collect();
        let event = |_| Piece::Document(json::document(b"{}").unwrap());
        let events: Vec<_> = (0..=EVENTS_MAX).map(event).collect();
        for pieces in [garbage, events] {
            assert_eq!(split(&pieces[1..]).unwrap().len(), EVENTS_MAX);
            assert_eq!(split(&pieces).err(), Some(Refusal::TooMany(EVENTS_MAX + 1)));
        }
    }

    #[test]
    fn a_line_among_others_is_an_item_and_an_object_alone_is_not() {
        let line = || Piece::Document(json::document(b"{\"a\":1}").unwrap());
        for (pieces, expected) in [
            (vec![line()], [false].as_slice()),
            (vec![line(), line()], &[true, true]),
        ] {
            let groups = split(&pieces).unwrap();
            let is_list = groups
                .iter()
                .map(|group| matches!(group, Group::Events { is_list: true, .. }));
            assert_eq!(is_list.collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn a_masked_byte_beside_the_list_is_kept() {
        let document = json::document(b"{\"v\":\"\xff\",\"batch\":[{\"a\":1}]}").unwrap();
        let pieces = [Piece::Document(document)];
        let groups = split(&pieces).unwrap();
        let Group::Events { rest: Some(rest), .. } = &groups[0] else {
            panic!("no rest")
        };
        assert_eq!(
            (&*rest.text, rest.exact.as_deref()),
            (r#"{"v":"?"}"#, Some(&b"{\"v\":\"\xff\"}"[..]))
        );
    }
}
