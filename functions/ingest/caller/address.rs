//! The client's address: whose word is taken for it, and how much of it is kept; pure.
//!
//! In: the gateway's event and the stack's settings. Out: an address or none, where it was found, and a note where
//! something about it is odd. Taken is the gateway's own word for who connected to it, or the n-th entry from the
//! right of `X-Forwarded-For` where the stack says so; each hop appends the address that connected to it, so that
//! everything further left is the sender's own invention. The body is never asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::api_event::ApiEvent;
use crate::config::{Edge, IpMode};

mod reading;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Bits of an IPv4 address that are kept of its network, /24.
const IPV4_NETWORK: u32 = u32::MAX << 8;

/// Bits of an IPv6 address that are kept of its network, /48: what one site is usually given.
const IPV6_NETWORK: u128 = u128::MAX << 80;

/// What is known of the client's address.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// What is stored.
    pub ip: Option<IpAddr>,
    /// Where it stood.
    pub place: Place,
    /// What is odd about it.
    pub notes: Vec<&'static str>,
}

/// Whose word was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The gateway's.
    SourceIp,
    /// The n-th from the right of `X-Forwarded-For`.
    ForwardedFor(u8),
    /// Nobody's: the stack keeps no addresses.
    Nowhere,
}

/// The client's address as far as the stack wants to keep it.
pub fn find(event: &ApiEvent<'_>, edge: &Edge) -> Found {
    if edge.ip_mode == IpMode::None {
        return Found {
            ip: None,
            place: Place::Nowhere,
            notes: Vec::new(),
        };
    }
    let (place, text) = word(event, edge.trusted_proxies);
    let ip = text.and_then(reading::read);
    let mut notes = Vec::new();
    if place == Place::SourceIp && edge.trusted_proxies > 0 {
        notes.push("forwarded_for_short");
    }
    if ip.is_none() {
        notes.push("client_ip_unreadable");
    }
    Found {
        ip: ip.map(|ip| kept(ip, edge.ip_mode)),
        place,
        notes,
    }
}

/// A load balancer's own word is the last entry. A list that is shorter than the stack says came around the
/// proxies: then nobody in it is trusted, and who connected to the gateway is the client.
fn word<'e>(event: &'e ApiEvent<'_>, trusted_proxies: u8) -> (Place, Option<&'e str>) {
    let nth = match trusted_proxies {
        0 if event.gateway.is_load_balancer() => 1,
        nth => nth,
    };
    let before = usize::from(nth).checked_sub(1);
    let entries = event.header_values(FORWARDED_FOR).rev();
    let forwarded = before.and_then(|before| entries.flat_map(|list| list.rsplit(',')).nth(before));
    match forwarded {
        Some(entry) => (Place::ForwardedFor(nth), Some(entry)),
        None => (Place::SourceIp, event.source_ip.as_deref()),
    }
}

fn kept(ip: IpAddr, mode: IpMode) -> IpAddr {
    match (mode, ip) {
        (IpMode::Truncated, IpAddr::V4(ip)) => Ipv4Addr::from_bits(ip.to_bits() & IPV4_NETWORK).into(),
        (IpMode::Truncated, IpAddr::V6(ip)) => Ipv6Addr::from_bits(ip.to_bits() & IPV6_NETWORK).into(),
        _ => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Explain;
    use serde_json::json;

    fn found(event: &serde_json::Value, ip_mode: IpMode, trusted_proxies: u8) -> (Option<String>, String) {
        let edge = Edge {
            ip_mode,
            trusted_proxies,
            explain: Explain::Off,
        };
        let raw = serde_json::value::to_raw_value(event).unwrap();
        let found = find(&ApiEvent::read(&raw), &edge);
        (found.ip.map(|ip| ip.to_string()), found.notes.join(" "))
    }

    #[test]
    fn the_word_that_is_taken_is_never_the_senders() {
        let http = |list: &str| {
            json!({ "requestContext": { "http": { "sourceIp": "192.0.2.9" } },
                "headers": { "x-forwarded-for": list } })
        };
        let balanced = |lists: &[&str]| json!({ "requestContext": { "elb": {} }, "multiValueHeaders": { "X-Forwarded-For": lists } });
        let nobody = json!({ "requestContext": { "elb": {} }, "headers": {} });
        for (event, trusted, ip, notes) in [
            (http("1.1.1.1, 2.2.2.2, 3.3.3.3"), 0, Some("192.0.2.9"), ""),
            (http("1.1.1.1, 2.2.2.2, 3.3.3.3"), 1, Some("3.3.3.3"), ""),
            (http("1.1.1.1, 2.2.2.2:80 ,3.3.3.3"), 2, Some("2.2.2.2"), ""),
            (http("1.1.1.1,2.2.2.2,3.3.3.3"), 3, Some("1.1.1.1"), ""),
            (
                http("1.1.1.1,2.2.2.2"),
                3,
                Some("192.0.2.9"),
                "forwarded_for_short",
            ),
            (http("1.1.1.1,unknown,3.3.3.3"), 2, None, "client_ip_unreadable"),
            (http("1.1.1.1,,3.3.3.3"), 2, None, "client_ip_unreadable"),
            (http(""), 1, None, "client_ip_unreadable"),
            (balanced(&["1.1.1.1, 2.2.2.2"]), 0, Some("2.2.2.2"), ""),
            (balanced(&["1.1.1.1, 2.2.2.2", "3.3.3.3"]), 1, Some("3.3.3.3"), ""),
            (balanced(&["1.1.1.1, 2.2.2.2", "3.3.3.3"]), 2, Some("2.2.2.2"), ""),
            (
                balanced(&["2.2.2.2"]),
                2,
                None,
                "forwarded_for_short client_ip_unreadable",
            ),
            (nobody, 0, None, "client_ip_unreadable"),
        ] {
            let expected = (ip.map(str::to_owned), notes.to_owned());
            assert_eq!(
                found(&event, IpMode::Full, trusted),
                expected,
                "{event} {trusted}"
            );
        }
    }

    #[test]
    fn the_stack_says_how_much_is_kept() {
        for (ip, mode, kept) in [
            ("203.0.113.77", IpMode::Full, Some("203.0.113.77")),
            ("203.0.113.77", IpMode::Truncated, Some("203.0.113.0")),
            ("2001:db8:1:2:3:4:5:6", IpMode::Full, Some("2001:db8:1:2:3:4:5:6")),
            ("2001:db8:1:2:3:4:5:6", IpMode::Truncated, Some("2001:db8:1::")),
            ("::ffff:203.0.113.77", IpMode::Truncated, Some("203.0.113.0")),
            ("203.0.113.77", IpMode::None, None),
            ("unknown", IpMode::None, None),
        ] {
            let event = json!({ "requestContext": { "identity": { "sourceIp": ip } } });
            let expected = (kept.map(str::to_owned), String::new());
            assert_eq!(found(&event, mode, 0), expected, "{ip} {mode:?}");
        }
    }
}
