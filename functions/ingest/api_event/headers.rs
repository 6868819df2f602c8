//! A request's headers, whatever their case, number and form.
//!
//! In: `headers` and `multiValueHeaders` of the event, either of which may be missing. Out: the last value of a
//! name, or all of them in the order in which the sender's and the proxies' stand.

use std::borrow::Cow;

use super::super::loose_json::{self, Object};

type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The headers of one request.
#[derive(Debug)]
pub struct Headers<'a> {
    /// From `multiValueHeaders`: all values of each name.
    multiple: Vec<Pair<'a>>,
    /// From `headers`: one value for each name, of several the last, or all with commas between them.
    single: Vec<Pair<'a>>,
}

impl<'a> Headers<'a> {
    /// Reads whatever is there.
    pub fn of(event: &Object<'a>) -> Self {
        let multiple = event.object("multiValueHeaders").members();
        let multiple = multiple.flat_map(|(name, values)| {
            let values = loose_json::elements(values).into_iter();
            values.filter_map(move |value| Some((name.clone(), loose_json::text(value)?)))
        });
        let single = event.object("headers").members();
        Self {
            multiple: multiple.collect(),
            single: single
                .filter_map(|(name, value)| Some((name, loose_json::text(value)?)))
                .collect(),
        }
    }

    /// The last value of a header, trimmed; `None` where it is absent or empty. `name` is in lower case.
    pub fn last(&self, name: &str) -> Option<&str> {
        last_of(&self.single, name)
            .or_else(|| last_of(&self.multiple, name))
            .map(str::trim)
            .filter(|value| !value.is_empty())
    }

    /// All values of a header, as they stand. `name` is in lower case.
    pub fn all<'s>(&'s self, name: &'s str) -> impl DoubleEndedIterator<Item = &'s str> {
        let is_multiple = values(&self.multiple, name).next().is_some();
        values(if is_multiple { &self.multiple } else { &self.single }, name)
    }
}

fn last_of<'s>(pairs: &'s [Pair<'_>], name: &str) -> Option<&'s str> {
    let is_named = |(candidate, _): &&Pair<'_>| candidate.eq_ignore_ascii_case(name);
    pairs.iter().rev().find(is_named).map(|(_, value)| &**value)
}

fn values<'s>(pairs: &'s [Pair<'_>], name: &'s str) -> impl DoubleEndedIterator<Item = &'s str> {
    let of_name = move |(candidate, _): &&Pair<'_>| candidate.eq_ignore_ascii_case(name);
    pairs.iter().filter(of_name).map(|(_, value)| &**value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_value_counts_and_all_are_there() {
        for (event, last, all) in [
            (json!({ "headers": { "X-A": " 1 " } }), Some("1"), vec![" 1 "]),
            (
                json!({ "headers": { "X-A": "1", "x-a": "2" } }),
                Some("2"),
                vec!["1", "2"],
            ),
            (
                json!({ "headers": { "x-a": "2" }, "multiValueHeaders": { "X-a": ["1", "2"] } }),
                Some("2"),
                vec!["1", "2"],
            ),
            (
                json!({ "multiValueHeaders": { "x-A": ["1", null, 2] } }),
                Some("2"),
                vec!["1", "2"],
            ),
            (json!({ "headers": { "x-a": " " } }), None, vec![" "]),
            (
                json!({ "headers": { "x-b": "1" }, "multiValueHeaders": null }),
                None,
                vec![],
            ),
            (json!([]), None, vec![]),
        ] {
            let raw = serde_json::value::to_raw_value(&event).unwrap();
            let headers = Headers::of(&Object::of(&raw));
            assert_eq!(headers.last("x-a"), last, "{event}");
            assert_eq!(headers.all("x-a").collect::<Vec<_>>(), all, "{event}");
        }
    }
}
