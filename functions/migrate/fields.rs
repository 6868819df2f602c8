//! The fields of a JSON object, read so that no field can spoil another.
//!
//! In: any text that is JSON. Out: names with the raw text of their values, and each value by itself where it can be
//! read as what is asked for. A name or a value that cannot be read is as good as absent; of a name that comes twice
//! the last one counts. What the names mean is not known here.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The fields of one object; none where the text is no object.
pub struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Reads the object that `json` is.
    pub fn of(json: &'a RawValue) -> Self {
        serde_json::from_str(json.get()).unwrap_or(Self(Vec::new()))
    }

    /// Whether the name is there, whatever its value.
    pub fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// A value as it was sent; `null` is as good as absent.
    pub fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().rev().find(|(known, _)| known == name);
        found
            .map(|(_, value)| *value)
            .filter(|value| value.get() != "null")
    }

    /// A string, a number or a truth value, as text: CloudFormation sends all of them as strings, people do not.
    pub fn text(&self, name: &str) -> Option<String> {
        let raw = self.raw(name)?.get();
        match raw.as_bytes().first()? {
            b'"' => serde_json::from_str(raw).ok(),
            b'{' | b'[' => None,
            _ => Some(raw.to_owned()),
        }
    }

    /// The fields of an object inside; none where there is no such object.
    pub fn object(&self, name: &str) -> Fields<'a> {
        self.raw(name).map_or(Fields(Vec::new()), Fields::of)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Vec::new();
        // Names are taken raw: one with half a surrogate pair in it must not hide the others.
        while let Some(name) = map.next_key::<&'de RawValue>()? {
            match serde_json::from_str(name.get()) {
                Ok(name) => fields.push((name, map.next_value()?)),
                Err(_) => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_odd_field_hides_no_other() {
        let json = raw(
            r#"{"a\ud800":1,"b":"\udfff","c":[1],"d":true,"e":7,"f":"x","f":"y","n":null,"o":{"i":"inner"}}"#,
        );
        let fields = Fields::of(&json);
        for (name, is) in [
            ("b", None),
            ("c", None),
            ("d", Some("true")),
            ("e", Some("7")),
            ("f", Some("y")),
            ("n", None),
            ("absent", None),
        ] {
            assert_eq!(fields.text(name).as_deref(), is, "{name}");
        }
        assert_eq!(fields.object("o").text("i").as_deref(), Some("inner"));
        assert!(fields.has("b") && !fields.has("n") && !fields.object("c").has("i"));
    }

    #[test]
    fn what_is_no_object_has_no_fields() {
        for json in ["7", "\"text\"", "[{\"a\":1}]", "null"] {
            assert!(!Fields::of(&raw(json)).has("a"), "{json}");
        }
    }
}
