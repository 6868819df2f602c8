//! What no document can hold is kept to the byte, once for each visitor and hour, and can be repaired.

use serde_json::json;

use crate::support::gateway::{Request, Shape};
use crate::support::site::Site;
use crate::INGEST;

const V2: Shape = Shape::V2;

/// 22 November 2026, 12:59:59.999 UTC.
const END_OF_AN_HOUR_MS: u64 = 1_795_352_399_999;

async fn bytes_of_last(site: &Site) -> Vec<u8> {
    let sql = "select raw.quarantined_bytes(max(raw_event_id)) from raw.site_tracking_events_r";
    site.admin.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn quarantined_bytes_are_had_back_exactly() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let all: Vec<u8> = (0..=255).rev().collect();
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03cut";
    let multipart = b"--b\r\nContent-Disposition: form-data; name=\"a%00\"\r\n\r\n%00x\0y\r\n--b--\r\n";
    for (body, kept, tag, offset) in [
        (&all[..], &all[..], "undecodable", 0),
        (b"hello\r\nworld ", b"hello\r\nworld ", "undecodable", 0),
        (gzip, gzip, "undecodable", gzip.len()),
        (b" {\"a\":\"\\u0000\"}\n", b"{\"a\":\"\\u0000\"}", "nul", 6),
        (
            b"[{\"a\":\"gr\xfcn\"}]",
            b"{\"a\":\"gr\xfcn\"}",
            "invalid_utf8",
            8,
        ),
        (b"a=1&b=%00", b"a=1&b=%00", "nul", 6),
        (b"a=%20&b=x\0y", b"a=%20&b=x\0y", "nul", 9),
        (multipart, multipart, "nul", multipart.len() - 11),
        (b"a=\xff", b"a=\xff", "invalid_utf8", 2),
    ] {
        let answer = ingest
            .send(&Request::post(V2, site.key.expose(), "").base64(body))
            .await;
        assert_eq!(answer.body["quarantined"], json!(1), "{body:?}: {answer:?}");
        assert_eq!(bytes_of_last(&site).await, kept, "{body:?}");
        let row = site.rows().await.pop().unwrap();
        let quarantine = &row["raw_payload"]["_quarantine"];
        assert_eq!(
            (&quarantine["v"], &quarantine["encoding"]),
            (&json!(1), &json!("base64"))
        );
        assert_eq!(
            (&quarantine["tag"], row["batch_id"].clone()),
            (&json!(tag), answer.body["receipt"].clone())
        );
        assert_eq!(row["processing_status"], json!("ERROR"));
        assert!(row["error_message"].as_str().unwrap().starts_with(tag), "{row}");
        if tag != "undecodable" {
            assert_eq!(quarantine["offset"], json!(offset), "{body:?}");
        }
    }
    ingest.stop().await;
}

#[tokio::test]
async fn a_repaired_event_waits_to_be_processed() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    ingest
        .send(&Request::post(
            V2,
            site.key.expose(),
            r#"[{"a":"\u0000"},{"b":1}]"#,
        ))
        .await;
    let sql = "select raw.requeue_quarantined(raw_event_id, '{\"a\": \"\"}') is not null
               from raw.site_tracking_events_r where processing_status = 'ERROR'";
    assert!(site.admin.query_one(sql, &[]).await.unwrap().get::<_, bool>(0));
    let rows = site.rows().await;
    assert!(
        rows.iter().all(|row| row["processing_status"] == "PENDING"),
        "{rows:?}"
    );
    assert_eq!(rows[0]["raw_payload"], json!({ "a": "" }));
    ingest.stop().await;
}

