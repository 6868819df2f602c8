//! Whatever a request says besides its body: it is stored as far as it makes sense, and it never costs the event.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde_json::{json, Value};
use site_tracking::ingest::caller::USER_AGENT_MAX_BYTES;

use crate::support::gateway::{recorded, Answer, Request, Shape, SHAPES};
use crate::support::site::{Row, Site};
use crate::support::tools;
use crate::INGEST;

const EVENT: &str = r#"{"event":"canary-payload"}"#;

/// The one row that a request leaves.
async fn row_of(site: &Site) -> Row {
    let mut rows = site.rows().await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    site.admin
        .batch_execute("delete from raw.site_tracking_events_r")
        .await
        .unwrap();
    rows.remove(0)
}

#[tokio::test]
async fn each_recorded_oddity_is_one_event() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let mut played = 0;
    for entry in std::fs::read_dir(tools::project().join("tests/events")).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        if !file.starts_with("http_") {
            continue;
        }
        let reply = ingest.invoke(recorded(&file, site.key.expose())).await;
        assert_eq!(Answer::of(&reply).status, 200, "{file}: {reply}");
        let row = row_of(&site).await;
        assert_eq!(row["text"], json!(r#"{"event": "canary-payload"}"#), "{file}");
        let text = row.to_string();
        assert!(
            !text.contains(&site.key.expose()[4..]),
            "{file} stored the key: {text}"
        );
        played += 1;
    }
    assert!(played >= 10, "{played} recorded events");
    ingest.stop().await;
}

#[tokio::test]
async fn a_site_key_is_taken_in_each_place_and_stored_in_none() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let key = site.key.expose();
    let basic = format!("Basic {}", STANDARD.encode(format!("{key}:")));
    for shape in SHAPES {
        let bare = Request::post(shape, "", EVENT).header("x-api-key", None);
        let with = |name: &str, value: &str| bare.clone().header(name, Some(value));
        for (label, request) in [
            ("path", bare.clone().path(&format!("/{key}"))),
            ("path below a base", bare.clone().path(&format!("/a/b/{key}/t"))),
            ("query k", bare.clone().query(&format!("k={key}"))),
            (
                "query of a tracker",
                bare.clone().query(&format!("v=1&writeKey={key}")),
            ),
            ("x-api-key", with("X-API-Key", &format!(" {key} "))),
            ("x-write-key", with("x-write-key", key)),
            ("bearer", with("authorization", &format!("Bearer {key}"))),
            ("basic", with("authorization", &basic)),
            (
                "everywhere",
                with("x-api-key", key)
                    .path(&format!("/{key}"))
                    .query(&format!("k={key}&u={key}")),
            ),
            (
                "a referrer too",
                with("x-api-key", key).header("referer", Some(&format!("https://a.example/?{key}"))),
            ),
        ] {
            let answer = ingest.send(&request).await;
            assert_eq!(answer.status, 200, "{shape:?} {label}: {answer:?}");
            let row = row_of(&site).await;
            assert_eq!(row["tenant"], "canary-tenant", "{shape:?} {label}");
            assert!(!row.to_string().contains(&key[4..]), "{shape:?} {label}: {row}");
        }
    }
    ingest.stop().await;
}

#[tokio::test]
async fn the_clients_address_is_the_gateways_word_read_as_a_person_would() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    for shape in SHAPES {
        for (address, expected) in [
            ("203.0.113.77", json!("203.0.113.77")),
            ("203.0.113.77:51234", json!("203.0.113.77")),
            ("[2001:db8::77]:443", json!("2001:db8::77")),
            ("fe80::1%eth0", json!("fe80::1")),
            ("::ffff:203.0.113.77", json!("203.0.113.77")),
            (" 010.1.1.1 ", json!("10.1.1.1")),
            ("unknown", Value::Null),
            ("", Value::Null),
            ("203.0.113.77/24", Value::Null),
            ("'; drop table x; --", Value::Null),
        ] {
            let request = Request::post(shape, site.key.expose(), EVENT).source_ip(address);
            let request = request.header("x-forwarded-for", Some("198.51.100.1"));
            assert_eq!(ingest.send(&request).await.status, 200, "{address}");
            let row = row_of(&site).await;
            assert_eq!(row["client_ip"], expected, "{address}");
            let notes = row["request"]["notes"].to_string();
            assert_eq!(
                notes.contains("client_ip_unreadable"),
                expected.is_null(),
                "{address}: {notes}"
            );
        }
    }
    ingest.stop().await;
}

