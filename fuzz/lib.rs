//! What must hold for every beacon, whatever bytes it is: the judges that the fuzz targets share.
//!
//! They know the documented limits and JSON as RFC 8259 and PostgreSQL have it, and share no code with what they
//! judge.

mod storable;
mod judge;

pub use judge::{judge, sender, Sent};
pub use storable::fault;

/// The key that the seeds carry.
pub const SITE_KEY: &str = "stk_AAAAAAAAAAAAAAAAAAAAAAAA21z7oP";
