//! Many events through the function: a batch against as many single ones, and the largest beacon that is taken.
//!
//! The two take turns; both wait for the commit, and both come over the same gateway.

use std::time::Instant;

use crate::bare::event;
use crate::sample::Sample;
use crate::support::gateway::{Request, Shape};
use crate::support::site::Site;
use crate::table::Table;
use crate::INGEST;

const BATCH: usize = 100;
const ROUNDS: usize = 20;
const WARM_UP: usize = 3;

/// `EVENTS_MAX` of them stay below `BODY_MAX_BYTES` at this size.
const MOST_EVENTS: usize = 10_000;
const EVENT_BYTES: usize = 400;
const MOST_ROUNDS: usize = 5;

pub async fn measure(site: &Site, table: &mut Table) {
    let ingest = site.start(INGEST).await;
    let post = |body: &str| Request::post(Shape::V2, site.key.expose(), body).json();
    let single = post(&event());
    let batch = post(&format!("[{}]", vec![event(); BATCH].join(",")));
    let (mut singles, mut batches) = (Sample::default(), Sample::default());
    for round in 0..WARM_UP + ROUNDS {
        let began = Instant::now();
        for _ in 0..BATCH {
            assert_eq!(ingest.invoke(single.clone()).await["statusCode"], 200);
        }
        let apart = began.elapsed();
        let began = Instant::now();
        assert_eq!(ingest.invoke(batch.clone()).await["statusCode"], 200);
        let together = began.elapsed();
        if round >= WARM_UP {
            singles.add(apart);
            batches.add(together);
        }
    }
    let head = r#"{"event":"page_view","text":""#;
    let small = format!("{head}{}\"}}", "x".repeat(EVENT_BYTES - head.len() - 2));
    let largest = post(&format!("[{}]", vec![small; MOST_EVENTS].join(",")));
    let mut most = Sample::default();
    for _ in 0..MOST_ROUNDS {
        let began = Instant::now();
        assert_eq!(ingest.invoke(largest.clone()).await["statusCode"], 200);
        most.add(began.elapsed());
    }
    ingest.stop().await;
    let each = |sample: &Sample, events: usize| sample.p50() / events as f64;
    let (apart, together) = (each(&singles, BATCH), each(&batches, BATCH));
    table.heading("many events through the function, durable");
    table.figure("an event of 1 KB, 100 single ones", format!("{apart:.0} us"));
    table.figure(
        "an event of 1 KB in a batch of 100",
        format!("{together:.0} us: {:.2} times", together / apart),
    );
    table.figure(
        "an event of 400 bytes, 10,000 in one request",
        format!("{:.0} us", each(&most, MOST_EVENTS)),
    );
}
