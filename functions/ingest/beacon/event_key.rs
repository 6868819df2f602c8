//! An event's key: the same for each attempt to send it; pure.
//!
//! A tracker that names its events makes a resend recognisable. The name counts only if it stands in the event
//! itself, under one of the names below, and looks like one: a UUID, or 16 to 128 characters with a digit in them.
//! Every other event gets a new key of ours. Keys are unique within a tenant, by the database's index: which tenant
//! it is, is not known here. All site keys of a tenant share them, so that an event that a page queued under its
//! old site key and sends again under its new one is still stored once.

use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::super::loose_json;

/// Names of members that trackers give their own identifier of an event, in the order in which they are asked: the
/// last but one only where events stand in a list. A bare `id` is anybody's.
const NAMES: [&str; 8] = [
    "evt_id",
    "eid",
    "messageId",
    "uuid",
    "insert_id",
    NESTED,
    ITEM_NAME,
    PROPERTIES,
];

/// A name that is an event's only where events stand in a list.
const ITEM_NAME: &str = "event_id";

/// Where Mixpanel and PostHog put theirs.
const PROPERTIES: &str = "properties";
const NESTED: &str = "$insert_id";

/// Lengths of identifiers that are no UUID.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=128;

/// What broken trackers send within an identifier: a value that was never filled in.
const JUNK_WORDS: &[&str] = &["undefined", "null", "nan"];

/// What identifiers are made of beside letters and digits; base64 has the last three. Times, addresses, code and
/// unfilled templates have something else in them.
const MARKS: &[char] = &['-', '_', '.', '~', '=', '+', '/'];

/// Fewer different letters and digits are a pattern (`xxxxxxxx-xxxx-4xxx-…`, a counter behind zeros): a random UUID has
/// fewer than five once in a hundred million million.
const LEAST_VARIETY: usize = 5;

/// A constant of a template in capitals (`YOUR_MESSAGE_ID_1`) has fewer digits; identifiers in capitals have more.
const LEAST_DIGITS_IN_CAPITALS: usize = 4;

/// UUIDs that stand in examples, in documentation, and in RFC 9562 as names of namespaces.
const SAMPLES: &[&str] = &[
    "123e4567-e89b-12d3-a456-426614174000",
    "123e4567-e89b-12d3-a456-426655440000",
    "550e8400-e29b-41d4-a716-446655440000",
    "f47ac10b-58cc-4372-a567-0e02b2c3d479",
    "01234567-89ab-cdef-0123-456789abcdef",
    "12345678-1234-1234-1234-123456789012",
    "12345678-1234-1234-1234-123456789abc",
    "12345678-1234-5678-1234-567812345678",
    "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
    "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "6ba7b811-9dad-11d1-80b4-00c04fd430c8",
    "6ba7b812-9dad-11d1-80b4-00c04fd430c8",
    "6ba7b814-9dad-11d1-80b4-00c04fd430c8",
];

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

    /// The key of `event`, which stands in a list or alone. Of two different events with one name the second has a
    /// key of ours, made of its text too, so that a retry of both is recognised.
    pub fn of(&mut self, event: &'a RawValue, is_item: bool) -> Uuid {
        let Some((name, id)) = named(event, is_item) else {
            return (self.new)();
        };
        let key = key(&[name, &id]);
        let text = event.get();
        if *self.given.entry(key).or_insert(text) == text {
            return key;
        }
        self.is_reused = true;
        self::key(&[name, &id, text])
    }
}

fn named(event: &RawValue, is_item: bool) -> Option<(&'static str, String)> {
    if !event.get().starts_with('{') {
        return None;
    }
    let picked = loose_json::pick(event, &NAMES);
    let mut candidates = NAMES.iter().zip(picked);
    let properties = candidates.next_back().and_then(|(_, value)| value);
    let own = candidates
        .filter(|(name, _)| is_item || **name != ITEM_NAME)
        .find_map(|(name, value)| Some((*name, identifier(value?)?)));
    own.or_else(|| {
        let [nested] = loose_json::pick(properties?, &[NESTED]);
        Some((NESTED, identifier(nested?)?))
    })
}

/// The identifier that a value is, in the one spelling that it has.
fn identifier(value: &RawValue) -> Option<String> {
    if !value.get().starts_with('"') {
        return None;
    }
    let text = loose_json::text(value)?;
    let (text, is_one) = match Uuid::try_parse(&text) {
        Ok(uuid) => {
            let text = uuid.to_string();
            let is_sample = SAMPLES.contains(&&*text);
            (text, !is_sample)
        }
        Err(_) => {
            let is_one = is_identifier(&text);
            (text.into_owned(), is_one)
        }
    };
    (is_one && variety(&text) >= LEAST_VARIETY).then_some(text)
}

fn is_identifier(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let is_constant = text.contains('_') && !text.contains(char::is_lowercase);
    let least_digits = if is_constant { LEAST_DIGITS_IN_CAPITALS } else { 1 };
    let mut words = text.split(|c: char| !c.is_alphanumeric());
    LENGTHS.contains(&text.chars().count())
        && digits >= least_digits
        && text.contains(char::is_alphabetic)
        && text.chars().all(|c| c.is_alphanumeric() || MARKS.contains(&c))
        && !is_date(text.as_bytes())
        && !words.any(is_junk)
}

/// Digits beside it do not make it another word.
fn is_junk(word: &str) -> bool {
    let word = word.trim_matches(|c: char| c.is_ascii_digit());
    JUNK_WORDS.iter().any(|junk| word.eq_ignore_ascii_case(junk))
}

/// How many different letters and digits there are.
fn variety(text: &str) -> usize {
    let characters = text.chars().filter(|c| c.is_alphanumeric());
    characters.collect::<HashSet<_>>().len()
}

