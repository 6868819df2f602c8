//! What cannot be a JSON document, as one that holds its bytes; pure.
//!
//! In: exact bytes, why they cannot be stored, and who sent them when. Out: the document `{"_quarantine": …}` and
//! its key. The key is made of what was sent, from where and in which hour: the same bytes come again are one row,
//! and those of two visitors are two.

use std::collections::HashMap;
use std::net::IpAddr;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::super::failure::Flaw;
use super::storable;
use crate::site_key::SiteKey;

/// Version of the document's form.
const VERSION: u8 = 1;

/// Sets these keys apart from those that events name.
const DOMAIN: &[u8] = b"_quarantine\0";

/// Who sent a beacon, and when: what tells two visitors apart that send the same.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'s> {
    /// Two keys of a tenant are two sites.
    pub site_key: &'s SiteKey,
    /// The client's address, as much of it as the stack keeps: from a key that is made of more it could be found
    /// out. Where the stack keeps less, visitors who send the same bytes in the same hour are told apart less.
    pub address: Option<IpAddr>,
    /// The user agent, or nothing.
    pub user_agent: &'s str,
    /// Hours since 1970, UTC.
    pub hour: u64,
}

/// Gives quarantined events of one beacon their keys.
pub struct Keys<'s> {
    site_key: &'s SiteKey,
    address: Option<IpAddr>,
    user_agent: &'s str,
    hour: u64,
    given: HashMap<[u8; 32], u64>,
}

impl<'s> Keys<'s> {
    /// For one beacon of `sender`.
    pub fn new(sender: Sender<'s>) -> Self {
        Self {
            site_key: sender.site_key,
            address: sender.address,
            user_agent: sender.user_agent,
            hour: sender.hour,
            given: HashMap::new(),
        }
    }

    /// The key of the event that is `bytes`. The same bytes a second time in one beacon are a second event.
    pub fn of(&mut self, bytes: &[u8]) -> Uuid {
        let content: [u8; 32] = Sha256::digest(bytes).into();
        let nth = self.given.entry(content).or_default();
        let address = self
            .address
            .map(|address| address.to_string())
            .unwrap_or_default();
        let digest = Sha256::new()
            .chain_update(DOMAIN)
            .chain_update(self.site_key.hash())
            .chain_update(content)
            .chain_update(address)
            .chain_update([0])
            .chain_update(self.user_agent)
            .chain_update([0])
            .chain_update(self.hour.to_be_bytes())
            .chain_update(nth.to_be_bytes())
            .finalize();
        *nth += 1;
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        Uuid::new_v8(key)
    }
}

/// `bytes` as a document.
pub fn document(bytes: &[u8], tag: &str, offset: usize) -> String {
    let bytes = STANDARD.encode(bytes);
    format!(
        r#"{{"_quarantine":{{"v":{VERSION},"encoding":"base64","bytes":"{bytes}","tag":"{tag}","offset":{offset}}}}}"#
    )
}

/// Why `text`, which the sender wrote as `exact` where that differs, cannot be stored, and at which byte. What can be is
/// taken off `values_left`.
pub fn flaw(text: &str, exact: Option<&[u8]>, values_left: &mut usize) -> Option<(Flaw, usize)> {
    let invalid = exact.and_then(|exact| std::str::from_utf8(exact).err());
    match invalid {
        Some(error) => Some((Flaw::InvalidUtf8, error.valid_up_to())),
        None => storable::flaw(text, values_left),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(site_key: &SiteKey) -> Sender<'_> {
        Sender {
            site_key,
            address: "203.0.113.7".parse().ok(),
            user_agent: "agent",
            hour: 480_000,
        }
    }

    #[test]
    fn a_document_gives_its_bytes_back() {
        let document: serde_json::Value = serde_json::from_str(&document(b"\x00\xff", "nul", 1)).unwrap();
        let expected = serde_json::json!({ "_quarantine":
            { "v": 1, "encoding": "base64", "bytes": "AP8=", "tag": "nul", "offset": 1 } });
        assert_eq!(document, expected);
    }

    #[test]
    fn a_retry_has_the_same_keys_and_anything_else_has_others() {
        let first = |sender| Keys::new(sender).of(b"x");
        let (key, other_key) = (SiteKey::generate().unwrap(), SiteKey::generate().unwrap());
        let sender = sender(&key);
        assert_eq!(first(sender), first(sender));
        assert_eq!(first(sender).get_version_num(), 8);
        for other in [
            Sender {
                site_key: &other_key,
                ..sender
            },
            Sender {
                address: "203.0.113.8".parse().ok(),
                ..sender
            },
            Sender {
                address: None,
                ..sender
            },
            Sender {
                user_agent: "other",
                ..sender
            },
            Sender {
                hour: 480_001,
                ..sender
            },
        ] {
            assert_ne!(first(sender), first(other), "{other:?}");
        }
        assert_ne!(first(sender), Keys::new(sender).of(b"y"));
    }

    #[test]
    fn the_same_bytes_twice_in_one_beacon_are_two_events() {
        let key = SiteKey::generate().unwrap();
        let both = || {
            let mut keys = Keys::new(sender(&key));
            [keys.of(b"x"), keys.of(b"x")]
        };
        assert_ne!(both()[0], both()[1]);
        assert_eq!(both(), both());
    }
}
