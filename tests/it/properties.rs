//! What holds for every beacon, tried with ones that nobody thought of, through the real binary and PostgreSQL.
//!
//! Each run draws a new seed and prints it; `PROPERTIES_SEED=<number>` draws the same beacons again.

use std::time::{SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;

use crate::support::gateway::{Answer, Request, Shape};
use crate::support::site::{Site, Watched};
use crate::INGEST;

mod drawn;

use drawn::{Container, Event};

/// Draws of one test.
struct Draws {
    runner: TestRunner,
    seed: u64,
}

impl Draws {
    fn new() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = match std::env::var("PROPERTIES_SEED") {
            Ok(seed) => seed.parse().expect("PROPERTIES_SEED is a number"),
            Err(_) => since_1970.as_micros() as u64,
        };
        println!("PROPERTIES_SEED={seed}");
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        Self {
            runner: TestRunner::new_with_rng(Config::default(), rng),
            seed,
        }
    }

    fn draw<S: Strategy>(&mut self, strategy: &S) -> S::Value {
        strategy.new_tree(&mut self.runner).unwrap().current()
    }
}

/// Sends a body as bytes. Each has a sender of its own, so that none is another's retry.
async fn send(site: &Site, ingest: &Watched, nth: usize, body: &[u8]) -> Answer {
    let request = Request::post(Shape::V2, site.key.expose(), "")
        .base64(body)
        .header("user-agent", Some(&format!("agent {nth}")));
    let answer = Answer::of(&ingest.invoke(request.json()).await);
    assert!(answer.status < 500, "{answer:?} for {body:?}");
    answer
}

async fn quarantined(site: &Site, answer: &Answer) -> Vec<Vec<u8>> {
    let sql = "select raw.quarantined_bytes(raw_event_id) from raw.site_tracking_events_r
               where batch_id = $1 and processing_status = 'ERROR'";
    let receipt = answer.body["receipt"].as_str().unwrap_or_default();
    let rows = site.admin.query(sql, &[&receipt]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn json_that_postgresql_accepts_comes_back_equal() {
    const DIFFERENCES: &str = "
        with sent as (
            select case when text like '{%' then text::jsonb else jsonb_build_object('value', text::jsonb) end as document
            from unnest($1::text[]) as t (text)
        ), kept as (
            select raw_payload from raw.site_tracking_events_r where batch_id = $2
        )
        select 'lost ' || left(document::text, 300) from (
            (select document from sent where document <> '{}') except all select raw_payload from kept) as lost
        union all
        select 'invented ' || left(raw_payload::text, 300) from (
            select raw_payload from kept except all select document from sent) as invented";
    let mut draws = Draws::new();
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let texts = prop::collection::vec(drawn::json(), 80);
    for nth in 0..15 {
        let texts = draws.draw(&texts);
        let answer = send(
            &site,
            &ingest,
            nth,
            format!("[{}]", texts.join(" ,\n")).as_bytes(),
        )
        .await;
        assert_eq!(
            (answer.status, &answer.body["quarantined"]),
            (200, &json!(0)),
            "{answer:?}"
        );
        let receipt = answer.body["receipt"].as_str().unwrap();
        let rows = site.admin.query(DIFFERENCES, &[&texts, &receipt]).await.unwrap();
        let differences: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert!(differences.is_empty(), "seed {}: {differences:#?}", draws.seed);
    }
    ingest.stop().await;
}

#[tokio::test]
async fn any_bytes_have_a_verdict_and_are_had_back_if_quarantined() {
    let mut draws = Draws::new();
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let bodies = drawn::bytes();
    for nth in 0..150 {
        let body = draws.draw(&bodies);
        let answer = send(&site, &ingest, nth, &body).await;
        let context = format!("seed {}: {answer:?} for {body:?}", draws.seed);
        let kept = quarantined(&site, &answer).await;
        assert_eq!(
            answer.body["quarantined"].as_u64().unwrap_or(0),
            kept.len() as u64,
            "{context}"
        );
        match (answer.status, answer.tag()) {
            (200, "") => {}
            (400, "undecodable") => assert_eq!(kept, [body], "{context}"),
            (400, "no_event" | "empty_event") | (413, _) => assert!(kept.is_empty(), "{context}"),
            (401, "malformed_key" | "two_keys") => {}
            _ => panic!("{context}"),
        }
    }
    ingest.stop().await;
}

#[tokio::test]
async fn splitting_neither_loses_nor_invents_an_event() {
    let mut draws = Draws::new();
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let beacons = (prop::collection::vec(drawn::event(), 1..60), drawn::container());
    for nth in 0..40 {
        let (mut events, container) = draws.draw(&beacons);
        events.push(Event::Plain);
        let answer = send(&site, &ingest, nth, &container.body(&events)).await;
        let context = format!("seed {}: {container:?} of {events:?}: {answer:?}", draws.seed);
        assert_eq!(answer.status, 200, "{context}");
        let mut kept = quarantined(&site, &answer).await;
        kept.sort_unstable();
        assert_eq!(kept, texts(&events, Event::is_odd), "{context}");
        assert_eq!(stored(&site, &answer).await, numbers(&events), "{context}");
    }
    ingest.stop().await;
}

fn texts(events: &[Event], which: fn(&Event) -> bool) -> Vec<Vec<u8>> {
    let places = events.iter().enumerate().filter(|(_, event)| which(event));
    let mut texts: Vec<_> = places
        .map(|(place, event)| event.text(place).into_bytes())
        .collect();
    texts.sort_unstable();
    texts
}

fn numbers(events: &[Event]) -> Vec<i64> {
    let places = events
        .iter()
        .enumerate()
        .filter(|(_, event)| **event == Event::Plain);
    places.map(|(place, _)| place as i64).collect()
}

/// The numbers of the events that are stored as they are.
async fn stored(site: &Site, answer: &Answer) -> Vec<i64> {
    let sql = "select (raw_payload ->> 'n')::bigint from raw.site_tracking_events_r
               where batch_id = $1 and processing_status = 'PENDING' order by 1";
    let receipt = answer.body["receipt"].as_str().unwrap();
    let rows = site.admin.query(sql, &[&receipt]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn a_container_holds_what_is_put_into_it() {
    let body = Container::Form.body(&[Event::Plain, Event::Empty]);
    assert_eq!(
        String::from_utf8(body).unwrap(),
        "e=%5B%7B%22n%22%3A0%7D%2C%7B%7D%5D&v=1"
    );
}
