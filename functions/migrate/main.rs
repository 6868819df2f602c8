//! Cold start of `migrate`.
fn main() {}
