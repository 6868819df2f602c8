//! Where the installed tools are: `.tools/env`, written by `tools/install`.

use std::path::PathBuf;

/// The value of `name` in `.tools/env`.
///
/// # Panics
/// The tools are not installed, or this one is not among them; the message says how to get it.
pub fn path(name: &str) -> PathBuf {
    let file = project().join(".tools/env");
    let text = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}; run `make tools` first", file.display()));
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let value = value.unwrap_or_else(|| panic!("{} has no line {name}=; run `make tools`", file.display()));
    PathBuf::from(value)
}

/// The checkout.
pub fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
