//! Everything with a socket, against real PostgreSQL and the real binaries: a file per promise.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod support;

mod support_works;
mod migrate_stack;
mod migrate_deploy;
mod migrate_bad_luck;
mod migrate_answer;
mod migrate_actions;
mod migrate_at_once;
