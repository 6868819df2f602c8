//! An entry of a site key's list of origins: what an operator writes, as a browser would send it.
//!
//! In: text. Out: scheme, host and port in lower case, with `*.` for subdomains, or one of the words `null` and
//! `required`. What an entry lets in is decided by `raw.origin_is_allowed`; pure.

use super::failure::Failure;
use crate::config::withheld;

/// An entry as it is stored: as a browser would send it, in lower case.
///
/// # Errors
/// It has a path, a default port, or not the form.
pub fn read(entry: &str) -> Result<String, Failure> {
    let origin = entry.trim().to_ascii_lowercase();
    let origin = origin.strip_suffix('/').unwrap_or(&origin);
    if origin == "null" || origin == "required" || is_origin(origin) {
        return Ok(origin.to_owned());
    }
    Err(Failure::request(
        format!("allowed_origins has an entry of {} that is no origin", withheld(entry)),
        "write scheme, host and port as a browser sends them: https://shop.example, https://*.example.com, null, required",
    ))
}

fn is_origin(origin: &str) -> bool {
    let Some((scheme, rest)) = origin.split_once("://") else {
        return false;
    };
    let rest = rest.strip_prefix("*.").unwrap_or(rest);
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let default_port = match scheme {
        "https" => "443",
        "http" => "80",
        _ => "",
    };
    let port_is_fine = port.is_none_or(|port| port.parse::<u16>().is_ok() && port != default_port);
    let host_is_fine = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .map_or_else(
            || {
                !host.is_empty()
                    && host
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
            },
            |address| address.parse::<std::net::Ipv6Addr>().is_ok(),
        );
    let scheme_is_fine = scheme
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    scheme_is_fine && host_is_fine && port_is_fine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for (entry, is) in [
            ("https://shop.example", Some("https://shop.example")),
            (" HTTPS://Shop.Example/ ", Some("https://shop.example")),
            ("https://*.example.com", Some("https://*.example.com")),
            ("http://localhost:3000", Some("http://localhost:3000")),
            ("http://[::1]:3000", Some("http://[::1]:3000")),
            ("http://[::1]", Some("http://[::1]")),
            ("chrome-extension://abcdef", Some("chrome-extension://abcdef")),
            ("null", Some("null")),
            ("required", Some("required")),
            ("https://shop.example:443", None),
            ("http://shop.example:80", None),
            ("https://shop.example/path", None),
            ("https://shop.example:port", None),
            ("https://shop.*.example", None),
            ("https://", None),
            ("://shop.example", None),
            ("shop.example", None),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(read(entry).ok().as_deref(), is, "{entry:?}");
        }
    }
}
