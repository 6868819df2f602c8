//! `make bench`: what a beacon costs, against the floor that the database sets; one table, in one run.
//!
//! Against PostgreSQL of this machine over TLS, at `fsync = on` and `full_page_writes = off`, after warm-up: (a) the
//! same SQL call in a bare loop, (b) the release binary one request at a time through a Runtime API, (c) the same
//! without a database. Targets are printed beside what was measured; nothing fails here. `cargo bench --bench bench --
//! batches` measures one part alone.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a program for people to run"
)]

#[path = "../tests/it/support/mod.rs"]
mod support;

mod sample;
mod process;
mod table;
mod bare;
mod latency;
mod in_flight;
mod pooler;
mod start;
mod database;
mod batches;
mod decode;

use support::postgres::{Cluster, Version};
use support::site::Site;
use table::Table;

/// The release binary: this profile is the release profile.
const INGEST: &str = env!("CARGO_BIN_EXE_ingest");

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // As `ingest` does, and before the first connection.
    site_tracking::tls::skip_system_roots();
    let settings = [
        "full_page_writes = off",
        "shared_buffers = 256MB",
        "max_wal_size = 4GB",
        "autovacuum = off",
    ];
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start(&Version::Default.bin(), &settings)));
    let site = Site::on(cluster).await;
    let mut table = Table::of(cluster).await;
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|name| name == part);
    if is_wanted("latency") {
        for commit in [latency::Commit::Lazy, latency::Commit::Durable] {
            latency::measure(&site, commit, &mut table).await;
        }
    }
    if is_wanted("in_flight") {
        in_flight::measure(&site, &mut table).await;
    }
    if is_wanted("pooler") {
        pooler::measure(&site, &mut table).await;
    }
    if is_wanted("start") {
        start::measure(&site, &mut table).await;
    }
    if is_wanted("database") {
        database::measure(&site, &mut table).await;
    }
    if is_wanted("batches") {
        batches::measure(&site, &mut table).await;
    }
    if is_wanted("decode") {
        decode::measure(&mut table);
    }
    table.print();
}
