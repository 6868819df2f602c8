//! The form of a site key: how one is made, how one is told from garbage, and its hash.
//!
//! `stk_`, 24 random characters of base 62 (142 bits), 6 characters of checksum: 34 ASCII characters. The checksum
//! is the first four bytes, big-endian, of SHA-256 of the 28 characters before it, in base 62, left-padded with
//! `0`; it lets garbage be refused without asking the database. Which tenant a key names is not known here.

mod hidden;

use std::fmt;

use sha2::{Digest, Sha256};

pub use hidden::encoded;

/// What every site key begins with.
pub const PREFIX: &str = "stk_";

/// Characters of a site key: prefix, random part, checksum.
pub const LENGTH: usize = PREFIX.len() + RANDOM + CHECKSUM;

const RANDOM: usize = 24;
const CHECKSUM: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A string of the right form. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SiteKey(String);

impl SiteKey {
    /// A new key from the operating system's random source.
    ///
    /// # Errors
    /// The random source failed.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut key = String::with_capacity(LENGTH);
        key.push_str(PREFIX);
        while key.len() < PREFIX.len() + RANDOM {
            let mut bytes = [0_u8; RANDOM];
            getrandom::fill(&mut bytes)?;
            // 248 = 4 × 62: bytes above it would make the first characters likelier.
            let fair = bytes
                .iter()
                .filter(|byte| **byte < 248)
                .map(|byte| BASE62[usize::from(byte % 62)] as char);
            key.extend(fair.take(PREFIX.len() + RANDOM - key.len()));
        }
        let checksum = checksum(&key);
        Ok(Self(key + &checksum))
    }

    /// The key that `text` is, white space around it trimmed; `None` where form or checksum is not a key's.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let body = text.strip_prefix(PREFIX)?;
        if text.len() != LENGTH || !body.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let (head, tail) = text.split_at(LENGTH - CHECKSUM);
        (checksum(head) == tail).then(|| Self(text.to_owned()))
    }

    /// Whether `text` sets out to be a site key, rightly formed or not.
    pub fn is_claimed_by(text: &str) -> bool {
        text.trim_start().starts_with(PREFIX)
    }

    /// `api_key_hk`: SHA-256 of the key's bytes.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// `text` with this key shortened wherever it stands, also where characters of it are percent-encoded; `None`
    /// where it does not stand.
    pub fn taken_from(&self, text: &str) -> Option<String> {
        hidden::without(text, &self.0)
    }

    /// The key itself, for the one answer that shows it to who made it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SiteKey(..)")
    }
}

fn checksum(head: &str) -> String {
    let digest = Sha256::digest(head.as_bytes());
    let mut rest = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    let mut tail = [b'0'; CHECKSUM];
    for digit in tail.iter_mut().rev() {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    tail.iter().map(|digit| *digit as char).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_is_parsed_and_no_two_are_equal() {
        let (one, two) = (SiteKey::generate().unwrap(), SiteKey::generate().unwrap());
        assert_eq!(one.expose().len(), LENGTH);
        assert_eq!(SiteKey::parse(&format!(" {}\n", one.expose())), Some(one.clone()));
        assert_ne!(one, two);
    }

    #[test]
    fn the_form_is_the_same_for_ever() {
        let key = SiteKey::parse("stk_AAAAAAAAAAAAAAAAAAAAAAAA21z7oP").expect("a key made by hand");
        let hash: String = key.hash().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hash,
            "41d0c993770dc6cdb4c365c4e9cc0b443d33d4122ca0666d73d117cd57abbb6c"
        );
    }

    #[test]
    fn one_wrong_character_anywhere_is_no_key() {
        let key = SiteKey::generate().unwrap();
        for at in 0..LENGTH {
            let mut bytes = key.expose().as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(SiteKey::parse(&changed), None, "{changed}");
        }
    }

    #[test]
    fn what_is_no_key_is_not_taken_for_one() {
        for text in [
            "",
            "stk_",
            "stk_short",
            "abc",
            "stk_ÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄ",
            "stk_AAAAAAAAAAAAAAAAAAAAAAAA000000",
        ] {
            assert_eq!(SiteKey::parse(text), None, "{text}");
        }
    }
}
