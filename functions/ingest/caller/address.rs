//! A client's address, read as a person would; pure.
//!
//! PostgreSQL's `inet` refuses ports, brackets, zone ids and spaces, and gateways and proxies have been seen to
//! deliver all of them. What is still no address is `None`, never an error. An IPv4 address in IPv6 dress is IPv4.

use std::net::{IpAddr, Ipv4Addr};

/// The address in `text`, without port, brackets and zone.
pub fn read(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let host = match text.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next()?,
        // One colon divides an IPv4 address from its port; an IPv6 address has two at least.
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => host,
            _ => text,
        },
    };
    let host = host.split('%').next()?;
    let ip = host.parse().ok().or_else(|| decimal(host).map(IpAddr::V4))?;
    Some(IpAddr::to_canonical(&ip))
}

/// Four decimal numbers, leading zeros meaning nothing.
fn decimal(host: &str) -> Option<Ipv4Addr> {
    let mut octets = [0_u8; 4];
    let mut parts = host.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        let is_number = !part.is_empty() && part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
        *octet = is_number.then(|| part.parse().ok())??;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_a_person_would() {
        for (text, expected) in [
            ("203.0.113.7", Some("203.0.113.7")),
            (" 203.0.113.7 ", Some("203.0.113.7")),
            ("203.0.113.7:51234", Some("203.0.113.7")),
            ("010.1.01.0001", Some("10.1.1.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("\"[2001:db8::1]:443\"", Some("2001:db8::1")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("[fe80::1%25eth0]:80", Some("fe80::1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("[::ffff:192.0.2.1]:80", Some("192.0.2.1")),
            ("::1", Some("::1")),
            ("unknown", None),
            ("", None),
            ("256.1.1.1", None),
            ("1.2.3", None),
            ("1.2.3.4.5", None),
            ("+1.2.3.4", None),
            ("203.0.113.7, 10.0.0.1", None),
            ("[", None),
            ("😀", None),
        ] {
            assert_eq!(read(text), expected.map(|ip| ip.parse().unwrap()), "{text:?}");
        }
    }
}
