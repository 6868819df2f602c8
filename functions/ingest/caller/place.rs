//! Where a site key may stand in a request, and which one counts; pure.
//!
//! In: path, query and headers, and what the body claims. Out: the key and the path without it. The order of places
//! is: path, query `k`, `x-api-key`, `x-write-key`, `authorization`, then the names that trackers use, in the query
//! and in the body. The first that has a key's form decides, and a second one may only say the same.

use std::borrow::Cow;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use percent_encoding::percent_decode_str;

use super::super::api_event::ApiEvent;
use super::super::failure::Refusal;
use crate::site_key::SiteKey;

/// Path segments that are looked at: a stage, a base path, then the key at the latest.
const PATH_SEGMENTS: usize = 3;

/// The query name that is ours.
const OWN_NAME: &str = "k";

/// Names under which trackers send the key they were given, in the query or the body: an API key, a write key, a
/// token; Snowplow's application, Matomo's and Fathom's site, Umami's website, Amplitude's client.
pub const KEY_NAMES: &[&str] = &[
    "api_key",
    "apiKey",
    "apikey",
    "write_key",
    "writeKey",
    "token",
    "$token",
    "site_key",
    "siteKey",
    "key",
    OWN_NAME,
    "aid",
    "idsite",
    "sid",
    "site",
    "site_id",
    "siteId",
    "website",
    "client",
    "app_key",
    "appKey",
];

/// A key, and what the path says besides.
#[derive(Debug)]
pub struct Found {
    pub site_key: SiteKey,
    /// The first place where it stood.
    pub place: &'static str,
    /// What follows the key where it stood in the path, else the whole path.
    pub path: String,
}

/// `claims` is what the body has under those names.
///
/// # Errors
/// No site key, a malformed one, two different ones.
pub fn find(event: &ApiEvent<'_>, claims: &[Cow<'_, str>]) -> Result<Found, Refusal> {
    let mut decided: Option<(SiteKey, &'static str)> = None;
    let mut is_claimed = false;
    let claims = claims.iter().map(|claim| ("body", Cow::Borrowed(&**claim)));
    for (place, candidate) in candidates(event).chain(claims) {
        match (SiteKey::parse(&candidate), &decided) {
            (Some(key), Some((first, _))) if *first != key => return Err(Refusal::TwoKeys),
            (Some(_), Some(_)) => {}
            (Some(key), None) => decided = Some((key, place)),
            (None, _) => is_claimed |= SiteKey::is_claimed_by(&candidate),
        }
    }
    match decided {
        Some((site_key, place)) => Ok(Found {
            path: below_key(&event.path, &site_key),
            site_key,
            place,
        }),
        None if is_claimed => Err(Refusal::MalformedKey),
        None => Err(Refusal::NoKey),
    }
}

/// Each text that may be a key, with the name of its place, in the order in which they count.
fn candidates<'e>(event: &'e ApiEvent<'_>) -> impl Iterator<Item = (&'static str, Cow<'e, str>)> {
    // A header that is sent twice arrives as one, with a comma between.
    let header = |name| {
        let values = event.header(name).unwrap_or_default().split(',');
        values.map(move |value| (name, Cow::Borrowed(value.trim())))
    };
    let authorization = || {
        Some((
            "authorization",
            event.header("authorization").and_then(credential)?,
        ))
    };
    let path = segments(&event.path).take(PATH_SEGMENTS);
    path.map(|segment| ("path", segment))
        .chain(named(&event.query, &[OWN_NAME]).map(|value| ("query", value)))
        .chain(header("x-api-key"))
        .chain(header("x-write-key"))
        .chain(authorization())
        .chain(named(&event.query, KEY_NAMES).map(|value| ("query", value)))
}

fn segments(path: &str) -> impl Iterator<Item = Cow<'_, str>> {
    path.split('/').skip(1).map(decoded)
}

/// Query values under `names`; trackers have been seen to add a second question mark, which a gateway may encode.
fn named<'q>(query: &'q str, names: &'static [&str]) -> impl Iterator<Item = Cow<'q, str>> {
    query
        .split(['&', '?'])
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, _)| names.contains(&&*decoded(name)))
        .map(|(_, value)| match decoded(value.trim_matches('+')) {
            Cow::Borrowed(value) => Cow::Borrowed(value),
            Cow::Owned(value) => Cow::Owned(value.split('?').next().unwrap_or_default().to_owned()),
        })
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

