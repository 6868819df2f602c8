//! Site keys in a body, where trackers put the key that they were given; pure.
//!
//! In: the documents of a body. Out: what stands under the names of site keys, in an event, in what is beside its
//! list, and in the two objects in which trackers wrap their properties. Nothing is looked for in a body that has
//! no key's beginning anywhere in it.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::super::caller::KEY_NAMES;
use super::super::loose_json::{self, Object};
use super::document::Piece;
use super::without_key::may_hold_key;
use super::EVENTS_MAX;
use crate::site_key::SiteKey;

/// Members in which events, or an event's properties, stand.
const AROUND: &[&str] = &["batch", "events", "data", "properties", "payload"];

/// A list in an envelope, its items, the properties of each.
const LEVELS: usize = 4;

/// What sets out to be a site key, each once in a row.
pub fn claims<'p>(pieces: &'p [Piece<'_>]) -> Vec<Cow<'p, str>> {
    let mut claims = Vec::new();
    for text in pieces.iter().flat_map(Piece::texts) {
        if may_hold_key(text.get()) {
            collect(text, LEVELS, &mut claims);
        }
    }
    claims
}

fn collect<'p>(raw: &'p RawValue, levels: usize, claims: &mut Vec<Cow<'p, str>>) {
    if levels == 0 || !raw.get().starts_with(['{', '[']) {
        return;
    }
    // A list of more is refused as a whole.
    for element in loose_json::list(raw, EVENTS_MAX)
        .map(|list| list.elements)
        .unwrap_or_default()
    {
        collect(element, levels - 1, claims);
    }
    for (name, value) in Object::of(raw).members() {
        if AROUND.contains(&&*name) {
            collect(value, levels - 1, claims);
        }
        if !KEY_NAMES.contains(&&*name) {
            continue;
        }
        let claim = loose_json::text(value).filter(|text| SiteKey::is_claimed_by(text));
        claims.extend(claim.filter(|claim| claims.last() != Some(claim)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    #[test]
    fn keys_are_found_under_their_names_and_nowhere_else() {
        for (body, expected) in [
            (r#"{"token":"stk_1","a":1}"#, "stk_1"),
            (
                r#"{"api_key":" stk_1","batch":[{"token":"stk_2"}]}"#,
                " stk_1,stk_2",
            ),
            (
                r#"[{"properties":{"token":"stk_1"}},{"properties":{"token":"stk_1"}}]"#,
                "stk_1",
            ),
            (r#"{"batch":[{"properties":{"token":"stk_1"}}]}"#, "stk_1"),
            (r#"{"payload":{"website":"stk_1"}}"#, "stk_1"),
            (r#"{"data":[{"aid":"stk_1"}]}"#, "stk_1"),
            (r#"{"text":"stk_1","context":{"token":"stk_2"}}"#, ""),
            (r#"{"token":["stk_1"]}"#, ""),
            (r#"{"\u0074oken":"\u0073tk_1"}"#, "stk_1"),
            (r#"{"token":"phc_1"}"#, ""),
            (r#"{"data":{"data":{"data":{"token":"stk_1"}}}}"#, "stk_1"),
            (r#"{"data":{"data":{"data":{"data":{"token":"stk_1"}}}}}"#, ""),
            (r#"[[[{"token":"stk_1"}]]]"#, "stk_1"),
            (r#"[[[[{"token":"stk_1"}]]]]"#, ""),
        ] {
            let pieces = [Piece::Document(json::document(body.as_bytes()).unwrap())];
            assert_eq!(claims(&pieces).join(","), expected, "{body}");
        }
    }
}
