//! JSON that others made, read without expecting anything of it.
//!
//! In: a syntactically valid JSON text. Out: the members of an object, the text of a scalar; what is of another
//! type is absent. Lone surrogates become U+FFFD and repeated names keep their last value, so that no member can
//! cost its neighbours. It knows no name of any member.

mod string;

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object, in the order in which they stand.
pub struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// The members of `raw`; none where it is no object.
    pub fn of(raw: &'a RawValue) -> Self {
        serde_json::from_str::<Members>(raw.get()).map_or(Self(Vec::new()), |members| Self(members.0))
    }

    /// The members of the member `name`; none where it is absent or no object.
    pub fn object(&self, name: &str) -> Self {
        self.get(name).map_or(Self(Vec::new()), Self::of)
    }

    /// The last value under `name`.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0
            .iter()
            .rev()
            .find(|(candidate, _)| candidate == name)
            .map(|(_, value)| *value)
    }

    /// The text of the member `name`.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).and_then(text)
    }

    /// All members.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, str>, &'a RawValue)> {
        self.0.into_iter()
    }
}

/// An array.
pub struct List<'a> {
    /// As many of its elements as were asked for.
    pub elements: Vec<&'a RawValue>,
    /// How many it has.
    pub count: usize,
    /// Whether each of them is an object.
    pub is_of_objects: bool,
}

/// A string's text, or a number or truth value as it is written; `None` for everything else.
pub fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    match raw.get().as_bytes().first()? {
        b'"' => bytes(raw).map(lossy),
        b'[' | b'{' | b'n' => None,
        _ => Some(Cow::Borrowed(raw.get())),
    }
}

/// A string's bytes; a lone surrogate in it is three bytes that are no UTF-8.
pub fn bytes(raw: &RawValue) -> Option<Cow<'_, [u8]>> {
    bytes_of(raw.get().as_bytes())
}

/// A string's bytes, whatever stands between its quotation marks.
pub fn bytes_of(json: &[u8]) -> Option<Cow<'_, [u8]>> {
    string::unescaped(json)
}

/// The elements of an array; none where it is no array.
pub fn elements(raw: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

/// The elements of an array, the first `max` of them; `None` where it is no array.
pub fn list(raw: &RawValue, max: usize) -> Option<List<'_>> {
    if !raw.get().starts_with('[') {
        return None;
    }
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    deserializer.deserialize_seq(AsList(max)).ok()
}

/// The last value under each of `names` in an object, without looking at the others.
pub fn pick<'a, const N: usize>(raw: &'a RawValue, names: &[&str; N]) -> [Option<&'a RawValue>; N] {
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    let picked = deserializer.deserialize_map(Pick(names));
    picked.unwrap_or([None; N])
}

fn lossy(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }),
    }
}

struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsMembers;
        impl<'de> Visitor<'de> for AsMembers {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some((name, value)) = map.next_entry::<Bytes<'de>, &'de RawValue>()? {
                    members.push((lossy(name.0), value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(AsMembers)
    }
}

struct Pick<'n, const N: usize>(&'n [&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Pick<'_, N> {
    type Value = [Option<&'de RawValue>; N];
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut picked = [None; N];
        while let Some(name) = map.next_key::<Bytes<'de>>()? {
            match self.0.iter().position(|wanted| wanted.as_bytes() == &*name.0) {
                Some(at) => picked[at] = Some(map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(picked)
    }
}

struct AsList(usize);

impl<'de> Visitor<'de> for AsList {
    type Value = List<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut list = List {
            elements: Vec::new(),
            count: 0,
            is_of_objects: true,
        };
        while let Some(element) = sequence.next_element::<&'de RawValue>()? {
            list.count += 1;
            list.is_of_objects &= element.get().starts_with('{');
            if list.count <= self.0 {
                list.elements.push(element);
            }
        }
        Ok(list)
    }
}

struct Bytes<'a>(Cow<'a, [u8]>);

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsBytes;
        impl<'de> Visitor<'de> for AsBytes {
            type Value = Bytes<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Bytes(Cow::Borrowed(bytes)))
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Bytes(Cow::Owned(bytes.to_vec())))
            }
        }
        deserializer.deserialize_bytes(AsBytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_lone_surrogate_costs_no_neighbour() {
        let object = Object::of(raw(r#"{"a\ud800":1,"b":"x\udc00y","c":"\u0041\ud83d\ude00"}"#));
        assert_eq!(object.text("c").unwrap(), "A😀");
        assert_eq!(object.text("b").unwrap(), "x\u{fffd}\u{fffd}\u{fffd}y");
        assert_eq!(object.members().count(), 3);
    }

    #[test]
    fn a_scalar_has_a_text_and_nothing_else_has() {
        for (json, expected) in [
            (r#""a""#, Some("a")),
            ("1.50", Some("1.50")),
            ("true", Some("true")),
            ("null", None),
            ("[1]", None),
            ("{}", None),
        ] {
            assert_eq!(text(raw(json)).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn what_is_no_object_has_no_members_and_the_last_of_equal_names_holds() {
        assert!(Object::of(raw("[1]")).get("a").is_none());
        assert_eq!(Object::of(raw(r#"{"a":1,"a":2}"#)).text("a").unwrap(), "2");
    }
}
