//! `make load`: a crowd of sandboxes against one database, and a million requests through one process.
//!
//! The release binary under a Runtime API, real PostgreSQL over TLS. What is promised is asserted; figures are printed.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a program for people to run"
)]

#[path = "../../tests/it/support/mod.rs"]
mod support;
#[path = "../process.rs"]
mod process;

mod sandboxes;
mod million;

/// The release binary: this profile is the release profile.
const INGEST: &str = env!("CARGO_BIN_EXE_ingest");

/// `sandboxes` or `million` asks for one of the two.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let asked: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let is_asked = |name: &str| asked.is_empty() || asked.iter().any(|word| word == name);
    if is_asked("sandboxes") {
        sandboxes::measure().await;
    }
    if is_asked("million") {
        million::measure().await;
    }
}
