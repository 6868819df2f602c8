//! Cold start of `ingest`.
fn main() {}
