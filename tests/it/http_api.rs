//! The HTTP API of the browser tests tells the function of a request what AWS's tells, and hands back its answers.

use std::time::{Duration, SystemTime};

use http_body_util::BodyExt;
use hyper::body::Bytes;
use serde_json::{json, Value};

use crate::support::http_api::{answer, event, Seen};

fn seen(headers: &[(&str, &str)], body: &[u8]) -> Seen {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Seen {
        method: "POST".to_owned(),
        path: "/caf%C3%A9/a%20b".to_owned(),
        query: "a=1&a=2&b=x+y%21".to_owned(),
        headers: headers.collect(),
        body: Bytes::copy_from_slice(body),
        peer: "203.0.113.9:4711".parse().unwrap(),
        received: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_373_011_250),
        trouble: None,
        answer: None,
    }
}

#[test]
fn only_text_types_arrive_as_text() {
    for (content_type, is_text) in [
        (Some("text/plain;charset=UTF-8"), true),
        (Some("text/ping"), true),
        (Some("Application/JSON; charset=utf-8"), true),
        (Some("application/xml"), true),
        (Some("application/javascript"), true),
        (Some("application/x-www-form-urlencoded"), false),
        (Some("application/csp-report"), false),
        (Some("multipart/form-data; boundary=x"), false),
        (Some("application/octet-stream"), false),
        (None, false),
    ] {
        let header = content_type.map(|value| ("content-type", value));
        let event = event::of(&seen(&Vec::from_iter(header), "é🦊".as_bytes()));
        let expected = if is_text { "é🦊" } else { "w6nwn6aK" };
        assert_eq!(
            (&event["body"], &event["isBase64Encoded"]),
            (&json!(expected), &json!(!is_text)),
            "{content_type:?}"
        );
    }
    let compressed = event::of(&seen(&[("content-type", "text/plain")], &[0x1f, 0x8b, 0xff]));
    assert_eq!(
        (&compressed["body"], &compressed["isBase64Encoded"]),
        (&json!("H4v/"), &json!(true))
    );
    let empty = event::of(&seen(&[("content-type", "text/plain")], b""));
    assert_eq!(
        (empty.get("body"), &empty["isBase64Encoded"]),
        (None, &json!(false))
    );
}

#[test]
fn path_query_headers_cookies_and_context_are_as_the_gateway_tells_them() {
    let headers = [
        ("host", "collect.test:4443"),
        ("x-two", "a"),
        ("x-two", "b"),
        ("cookie", "c=1; d=2"),
        ("x-forwarded-for", "198.51.100.1"),
        ("connection", "keep-alive"),
    ];
    let event = event::of(&seen(&headers, b""));
    for (pointer, expected) in [
        ("/version", json!("2.0")),
        ("/rawPath", json!("/café/a b")),
        ("/rawQueryString", json!("a=1&a=2&b=x+y%21")),
        ("/queryStringParameters", json!({ "a": "1,2", "b": "x y!" })),
        ("/cookies", json!(["c=1", "d=2"])),
        ("/headers/x-two", json!("a,b")),
        ("/headers/x-forwarded-for", json!("198.51.100.1,203.0.113.9")),
        ("/requestContext/http/sourceIp", json!("203.0.113.9")),
        ("/requestContext/http/method", json!("POST")),
        ("/requestContext/domainName", json!("collect.test")),
        ("/requestContext/timeEpoch", json!(1_795_373_011_250_u64)),
        ("/requestContext/time", json!("22/Nov/2026:18:43:31 +0000")),
    ] {
        assert_eq!(event.pointer(pointer), Some(&expected), "{pointer}");
    }
    for absent in ["/headers/cookie", "/headers/connection"] {
        assert_eq!(event.pointer(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn an_answer_reaches_the_sender_as_the_function_meant_it() {
    let text = json!({ "statusCode": 201, "headers": { "X-A": "b" }, "cookies": ["c=1"], "body": "é" });
    let binary = json!({ "statusCode": 200, "headers": { "content-type": "image/gif" }, "body": "R0lG", "isBase64Encoded": true });
    let broken = json!({ "statusCode": 200, "body": "%", "isBase64Encoded": true });
    let rows: [(&str, Value, u16, &str, &str); 5] = [
        ("text", text.clone(), 201, "text/plain;charset=utf-8", "é"),
        ("binary", binary, 200, "image/gif", "GIF"),
        (
            "no status",
            json!({ "a": 1 }),
            200,
            "application/json",
            r#"{"a":1}"#,
        ),
        (
            "broken",
            broken,
            500,
            "application/json",
            r#"{"message":"Internal Server Error"}"#,
        ),
        (
            "odd status",
            json!({ "statusCode": "x" }),
            500,
            "application/json",
            r#"{"message":"Internal Server Error"}"#,
        ),
    ];
    for (label, value, status, content_type, body) in rows {
        let (head, bytes) = answer::from(&value).into_parts();
        let bytes = bytes.collect().await.unwrap().to_bytes();
        assert_eq!(
            (head.status.as_u16(), &bytes[..]),
            (status, body.as_bytes()),
            "{label}"
        );
        assert_eq!(head.headers["content-type"], content_type, "{label}");
    }
    let response = answer::from(&text);
    assert_eq!(
        (&response.headers()["x-a"], &response.headers()["set-cookie"]),
        (&"b".parse().unwrap(), &"c=1".parse().unwrap())
    );
}
