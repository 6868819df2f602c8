//! What a request says besides its body: column `request`; pure.
//!
//! In: the gateway's event and the site key. Out: a record that serialises to some 200 bytes of JSON, absent things
//! absent, that `jsonb` always takes and that holds the key nowhere.

use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::super::api_event::ApiEvent;
use super::cut;
use super::storable::storable;
use crate::site_key::SiteKey;

/// Bytes of a path that are kept; a tracker's are short, and a page's address stands in the event.
pub const PATH_MAX_BYTES: usize = 512;

/// Bytes of a query that are kept; a gateway's line and headers have 10,240 together.
pub const QUERY_MAX_BYTES: usize = 8_192;

/// Bytes of every other header that are kept.
pub const HEADER_MAX_BYTES: usize = 2_048;

/// Column `request`.
#[derive(Debug, Serialize)]
pub struct Record {
    method: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    path: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    query: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referrer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sec_gpc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dnt: Option<String>,
    /// What was noticed and passed over, by tag.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<&'static str>,
}

/// `path` is the one below the key.
pub fn record(event: &ApiEvent<'_>, site_key: &SiteKey, path: &str, mut notes: Vec<&'static str>) -> Record {
    let path = storable(path, site_key);
    let query = without_key(&event.query, site_key);
    let query = storable(&query, site_key);
    let mut header = |name| {
        let value = storable(event.header(name)?, site_key);
        Some(cut(&value, HEADER_MAX_BYTES, "header_cut", &mut notes))
    };
    let mut record = Record {
        method: event.method.to_ascii_uppercase(),
        path: String::new(),
        query: String::new(),
        content_type: header("content-type"),
        content_encoding: header("content-encoding"),
        origin: header("origin"),
        referrer: header("referer"),
        sec_gpc: header("sec-gpc"),
        dnt: header("dnt"),
        notes: Vec::new(),
    };
    record.path = cut(path.trim_end_matches('/'), PATH_MAX_BYTES, "path_cut", &mut notes);
    record.query = cut(&query, QUERY_MAX_BYTES, "query_cut", &mut notes);
    record.notes = notes;
    record
}

/// The query less each pair that gives the key, however it is encoded. A pair that has a second query in it says more.
fn without_key(query: &str, site_key: &SiteKey) -> String {
    let gives_key = |pair: &&str| {
        let value = pair.split_once('=').map_or(*pair, |(_, value)| value);
        percent_decode_str(value)
            .decode_utf8_lossy()
            .contains(site_key.expose())
    };
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| pair.contains('?') || !gives_key(pair))
        .collect();
    kept.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const KEY: &str = "stk_AAAAAAAAAAAAAAAAAAAAAAAA21z7oP";

    fn recorded(event: &serde_json::Value, path: &str) -> serde_json::Value {
        let raw = serde_json::value::to_raw_value(event).unwrap();
        let key = SiteKey::parse(KEY).unwrap();
        serde_json::to_value(record(&ApiEvent::read(&raw), &key, path, Vec::new())).unwrap()
    }

    #[test]
    fn absent_things_are_absent() {
        let event = json!({ "httpMethod": "post", "headers": { "DNT": "1" } });
        assert_eq!(recorded(&event, "/"), json!({ "method": "POST", "dnt": "1" }));
    }

    #[test]
    fn the_key_stands_nowhere() {
        let encoded = format!("%73{}", &KEY[1..]);
        let event = json!({
            "httpMethod": "POST",
            "rawQueryString": format!("a=1&k={KEY}&token={encoded}&k={KEY}?e=pv&b=2"),
            "headers": { "referer": format!("https://a.example/?k={KEY}"), "content-type": KEY },
        });
        let recorded = recorded(&event, &format!("/x/{KEY}"));
        assert!(!recorded.to_string().contains(&KEY[4..]), "{recorded}");
        assert_eq!(recorded["query"], "a=1&k=stk_...?e=pv&b=2");
    }

    #[test]
    fn what_is_too_long_is_cut_and_noted() {
        let event = json!({
            "httpMethod": "POST",
            "rawQueryString": "q".repeat(QUERY_MAX_BYTES + 1),
            "headers": { "referer": "r".repeat(HEADER_MAX_BYTES + 1) },
        });
        let recorded = recorded(&event, &"p".repeat(PATH_MAX_BYTES + 1));
        assert_eq!(recorded["notes"], json!(["header_cut", "path_cut", "query_cut"]));
        assert_eq!(recorded["query"].as_str().unwrap().len(), QUERY_MAX_BYTES);
    }
}
