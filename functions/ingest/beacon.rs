//! A body's bytes as events; pure.
//!
//! In: the bytes as the sender wrote them, and a source of new event keys. Out: one event per object, its text
//! exact to the byte, with its key; and by index what cannot be stored. The ladder has one step so far, JSON; a
//! step takes bytes and gives a document or nothing. Labels are not looked at, the bytes are.

use std::borrow::Cow;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::failure::{Refusal, RefusedEvent};

mod json;
mod split;
mod storable;
mod event_key;

/// Bytes of a body. A gateway hands over 6 MB of event in which base64 takes a third, so this much always gets
/// through; browsers stop at 64 KiB for what they send while a page goes away.
pub const BODY_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Events of a beacon. At some 30 µs each they are committed well within the statement's time-out.
pub const EVENTS_MAX: usize = 10_000;

/// What a body holds.
#[derive(Debug)]
pub struct Beacon<'a> {
    /// What can be stored, in the order in which it stands.
    pub events: Vec<Event<'a>>,
    /// What cannot.
    pub refused: Vec<RefusedEvent>,
    /// What was noticed and passed over, by tag.
    pub notes: Vec<&'static str>,
}

/// One event.
#[derive(Debug)]
pub struct Event<'a> {
    /// Its place in the beacon, from 0.
    pub index: usize,
    /// A JSON object.
    pub payload: Cow<'a, RawValue>,
    /// The same for each attempt to store it, and for each beacon in which the sender names it alike.
    pub key: Uuid,
}

/// # Errors
/// Nothing was sent; the body is no JSON; it is too large; it has too many events; none of them can be stored.
pub fn beacon<'a>(body: &'a [u8], new_key: &mut dyn FnMut() -> Uuid) -> Result<Beacon<'a>, Refusal> {
    if body.len() > BODY_MAX_BYTES {
        return Err(Refusal::TooLarge(body.len()));
    }
    let document = json::document(body)?;
    let parts = split::split(document);
    if parts.len() > EVENTS_MAX {
        return Err(Refusal::TooMany(parts.len()));
    }
    let count = parts.len();
    let mut beacon = Beacon {
        events: Vec::with_capacity(count),
        refused: Vec::new(),
        notes: Vec::new(),
    };
    let mut keys = event_key::Keys::new(new_key);
    for part in parts {
        match storable::flaw(part.raw.get()) {
            Some((flaw, at)) => beacon.refused.push(RefusedEvent {
                index: part.index,
                flaw,
                offset: Some(offset_in(body, part.raw) + at),
            }),
            None => beacon.events.push(Event {
                index: part.index,
                key: keys.of(&part),
                payload: part.payload(),
            }),
        }
    }
    if keys.is_reused {
        beacon.notes.push("event_key_reused");
    }
    if beacon.events.is_empty() && count > 0 {
        return Err(Refusal::NoneStorable(beacon.refused));
    }
    Ok(beacon)
}

/// Where in `body` the text of `raw`, which is a part of it, begins.
fn offset_in(body: &[u8], raw: &RawValue) -> usize {
    raw.get().as_ptr() as usize - body.as_ptr() as usize
}

#[cfg(test)]
mod tests {
    use super::super::failure::Flaw;
    use super::*;

    fn read(body: &str) -> Result<Beacon<'_>, Refusal> {
        beacon(body.as_bytes(), &mut Uuid::now_v7)
    }

    fn payloads(body: &str) -> Vec<String> {
        let beacon = read(body).unwrap();
        beacon
            .events
            .iter()
            .map(|event| event.payload.get().to_owned())
            .collect()
    }

    #[test]
    fn an_object_is_one_event_and_an_array_one_for_each_element() {
        for (body, expected) in [
            (r#"{"a": 1}"#, vec![r#"{"a": 1}"#]),
            (r#" [{"a":1} , {"b":2}] "#, vec![r#"{"a":1}"#, r#"{"b":2}"#]),
            (
                r#"[1,"x",null,[2]]"#,
                vec![
                    r#"{"value":1}"#,
                    r#"{"value":"x"}"#,
                    r#"{"value":null}"#,
                    r#"{"value":[2]}"#,
                ],
            ),
            ("7", vec![r#"{"value":7}"#]),
            ("[]", vec![]),
            ("\u{feff}{\"a\":1.10e2}", vec![r#"{"a":1.10e2}"#]),
            (
                r#"{"n":18446744073709551616.10}"#,
                vec![r#"{"n":18446744073709551616.10}"#],
            ),
        ] {
            assert_eq!(payloads(body), expected, "{body}");
        }
    }

    #[test]
    fn an_odd_event_is_refused_by_its_index_and_its_neighbours_stay() {
        let body = r#"[{"a":1},{},{"b":"\u0000"},{"c":"\\u0000"}]"#;
        let beacon = read(body).unwrap();
        let refused: Vec<_> = beacon
            .refused
            .iter()
            .map(|r| (r.index, r.flaw, r.offset))
            .collect();
        let nul = body.find(r"\u0000");
        assert_eq!(refused, [(1, Flaw::EmptyEvent, Some(9)), (2, Flaw::Nul, nul)]);
        assert_eq!(beacon.events.iter().map(|e| e.index).collect::<Vec<_>>(), [0, 3]);
    }

    #[test]
    fn limits_hold_at_their_edge() {
        let events = |n: usize| format!("[{}]", vec![r#"{"a":1}"#; n].join(","));
        assert_eq!(payloads(&events(EVENTS_MAX)).len(), EVENTS_MAX);
        assert_eq!(
            read(&events(EVENTS_MAX + 1)).unwrap_err(),
            Refusal::TooMany(EVENTS_MAX + 1)
        );
        let sized = |n: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(n - 8));
        assert_eq!(payloads(&sized(BODY_MAX_BYTES)).len(), 1);
        assert_eq!(
            read(&sized(BODY_MAX_BYTES + 1)).unwrap_err(),
            Refusal::TooLarge(BODY_MAX_BYTES + 1)
        );
    }
}
