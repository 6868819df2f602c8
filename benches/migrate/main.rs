//! `make bench-migrate`: what a deploy, its rehearsal and a delete cost, whom they keep waiting, and what a kill leaves.
//!
//! Against PostgreSQL of this machine over TLS, at `fsync = on`, through the development build, since the server is what
//! takes the time; one table, in one run.
//! Targets are printed beside what was measured; nothing fails here.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a program for people to run"
)]

#[path = "../../tests/it/support/mod.rs"]
mod support;
#[path = "../../tests/it/migrate_stack.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod migrate_stack;
#[path = "../../tests/it/migrate_predecessor.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod migrate_predecessor;
#[path = "../table.rs"]
mod table;

mod times;
mod waits;
mod crowd;
mod adoption;

use migrate_predecessor::{COMPATIBLE, SURPLUS};
use site_tracking::migrate::run::Pace;
use support::kills::{self, Tally};
use support::postgres::{Cluster, Version};
use table::Table;

const INGEST: &str = env!("CARGO_BIN_EXE_ingest");

/// Each wait for a lock that is longer is a line of the server's log. An autovacuum of the two million rows would keep
/// the locks of an adoption away as long as it lasts.
const SETTINGS: [&str; 4] = [
    "autovacuum = off",
    "full_page_writes = off",
    "log_lock_waits = on",
    "deadlock_timeout = 500ms",
];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let cluster = Cluster::start(&Version::Default.bin(), &SETTINGS);
    let mut table = Table::of(&cluster).await;
    let part = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let is_asked = |name: &str| part.as_deref().is_none_or(|part| part == name);
    if is_asked("times") {
        times::measure(&cluster, &mut table).await;
    }
    if is_asked("waits") {
        waits::measure(&cluster, &mut table).await;
    }
    if is_asked("adoption") {
        adoption::measure(&cluster, &mut table).await;
    }
    table.heading("by the word of the server");
    let log = cluster.log();
    let is_wait = |line: &&str| line.contains("still waiting for") && line.contains("on relation");
    let waits = log.lines().filter(is_wait).count();
    table.target(
        "waits for a table of more than 500 ms, in all of these",
        waits as f64,
        0.0,
        "",
    );
    if is_asked("crowd") {
        crowd::measure(&cluster, &mut table).await;
    }
    if is_asked("kills") {
        kill(&mut table).await;
    }
    table.print();
}

async fn kill(table: &mut Table) {
    table.heading("killed at each DDL command, up and down");
    for (version, name) in [
        (Version::Oldest, "PostgreSQL 12"),
        (Version::Newest, "PostgreSQL 18"),
    ] {
        told(table, name, kills::everywhere(version, 1).await);
        let tally = kills::of_an_adoption(version, COMPATIBLE, Pace::InOneGo, 1).await;
        told(table, &format!("{name}, an adoption"), tally);
        let tally = kills::of_an_adoption(version, SURPLUS, Pace::InSteps, 1).await;
        told(table, &format!("{name}, an adoption in steps"), tally);
    }
}

fn told(table: &mut Table, label: &str, tally: Tally) {
    let places = format!("{} ({} behind a step that lasts)", tally.places, tally.resumed);
    table.figure(&format!("places, {label}"), places);
    table.target("  something was left", tally.leftovers as f64, 0.0, "");
}
