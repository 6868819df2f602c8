//! `make chaos`: nothing that was acknowledged is lost, and nothing is stored twice, whatever goes wrong.
//!
//! Several worlds at once, in each of them senders, sandboxes with the real `ingest`, a real PostgreSQL and a queue;
//! faults of all kinds in an order that a printed seed decides, each until it has hit a request under way. Then what
//! the senders were told is held against what is stored. `cargo test` runs few of each kind, `make chaos` twenty.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a test fails by panicking, and tells its progress"
)]

mod settings;
mod seed;
mod fault;
mod call;
mod wire;
mod disk;
mod sandbox;
mod server;
mod source;
mod account;
mod sender;
mod world;
mod inject;
mod lane;
mod reconcile;
mod tally;
mod report;

#[path = "../it/support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::sync::Arc;

use fault::{Keeps, Kind};
use lane::Progress;
use reconcile::Verdict;
use report::Report;
use settings::Settings;
use tokio::task::JoinSet;

/// Enough that a lane that waits for a process keeps no other from running.
const THREADS: usize = 6;

fn main() -> ExitCode {
    let settings = Settings::read();
    if settings.is_only_listed {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .unwrap();
    let report = runtime.block_on(run(&settings));
    report.print();
    ExitCode::from(u8::from(!report.is_good()))
}

async fn run(settings: &Settings) -> Report {
    println!(
        "chaos: seed {}, {} faults of each kind, {} worlds and one without a queue",
        settings.seed, settings.faults, settings.worlds
    );
    let faults = settings.plan();
    let progress = Arc::new(Progress::new(faults.len() + Kind::ALONE.len()));
    let mut lanes = JoinSet::new();
    for place in 0..settings.worlds {
        let own = faults
            .iter()
            .skip(place)
            .step_by(settings.worlds)
            .copied()
            .collect();
        lanes.spawn(settings.lane(own, place, &progress, Keeps::All).run());
    }
    let alone = settings.lane(Kind::ALONE.to_vec(), settings.worlds, &progress, Keeps::Nothing);
    lanes.spawn(alone.run());
    let mut verdict = Verdict::default();
    let mut episodes = Vec::new();
    while let Some(ended) = lanes.join_next().await {
        let told = ended.unwrap_or_else(|error| panic!("seed {}: {error}", settings.seed));
        verdict.add(&told.attempts, &told.rows, &told.dead);
        verdict.miscounted.extend(told.miscounted);
        episodes.extend(told.episodes);
    }
    Report::new(settings, episodes, verdict)
}
