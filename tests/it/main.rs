//! Everything with a socket, against real PostgreSQL and the real binaries: a file per promise.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod support;

/// The real binary.
const INGEST: &str = env!("CARGO_BIN_EXE_ingest");

mod support_works;
mod house_rules;
mod template;
mod make_run;
mod ingest_answers;
mod ingest_senders;
mod ingest_events;
mod http_api;
mod browser;
