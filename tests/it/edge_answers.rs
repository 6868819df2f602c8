//! Where an image is wanted the answer is one, with the true status; a look stores nothing; what is fetched before
//! anybody looks is stored and marked.

use serde_json::{json, Value};
use site_tracking::site_key::SiteKey;

use crate::support::gateway::{Answer, Request, Shape, ALL_SHAPES};
use crate::support::site::Site;
use crate::INGEST;

fn pixel(shape: Shape, key: &str) -> Request {
    let request = Request::post(shape, key, "")
        .no_body()
        .method("GET")
        .path("/o.gif")
        .query("e=canary");
    request.header("accept", Some("*/*"))
}

#[track_caller]
fn is_a_pixel(answer: &Answer, outcome: &str, label: &str) {
    assert_eq!(
        (answer.bytes.len(), &answer.bytes[..6]),
        (43, &b"GIF89a"[..]),
        "{label}"
    );
    for (name, value) in [
        ("content-type", "image/gif"),
        ("cache-control", "no-store"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("x-ingest-outcome", outcome),
    ] {
        assert_eq!(answer.header(name), value, "{name}: {label}");
    }
}

#[tokio::test]
async fn an_image_has_the_true_status_whatever_became_of_the_beacon() {
    let site = Site::new().await;
    let listed = site
        .another_key("canary-tenant", Some(vec!["https://other.example"]))
        .await;
    let unknown = SiteKey::generate().unwrap();
    let ingest = site.start(INGEST).await;
    let mut rows = 0;
    for shape in ALL_SHAPES {
        let good = pixel(shape, site.key.expose());
        let twice = format!("k={}&e=x", listed.expose());
        for (label, request, status, outcome) in [
            ("stored", good.clone(), 200, "ok"),
            ("by .PNG", good.clone().path("/o.PNG"), 200, "ok"),
            (
                "by accept",
                good.clone().path("/o").header("accept", Some("image/avif,*/*")),
                200,
                "ok",
            ),
            (
                "by destination",
                good.clone().path("/o").header("sec-fetch-dest", Some("image")),
                200,
                "ok",
            ),
            (
                "no key",
                pixel(shape, "").header("x-api-key", None),
                401,
                "no_key",
            ),
            ("unknown key", pixel(shape, unknown.expose()), 401, "unknown_key"),
            ("two keys", good.clone().query(&twice), 401, "two_keys"),
            ("another origin", pixel(shape, listed.expose()), 403, "origin"),
            ("no event", good.clone().query(""), 400, "no_event"),
            (
                "a script",
                good.clone().path("/t.js").header("accept", Some("image/png")),
                404,
                "no_such_path",
            ),
            ("another method", good.clone().method("DELETE"), 405, "method"),
        ] {
            let answer = ingest.send(&request).await;
            let label = format!("{shape:?} {label}: {answer:?}");
            assert_eq!(
                (answer.shape, answer.status),
                (shape.of_answer(), status),
                "{label}"
            );
            is_a_pixel(&answer, outcome, &label);
            rows += usize::from(status == 200);
            assert_eq!(site.count().await, rows, "{label}");
            let receipt = answer.header("x-ingest-receipt");
            assert_eq!(receipt.is_empty(), status != 200, "{label}");
        }
    }
    ingest.stop().await;

    let away = site.environment_with(&[("DB_PORT", "1")]);
    let ingest = site.start_with(INGEST, &away).await;
    let answer = ingest.send(&pixel(Shape::V2, site.key.expose())).await;
    assert_eq!(answer.status, 503);
    is_a_pixel(&answer, "unavailable", "no database");
    assert!(!answer.header("retry-after").is_empty());
    ingest.stop().await;
}

#[tokio::test]
async fn there_is_no_page_and_no_script_and_a_look_stores_nothing() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    for shape in ALL_SHAPES {
        let get = Request::post(shape, site.key.expose(), "")
            .no_body()
            .method("GET");
        let get = get.header("accept", Some("text/html,*/*"));
        for (label, request, status, outcome) in [
            ("a page", get.clone(), 404, "no_such_path"),
            ("the root", get.clone().path("/"), 404, "no_such_path"),
            ("a script", get.clone().path("/canary/t.js"), 404, "no_such_path"),
            (
                "a script with a query",
                get.clone().path("/t.JS").query("v=1"),
                404,
                "no_such_path",
            ),
            (
                "a look at a script",
                get.clone().method("HEAD").path("/t.js"),
                404,
                "no_such_path",
            ),
            (
                "a look at a pixel",
                pixel(shape, site.key.expose()).method("HEAD"),
                200,
                "ok",
            ),
            ("a look without a key", pixel(shape, "").method("HEAD"), 200, "ok"),
            (
                "a preflight of a pixel",
                pixel(shape, site.key.expose()).method("OPTIONS"),
                204,
                "ok",
            ),
        ] {
            let answer = ingest.send(&request).await;
            let label = format!("{shape:?} {label}: {answer:?}");
            let outcome_header = answer.header("x-ingest-outcome");
            assert_eq!((answer.status, outcome_header), (status, outcome), "{label}");
        }
    }
    assert_eq!(site.count().await, 0);
    ingest.stop().await;
}

#[tokio::test]
async fn what_a_browser_fetches_ahead_is_stored_and_marked_and_privacy_signals_are_kept() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    for (name, value, member, expected) in [
        ("sec-purpose", "prefetch", "notes", json!(["prefetch"])),
        ("sec-purpose", "prefetch;prerender", "notes", json!(["prerender"])),
        ("purpose", "prefetch", "notes", json!(["prefetch"])),
        ("sec-gpc", "1", "sec_gpc", json!("1")),
        ("dnt", "1", "dnt", json!("1")),
        ("accept", "*/*", "notes", Value::Null),
    ] {
        for shape in ALL_SHAPES {
            let request = Request::post(shape, site.key.expose(), r#"{"event":"canary"}"#);
            let answer = ingest.send(&request.header(name, Some(value))).await;
            assert_eq!(answer.status, 200, "{name}: {value}");
            let row = site.rows().await.pop().unwrap();
            let found = row["request"].get(member).cloned().unwrap_or_default();
            assert_eq!(found, expected, "{shape:?} {name}: {value}: {row}");
        }
    }
    ingest.stop().await;
}
