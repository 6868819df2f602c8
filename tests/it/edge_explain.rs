//! Where the stack allows it, a sender may ask what would become of its beacon; it is told each decision, and
//! nothing is stored, drawn or begun.

use serde_json::{json, Value};
use tokio_postgres::Client;

use crate::support::gateway::{Request, Shape, ALL_SHAPES};
use crate::support::postgres::{Cluster, Version};
use crate::support::site::Site;
use crate::INGEST;

const EVENT: &str = r#"{"event":"canary-payload"}"#;

/// `{"a":1}` as Python's gzip has it.
const GZIPPED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x4a\x54\xb2\x32\xac\x05\x00\xaf\xac\x1b\x56\x07\x00\x00\x00";

fn asking(request: Request) -> Request {
    request.header("x-ingest-explain", Some("1"))
}

/// Rows, the identity's value, and the next transaction id of the server.
async fn state(admin: &Client) -> (i64, i64, bool, i64) {
    let sql = "select (select count(*) from raw.site_tracking_events_r), last_value, is_called,
                      txid_snapshot_xmax(txid_current_snapshot())
               from raw.site_tracking_events_r_raw_event_id_seq";
    let row = admin.query_one(sql, &[]).await.unwrap();
    (row.get(0), row.get(1), row.get(2), row.get(3))
}

#[tokio::test]
async fn an_explanation_stores_nothing_and_draws_no_number() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start(
        &Version::Default.bin(),
        &["autovacuum = off", "fsync = off"],
    )));
    let site = Site::on(cluster).await;
    let ingest = site
        .start_with(INGEST, &site.environment_with(&[("EXPLAIN", "on")]))
        .await;
    let before = state(&site.admin).await;
    for shape in ALL_SHAPES {
        for body in [EVENT, r#"[{"a":1},{}]"#, "[]", "", "\u{1}"] {
            let answer = ingest
                .send(&asking(Request::post(shape, site.key.expose(), body)))
                .await;
            assert_eq!(
                (answer.status, &answer.body["explained"]),
                (200, &json!(true)),
                "{answer:?}"
            );
            assert_eq!(answer.header("x-ingest-outcome"), "explained");
            assert_eq!(
                answer.header("x-ingest-receipt"),
                "",
                "a receipt would promise a row"
            );
        }
    }
    assert_eq!(state(&site.admin).await, before);
    let answer = ingest
        .send(&Request::post(Shape::V2, site.key.expose(), EVENT))
        .await;
    assert_eq!(answer.status, 200);
    assert_ne!(
        state(&site.admin).await,
        before,
        "the state tells a beacon that is stored"
    );
    ingest.stop().await;
    cluster.stop();
}

