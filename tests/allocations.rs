//! What a beacon costs in memory on the straight path: from the gateway's event to what goes to the database.
//!
//! A binary of its own, since it counts what its allocator gives.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde_json::json;
use serde_json::value::{to_raw_value, RawValue};
use site_tracking::ingest::api_event::ApiEvent;
use site_tracking::ingest::beacon::{self, Ping, Sender};
use site_tracking::site_key::SiteKey;
use uuid::Uuid;

/// Bytes given out, all together, for each byte of the body.
const TIMES_MAX: f64 = 3.0;

fn event(bytes: usize) -> String {
    let text = "a page with a \"title\" and a path/to/it ".repeat(bytes / 40);
    json!({ "event": "page_view", "messageId": Uuid::now_v7().to_string(), "properties": { "text": text } })
        .to_string()
}

fn batch(events: usize) -> String {
    let all: Vec<String> = (0..events).map(|_| event(1024)).collect();
    format!("[{}]", all.join(","))
}

fn gateway(body: &str, is_base64: bool) -> Box<RawValue> {
    let body = if is_base64 {
        STANDARD.encode(body)
    } else {
        body.to_owned()
    };
    let event = json!({
        "rawPath": "/e", "rawQueryString": "", "headers": { "content-type": "application/json" },
        "requestContext": { "http": { "method": "POST", "sourceIp": "203.0.113.7" } },
        "body": body, "isBase64Encoded": is_base64,
    });
    to_raw_value(&event).unwrap()
}

#[test]
fn the_straight_path_takes_at_most_three_times_the_body() {
    let site_key = SiteKey::generate().unwrap();
    let sender = Sender {
        site_key: &site_key,
        address: None,
        user_agent: "",
        hour: 0,
    };
    for (label, body) in [
        ("one event of 16 KB", event(16 * 1024)),
        ("one event of 1 MB", event(1024 * 1024)),
        ("100 events of 1 KB", batch(100)),
        ("2,000 events of 1 KB", batch(2_000)),
    ] {
        for is_base64 in [false, true] {
            let gateway = gateway(&body, is_base64);
            let mut events = 0;
            let allocated = allocation_counter::measure(|| {
                let event = ApiEvent::read(&gateway);
                let body = event.body();
                let unpacked = beacon::unpack(&body, event.header("content-encoding"));
                let decoded = beacon::decode(&body.bytes, &unpacked, &event.query, Ping::of(&event)).unwrap();
                assert!(decoded.claims().is_empty());
                events = beacon::beacon(&decoded, sender, &mut Uuid::now_v7)
                    .unwrap()
                    .events
                    .len();
            });
            let times = allocated.bytes_total as f64 / body.len() as f64;
            assert!(
                events > 0 && times <= TIMES_MAX,
                "{label}, base64 {is_base64}: {times:.2} times"
            );
        }
    }
}