#[tokio::test]
async fn hostile_headers_are_cut_or_mended_and_cost_nothing() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let long = "ä".repeat(USER_AGENT_MAX_BYTES);
    for shape in SHAPES {
        for (name, value, column, expected) in [
            (
                "user-agent",
                "canary \u{0} agent",
                "user_agent",
                "canary \u{fffd} agent",
            ),
            ("user-agent", "Mozilla/5.0 😀", "user_agent", "Mozilla/5.0 😀"),
            ("user-agent", &long, "user_agent", &long[..USER_AGENT_MAX_BYTES]),
            (
                "user-agent",
                "'; select pg_sleep(9) --",
                "user_agent",
                "'; select pg_sleep(9) --",
            ),
            ("referer", "\u{0}\u{1f}", "referrer", "\u{fffd}"),
            (
                "content-type",
                "text/plain;charset=\u{0}",
                "content_type",
                "text/plain;charset=\u{fffd}",
            ),
            (
                "content-encoding",
                "gzip, identity",
                "content_encoding",
                "gzip, identity",
            ),
            ("dnt", "1", "dnt", "1"),
            ("sec-gpc", "1", "sec_gpc", "1"),
            ("origin", "null", "origin", "null"),
        ] {
            let request = Request::post(shape, site.key.expose(), EVENT).header(name, Some(value));
            assert_eq!(ingest.send(&request).await.status, 200, "{name}: {value}");
            let row = row_of(&site).await;
            let stored = if column == "user_agent" {
                &row[column]
            } else {
                &row["request"][column]
            };
            let stored = stored.as_str().unwrap().trim_end_matches('\u{1f}');
            assert_eq!(stored, expected, "{shape:?} {name}: {value}");
        }
    }
    ingest.stop().await;
}

#[tokio::test]
async fn the_request_is_kept_as_far_as_the_body_does_not_tell_it() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    for shape in SHAPES {
        let request = Request::post(shape, site.key.expose(), EVENT);
        ingest
            .send(&request.query("v=2").path(&format!("/{}/v1/t", site.key.expose())))
            .await;
        let row = row_of(&site).await;
        let expected = json!({
            "method": "POST", "path": "/v1/t", "query": "v=2", "content_type": "application/json",
            "origin": "https://canary-shop.example", "referrer": "https://canary-shop.example/basket",
        });
        assert_eq!(row["request"], expected, "{shape:?}");
        assert_eq!(row["user_agent"], "canary-agent/1.0 (X11; Linux x86_64)");
        assert_eq!(row["record_source"], "site_tracker");
        assert_eq!(row["processing_status"], "PENDING");

        let bare = Request::post(shape, site.key.expose(), EVENT);
        let bare = ["origin", "referer", "content-type", "user-agent"]
            .into_iter()
            .fold(bare, |request, name| request.header(name, None));
        ingest.send(&bare.path("/")).await;
        let row = row_of(&site).await;
        assert_eq!(
            row["request"],
            json!({ "method": "POST", "notes": ["no_origin"] }),
            "{shape:?}"
        );
        assert_eq!(row["user_agent"], Value::Null);
    }
    ingest.stop().await;
}

#[tokio::test]
async fn the_time_of_receipt_is_the_gateways() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let now = || i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    for (shape, member) in [(Shape::V2, "timeEpoch"), (Shape::V1, "requestTimeEpoch")] {
        ingest.send(&Request::post(shape, site.key.expose(), EVENT)).await;
        assert_eq!(row_of(&site).await["received_ms"], 1_795_357_800_123_i64);
        for odd in [
            json!(null),
            json!(-1),
            json!("soon"),
            json!(9e300),
            json!(99_999_999_999_999_999_u64),
        ] {
            let mut request = Request::post(shape, site.key.expose(), EVENT);
            request.event()["requestContext"][member] = odd.clone();
            let began = now();
            assert_eq!(ingest.send(&request).await.status, 200, "{odd}");
            let received = row_of(&site).await["received_ms"].as_i64().unwrap();
            assert!((began..=now()).contains(&received), "{odd}: {received}");
        }
    }
    ingest.stop().await;
}
