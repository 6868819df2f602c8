//! The client's address is whom the stack believes, read as a person would, and kept as far as the stack wants it.

use serde_json::{json, Value};

use crate::support::gateway::{Request, Shape, ALL_SHAPES};
use crate::support::site::{Row, Site};
use crate::INGEST;

/// A body that names addresses in every way that trackers have.
const EVENT: &str =
    r#"{"event":"canary-payload","ip":"198.51.100.66","client_ip":"198.51.100.66","uip":"198.51.100.66"}"#;

async fn last_row(site: &Site) -> Row {
    site.rows().await.pop().unwrap()
}

#[tokio::test]
async fn the_client_is_whom_the_stack_believes_and_never_whom_the_sender_names() {
    let site = Site::new().await;
    for (trusted, list, expected, notes) in [
        (
            "0",
            "198.51.100.1, 198.51.100.2, 198.51.100.3",
            "203.0.113.77",
            json!(null),
        ),
        (
            "1",
            "198.51.100.1, 198.51.100.2, 198.51.100.3",
            "198.51.100.3",
            json!(null),
        ),
        (
            "2",
            "198.51.100.1, 198.51.100.2, 198.51.100.3",
            "198.51.100.2",
            json!(null),
        ),
        (
            "2",
            "198.51.100.1, [2001:db8::77]:443, 198.51.100.3",
            "2001:db8::77",
            json!(null),
        ),
        (
            "3",
            "198.51.100.2, 198.51.100.3",
            "203.0.113.77",
            json!(["forwarded_for_short"]),
        ),
        (
            "2",
            "198.51.100.1, unknown, 198.51.100.3",
            "",
            json!(["client_ip_unreadable"]),
        ),
        (
            "1",
            "198.51.100.1, '; drop table x",
            "",
            json!(["client_ip_unreadable"]),
        ),
    ] {
        let ingest = site
            .start_with(INGEST, &site.environment_with(&[("TRUSTED_PROXIES", trusted)]))
            .await;
        for shape in [Shape::V2, Shape::V1, Shape::Url] {
            let request = Request::post(shape, site.key.expose(), EVENT);
            let request = request
                .header("x-forwarded-for", Some(list))
                .query("ip=198.51.100.66");
            assert_eq!(ingest.send(&request).await.status, 200, "{trusted} {list}");
            let row = last_row(&site).await;
            let label = format!("{shape:?} {trusted} {list}: {row}");
            assert_eq!(row["client_ip"].as_str().unwrap_or_default(), expected, "{label}");
            assert_eq!(
                row["request"].get("notes").cloned().unwrap_or_default(),
                notes,
                "{label}"
            );
        }
        ingest.stop().await;
    }
}

#[tokio::test]
async fn a_load_balancers_word_is_the_entry_that_it_wrote_itself() {
    let site = Site::new().await;
    for (trusted, list, expected) in [
        ("0", "198.51.100.1, 203.0.113.77", json!("203.0.113.77")),
        ("1", "198.51.100.1, 203.0.113.77", json!("203.0.113.77")),
        ("2", "203.0.113.77, 198.51.100.9", json!("203.0.113.77")),
        ("3", "203.0.113.77, 198.51.100.9", Value::Null),
    ] {
        let ingest = site
            .start_with(INGEST, &site.environment_with(&[("TRUSTED_PROXIES", trusted)]))
            .await;
        for shape in [Shape::Alb, Shape::AlbMulti] {
            let request =
                Request::post(shape, site.key.expose(), EVENT).header("x-forwarded-for", Some(list));
            assert_eq!(ingest.send(&request).await.status, 200, "{trusted} {list}");
            assert_eq!(
                last_row(&site).await["client_ip"],
                expected,
                "{shape:?} {trusted} {list}"
            );
        }
        ingest.stop().await;
    }
}

#[tokio::test]
async fn the_stack_says_how_much_of_an_address_is_kept() {
    let site = Site::new().await;
    for (mode, v4, v6, odd) in [
        (
            "full",
            json!("203.0.113.77"),
            json!("2001:db8:1:2::77"),
            json!(["client_ip_unreadable"]),
        ),
        (
            "truncated",
            json!("203.0.113.0"),
            json!("2001:db8:1::"),
            json!(["client_ip_unreadable"]),
        ),
        ("none", Value::Null, Value::Null, Value::Null),
    ] {
        let ingest = site
            .start_with(INGEST, &site.environment_with(&[("IP_MODE", mode)]))
            .await;
        for shape in ALL_SHAPES {
            let of = |address: &str| Request::post(shape, site.key.expose(), EVENT).source_ip(address);
            for (address, expected) in [
                ("203.0.113.77", &v4),
                ("::ffff:203.0.113.77", &v4),
                ("203.000.113.077:443", &v4),
                ("[2001:db8:1:2::77]:443", &v6),
                ("unknown", &Value::Null),
            ] {
                assert_eq!(ingest.send(&of(address)).await.status, 200, "{mode} {address}");
                let row = last_row(&site).await;
                assert_eq!(row["client_ip"], *expected, "{shape:?} {mode} {address}");
                if address == "unknown" {
                    assert_eq!(
                        row["request"].get("notes").cloned().unwrap_or_default(),
                        odd,
                        "{mode}"
                    );
                }
                if mode != "full" {
                    assert!(!row.to_string().contains("3.77"), "{mode} {address}: {row}");
                }
            }
        }
        ingest.stop().await;
    }
}
