//! Every outcome has its status, its tag and its sentence, in both gateways' shapes, and a page may read all of it.

use serde_json::{json, Value};
use site_tracking::ingest::beacon::{BODY_MAX_BYTES, EVENTS_MAX};
use site_tracking::site_key::SiteKey;

use crate::support::gateway::{Answer, Request, Shape, SHAPES};
use crate::support::site::Site;
use crate::INGEST;

/// One row of the status table: a label, the request, status, tag, and how many rows it leaves.
struct Case {
    label: &'static str,
    request: Request,
    status: u64,
    tag: &'static str,
    rows: usize,
}

struct Keys {
    good: SiteKey,
    revoked: SiteKey,
    listed: SiteKey,
    orphan: SiteKey,
}

async fn keys(site: &Site) -> Keys {
    let sql = "create schema auth;
               create table auth.tenant_h (tenant_hk bytea primary key);
               insert into auth.tenant_h values ('canary-tenant');
               alter table raw.site_tracking_events_r add foreign key (tenant_hk) references auth.tenant_h";
    site.admin.batch_execute(sql).await.unwrap();
    let keys = Keys {
        good: site.key.clone(),
        revoked: site.another_key("canary-tenant", None).await,
        listed: site
            .another_key("canary-tenant", Some(vec!["https://other.example"]))
            .await,
        orphan: site.another_key("canary-orphan", None).await,
    };
    let sql = "update raw.site_tracking_keys_r set is_active = false, revoked_at = '2026-01-01' where api_key_hk = $1";
    let hash = keys.revoked.hash();
    site.admin.execute(sql, &[&hash.as_slice()]).await.unwrap();
    keys
}

const EVENT: &str = r#"{"event":"canary-payload"}"#;

