//! What the sender was told, against what a case says; `tests/events/README.md` has the rules.

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde_json::{json, Value};
use uuid::Uuid;

use super::case::Case;

/// The smallest transparent GIF that every browser takes.
const GIF_BYTES: usize = 43;

/// Everything in which `reply` is not what `case` says.
pub fn differences(case: &Case, reply: &Value) -> Vec<String> {
    let answer = Answer { reply };
    let mut found = status(case, &answer);
    found.extend(headers(case, &answer));
    found.extend(match &case.expect()["answer"] {
        // Another status has another answer.
        _ if !found.is_empty() => Vec::new(),
        Value::Null => no_body(&answer),
        Value::String(_) => gif(&answer),
        expected => body(case, &answer, expected),
    });
    let [container, ..] = case.traits();
    if container == "alb_multi_value" && !reply["multiValueHeaders"].is_object() {
        found.push("no multiValueHeaders, without which such a load balancer sends no header on".to_owned());
    }
    found
}

/// The receipts of some answers.
pub fn receipts(replies: &[Value]) -> Vec<Uuid> {
    let answers = replies.iter().map(|reply| Answer { reply });
    answers.filter_map(|answer| answer.receipt()).collect()
}

/// Status and body of an answer; null where it has none in JSON.
pub fn told(reply: &Value) -> (u64, Value) {
    let body = serde_json::from_slice(&Answer { reply }.bytes());
    (
        reply["statusCode"].as_u64().unwrap_or_default(),
        body.unwrap_or_default(),
    )
}

struct Answer<'a> {
    reply: &'a Value,
}

impl Answer<'_> {
    fn header(&self, name: &str) -> Option<String> {
        let one_each = self.reply["headers"].as_object().into_iter().flatten();
        let lists = self.reply["multiValueHeaders"].as_object().into_iter().flatten();
        let lists = lists.map(|(name, values)| (name, &values[0]));
        let mut named = one_each
            .chain(lists)
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.next()?.1.as_str().map(str::to_owned)
    }

    fn bytes(&self) -> Vec<u8> {
        let text = self.reply["body"].as_str().unwrap_or_default();
        if self.reply["isBase64Encoded"] == json!(true) {
            return STANDARD.decode(text).unwrap_or_default();
        }
        text.as_bytes().to_vec()
    }

    fn receipt(&self) -> Option<Uuid> {
        let body: Value = serde_json::from_slice(&self.bytes()).unwrap_or_default();
        let text = body["receipt"].as_str().map(str::to_owned);
        Uuid::parse_str(&text.or_else(|| self.header("x-ingest-receipt"))?).ok()
    }
}

fn status(case: &Case, answer: &Answer<'_>) -> Vec<String> {
    let (expected, status) = (&case.expect()["status"], &answer.reply["statusCode"]);
    let is_allowed = expected == status || expected.as_array().is_some_and(|any| any.contains(status));
    let body = String::from_utf8_lossy(&answer.bytes()).into_owned();
    let told: String = body.chars().take(300).collect();
    if is_allowed {
        return Vec::new();
    }
    vec![format!("status {status}, expected {expected}: {told}")]
}

/// Those that the case names, and those that let a page read any answer.
fn headers(case: &Case, answer: &Answer<'_>) -> Vec<String> {
    let named = case.expect()["headers"].as_object().into_iter().flatten();
    let mut expected: Vec<(&str, &str)> = named
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    if let Some(origin) = case.header("origin") {
        expected.push(("access-control-allow-origin", origin));
        expected.push(("access-control-allow-credentials", "true"));
    }
    let is_different = |(name, value): &(&str, &str)| match answer.header(name) {
        Some(actual) => *value != "*" && *value != actual,
        None => true,
    };
    let different = expected.into_iter().filter(is_different);
    different
        .map(|(name, value)| format!("header {name} is {:?}, expected {value:?}", answer.header(name)))
        .collect()
}

fn no_body(answer: &Answer<'_>) -> Vec<String> {
    let bytes = answer.bytes();
    if bytes.is_empty() {
        return Vec::new();
    }
    vec![format!("a body of {} bytes, expected none", bytes.len())]
}

fn gif(answer: &Answer<'_>) -> Vec<String> {
    let bytes = answer.bytes();
    let mut found = Vec::new();
    if !bytes.starts_with(b"GIF89a") || bytes.len() != GIF_BYTES {
        found.push(format!(
            "expected a GIF of {GIF_BYTES} bytes, got {:?}",
            answer.reply["body"]
        ));
    }
    for (name, piece) in [
        ("content-type", "image/gif"),
        ("cache-control", "no-store"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("x-ingest-outcome", ""),
    ] {
        let value = answer.header(name);
        if !value.as_deref().is_some_and(|value| value.contains(piece)) {
            found.push(format!(
                "header {name} of an image is {value:?}, expected {piece:?}"
            ));
        }
    }
    found
}

fn body(case: &Case, answer: &Answer<'_>, expected: &Value) -> Vec<String> {
    let Ok(actual) = serde_json::from_slice::<Value>(&answer.bytes()) else {
        return vec![format!("the answer is no JSON: {}", answer.reply["body"])];
    };
    let is_explained = expected["explained"] == json!(true);
    let universal = if is_explained {
        json!({})
    } else if case.expect()["status"] == json!(200) {
        json!({ "code": 200, "status": 1, "success": true, "result": "Success" })
    } else {
        json!({ "success": false })
    };
    let mut found = Vec::new();
    part("answer", &universal, &actual, &mut found);
    part("answer", expected, &actual, &mut found);
    if expected["error"] == json!("undecodable") && !actual["offset"].is_u64() {
        found.push("an undecodable body's answer names no offset".to_owned());
    }
    if is_explained {
        found.extend(
            answer
                .receipt()
                .map(|_| "an explanation has a receipt, which promises a row".to_owned()),
        );
        return found;
    }
    let is_landed = case.expect()["status"] == json!(200) || expected["error"] == json!("undecodable");
    if is_landed && answer.receipt().is_none_or(|id| id.get_version_num() != 7) {
        found.push(format!("the receipt {} is no UUIDv7", actual["receipt"]));
    }
    found
}

/// `actual` may say more than `expected`, but nothing else.
fn part(place: &str, expected: &Value, actual: &Value, found: &mut Vec<String>) {
    match (expected, actual) {
        (Value::Object(members), Value::Object(_)) => {
            for (name, value) in members {
                part(&format!("{place}.{name}"), value, &actual[name], found);
            }
        }
        (Value::Array(items), Value::Array(others)) if items.len() == others.len() => {
            for (index, (item, other)) in items.iter().zip(others).enumerate() {
                part(&format!("{place}[{index}]"), item, other, found);
            }
        }
        _ if expected == actual => {}
        _ => found.push(format!("{place} is {actual}, expected {expected}")),
    }
}
