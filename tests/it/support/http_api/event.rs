//! What of a request reaches the function: payload format 2.0.
//!
//! "Working with AWS Lambda proxy integrations for HTTP APIs" gives the names. Seen on AWS by others and not in
//! that text: which content types arrive as text, that the path arrives percent-decoded and the query as sent. Not
//! known: how bytes that are no UTF-8 arrive under a text type; here they arrive in base64, which loses nothing.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use percent_encoding::percent_decode_str;
use serde_json::{json, Value};

use super::Seen;

/// Beside `text/*`, what arrives as text; parameters do not matter.
const TEXT_TYPES: [&str; 3] = ["application/json", "application/javascript", "application/xml"];

/// Between the sender and the gateway, or in a field of their own.
const NOT_PASSED_ON: [&str; 4] = ["connection", "cookie", "keep-alive", "transfer-encoding"];

/// The event for `seen`.
pub fn of(seen: &Seen) -> Value {
    let domain = seen.header("host").unwrap_or_default();
    let domain = domain.split(':').next().unwrap_or_default();
    let path = percent_decode_str(&seen.path).decode_utf8_lossy().into_owned();
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": seen.query,
        "headers": headers(seen),
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "domainName": domain,
            "domainPrefix": domain.split('.').next().unwrap_or_default(),
            "http": {
                "method": seen.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": seen.peer.ip().to_string(),
                "userAgent": seen.header("user-agent").unwrap_or_default(),
            },
            "requestId": uuid::Uuid::now_v7().simple().to_string()[16..].to_owned(),
            "routeKey": "$default",
            "stage": "$default",
            "time": clf(seen.received),
            "timeEpoch": milliseconds(seen.received),
        },
        "isBase64Encoded": false,
    });
    let cookies = cookies(seen);
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    if !seen.query.is_empty() {
        event["queryStringParameters"] = json!(parameters(&seen.query));
    }
    if !seen.body.is_empty() {
        let (body, is_base64) = body(seen);
        event["body"] = body.into();
        event["isBase64Encoded"] = is_base64.into();
    }
    event
}

fn body(seen: &Seen) -> (String, bool) {
    let kind = seen.header("content-type").unwrap_or_default();
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_text = kind.starts_with("text/") || TEXT_TYPES.contains(&kind.as_str());
    match std::str::from_utf8(&seen.body) {
        Ok(text) if is_text => (text.to_owned(), false),
        _ => (STANDARD.encode(&seen.body), true),
    }
}

/// Names in lower case, values of one name joined by commas, the gateway's own added.
fn headers(seen: &Seen) -> BTreeMap<String, String> {
    let peer = seen.peer.ip().to_string();
    let own = [
        ("x-forwarded-for", peer.as_str()),
        ("x-forwarded-port", "443"),
        ("x-forwarded-proto", "https"),
        ("x-amzn-trace-id", "Root=1-5fff599f-6fca6ee66e37fe5e518eb45b"),
    ];
    let sent = seen
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in sent.chain(own) {
        if NOT_PASSED_ON.contains(&name) {
            continue;
        }
        let slot = joined.entry(name.to_owned()).or_default();
        if !slot.is_empty() {
            slot.push(',');
        }
        slot.push_str(value);
    }
    joined
}

fn cookies(seen: &Seen) -> Vec<&str> {
    let all = seen.headers.iter().filter(|(name, _)| name == "cookie");
    all.flat_map(|(_, value)| value.split("; ")).collect()
}

/// Decoded; values of one name joined by commas.
fn parameters(query: &str) -> BTreeMap<String, String> {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let slot = joined.entry(decoded(name)).or_default();
        if !slot.is_empty() {
            slot.push(',');
        }
        slot.push_str(&decoded(value));
    }
    joined
}

fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// `22/Nov/2026:18:40:11 +0000`.
fn clf(time: SystemTime) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let text = humantime::format_rfc3339_seconds(time).to_string();
    let month: usize = text[5..7].parse().unwrap();
    format!(
        "{}/{}/{}:{} +0000",
        &text[8..10],
        MONTHS[month - 1],
        &text[..4],
        &text[11..19]
    )
}