fn cases(shape: Shape, keys: &Keys) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut row = |label, request, status, tag, rows| {
        cases.push(Case {
            label,
            request,
            status,
            tag,
            rows,
        });
    };
    let post = |body: &str| Request::post(shape, keys.good.expose(), body);
    let with = |key: &str| Request::post(shape, key, EVENT);
    row("an object", post(EVENT), 200, "", 1);
    row("put", post(EVENT).method("PUT"), 200, "", 1);
    row("an array", post(r#"[{"a":1},{"a":2}]"#), 200, "", 2);
    row("an empty array", post("[]"), 200, "", 0);
    row("an empty event among others", post(r#"[{"a":1},{}]"#), 200, "", 1);
    row(
        "an event that jsonb refuses among others",
        post(&format!(r#"[{{"a":"\u0000{shape:?}"}},{{"a":1}}]"#)),
        200,
        "",
        2,
    );
    row(
        "preflight",
        post("").method("OPTIONS").header("x-api-key", None),
        204,
        "",
        0,
    );
    row(
        "preflight of a script",
        post("").method("OPTIONS").path("/x.js"),
        204,
        "",
        0,
    );
    row(
        "health",
        post("").method("GET").path("/health").header("x-api-key", None),
        200,
        "",
        0,
    );
    row("ready", post("").method("GET").path("/health/ready"), 200, "", 0);
    row(
        "ready by query",
        post("").method("GET").path("/health").query("ready=1"),
        200,
        "",
        0,
    );
    row(
        "health, head",
        post("").method("HEAD").path("/health"),
        200,
        "",
        0,
    );
    row("no key", with("").header("x-api-key", None), 401, "no_key", 0);
    row("a malformed key", with("stk_tooshort"), 401, "malformed_key", 0);
    row(
        "a wrong checksum",
        with("stk_AAAAAAAAAAAAAAAAAAAAAAAA000000"),
        401,
        "malformed_key",
        0,
    );
    let two = post(EVENT).query(&format!("k={}", keys.listed.expose()));
    row("two keys", two, 401, "two_keys", 0);
    row(
        "an unknown key",
        with(SiteKey::generate().unwrap().expose()),
        401,
        "unknown_key",
        0,
    );
    row(
        "a revoked key",
        with(keys.revoked.expose()),
        401,
        "revoked_key",
        0,
    );
    row(
        "a tenant that is gone",
        with(keys.orphan.expose()),
        401,
        "unknown_tenant",
        0,
    );
    row("another origin", with(keys.listed.expose()), 403, "origin", 0);
    let listed = with(keys.listed.expose()).header("origin", Some("https://OTHER.example"));
    row("a listed origin", listed, 200, "", 1);
    let referred = with(keys.listed.expose()).header("origin", None);
    let referred = referred.header("referer", Some("https://other.example/canary?x"));
    row("a listed referrer", referred, 200, "", 1);
    row(
        "a script",
        post("").method("GET").path("/tracker.js"),
        404,
        "no_such_path",
        0,
    );
    row("a page", post("").method("GET").path("/"), 404, "no_such_path", 0);
    row(
        "a get with a query",
        post("").no_body().method("GET").query("e=pv"),
        200,
        "",
        1,
    );
    row("delete", post(EVENT).method("DELETE"), 405, "method", 0);
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(BODY_MAX_BYTES - 7));
    row("too large", post(&large), 413, "too_large", 0);
    let many = format!("[{}]", vec!["1"; EVENTS_MAX + 1].join(","));
    row("too many", post(&many), 413, "too_many", 0);
    row("no body", post("").no_body(), 400, "no_event", 0);
    row("white space", post(" \n"), 400, "no_event", 0);
    row("an empty event", post("{}"), 400, "empty_event", 0);
    row("only empty events", post("[{},{ }]"), 400, "empty_event", 0);
    row("a form", post("a=1&b=2"), 200, "", 1);
    // The same bytes from one sender are one row: each shape sends its own.
    let own = |text: &str| text.replace("SHAPE", &format!("{shape:?}"));
    row("words", post(&own("hello SHAPE")), 400, "undecodable", 1);
    let broken_gzip = [b"\x1f\x8b", own("SHAPE").as_bytes()].concat();
    row("bytes", post("").base64(&broken_gzip), 400, "undecodable", 1);
    let broken = broken_base64(&post(EVENT), &own("e30*SHAPE"));
    row("broken base64", broken, 400, "undecodable", 1);
    let deep = format!(
        "{{\"a\":{}{},\"in\":\"SHAPE\"}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    for (label, body) in [
        ("u0000", r#"{"a":"\u0000","in":"SHAPE"}"#),
        ("a lone surrogate", r#"{"a":"\ud800","in":"SHAPE"}"#),
        ("a number out of range", r#"{"a":1e131072,"in":"SHAPE"}"#),
        ("a number that explodes", r#"{"a":1e131071,"in":"SHAPE"}"#),
        ("depth", &deep),
    ] {
        row(label, post(&own(body)), 200, "", 1);
    }
    cases
}

fn broken_base64(request: &Request, body: &str) -> Request {
    let mut request = request.clone();
    request.event()["isBase64Encoded"] = json!(true);
    request.event()["body"] = json!(body);
    request
}

#[tokio::test]
async fn each_outcome_has_its_status_tag_and_rows_in_both_shapes() {
    let site = Site::new().await;
    let keys = keys(&site).await;
    let ingest = site.start(INGEST).await;
    let mut rows = 0;
    for shape in SHAPES {
        for case in cases(shape, &keys) {
            let answer = ingest.send(&case.request).await;
            let label = format!("{shape:?}, {}: {answer:?}", case.label);
            assert_eq!(
                (answer.shape, answer.status, answer.tag()),
                (shape, case.status, case.tag),
                "{label}"
            );
            rows += case.rows;
            assert_eq!(site.count().await, rows, "{label}");
            is_readable_by_a_page(&answer, case.request.origin(), &label);
            says_what_trackers_look_for(&answer, &case.request, &label);
        }
    }
    ingest.stop().await;
}

#[track_caller]
fn is_readable_by_a_page(answer: &Answer, origin: Option<&str>, label: &str) {
    for (name, value) in [
        ("access-control-allow-origin", origin.unwrap_or("*")),
        ("access-control-allow-credentials", origin.map_or("", |_| "true")),
        ("access-control-allow-methods", "POST"),
        ("access-control-allow-headers", "Content-Type"),
        ("access-control-max-age", "86400"),
        ("cross-origin-resource-policy", "cross-origin"),
        (
            "access-control-expose-headers",
            "X-Ingest-Receipt, X-Ingest-Outcome, Retry-After",
        ),
        (
            "vary",
            "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        ),
        ("cache-control", "no-store"),
    ] {
        assert!(answer.header(name).contains(value), "{name}: {label}");
    }
    let allow = if answer.status == 405 {
        "GET, HEAD, POST, PUT, OPTIONS"
    } else {
        ""
    };
    assert_eq!(answer.header("allow"), allow, "{label}");
}

#[track_caller]
fn says_what_trackers_look_for(answer: &Answer, request: &Request, label: &str) {
    if answer.status == 204 || request.json().contains("HEAD") {
        assert_eq!(answer.body, Value::Null, "{label}");
        return;
    }
    let is_good = answer.status == 200;
    assert_eq!(answer.body["code"], json!(answer.status), "{label}");
    assert_eq!(answer.body["status"], json!(u8::from(is_good)), "{label}");
    assert_eq!(answer.body["success"], json!(is_good), "{label}");
    assert_eq!(
        answer.body["result"],
        json!(if is_good { "Success" } else { "Error" }),
        "{label}"
    );
    assert_eq!(answer.body["message"].is_string(), !is_good, "{label}");
    assert_eq!(answer.header("content-type"), "application/json", "{label}");
    let outcome = if is_good { "ok" } else { answer.tag() };
    assert_eq!(answer.header("x-ingest-outcome"), outcome, "{label}");
}

#[tokio::test]
async fn a_refusal_names_what_was_wrong_and_where() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let post = |body: &str| Request::post(Shape::V2, site.key.expose(), body);
    let message = |answer: &Answer| answer.body["message"].as_str().unwrap().to_owned();

    let answer = ingest.send(&post(r#"{"a":1,}"#)).await;
    assert_eq!(answer.body["offset"], json!(7));
    assert!(
        answer.body["receipt"].is_string() && message(&answer).contains("at byte 7"),
        "{answer:?}"
    );
    let answer = ingest.send(&post("").base64(b"{\"a\":\"\xff\"}")).await;
    let error = &answer.body["errors"][0];
    assert_eq!(
        (&error["error"], &error["offset"]),
        (&json!("invalid_utf8"), &json!(6)),
        "{answer:?}"
    );
    let answer = ingest.send(&post(&"x".repeat(BODY_MAX_BYTES + 1))).await;
    assert!(message(&answer).contains("the limit is 4194304"), "{answer:?}");
    let answer = ingest
        .send(&post(&format!("[{}1]", "1,".repeat(EVENTS_MAX))))
        .await;
    assert!(
        message(&answer).contains("10001 events, the limit is 10000"),
        "{answer:?}"
    );

    let body = r#"[{"a":1},{},{"b":"\u0000"},7]"#;
    let answer = ingest.send(&post(body)).await;
    assert_eq!((answer.status, &answer.body["stored"]), (200, &json!(2)));
    let of = |n: usize| {
        let error = &answer.body["errors"][n];
        (
            error["index"].clone(),
            error["error"].clone(),
            error["offset"].clone(),
        )
    };
    assert_eq!(of(0), (json!(1), json!("empty_event"), Value::Null));
    assert_eq!(of(1), (json!(2), json!("nul"), json!(6)));
    ingest.stop().await;
}

#[tokio::test]
async fn a_receipt_names_the_rows_that_were_committed() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let answer = ingest
        .send(&Request::post(
            Shape::V2,
            site.key.expose(),
            r#"[{"a":1},{"a":2}]"#,
        ))
        .await;
    let receipt = answer.body["receipt"].as_str().unwrap();
    assert_eq!(answer.header("x-ingest-receipt"), receipt);
    assert_eq!(uuid::Uuid::parse_str(receipt).unwrap().get_version_num(), 7);
    assert_eq!(answer.body["quarantined"], json!(0));
    let rows = site.rows().await;
    assert!(
        rows.len() == 2 && rows.iter().all(|row| row["batch_id"] == json!(receipt)),
        "{rows:?}"
    );
    ingest.stop().await;
}

#[tokio::test]
async fn a_preflight_is_told_that_it_may_send_what_it_asked_for() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let preflight = Request::post(Shape::V2, "", "").method("OPTIONS").no_body();
    let asked = preflight
        .clone()
        .header(
            "access-control-request-headers",
            Some("x-tracker-version, content-type"),
        )
        .header("access-control-request-method", Some("POST"));
    let answer = ingest.send(&asked).await;
    let allowed = answer.header("access-control-allow-headers");
    assert_eq!(allowed, "x-tracker-version, content-type");
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "https://canary-shop.example"
    );

    for origin in [None, Some("https://a\r\nb.example"), Some("https://ä.example")] {
        let answer = ingest.send(&preflight.clone().header("origin", origin)).await;
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{origin:?}");
        assert_eq!(
            answer.header("access-control-allow-credentials"),
            "",
            "{origin:?}"
        );
    }
    ingest.stop().await;
}

#[tokio::test]
async fn what_is_no_request_at_all_is_answered_and_not_an_error() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    for event in [
        "null",
        "[]",
        "7",
        "\"text\"",
        "{}",
        r#"{"Records":[{"body":"{}"}]}"#,
    ] {
        let answer = Answer::of(&ingest.invoke(event).await);
        assert_eq!((answer.status, answer.tag()), (400, "not_http"), "{event}");
    }
    ingest.stop().await;
}