/// A time names no event: others happen in it.
fn is_date(text: &[u8]) -> bool {
    let digits = |range: std::ops::Range<usize>| text[range].iter().all(u8::is_ascii_digit);
    text.len() >= 10 && digits(0..4) && text[4] == b'-' && digits(5..7) && text[7] == b'-' && digits(8..10)
}

fn key(parts: &[&str]) -> Uuid {
    let mut digest = Sha256::new();
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            digest.update([0]);
        }
        digest.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.finalize()[..16]);
    Uuid::new_v8(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(events: &[&str], is_item: bool) -> (Vec<Uuid>, bool) {
        let mut new = Uuid::now_v7;
        let mut keys = Keys::new(&mut new);
        let raws: Vec<&RawValue> = events.iter().map(|e| serde_json::from_str(e).unwrap()).collect();
        let of = raws.into_iter().map(|raw| keys.of(raw, is_item)).collect();
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
            (r#"{"uuid":"event-undefined-12"}"#.to_owned(), false, false),
            (r#"{"uuid":"{{ message_id_1 }}"}"#.to_owned(), false, false),
            (r#"{"uuid":"2026-11-22T12:00:00.000Z"}"#.to_owned(), false, false),
            (r#"{"uuid":"2026-11-22T120000.000Z"}"#.to_owned(), false, false),
            (r#"{"uuid":"1234567890123456"}"#.to_owned(), false, false),
            (r#"{"uuid":"0000-0000-0000-0000-0000"}"#.to_owned(), false, false),
            (r#"{"uuid":"a-tracker-\ud800-1234"}"#.to_owned(), false, false),
            (format!(r#"{{"uuid":"undefined","eid":"{id}"}}"#), false, true),
            (r#"{"uuid":"fifteen-chars-1"}"#.to_owned(), false, false),
            (r#"{"uuid":"sixteen-chars-12"}"#.to_owned(), false, true),
            (
                r#"{"uuid":"evt_01ARZ3NDEKTSV4RRFFQ69G5FAV"}"#.to_owned(),
                false,
                true,
            ),
            (
                r#"{"uuid":"EVT_01ARZ3NDEKTSV4RRFFQ69G5FAV"}"#.to_owned(),
                false,
                true,
            ),
            (r#"{"uuid":"q83vEjRWeJCrze8SNFZ4kA=="}"#.to_owned(), false, true),
            (r#"{"uuid":"nanoid/V1StGXR8+Z5jdHi"}"#.to_owned(), false, true),
            (
                r#"{"uuid":"ajs-next-1732280000123-8c4d2a1e.3b5f~4e6a"}"#.to_owned(),
                false,
                true,
            ),
            (
                r#"{"uuid":"Sun Nov 22 2026 12:00:00 GMT+0000"}"#.to_owned(),
                false,
                false,
            ),
            (r#"{"uuid":"2026-1-2T12:00:00Z0"}"#.to_owned(), false, false),
            (r#"{"uuid":"20261122120000000"}"#.to_owned(), false, false),
            (r#"{"uuid":"2026.11.22-12.00.00"}"#.to_owned(), false, false),
            (r#"{"uuid":"%%MESSAGE_ID_1%%"}"#.to_owned(), false, false),
            (r#"{"uuid":"__MESSAGE_ID_1__"}"#.to_owned(), false, false),
            (r#"{"uuid":"your_message_id_1"}"#.to_owned(), false, true),
            (r#"{"uuid":"YOUR-MESSAGE-ID-1"}"#.to_owned(), false, true),
            (r#"{"uuid":"YOUR_MESSAGE_ID_123"}"#.to_owned(), false, false),
            (r#"{"uuid":"YOUR_MESSAGE_ID_1234"}"#.to_owned(), false, true),
            (r#"{"uuid":"undefined1732280000"}"#.to_owned(), false, false),
            (r#"{"uuid":"1732280000-NaN-event"}"#.to_owned(), false, false),
            (r#"{"uuid":"function uuid4() {}"}"#.to_owned(), false, false),
            (
                r#"{"uuid":"xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx"}"#.to_owned(),
                false,
                false,
            ),
            (
                r#"{"uuid":"123E4567-e89b-12d3-a456-426614174000"}"#.to_owned(),
                false,
                false,
            ),
            (
                r#"{"uuid":"00000000-0000-0000-0000-000000000123"}"#.to_owned(),
                false,
                false,
            ),
            (
                r#"{"uuid":"00000000-0000-0000-0000-000000001234"}"#.to_owned(),
                false,
                true,
            ),
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
    fn a_key_is_the_same_in_each_version_and_knows_where_a_part_ends() {
        let expected = "358ad0ed-a7e2-8cc8-9363-d125a179b228";
        assert_eq!(key(&["eid", "a-tracker-s-own-1"]).to_string(), expected);
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
    }

    #[test]
    fn a_date_is_one_in_every_digit_and_mark() {
        for (text, expected) in [
            ("2026-11-22", true),
            ("2026-11-22T12:00:00.000Z", true),
            ("2026-11-2", false),
            ("x026-11-22", false),
            ("2026/11-22", false),
            ("2026-1x-22", false),
            ("2026-11/22", false),
            ("2026-11-2x", false),
        ] {
            assert_eq!(is_date(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn two_different_events_with_one_name_are_two() {
        let id = "8c4d2a1e-3b5f-4e6a-9d7c-1f2e3d4c5b6a";
        let events = [1, 2].map(|n| format!(r#"{{"eid":"{id}","a":{n}}}"#));
        let events = events.each_ref().map(String::as_str);
        let (of, is_reused) = keys(&events, false);
        assert!(is_reused && of[0] != of[1]);
        assert_eq!(keys(&events, false).0, of);
    }
}
