//! An event's key: the same for each attempt to send it; pure.
//!
//! A tracker that names its events makes a resend recognisable. The name counts only if it stands in the event
//! itself, under one of the names below, and looks like one: a UUID, or 16 to 128 characters with a digit in them.
//! Every other event gets a new key of ours. That keys of two tenants never meet is the unique index's doing.

use std::collections::HashMap;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::super::loose_json::{self, Object};
use super::split::Part;

/// Names of members that trackers give their own identifier of an event. A bare `id` is anybody's.
const NAMES: &[&str] = &["evt_id", "eid", "messageId", "uuid", "insert_id", "$insert_id"];

/// A name that is an event's only where events stand in a list.
const ITEM_NAME: &str = "event_id";

/// Where Mixpanel and PostHog put theirs.
const NESTED: (&str, &str) = ("properties", "$insert_id");

/// Lengths of identifiers that are no UUID.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=128;

/// What broken trackers send in place of an identifier; the shorter ones are too short anyway.
const JUNK: &[&str] = &["[object Object]0", "0000000000000000", "1234567890123456"];

/// Gives each event of a beacon its key.
pub struct Keys<'a, 'n> {
    new: &'n mut dyn FnMut() -> Uuid,
    given: HashMap<Uuid, &'a str>,
    /// Whether two different events of this beacon had one name.
    pub is_reused: bool,
}

impl<'a, 'n> Keys<'a, 'n> {
    /// `new` makes a key of ours.
    pub fn new(new: &'n mut dyn FnMut() -> Uuid) -> Self {
        Self {
            new,
            given: HashMap::new(),
            is_reused: false,
        }
    }

    /// The key of `part`. Of two different events with one name the second has a key of ours.
    pub fn of(&mut self, part: &Part<'a>) -> Uuid {
        let Some(key) = named(part) else {
            return (self.new)();
        };
        let text = part.raw.get();
        if *self.given.entry(key).or_insert(text) == text {
            return key;
        }
        self.is_reused = true;
        (self.new)()
    }
}

fn named(part: &Part<'_>) -> Option<Uuid> {
    if !part.raw.get().starts_with('{') {
        return None;
    }
    let event = Object::of(part.raw);
    let item_name = part.is_item.then_some(&ITEM_NAME);
    NAMES
        .iter()
        .chain(item_name)
        .find_map(|name| key(name, event.get(name)?))
        .or_else(|| key(NESTED.1, event.object(NESTED.0).get(NESTED.1)?))
}

fn key(name: &str, value: &RawValue) -> Option<Uuid> {
    if !value.get().starts_with('"') {
        return None;
    }
    let text = loose_json::text(value)?;
    let text = match Uuid::try_parse(&text) {
        Ok(uuid) if uuid.is_nil() || uuid.is_max() => return None,
        Ok(uuid) => uuid.to_string(),
        Err(_) if is_identifier(&text) => text.into_owned(),
        Err(_) => return None,
    };
    let digest = Sha256::new()
        .chain_update(name)
        .chain_update([0])
        .chain_update(text)
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Some(Uuid::new_v8(bytes))
}

fn is_identifier(text: &str) -> bool {
    LENGTHS.contains(&text.chars().count())
        && text.contains(|c: char| c.is_ascii_digit())
        && !JUNK.contains(&text)
        && !text.starts_with("[object ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(events: &[&str], is_item: bool) -> (Vec<Uuid>, bool) {
        let mut new = Uuid::now_v7;
        let mut keys = Keys::new(&mut new);
        let raws: Vec<&RawValue> = events.iter().map(|e| serde_json::from_str(e).unwrap()).collect();
        let parts = raws.into_iter().enumerate();
        let of = parts.map(|(index, raw)| keys.of(&Part { index, raw, is_item }));
        let of = of.collect();
        (of, keys.is_reused)
    }

    #[test]
    fn an_event_that_is_named_has_the_same_key_each_time_and_another_a_new_one() {
        let id = "8c4d2a1e-3b5f-4e6a-9d7c-1f2e3d4c5b6a";
        for (event, is_item, is_named) in [
            (format!(r#"{{"messageId":"{id}"}}"#), false, true),
            (format!(r#"{{"eid":"{}"}}"#, id.to_uppercase()), false, true),
            (r#"{"insert_id":"a-tracker-s-own-1"}"#.to_owned(), false, true),
            (
                format!(r#"{{"properties":{{"$insert_id":"{id}"}}}}"#),
                false,
                true,
            ),
            (format!(r#"{{"event_id":"{id}"}}"#), true, true),
            (format!(r#"{{"event_id":"{id}"}}"#), false, false),
            (format!(r#"{{"id":"{id}"}}"#), true, false),
            (
                r#"{"uuid":"00000000-0000-0000-0000-000000000000"}"#.to_owned(),
                false,
                false,
            ),
            (
                r#"{"uuid":"ffffffff-ffff-ffff-ffff-ffffffffffff"}"#.to_owned(),
                false,
                false,
            ),
            (r#"{"uuid":"undefined"}"#.to_owned(), false, false),
            (r#"{"uuid":"[object Object]12"}"#.to_owned(), false, false),
            (r#"{"uuid":"without any digit"}"#.to_owned(), false, false),
            (r#"{"uuid":"fifteen-chars-1"}"#.to_owned(), false, false),
            (format!(r#"{{"uuid":"{}"}}"#, "1a".repeat(65)), false, false),
            (r#"{"uuid":12345678901234567}"#.to_owned(), false, false),
            (
                r#"{"uuid":["8c4d2a1e-3b5f-4e6a-9d7c-1f2e3d4c5b6a"]}"#.to_owned(),
                false,
                false,
            ),
        ] {
            let (twice, is_reused) = keys(&[&event, &event], is_item);
            assert_eq!(twice[0] == twice[1], is_named, "{event}");
            assert_eq!(
                twice[0].get_version_num(),
                if is_named { 8 } else { 7 },
                "{event}"
            );
            assert!(!is_reused, "{event}");
        }
    }

    #[test]
    fn the_name_is_part_of_the_key_and_the_spelling_of_a_uuid_is_not() {
        let id = "8c4d2a1e-3b5f-4e6a-9d7c-1f2e3d4c5b6a";
        let of = |name: &str, id: &str| keys(&[&format!(r#"{{"{name}":"{id}"}}"#)], false).0[0];
        assert_ne!(of("eid", id), of("uuid", id));
        assert_eq!(of("eid", id), of("eid", &id.to_uppercase()));
    }

    #[test]
    fn two_different_events_with_one_name_are_two() {
        let id = "8c4d2a1e-3b5f-4e6a-9d7c-1f2e3d4c5b6a";
        let (of, is_reused) = keys(
            &[
                &format!(r#"{{"eid":"{id}","a":1}}"#),
                &format!(r#"{{"eid":"{id}","a":2}}"#),
            ],
            false,
        );
        assert!(is_reused && of[0] != of[1] && of[1].get_version_num() == 7);
    }
}
