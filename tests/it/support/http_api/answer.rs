//! What of the function's answer reaches the sender, and the answers that the gateway makes itself.
//!
//! A value without `statusCode` is itself the body of a 200, as payload format 2.0 infers it. The gateway's own
//! answers carry no CORS header.

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::Response;
use serde_json::{json, Value};

/// The function's.
pub fn from(value: &Value) -> Response<Full<Bytes>> {
    let Some(status) = value.get("statusCode") else {
        return build(
            200,
            &[("content-type".into(), "application/json".into())],
            value.to_string().into(),
        );
    };
    let Some(status) = status.as_u64().and_then(|status| u16::try_from(status).ok()) else {
        return own(500, "Internal Server Error");
    };
    let Some(body) = body(value) else {
        return own(500, "Internal Server Error");
    };
    build(status, &headers(value), body)
}

/// The gateway's.
pub fn own(status: u16, message: &str) -> Response<Full<Bytes>> {
    let body = json!({ "message": message }).to_string();
    build(
        status,
        &[("content-type".into(), "application/json".into())],
        body.into(),
    )
}

/// `None`: it is marked as base64 and is none.
fn body(value: &Value) -> Option<Bytes> {
    let text = match &value["body"] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if value["isBase64Encoded"] == true {
        return STANDARD.decode(text).ok().map(Bytes::from);
    }
    Some(text.into())
}

fn headers(value: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let single = value["headers"].as_object().into_iter().flatten();
    let mut headers: Vec<(String, String)> = single
        .map(|(name, value)| (name.to_ascii_lowercase(), text(value)))
        .collect();
    let cookies = value["cookies"].as_array().into_iter().flatten();
    headers.extend(cookies.map(|cookie| ("set-cookie".to_owned(), text(cookie))));
    if !headers.iter().any(|(name, _)| name == "content-type") {
        headers.push(("content-type".to_owned(), "text/plain;charset=utf-8".to_owned()));
    }
    headers
}

fn build(status: u16, headers: &[(String, String)], body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(status).header(
        "apigw-requestid",
        &uuid::Uuid::now_v7().simple().to_string()[16..],
    );
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response
        .body(Full::new(body))
        .unwrap_or_else(|_| own(500, "Internal Server Error"))
}