#[tokio::test]
async fn each_decision_is_told() {
    let site = Site::new().await;
    let listed = site
        .another_key("canary-tenant", Some(vec!["https://other.example"]))
        .await;
    let environment = site.environment_with(&[
        ("EXPLAIN", "on"),
        ("TRUSTED_PROXIES", "2"),
        ("IP_MODE", "truncated"),
    ]);
    let ingest = site.start_with(INGEST, &environment).await;
    let post = |body: &str| Request::post(Shape::V2, site.key.expose(), body);
    let forwarded = post(EVENT).header("x-forwarded-for", Some("1.1.1.1, 203.0.113.77, 2.2.2.2"));
    let short = post(EVENT).header("x-forwarded-for", Some("203.0.113.77"));
    let in_path = Request::post(Shape::V1, "", EVENT).header("x-api-key", None);
    let in_path = in_path.path(&format!("/{}/e", site.key.expose()));
    let referred = post(EVENT).header("origin", None);
    let in_body = format!(r#"{{"a":1,"token":"{}"}}"#, site.key.expose());
    let in_body = Request::post(Shape::V2, "", &in_body).header("x-api-key", None);
    let image = post("").no_body().method("GET").path("/o.gif").query("e=pv");
    for (label, request, pointer, expected) in [
        ("gateway", post(EVENT), "/gateway", json!("http_api")),
        (
            "content type",
            post(EVENT),
            "/body/content_type",
            json!("application/json"),
        ),
        ("size", post(EVENT), "/body/sent_bytes", json!(EVENT.len())),
        (
            "base64",
            post("").base64(EVENT.as_bytes()),
            "/body/sent_bytes",
            json!(EVENT.len()),
        ),
        (
            "encoding",
            post("").base64(GZIPPED),
            "/body/encoding_found",
            json!("gzip"),
        ),
        (
            "size without it",
            post("").base64(GZIPPED),
            "/body/unpacked_bytes",
            json!(7),
        ),
        ("step", post("a=1&b=2"), "/ladder_step", json!("form")),
        ("step of a query", image.clone(), "/ladder_step", json!("query")),
        ("key in the body", in_body, "/sender/site_key_in", json!("body")),
        (
            "a quarantined one",
            post(r#"[{"a":1},{"a":"\u0000"}]"#),
            "/events/quarantined",
            json!([{ "index": 1, "error": "nul", "offset": 6 }]),
        ),
        (
            "no step",
            post("").base64(b"\x00\xff"),
            "/would_answer",
            json!({ "status": 400, "error": "undecodable" }),
        ),
        ("key", post(EVENT), "/sender/site_key_in", json!("x-api-key")),
        ("key in the path", in_path, "/sender/site_key_in", json!("path")),
        (
            "no key",
            Request::post(Shape::V2, "", EVENT),
            "/sender/error",
            json!("no_key"),
        ),
        (
            "address",
            forwarded.clone(),
            "/sender/client_ip",
            json!("203.0.113.0"),
        ),
        (
            "whose word",
            forwarded,
            "/sender/client_ip_from",
            json!("x-forwarded-for, number 2 from the right"),
        ),
        (
            "short list",
            short,
            "/sender/client_ip_from",
            json!("the gateway"),
        ),
        ("origin", post(EVENT), "/sender/origin_from", json!("origin")),
        ("referrer", referred, "/sender/origin_from", json!("referer")),
        ("verdict", post(EVENT), "/verdict", json!("ok")),
        (
            "another origin",
            Request::post(Shape::V2, listed.expose(), EVENT),
            "/verdict",
            json!("origin"),
        ),
        (
            "status of another origin",
            Request::post(Shape::V2, listed.expose(), EVENT),
            "/would_answer",
            json!({ "status": 403, "error": "origin" }),
        ),
        (
            "events",
            post(r#"[{"a":1},{"a":2},{}]"#),
            "/events/storable",
            json!(2),
        ),
        (
            "a refused one",
            post(r#"[{"a":1},{}]"#),
            "/events/refused/0/error",
            json!("empty_event"),
        ),
        ("status", post(EVENT), "/would_answer", json!({ "status": 200 })),
        ("an image is told of in words", image, "/wants_image", json!(true)),
        ("limits", post(EVENT), "/limits/EVENTS_MAX", json!(10_000)),
    ] {
        let answer = ingest.send(&asking(request)).await;
        assert_eq!(answer.status, 200, "{label}");
        assert_eq!(
            answer.body.pointer(pointer),
            Some(&expected),
            "{label}: {}",
            answer.body
        );
        let took = answer.body["took_ms"].as_object().unwrap();
        assert!(
            took.values().all(Value::is_number) && took.len() >= 3,
            "{label}: {took:?}"
        );
        assert!(
            !answer.body.to_string().contains(&site.key.expose()[4..]),
            "{label}"
        );
    }
    assert_eq!(site.count().await, 0);
    ingest.stop().await;
}

#[tokio::test]
async fn a_verdict_that_cannot_be_had_is_told_as_such() {
    let site = Site::new().await;
    let environment = site.environment_with(&[("EXPLAIN", "on"), ("DB_PORT", "1")]);
    let ingest = site.start_with(INGEST, &environment).await;
    let answer = ingest
        .send(&asking(Request::post(Shape::V2, site.key.expose(), EVENT)))
        .await;
    let would = json!({ "status": 503, "error": "unavailable" });
    assert_eq!(
        (answer.status, &answer.body["would_answer"]),
        (200, &would),
        "{answer:?}"
    );
    ingest.stop().await;
}

#[tokio::test]
async fn where_it_is_off_the_header_means_nothing() {
    let site = Site::new().await;
    for (explain, value) in [(None, "1"), (Some("off"), "1"), (Some("on"), "0")] {
        let changed: Vec<(&'static str, &str)> =
            explain.map(|value| ("EXPLAIN", value)).into_iter().collect();
        let ingest = site.start_with(INGEST, &site.environment_with(&changed)).await;
        let request =
            Request::post(Shape::V2, site.key.expose(), EVENT).header("x-ingest-explain", Some(value));
        let answer = ingest.send(&request).await;
        assert_eq!(
            (answer.status, &answer.body["stored"]),
            (200, &json!(1)),
            "{explain:?}: {answer:?}"
        );
        ingest.stop().await;
    }
    assert_eq!(site.count().await, 3);
}
