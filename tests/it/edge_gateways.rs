//! Behind any of the gateways a beacon is the same beacon, and each is answered in the one shape that it takes.

use serde_json::{json, Value};

use crate::support::gateway::{recorded, Answer, Request, Shape, ALL_SHAPES};
use crate::support::site::Site;
use crate::INGEST;

const EVENT: &str = r#"{"event":"canary-payload"}"#;

#[tokio::test]
async fn each_gateway_is_answered_in_its_own_shape() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let large = "x".repeat(5_000_000);
    for shape in ALL_SHAPES {
        let post = |body: &str| Request::post(shape, site.key.expose(), body);
        let nobody = Request::post(shape, "", EVENT).header("x-api-key", None);
        for (label, request, status) in [
            ("a beacon", post(EVENT), 200),
            ("no key", nobody.clone(), 401),
            ("a script", nobody.clone().method("GET").path("/t.js"), 404),
            ("another method", post(EVENT).method("PATCH"), 405),
            ("too large", post(&large), 413),
            ("nothing", post("").no_body(), 400),
            ("preflight", nobody.clone().method("OPTIONS"), 204),
            ("health", nobody.clone().method("GET").path("/health"), 200),
            (
                "health, looked at",
                nobody.clone().method("HEAD").path("/health"),
                200,
            ),
            (
                "an image",
                nobody.clone().method("GET").path("/o.gif").query("e=pv"),
                401,
            ),
        ] {
            let answer = ingest.send(&request).await;
            let label = format!("{shape:?} {label}: {answer:?}");
            assert_eq!(
                (answer.shape, answer.status),
                (shape.of_answer(), status),
                "{label}"
            );
            let origin = answer.header("access-control-allow-origin");
            assert_eq!(origin, "https://canary-shop.example", "{label}");
            let is_empty = status == 204 || request.json().contains("\"HEAD\"");
            assert_eq!(answer.bytes.is_empty(), is_empty, "{label}");
            assert_eq!(answer.header("content-type").is_empty(), is_empty, "{label}");
        }
        let rows = site.rows().await;
        let row = rows.last().unwrap();
        assert_eq!(row["client_ip"], json!("203.0.113.77"), "{shape:?}");
        assert_eq!(
            row["user_agent"],
            json!("canary-agent/1.0 (X11; Linux x86_64)"),
            "{shape:?}"
        );
        assert_eq!(row["request"]["path"], json!("/e"), "{shape:?}");
    }
    assert_eq!(site.count().await, ALL_SHAPES.len());
    ingest.stop().await;
}

#[tokio::test]
async fn stage_and_base_path_are_no_part_of_the_path() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    for (file, path) in [
        ("http_v1_base_path.json", "/e"),
        ("http_v1_base_path_without_stage.json", "/e"),
        ("http_v2_mapped_domain.json", "/e"),
        ("http_v2_named_stage.json", "/v1/track"),
        ("http_v2_route_with_parameters.json", "/v1/t"),
    ] {
        let reply = ingest.invoke(recorded(file, site.key.expose())).await;
        assert_eq!(Answer::of(&reply).status, 200, "{file}");
        let rows = site.rows().await;
        assert_eq!(rows.last().unwrap()["request"]["path"], json!(path), "{file}");
    }
    let below = |file: &str, member: &str, path: &str, proxy: &str| {
        let mut event: Value = serde_json::from_str(&recorded(file, "")).unwrap();
        event[member] = json!(path);
        event["pathParameters"] = json!({ "proxy": proxy });
        event["httpMethod"] = json!("GET");
        event["requestContext"]["http"]["method"] = json!("GET");
        if member == "path" {
            event["requestContext"].as_object_mut().unwrap().remove("http");
        }
        event.to_string()
    };
    for (label, event, status) in [
        (
            "health below a base path",
            below(
                "http_v1_base_path.json",
                "path",
                "/tracking/health/ready",
                "health/ready",
            ),
            200,
        ),
        (
            "health below a stage",
            below("http_v2_mapped_domain.json", "rawPath", "/live/health", ""),
            200,
        ),
        (
            "no page below a base path",
            below("http_v1_base_path.json", "path", "/tracking/x", "x"),
            404,
        ),
    ] {
        let reply = ingest.invoke(event).await;
        assert_eq!(Answer::of(&reply).status, status, "{label}: {reply}");
    }
    ingest.stop().await;
}

#[tokio::test]
async fn a_query_is_the_same_event_whichever_gateway_took_it_apart() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let query = "e=pv&u=https%3A%2F%2Fcanary-shop.example%2F%3Fa%3Db%26c%3D100%2525&name=%C3%A4%20b";
    let expected = json!({ "e": "pv", "u": "https://canary-shop.example/?a=b&c=100%25", "name": "ä b" });
    for shape in ALL_SHAPES {
        let get = Request::post(shape, site.key.expose(), "")
            .no_body()
            .method("GET");
        let answer = ingest.send(&get.query(query)).await;
        assert_eq!(answer.status, 200, "{shape:?}: {answer:?}");
        let rows = site.rows().await;
        assert_eq!(rows.last().unwrap()["raw_payload"], expected, "{shape:?}");
    }
    assert_eq!(site.count().await, ALL_SHAPES.len());
    ingest.stop().await;
}

#[tokio::test]
async fn a_header_that_stands_twice_is_read_as_its_gateway_tells_it() {
    let site = Site::new().await;
    let ingest = site
        .start_with(INGEST, &site.environment_with(&[("TRUSTED_PROXIES", "2")]))
        .await;
    let list = |values: &[&str]| json!(values);
    for (shape, member, value) in [
        (
            Shape::AlbMulti,
            "multiValueHeaders",
            list(&["198.51.100.1", "203.0.113.77, 10.0.0.1"]),
        ),
        (
            Shape::AlbMulti,
            "multiValueHeaders",
            list(&["198.51.100.1, 203.0.113.77", "10.0.0.1"]),
        ),
        (
            Shape::V2,
            "headers",
            json!("198.51.100.1, 203.0.113.77, 10.0.0.1"),
        ),
        (Shape::Alb, "headers", json!("198.51.100.1,203.0.113.77,10.0.0.1")),
    ] {
        let mut request = Request::post(shape, site.key.expose(), EVENT);
        request.event()[member]["x-forwarded-for"] = value.clone();
        assert_eq!(ingest.send(&request).await.status, 200, "{shape:?} {value}");
        let rows = site.rows().await;
        assert_eq!(
            rows.last().unwrap()["client_ip"],
            json!("203.0.113.77"),
            "{shape:?} {value}"
        );
    }
    ingest.stop().await;
}
