//! Everything with a socket, against real PostgreSQL and the real binaries: a file per promise.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod support;

mod support_works;
mod v001_beacon;
mod v001_by_hand;
mod v001_optional;
mod v001_privileges;
mod v001_rollback;
mod v001_table;
mod v001_verify;
