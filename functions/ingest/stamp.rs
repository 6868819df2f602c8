//! What all rows of one beacon bear besides their events.
//!
//! It is made once, when the beacon arrives, and carried through every attempt, the queue and the replay: the row has
//! the receipt, the time and the sender that it would have had at first. It holds the site key's hash, never the key.

use std::net::IpAddr;
use std::time::SystemTime;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::beacon::Keys;

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

impl Stamp {
    /// Gives events that turn out to be no storable ones their keys: the same at each attempt.
    pub fn quarantine_keys(&self) -> Keys<'_> {
        let since_1970 = self.received.duration_since(SystemTime::UNIX_EPOCH);
        Keys::of_sender(
            self.api_key_hk,
            self.client_ip,
            self.user_agent.as_deref().unwrap_or_default(),
            since_1970.unwrap_or_default().as_secs() / 3600,
        )
    }
}