#[tokio::test]
async fn a_retry_is_one_row_and_another_visitor_or_hour_is_another() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let at = |ms: u64| {
        let mut request = Request::post(V2, site.key.expose(), "hello world");
        request.event()["requestContext"]["timeEpoch"] = json!(ms);
        request
    };
    let first = at(END_OF_AN_HOUR_MS);
    for (label, request, rows) in [
        ("the first", first.clone(), 1),
        ("its retry", first.clone(), 1),
        ("earlier in the hour", at(END_OF_AN_HOUR_MS - 3_599_000), 1),
        ("in the next hour", at(END_OF_AN_HOUR_MS + 1), 2),
        ("another address", first.clone().source_ip("198.51.100.9"), 3),
        ("another agent", first.header("user-agent", Some("another")), 4),
    ] {
        let answer = ingest.send(&request).await;
        assert_eq!((answer.status, answer.tag()), (400, "undecodable"), "{label}");
        assert_eq!(site.count().await, rows, "{label}");
    }
    ingest.stop().await;
}

#[tokio::test]
async fn equal_events_of_one_beacon_are_kept_one_by_one_and_a_retry_of_it_adds_none() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let body = Request::post(V2, site.key.expose(), r#"[{"a":"\u0000"},{"a":"\u0000"}]"#);
    let answer = ingest.send(&body).await;
    assert_eq!((answer.status, &answer.body["quarantined"]), (200, &json!(2)));
    let again = ingest.send(&body).await;
    assert_eq!(
        (&again.body["quarantined"], &again.body["duplicate"]),
        (&json!(0), &json!(2))
    );
    assert_eq!(site.count().await, 2);
    ingest.stop().await;
}

#[tokio::test]
async fn two_events_with_one_name_are_two_rows_also_when_they_come_again() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let id = "8c4d2a1e-3b5f-4e6a-9d7c-1f2e3d4c5b6a";
    let body = format!(r#"[{{"eid":"{id}","e":"pv"}},{{"eid":"{id}","e":"pp"}}]"#);
    for stored in [2, 0] {
        let answer = ingest.send(&Request::post(V2, site.key.expose(), &body)).await;
        assert_eq!(answer.body["stored"], json!(stored));
        assert_eq!(site.count().await, 2);
    }
    let rows = site.rows().await;
    assert!(rows
        .iter()
        .all(|row| row["request"]["notes"].to_string().contains("event_key_reused")));
    ingest.stop().await;
}

#[tokio::test]
async fn what_stands_beside_events_and_cannot_be_stored_costs_none_of_them() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let body = r#"{"v":"\u0000","batch":[{"a":1},{"b":"\u0000"}]}"#;
    let answer = ingest.send(&Request::post(V2, site.key.expose(), body)).await;
    let counts = (&answer.body["stored"], &answer.body["quarantined"]);
    assert_eq!(counts, (&json!(1), &json!(1)));
    let rows = site.rows().await;
    for row in &rows {
        assert_eq!(
            row["raw_payload"]["_envelope"]["_quarantine"]["tag"], "nul",
            "{row}"
        );
    }
    assert_eq!(rows[0]["raw_payload"]["a"], json!(1));
    assert_eq!(rows[1]["raw_payload"]["_quarantine"]["tag"], "nul");
    ingest.stop().await;
}

#[tokio::test]
async fn an_envelope_too_large_for_each_event_stands_beside_the_first() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let envelope = "x".repeat(1024 * 1024);
    let events = vec![r#"{"a":1}"#; 100].join(",");
    let body = format!(r#"{{"v":"{envelope}","batch":[{events}]}}"#);
    let answer = ingest.send(&Request::post(V2, site.key.expose(), &body)).await;
    assert_eq!(answer.body["stored"], json!(100));
    let rows = site.rows().await;
    let with = rows
        .iter()
        .filter(|row| row["raw_payload"].get("_envelope").is_some());
    assert_eq!(with.count(), 1);
    assert_eq!(rows[0]["raw_payload"]["_envelope"]["v"], json!(envelope));
    assert!(rows[1]["request"]["notes"]
        .to_string()
        .contains("envelope_beside_first"));
    ingest.stop().await;
}
