//! What all rows of one beacon bear besides their events.
//!
//! It is made once, when the beacon arrives, and carried through every attempt, the queue and the replay: the row has
//! the receipt, the time and the sender that it would have had at first. It holds the site key's hash, never the key.

use std::net::IpAddr;
use std::time::SystemTime;

use serde_json::value::RawValue;
use uuid::Uuid;

/// Who sent a beacon, when, and the receipt that it was given.
#[derive(Debug)]
pub struct Stamp {
    /// SHA-256 of the site key.
    pub api_key_hk: [u8; 32],
    /// The page's origin.
    pub origin: Option<String>,
    /// The client's address as far as the stack keeps it.
    pub client_ip: Option<IpAddr>,
    /// The client's program.
    pub user_agent: Option<String>,
    /// Column `request`.
    pub request: Box<RawValue>,
    /// UUIDv7 in `batch_id` of its rows.
    pub receipt: Uuid,
    /// When the gateway received it.
    pub received: SystemTime,
}
