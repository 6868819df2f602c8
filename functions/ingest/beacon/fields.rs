//! Named fields of a form, a query or a multipart body, and which of them holds the events; pure.
//!
//! A field that holds an array of objects is the list of events, whatever its name; `data` may hold one object too,
//! as JSON, base64 or url-safe base64. The other fields stand beside the events. Where no field does, or more than
//! one, all of them are one event of strings.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::DecodePaddingMode;
use base64::{alphabet, Engine};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::super::caller::KEY_NAMES;
use super::super::loose_json;
use super::document::{Document, Exact};
use super::json;

/// The field that may hold one event, or its base64.
const DATA: &str = "data";

/// Padding is often lost on the way.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

type Field<'a> = (Cow<'a, str>, Vec<Cow<'a, str>>);

/// Names with their values, in the order in which they stand first.
#[derive(Debug, Default)]
pub struct Fields<'a> {
    fields: Vec<Field<'a>>,
    places: HashMap<Cow<'a, str>, usize>,
}

impl<'a> Fields<'a> {
    /// One more value. A site key that is given twice is given once.
    pub fn add(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        match self.places.get(&name) {
            Some(place) => {
                let values = &mut self.fields[*place].1;
                if !(KEY_NAMES.contains(&&*name) && values[..] == [&*value]) {
                    values.push(value);
                }
            }
            None => {
                self.places.insert(name.clone(), self.fields.len());
                self.fields.push((name, vec![value]));
            }
        }
    }

    /// The document that the fields are, or that one of them holds. They were made of `source`, and `nul_at` finds
    /// the first U+0000 in it.
    pub fn document(self, source: &[u8], nul_at: fn(&[u8]) -> usize) -> Document<'_> {
        let mut fields = self.fields;
        let mut holders = fields
            .iter()
            .enumerate()
            .filter_map(|(at, field)| Some((at, events(field)?)));
        match (holders.next(), holders.next()) {
            (Some((at, held)), None) => {
                fields.remove(at);
                Document {
                    beside: (!fields.is_empty()).then(|| raw(&fields)),
                    ..held
                }
            }
            _ => Document {
                text: Cow::Owned(raw(&fields)),
                exact: Exact::Source {
                    bytes: source,
                    nul_at,
                },
                beside: None,
            },
        }
    }
}

/// The events that a field holds.
fn events((name, values): &Field<'_>) -> Option<Document<'static>> {
    let [value] = &values[..] else {
        return None;
    };
    let is_data = name == DATA;
    let held = json::container(value.as_bytes()).or_else(|| is_data.then(|| decoded(value)).flatten())?;
    let is_object = held.text.get().starts_with('{');
    let list = loose_json::list(&held.text, 0);
    let are_events = list.is_some_and(|list| list.count > 0 && list.is_of_objects);
    ((is_object && is_data) || are_events).then_some(held)
}

/// Base64 of an object or array; plus signs that nobody escaped arrive as spaces.
fn decoded(value: &str) -> Option<Document<'static>> {
    let value = value.trim().replace(' ', "+");
    let bytes = match value.contains(['-', '_']) {
        true => URL_SAFE.decode(value),
        false => STANDARD.decode(value),
    };
    json::container(&bytes.ok()?)
}

fn raw(fields: &[Field<'_>]) -> Box<RawValue> {
    serde_json::value::to_raw_value(&AsObject(fields)).unwrap_or_default()
}

struct AsObject<'f, 'a>(&'f [Field<'a>]);

impl Serialize for AsObject<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, values) in self.0 {
            match &values[..] {
                [value] => map.serialize_entry(name, value)?,
                values => map.serialize_entry(name, values)?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(fields: &[(&str, &str)]) -> (String, Option<String>) {
        let mut all = Fields::default();
        for (name, value) in fields {
            all.add(Cow::Borrowed(name), Cow::Borrowed(value));
        }
        let document = all.document(b"", |_| 0);
        let beside = document.beside.map(|beside| beside.get().to_owned());
        (document.text.get().to_owned(), beside)
    }

    #[test]
    fn the_field_that_holds_events_is_found_and_the_others_stand_beside() {
        let base64 = STANDARD.encode(r#"{"a":"ûÿ>>"}"#);
        let url_safe = URL_SAFE.encode(r#"{"a":"ûÿ>>"}"#);
        for (fields, text, beside) in [
            (
                vec![("data", r#"{"a":1.10}"#), ("v", "2")],
                r#"{"a":1.10}"#,
                Some(r#"{"v":"2"}"#),
            ),
            (vec![("data", "[{\"a\":1}]")], r#"[{"a":1}]"#, None),
            (vec![("data", &*base64)], r#"{"a":"ûÿ>>"}"#, None),
            (
                vec![("data", base64.trim_end_matches('='))],
                r#"{"a":"ûÿ>>"}"#,
                None,
            ),
            (
                vec![("data", &*base64.replace('+', " "))],
                r#"{"a":"ûÿ>>"}"#,
                None,
            ),
            (vec![("data", &*url_safe)], r#"{"a":"ûÿ>>"}"#, None),
            (
                vec![("e", "[{\"a\":1}]"), ("v", "2")],
                r#"[{"a":1}]"#,
                Some(r#"{"v":"2"}"#),
            ),
        ] {
            assert_eq!(
                document(&fields),
                (text.to_owned(), beside.map(str::to_owned)),
                "{fields:?}"
            );
        }
    }

    #[test]
    fn where_no_field_holds_events_or_two_do_all_are_one_event() {
        for (fields, text) in [
            (vec![("data", "12"), ("n", "1")], r#"{"data":"12","n":"1"}"#),
            (
                vec![("data", "aGVsbG8gd29ybGQh")],
                r#"{"data":"aGVsbG8gd29ybGQh"}"#,
            ),
            (vec![("e", "[]")], r#"{"e":"[]"}"#),
            (vec![("tags", r#"["a"]"#)], r#"{"tags":"[\"a\"]"}"#),
            (vec![("e", r#"{"a":1}"#)], r#"{"e":"{\"a\":1}"}"#),
            (
                vec![("a", r#"[{"n":1}]"#), ("b", r#"[{"n":2}]"#)],
                r#"{"a":"[{\"n\":1}]","b":"[{\"n\":2}]"}"#,
            ),
            (
                vec![("e", r#"[{"n":1}]"#), ("e", "x")],
                r#"{"e":["[{\"n\":1}]","x"]}"#,
            ),
            (vec![("e", "[{\"n\":1}")], r#"{"e":"[{\"n\":1}"}"#),
        ] {
            assert_eq!(document(&fields), (text.to_owned(), None), "{fields:?}");
        }
    }
}
