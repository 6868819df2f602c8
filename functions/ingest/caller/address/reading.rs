//! An address as text, read as a person would; pure.
//!
//! In: what a gateway or a proxy wrote. Out: the address without port, brackets and zone, or nothing. PostgreSQL's `inet` refuses ports, brackets, zone ids and spaces, and gateways and proxies have been seen to
//! deliver all of them. Leading zeros mean nothing, and an IPv4 address in IPv6 dress is IPv4.

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
    let ip = host.parse().ok().or_else(|| with_zeros(host))?;
    Some(IpAddr::to_canonical(&ip))
}

/// An address whose decimal numbers have leading zeros, which the standard library takes for a trap.
fn with_zeros(host: &str) -> Option<IpAddr> {
    match host.rsplit_once(':') {
        Some((before, last)) => format!("{before}:{}", decimal(last)?).parse().ok(),
        None => decimal(host).map(IpAddr::V4),
    }
}

/// Four decimal numbers, leading zeros meaning nothing.
fn decimal(host: &str) -> Option<Ipv4Addr> {
    let mut octets = [0_u8; 4];
    let mut parts = host.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
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
            ("192.168.000000.09", Some("192.168.0.9")),
            ("010.1.01.0001:80", Some("10.1.1.1")),
            ("::ffff:010.001.1.09", Some("10.1.1.9")),
            ("2001:db8::010.1.1.1", Some("2001:db8::a01:101")),
            ("0:0:0:0:0:ffff:192.0.2.1", Some("192.0.2.1")),
            ("::FFFF:C000:0201", Some("192.0.2.1")),
            ("::192.0.2.1", Some("::192.0.2.1")),
            ("2001:0DB8::0001", Some("2001:db8::1")),
            ("_hidden", None),
            ("unknown:4711", None),
            ("0x7f.0.0.1", None),
            ("2130706433", None),
            ("1..2.3", None),
            ("::ffff:1.2.3", None),
            ("::ffff:010.1.1.256", None),
            ("203.0.113.7/24", None),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("\"[2001:db8::1]:443\"", Some("2001:db8::1")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("[fe80::1%25eth0]:80", Some("fe80::1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("[::ffff:192.0.2.1]:80", Some("192.0.2.1")),
            ("::1", Some("::1")),
            ("\t203.0.113.7\u{a0}", Some("203.0.113.7")),
            ("203.0.113.7%eth0", Some("203.0.113.7")),
            ("fe80::1%", Some("fe80::1")),
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
