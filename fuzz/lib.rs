//! What must hold for every beacon, whatever bytes it is: the judges that the fuzz targets share.
//!
//! They know the documented limits and JSON as RFC 8259 and PostgreSQL have it, and share no code with what they
//! judge.

mod storable;
mod judge;
mod tokens;

use tokens::changed;

pub use judge::{judge, sender, Sent};
pub use storable::fault;

/// The key that the seeds carry.
pub const SITE_KEY: &str = "stk_AAAAAAAAAAAAAAAAAAAAAAAA21z7oP";

/// Half of all changes are libFuzzer's own, of bytes, the others are of values; for `fuzz_mutator!`.
pub fn mutated(data: &mut [u8], size: usize, max_size: usize, draw: u32) -> usize {
    let changed = (draw % 2 == 0)
        .then(|| changed(&data[..size], max_size, draw / 2))
        .flatten();
    let Some(changed) = changed else {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    };
    data[..changed.len()].copy_from_slice(&changed);
    changed.len()
}
