//! `make bench-migrate`: what a deploy, its rehearsal and a delete cost, whom they keep waiting, and what a kill leaves.
//!
//! Against PostgreSQL of this machine over TLS, at `fsync = on`, through the release binary; one table, in one run.
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
#[path = "../table.rs"]
mod table;

mod times;
mod waits;
mod crowd;

use support::kills;
use support::postgres::{Cluster, Version};
use table::Table;

const INGEST: &str = env!("CARGO_BIN_EXE_ingest");

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let cluster = Cluster::start(&Version::Default.bin(), &["full_page_writes = off"]);
    let mut table = Table::of(&cluster).await;
    times::measure(&cluster, &mut table).await;
    waits::measure(&cluster, &mut table).await;
    crowd::measure(&cluster, &mut table).await;
    table.heading("killed at each DDL command, up and down");
    for (version, name) in [
        (Version::Oldest, "PostgreSQL 12"),
        (Version::Newest, "PostgreSQL 18"),
    ] {
        let tally = kills::everywhere(version, 1).await;
        table.figure(&format!("places, {name}"), tally.places.to_string());
        table.target("  something was left", tally.leftovers as f64, 0.0, "");
    }
    table.print();
}
