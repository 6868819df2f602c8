//! What `ingest` keeps of a sender, whom it believes, and what it tells.
//!
//! In: `IP_MODE`, `TRUSTED_PROXIES`, `EXPLAIN`. Out: one value of each, or the sentence that names the fault.

use super::{invalid, Environment, Invalid};

/// Settings of `ingest` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// How much of an address is stored.
    pub ip_mode: IpMode,
    /// Which entry of `X-Forwarded-For` is the client's, counted from the right; 0: the gateway's word is taken.
    pub trusted_proxies: u8,
    /// Whether a sender may ask what would become of its beacon.
    pub explain: Explain,
}

/// How much of a client's address is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpMode {
    /// All of it.
    Full,
    /// Its network: /24 of IPv4, /48 of IPv6.
    Truncated,
    /// Nothing.
    None,
}

/// Whether `X-Ingest-Explain: 1` is answered with an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explain {
    /// It is.
    On,
    /// The header means nothing.
    Off,
}

impl Environment {
    /// What `ingest` does at its edge.
    ///
    /// # Errors
    /// The first variable that cannot be understood.
    pub fn edge(&self) -> Result<Edge, Invalid> {
        Ok(Edge {
            ip_mode: match self.text_or_default("IP_MODE")?.as_str() {
                "full" => IpMode::Full,
                "truncated" => IpMode::Truncated,
                "none" => IpMode::None,
                other => return Err(must_be("IP_MODE", "full, truncated or none", other)),
            },
            trusted_proxies: {
                let text = self.text_or_default("TRUSTED_PROXIES")?;
                let number = text.parse();
                number.map_err(|_| must_be("TRUSTED_PROXIES", "a number from 0 to 255", &text))?
            },
            explain: match self.text_or_default("EXPLAIN")?.as_str() {
                "on" => Explain::On,
                "off" => Explain::Off,
                other => return Err(must_be("EXPLAIN", "on or off", other)),
            },
        })
    }
}

fn must_be(name: &'static str, rule: &str, value: &str) -> Invalid {
    invalid(name, format!("must be {rule}, got {}", super::withheld(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn unset_it_keeps_addresses_trusts_nobody_and_explains_nothing() {
        let edge = Environment(BTreeMap::new()).edge();
        let expected = Edge {
            ip_mode: IpMode::Full,
            trusted_proxies: 0,
            explain: Explain::Off,
        };
        assert_eq!(edge, Ok(expected));
    }

    #[test]
    fn each_value_is_understood_or_named() {
        for (name, value, expected) in [
            ("IP_MODE", "full", Ok(())),
            ("IP_MODE", "truncated", Ok(())),
            ("IP_MODE", "none", Ok(())),
            (
                "IP_MODE",
                "None",
                Err("must be full, truncated or none, got 4 characters"),
            ),
            ("TRUSTED_PROXIES", "0", Ok(())),
            ("TRUSTED_PROXIES", "255", Ok(())),
            (
                "TRUSTED_PROXIES",
                "256",
                Err("must be a number from 0 to 255, got 3 characters"),
            ),
            ("TRUSTED_PROXIES", "-1", Err("got 2 characters")),
            ("EXPLAIN", "on", Ok(())),
            ("EXPLAIN", "1", Err("must be on or off, got 1 character")),
        ] {
            let environment = Environment(BTreeMap::new()).replaced([(name, Some(value.to_owned()))]);
            match (environment.edge(), expected) {
                (Ok(_), Ok(())) => {}
                (Err(fault), Err(says)) => assert!(fault.to_string().contains(says), "{fault}"),
                (found, _) => panic!("{name}={value}: {found:?}"),
            }
        }
    }
}
