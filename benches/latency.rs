//! One beacon at a time: (a) bare, (b) through the function, (c) through the function without a database.
//!
//! The three take turns one by one: what else the machine does falls on all of them, and each finds the caches as
//! the others left them. A bare loop on its own is faster by what it finds there, not by what it does.

use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use crate::bare::{event, Bare};
use crate::process;
use crate::sample::Sample;
use crate::support::gateway::{Request, Shape};
use crate::support::proxy::Proxy;
use crate::support::site::{Site, Watched};
use crate::table::Table;
use crate::INGEST;

const ROUNDS: usize = 3_000;
const WARM_UP: usize = 500;

/// `p50(b)` may exceed `p50(c)` by this many times `p50(a)`.
const OVERHEAD: f64 = 1.1;

/// Resident memory after all of it, MiB.
const RESIDENT_MIB: f64 = 12.0;

/// Whether a commit waits for the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// `synchronous_commit = off`.
    Lazy,
    /// `synchronous_commit = on`.
    Durable,
}

impl Commit {
    fn setting(self) -> &'static str {
        match self {
            Self::Lazy => "off",
            Self::Durable => "on",
        }
    }
}

#[derive(Default)]
struct Measured {
    bare: Sample,
    function: Sample,
    without: Sample,
    own_stages: Sample,
    cpu_us: f64,
    resident_mib: f64,
}

pub async fn measure(site: &Site, commit: Commit, table: &mut Table) {
    let sql = format!(
        "alter database {} set synchronous_commit = {}",
        site.database.name,
        commit.setting()
    );
    site.admin.batch_execute(&sql).await.unwrap();
    let measured = rounds(site).await;
    table.heading(&format!(
        "one event of 1 KB at a time, synchronous_commit {} (us)",
        commit.setting()
    ));
    for (name, sample) in [
        ("(a) the SQL call in a bare loop", &measured.bare),
        ("(b) the function", &measured.function),
        ("(c) the function without a database", &measured.without),
    ] {
        let [p50, p90, p99] = [50, 90, 99].map(|percent| sample.percentile(percent));
        table.figure(name, format!("p50 {p50:.0}  p90 {p90:.0}  p99 {p99:.0}"));
    }
    if commit == Commit::Lazy {
        let most = measured.without.p50() + OVERHEAD * measured.bare.p50();
        table.target(
            "p50(b) against p50(c) + 1.1 p50(a)",
            measured.function.p50(),
            most,
            "us",
        );
        table.target(
            "resident memory of the function",
            measured.resident_mib,
            RESIDENT_MIB,
            "MiB",
        );
        table.figure(
            "messages of a warm beacon (S is a round trip)",
            messages(site).await,
        );
    }
    let own_stages = format!("{:.0} us", measured.own_stages.p50());
    table.figure(
        "from the gateway's event to its answer, less the database",
        own_stages,
    );
    table.figure(
        "CPU of the function per beacon",
        format!("{:.0} us", measured.cpu_us),
    );
}

async fn rounds(site: &Site) -> Measured {
    let raw = RawValue::from_string(event()).unwrap();
    let bare = Bare::connect(site).await;
    let ingest = start(site, &[]).await;
    let full = Request::post(Shape::V2, site.key.expose(), raw.get()).json();
    let none = Request::post(Shape::V2, site.key.expose(), "[]").json();
    for _ in 0..WARM_UP {
        bare.call(&raw, 1).await;
        send(&ingest, &full).await;
        send(&ingest, &none).await;
    }
    let mut measured = Measured::default();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        bare.call(&raw, 1).await;
        measured.bare.add(began.elapsed());
        let began = Instant::now();
        send(&ingest, &full).await;
        measured.function.add(began.elapsed());
        let began = Instant::now();
        send(&ingest, &none).await;
        measured.without.add(began.elapsed());
    }
    let before = process::cpu(ingest.pid());
    for _ in 0..ROUNDS {
        send(&ingest, &full).await;
    }
    measured.cpu_us = (process::cpu(ingest.pid()) - before).as_secs_f64() * 1e6 / ROUNDS as f64;
    measured.resident_mib = process::resident_mib(ingest.pid());
    measured.own_stages = own_stages(&ingest.stop().await);
    measured
}

/// By the function's own log: what of a beacon's time was not the database's.
fn own_stages(log: &str) -> Sample {
    let mut sample = Sample::default();
    for line in log.lines().filter(|line| line.contains("\"Stored\":1,")) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let milliseconds = |name: &str| line[name].as_f64().unwrap();
        let own = milliseconds("Duration") - milliseconds("DatabaseTime");
        sample.add(Duration::from_secs_f64(own / 1e3));
    }
    sample
}

async fn messages(site: &Site) -> String {
    let proxy = Proxy::clear_text(site.database.cluster.port).await;
    let ingest = start(site, &[("DB_PORT", &proxy.port.to_string())]).await;
    let full = Request::post(Shape::V2, site.key.expose(), &event()).json();
    send(&ingest, &full).await;
    proxy.messages();
    send(&ingest, &full).await;
    let messages = proxy.messages();
    ingest.stop().await;
    messages
}

async fn start(site: &Site, changed: &[(&'static str, &str)]) -> Watched {
    let changed: Vec<_> = changed.iter().copied().chain([("LOG_LEVEL", "info")]).collect();
    site.start_with(INGEST, &site.environment_with(&changed)).await
}

async fn send(ingest: &Watched, event: &str) {
    let reply = ingest.invoke(event.to_owned()).await;
    assert_eq!(reply["statusCode"], 200, "{reply}");
}
