//! A million requests through one process: its memory at the end is what it was after the first ten thousand.

use std::collections::VecDeque;
use std::process::Stdio;
use std::time::Instant;

use tokio::process::{Child, Command};

use crate::process::{cpu, resident_mib};
use crate::support::function::REMAINING;
use crate::support::gateway::{Answer, Request, Shape};
use crate::support::postgres::{Cluster, Version};
use crate::support::runtime_api::{Outcome, RuntimeApi};
use crate::support::site::Site;
use crate::INGEST;

const REQUESTS: usize = 1_000_000;

/// Caches are filled and pages touched.
const SETTLED: usize = 10_000;

/// So many are on their way at once.
const AT_ONCE: usize = 8;

/// What the process may grow by.
const GROWTH_MIB: f64 = 2.0;

/// Rows are thrown away after so many, so that it is memory that is measured and no disk.
const ROWS_MAX: usize = 50_000;

pub async fn measure() {
    let settings = ["fsync = off", "full_page_writes = off", "autovacuum = off"];
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start(&Version::Default.bin(), &settings)));
    let site = Site::on(cluster).await;
    let api = RuntimeApi::start().await;
    let mut child = start(&site, &api);
    let pid = child.id().unwrap();
    let event = Request::post(Shape::V2, site.key.expose(), &body()).json();
    let (began, mut settled_mib, mut on_their_way) = (Instant::now(), 0.0, VecDeque::new());
    for done in 1..=REQUESTS {
        while on_their_way.len() < AT_ONCE {
            on_their_way.push_back(api.invoke(event.clone(), REMAINING));
        }
        let outcome = on_their_way.pop_front().unwrap().await;
        let Ok(Outcome::Response(reply)) = outcome else {
            panic!("no answer: {outcome:?}");
        };
        assert_eq!(Answer::of(&reply).status, 200, "{reply}");
        if done == SETTLED {
            settled_mib = resident_mib(pid);
        }
        if done.is_multiple_of(ROWS_MAX) {
            clear(&site).await;
            let rate = done as f64 / began.elapsed().as_secs_f64();
            println!(
                "after {done}: {:.1} MiB, {rate:.0} in a second",
                resident_mib(pid)
            );
        }
    }
    let end_mib = resident_mib(pid);
    let cpu_us = cpu(pid).as_secs_f64() * 1e6 / REQUESTS as f64;
    println!("{REQUESTS} requests: {end_mib:.1} MiB, {settled_mib:.1} MiB after {SETTLED}; {cpu_us:.0} us of CPU each");
    child.kill().await.unwrap();
    assert!(
        end_mib <= settled_mib + GROWTH_MIB,
        "it grew by more than {GROWTH_MIB} MiB"
    );
}

/// A process whose log goes nowhere: a million lines of it are nobody's.
fn start(site: &Site, api: &RuntimeApi) -> Child {
    Command::new(INGEST)
        .env_clear()
        .envs(site.environment())
        .env("AWS_LAMBDA_RUNTIME_API", &api.address)
        .env("AWS_LAMBDA_FUNCTION_NAME", "load")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_LAMBDA_MAX_CONCURRENCY", AT_ONCE.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Of the usual size.
fn body() -> String {
    format!(r#"{{"event":"page_view","title":"{}"}}"#, "x".repeat(900))
}

/// Those that are on their way wait for it.
async fn clear(site: &Site) {
    site.admin
        .batch_execute("truncate raw.site_tracking_events_r")
        .await
        .unwrap();
}