/// `Bearer <key>`, or `Basic` with the key as the user's name.
fn credential(header: &str) -> Option<Cow<'_, str>> {
    let (scheme, rest) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Cow::Borrowed(rest));
    }
    let decoded = STANDARD.decode(rest.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let user = text.split(':').next()?.to_owned();
    scheme.eq_ignore_ascii_case("basic").then_some(Cow::Owned(user))
}

fn below_key(path: &str, key: &SiteKey) -> String {
    let is_key = |segment: &str| SiteKey::parse(&decoded(segment)).as_ref() == Some(key);
    let mut rest = path;
    for _ in 0..PATH_SEGMENTS {
        let Some((_, after)) = rest.split_once('/') else {
            break;
        };
        let (segment, _) = after.split_once('/').unwrap_or((after, ""));
        if is_key(segment) {
            return after[segment.len()..].to_owned();
        }
        rest = after;
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const KEY: &str = "stk_AAAAAAAAAAAAAAAAAAAAAAAA21z7oP";

    fn found(path: &str, query: &str, header: (&str, &str)) -> Result<String, &'static str> {
        let event = json!({ "rawPath": path, "rawQueryString": query, "headers": { header.0: header.1 } });
        let raw = serde_json::value::to_raw_value(&event).unwrap();
        let found = find(&ApiEvent::read(&raw), &[]).map_err(|refusal| refusal.tag())?;
        assert_eq!(found.site_key.expose(), KEY);
        Ok(found.path)
    }

    #[test]
    fn a_key_is_found_in_each_place() {
        let nothing = ("x", "");
        let basic = format!("Basic {}", STANDARD.encode(format!("{KEY}:")));
        for (path, query, header, below) in [
            (format!("/{KEY}"), String::new(), nothing, ""),
            (format!("/prod/base/{KEY}/v1/t"), String::new(), nothing, "/v1/t"),
            (format!("/%73tk_{}", &KEY[4..]), String::new(), nothing, ""),
            ("/e".to_owned(), format!("a=b&k={KEY}"), nothing, "/e"),
            (
                "/e".to_owned(),
                format!("a=b?k=+%20{KEY}").replace('+', ""),
                nothing,
                "/e",
            ),
            ("/e".to_owned(), format!("writeKey={KEY}"), nothing, "/e"),
            ("/e".to_owned(), String::new(), ("X-Api-Key", KEY), "/e"),
            ("/e".to_owned(), String::new(), ("x-write-key", KEY), "/e"),
            (
                "/e".to_owned(),
                String::new(),
                ("x-api-key", &format!("{KEY}, {KEY}")),
                "/e",
            ),
            ("/e".to_owned(), format!("k={KEY}+"), nothing, "/e"),
            (
                "/e".to_owned(),
                String::new(),
                ("Authorization", &format!("bearer {KEY} ")),
                "/e",
            ),
            ("/e".to_owned(), String::new(), ("authorization", &basic), "/e"),
            (
                "/e".to_owned(),
                format!("k={KEY}&token={KEY}"),
                ("x-api-key", KEY),
                "/e",
            ),
            (
                "/e".to_owned(),
                format!("token=mine&k={KEY}"),
                ("x-api-key", "stk_old"),
                "/e",
            ),
        ] {
            assert_eq!(
                found(&path, &query, header),
                Ok(below.to_owned()),
                "{path} {query} {header:?}"
            );
        }
    }

    #[test]
    fn a_request_without_one_key_is_refused() {
        let other = SiteKey::generate().unwrap();
        for (path, query, header, tag) in [
            ("/e".to_owned(), String::new(), ("x", ""), "no_key"),
            ("/e".to_owned(), "k=".to_owned(), ("x-api-key", " "), "no_key"),
            (format!("/a/b/c/{KEY}"), String::new(), ("x", ""), "no_key"),
            ("/e".to_owned(), format!("other={KEY}"), ("x", ""), "no_key"),
            ("/stk_short".to_owned(), String::new(), ("x", ""), "malformed_key"),
            ("/e".to_owned(), format!("k={KEY}x"), ("x", ""), "malformed_key"),
            (
                "/e".to_owned(),
                String::new(),
                ("authorization", "Bearer stk_"),
                "malformed_key",
            ),
            (
                format!("/{KEY}"),
                format!("k={}", other.expose()),
                ("x", ""),
                "two_keys",
            ),
            (
                "/e".to_owned(),
                format!("k={KEY}&k={}", other.expose()),
                ("x", ""),
                "two_keys",
            ),
        ] {
            assert_eq!(
                found(&path, &query, header),
                Err(tag),
                "{path} {query} {header:?}"
            );
        }
    }
}
