//! What stands beside events, put beside each of them; pure.
//!
//! In: the rest of an envelope, the other fields of a form. Out: events with it as `_envelope`; one that has a
//! member of that name keeps it, and ours is then `_envelope_outer`. What is beside the events and cannot be stored
//! is quarantined in its own place, and costs no event.

use std::borrow::Cow;

use super::super::loose_json::Object;
use super::split::Rest;
use super::without_key::without_key;
use super::{quarantine, storable, VALUES_MAX};
use crate::site_key::SiteKey;

const NAME: &str = "_envelope";
const SUFFIX: &str = "_outer";

/// Bytes of all copies of an envelope in one beacon. A megabyte beside each of 10,000 events would be ten gigabytes;
/// past this it stands beside the first event alone, which has the same receipt.
pub const ENVELOPES_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Objects that go beside an event, the inner one first.
#[derive(Debug, Default)]
pub struct Beside {
    objects: Vec<String>,
    /// Names and values in them.
    values: usize,
    /// Whether one of them could not be stored as it is.
    pub is_quarantined: bool,
}

impl Beside {
    /// One more, without the site key; nothing where nothing is left of it.
    pub fn push(&mut self, rest: &Rest, site_key: &SiteKey) {
        let exact = rest.exact.as_deref();
        let mut values_left = VALUES_MAX - self.values;
        if let Some((flaw, at)) = quarantine::flaw(&rest.text, exact, &mut values_left) {
            let bytes = exact.unwrap_or(rest.text.as_bytes());
            self.is_quarantined = true;
            return self.objects.push(quarantine::document(bytes, flaw.tag(), at));
        }
        self.values = VALUES_MAX - values_left;
        let text = without_key(&rest.text, site_key);
        if !storable::is_empty(&text) {
            self.objects.push(text.into_owned());
        }
    }

    /// Whether so many events can each have a copy, of whose names and values so many are left.
    pub fn is_for_each_of(&self, events: usize, values_left: usize) -> bool {
        let bytes: usize = self.objects.iter().map(String::len).sum();
        let is_small = bytes.saturating_mul(events) <= ENVELOPES_MAX_BYTES;
        events <= 1 || (is_small && self.values.saturating_mul(events) <= values_left)
    }

    /// Names and values of one copy.
    pub fn values(&self) -> usize {
        self.values
    }

    /// `event`, an object that is not empty, with all of it beside.
    pub fn beside<'e>(&self, event: Cow<'e, str>) -> Cow<'e, str> {
        if self.objects.is_empty() {
            return event;
        }
        let mut taken = names(&event);
        let mut text = event.trim_end().strip_suffix('}').unwrap_or(&event).to_owned();
        for object in &self.objects {
            let mut name = NAME.to_owned();
            while taken.contains(&name) {
                name.push_str(SUFFIX);
            }
            text.push_str(",\"");
            text.push_str(&name);
            text.push_str("\":");
            text.push_str(object);
            taken.push(name);
        }
        text.push('}');
        Cow::Owned(text)
    }
}

/// The names of `event` that ours could meet.
fn names(event: &str) -> Vec<String> {
    if memchr::memmem::find(event.as_bytes(), NAME.as_bytes()).is_none() && !event.contains("\\u") {
        return Vec::new();
    }
    let members = serde_json::from_str(event).map(Object::of);
    let names = members
        .into_iter()
        .flat_map(Object::members)
        .map(|(name, _)| name);
    names
        .filter(|name| name.starts_with(NAME))
        .map(Cow::into_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beside(rests: &[&str]) -> Beside {
        let key = SiteKey::generate().unwrap();
        let mut beside = Beside::default();
        for rest in rests {
            let text = rest.replace("KEY", key.expose());
            beside.push(&Rest { text, exact: None }, &key);
        }
        beside
    }

    #[test]
    fn an_event_keeps_what_it_has_under_our_name() {
        for (event, rests, expected) in [
            (r#"{"a":1}"#, vec![], r#"{"a":1}"#),
            (r#"{"a":1}"#, vec![r#"{"token":"KEY"}"#], r#"{"a":1}"#),
            (r#"{"a":1}"#, vec![r#"{"v":1}"#], r#"{"a":1,"_envelope":{"v":1}}"#),
            (
                r#"{"\u005fenvelope":1}"#,
                vec![r#"{"v":1}"#],
                r#"{"\u005fenvelope":1,"_envelope_outer":{"v":1}}"#,
            ),
            (
                r#"{"_envelope":1,"_envelope_outer":2}"#,
                vec![r#"{"v":1}"#, r#"{"w":1}"#],
                r#"{"_envelope":1,"_envelope_outer":2,"_envelope_outer_outer":{"v":1},"_envelope_outer_outer_outer":{"w":1}}"#,
            ),
        ] {
            assert_eq!(beside(&rests).beside(Cow::Borrowed(event)), expected, "{event}");
        }
    }

    #[test]
    fn what_cannot_be_stored_is_quarantined_in_its_place() {
        let beside = beside(&[r#"{"v":"\u0000"}"#]);
        let event: serde_json::Value =
            serde_json::from_str(&beside.beside(Cow::Borrowed(r#"{"a":1}"#))).unwrap();
        assert!(beside.is_quarantined);
        assert_eq!(event["_envelope"]["_quarantine"]["tag"], "nul");
        assert_eq!(event["_envelope"]["_quarantine"]["offset"], 6);
    }

    #[test]
    fn copies_are_limited() {
        let beside = beside(&[&format!(
            "{{\"a\":\"{}\"}}",
            "x".repeat(ENVELOPES_MAX_BYTES / 10 - 8)
        )]);
        assert!(beside.is_for_each_of(1, 0) && beside.is_for_each_of(10, 30));
        assert!(!beside.is_for_each_of(11, 33) && !beside.is_for_each_of(10, 29));
    }

    #[test]
    fn names_and_values_of_all_that_stands_beside_are_added_up() {
        assert_eq!(beside(&[r#"{"a":[1,2]}"#, r#"{"b":1}"#]).values(), 8);
    }
}
