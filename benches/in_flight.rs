//! Requests that one process has at a time, on its one connection: what more of them bring.
//!
//! Each number of requests is a process of its own, told so by `AWS_LAMBDA_MAX_CONCURRENCY`; they take turns in rounds.
//! Every event is committed by itself, durably, before it is answered.

use std::time::{Duration, Instant};

use crate::bare::event;
use crate::sample::Sample;
use crate::support::gateway::{Request, Shape};
use crate::support::runtime_api::Outcome;
use crate::support::site::{Site, Watched};
use crate::table::Table;
use crate::INGEST;

const AT_ONCE: [usize; 3] = [1, 8, 64];
const ROUNDS: usize = 10;
const WARM_UP: usize = 2;

/// Requests of a round.
const REQUESTS: usize = 1_024;

/// What the process is told of the time that it has for one.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn measure(site: &Site, table: &mut Table) {
    let request = Request::post(Shape::V2, site.key.expose(), &event()).json();
    let mut processes = Vec::new();
    for at_once in AT_ONCE {
        let most = at_once.to_string();
        let environment =
            site.environment_with(&[("LOG_LEVEL", "info"), ("AWS_LAMBDA_MAX_CONCURRENCY", &most)]);
        let ingest = site.start_with(INGEST, &environment).await;
        processes.push((at_once, ingest, Sample::default()));
    }
    for round in 0..WARM_UP + ROUNDS {
        for (_, ingest, sample) in &mut processes {
            let began = Instant::now();
            send(ingest, &request).await;
            if round >= WARM_UP {
                sample.add(began.elapsed());
            }
        }
    }
    table.heading("requests in flight in one process, durable");
    let alone = processes[0].2.p50();
    for (at_once, ingest, sample) in processes {
        let each = sample.p50() / REQUESTS as f64;
        let name = format!("{at_once} in flight: an event, and events per second against one");
        table.figure(&name, format!("{each:.0} us, {:.2} times", alone / sample.p50()));
        ingest.stop().await;
    }
}

/// All requests of a round wait at once; the process takes as many of them at a time as it was told.
async fn send(ingest: &Watched, request: &str) {
    let asked: Vec<_> = (0..REQUESTS)
        .map(|_| ingest.api.invoke(request.to_owned(), PATIENCE))
        .collect();
    for answer in asked {
        match answer.await.expect("the process runs") {
            Outcome::Response(reply) => assert_eq!(reply["statusCode"], 200, "{reply}"),
            Outcome::Error(error) => panic!("{error}"),
        }
    }
}
