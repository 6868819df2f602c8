//! Who sent the beacon, and what its request says besides the body; pure.
//!
//! In: the gateway's event and the stack's settings. Out: the site key, the client's address, its user agent, its origin, and the record
//! that goes into column `request`. Only the key can be refused here: an address or a header that makes no sense
//! is left out or cut, with a note, and never costs an event. The key stands in nothing that is stored.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::SystemTime;

use uuid::Uuid;

use super::api_event::ApiEvent;
use super::beacon::Sender;
use super::failure::{Fault, Refusal};
use super::stamp::Stamp;
use crate::config::Edge;
use crate::site_key::SiteKey;

mod place;
mod address;
mod record;

pub use address::Place;
pub use place::KEY_NAMES;
pub use record::{Record, HEADER_MAX_BYTES, PATH_MAX_BYTES, QUERY_MAX_BYTES};

/// Bytes of a user agent that are kept. The longest of real browsers have 300; robots and in-app browsers with all
/// their modules stay below 1,000.
pub const USER_AGENT_MAX_BYTES: usize = 1_024;

/// Bytes of an origin that are kept: a scheme, the 253 bytes of the longest host name, a port.
pub const ORIGIN_MAX_BYTES: usize = 300;

/// What is known of a sender.
#[derive(Debug)]
pub struct Caller {
    /// The key that names the tenant.
    pub site_key: SiteKey,
    /// The client's address as far as the stack keeps it, where it can be understood.
    pub client_ip: Option<IpAddr>,
    /// At most [`USER_AGENT_MAX_BYTES`].
    pub user_agent: Option<String>,
    /// The page's origin as the browser tells it, or that of the referring page.
    pub origin: Option<String>,
    /// What goes into column `request`.
    pub record: Record,
    /// Where the above stood.
    pub stood_in: StoodIn,
}

/// The places from which a sender is known.
#[derive(Debug)]
pub struct StoodIn {
    /// The first place of the site key: `path`, `query`, or the header's name.
    pub site_key: &'static str,
    /// Whose word the address is.
    pub client_ip: Place,
    /// The header of the origin.
    pub origin: Option<&'static str>,
}

/// `claims` is what the body has under names of site keys.
///
/// # Errors
/// No site key, a malformed one, two different ones.
pub fn caller(event: &ApiEvent<'_>, claims: &[Cow<'_, str>], edge: &Edge) -> Result<Caller, Refusal> {
    let place::Found {
        site_key,
        place,
        path,
    } = place::find(event, claims)?;
    let address = address::find(event, edge);
    let mut notes = address.notes;
    notes.extend(purpose(event));
    let user_agent = event.header("user-agent").map(|agent| {
        let agent = storable(agent, &site_key);
        cut(&agent, USER_AGENT_MAX_BYTES, "user_agent_cut", &mut notes)
    });
    let origin = origin(event);
    let origin_place = origin.as_ref().map(|(place, _)| *place);
    let origin = origin.map(|(_, origin)| {
        let origin = storable(&origin, &site_key);
        cut(&origin, ORIGIN_MAX_BYTES, "origin_cut", &mut notes)
    });
    if origin.is_none() {
        notes.push("no_origin");
    }
    Ok(Caller {
        client_ip: address.ip,
        user_agent,
        origin,
        record: record::record(event, &site_key, &path, notes),
        site_key,
        stood_in: StoodIn {
            site_key: place,
            client_ip: address.place,
            origin: origin_place,
        },
    })
}

impl Caller {
    /// What tells this sender's bytes from those of others.
    pub fn sender(&self, received: SystemTime) -> Sender<'_> {
        let since_1970 = received
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Sender {
            site_key: &self.site_key,
            address: self.client_ip,
            user_agent: self.user_agent.as_deref().unwrap_or_default(),
            hour: since_1970.as_secs() / 3600,
        }
    }

    /// What each row of the beacon will bear.
    ///
    /// # Errors
    /// What goes into column `request` cannot be JSON.
    pub fn into_stamp(self, receipt: Uuid, received: SystemTime) -> Result<Stamp, Fault> {
        let request = serde_json::value::to_raw_value(&self.record);
        Ok(Stamp {
            api_key_hk: self.site_key.hash(),
            origin: self.origin,
            client_ip: self.client_ip,
            user_agent: self.user_agent,
            request: request.map_err(|_| Fault::Unexpected("a request that is no JSON"))?,
            receipt,
            received,
        })
    }

    /// Adds what a later stage noticed.
    pub fn note(&mut self, notes: &[&'static str]) {
        self.record.notes.extend_from_slice(notes);
    }
}

/// What a browser fetches before anybody looks at it is stored like everything else, and marked: whether it counts as
/// a view is for whoever reads the events. Older browsers say it in headers of their own.
fn purpose(event: &ApiEvent<'_>) -> Option<&'static str> {
    let headers = ["sec-purpose", "purpose", "x-moz"];
    let mut told = headers.iter().filter_map(|name| event.header(name));
    let purpose = told.next()?.to_ascii_lowercase();
    let notes = ["prerender", "prefetch"];
    notes.into_iter().find(|note| purpose.contains(note))
}

/// `Origin`, else the origin of `Referer`, with the header's name.
fn origin<'e>(event: &'e ApiEvent<'_>) -> Option<(&'static str, Cow<'e, str>)> {
    let origin = event.header("origin").map(Cow::Borrowed);
    let referred = || origin_of(event.header("referer")?).map(Cow::Owned);
    origin
        .map(|origin| ("origin", origin))
        .or_else(|| Some(("referer", referred()?)))
}

fn origin_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    (!scheme.is_empty() && !host.is_empty()).then(|| format!("{scheme}://{host}"))
}

/// PostgreSQL's text knows no U+0000, and what is stored does not repeat the site key.
fn storable<'t>(text: &'t str, site_key: &SiteKey) -> Cow<'t, str> {
    if !text.contains('\0') && !text.contains(site_key.expose()) {
        return Cow::Borrowed(text);
    }
    let text = text.replace('\0', "\u{fffd}");
    Cow::Owned(text.replace(site_key.expose(), "stk_..."))
}

/// The first `max` bytes, down to a character's end.
fn cut(text: &str, max: usize, note: &'static str, notes: &mut Vec<&'static str>) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    notes.push(note);
    let end = (0..=max).rev().find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or(0)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_falls_on_a_character_boundary_and_is_noted() {
        for (text, max, expected, noted) in [
            ("abc", 3, "abc", false),
            ("abcd", 3, "abc", true),
            ("aä", 2, "a", true),
            ("aä", 3, "aä", false),
            ("😀", 3, "", true),
        ] {
            let mut notes = Vec::new();
            assert_eq!(cut(text, max, "cut", &mut notes), expected, "{text}");
            assert_eq!(!notes.is_empty(), noted, "{text}");
        }
    }

    #[test]
    fn an_origin_is_read_from_a_page_address() {
        for (url, expected) in [
            ("https://a.example/p?q=https://b", Some("https://a.example")),
            ("https://a.example:8443", Some("https://a.example:8443")),
            ("https://user:pw@a.example/", Some("https://a.example")),
            ("https://a.example?x@b.example", Some("https://a.example")),
            ("https://[2001:db8::1]:1/", Some("https://[2001:db8::1]:1")),
            ("about:blank", None),
            ("https:///x", None),
            ("", None),
        ] {
            assert_eq!(origin_of(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn what_nobody_looks_at_yet_is_marked() {
        for (name, value, expected) in [
            ("sec-purpose", "prefetch", Some("prefetch")),
            ("Sec-Purpose", "prefetch;prerender", Some("prerender")),
            ("sec-purpose", "Prefetch; anonymous-client-ip", Some("prefetch")),
            ("purpose", "prefetch", Some("prefetch")),
            ("x-moz", "prefetch", Some("prefetch")),
            ("sec-purpose", "something", None),
            ("x-other", "prefetch", None),
        ] {
            let event = serde_json::json!({ "headers": { name: value } });
            let raw = serde_json::value::to_raw_value(&event).unwrap();
            assert_eq!(purpose(&ApiEvent::read(&raw)), expected, "{name}: {value}");
        }
    }

    #[test]
    fn what_is_stored_holds_no_nul_and_no_key() {
        let key = SiteKey::generate().unwrap();
        let text = format!("a\0b {} c", key.expose());
        assert_eq!(storable(&text, &key), "a\u{fffd}b stk_... c");
    }

    fn called(headers: &[(&str, &str)]) -> Caller {
        let key = SiteKey::generate().unwrap();
        let headers: serde_json::Map<_, _> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), serde_json::json!(value)))
            .collect();
        let event = serde_json::json!({ "rawPath": format!("/{}", key.expose()), "headers": headers,
            "requestContext": { "http": { "sourceIp": "203.0.113.7" } } });
        let raw = serde_json::value::to_raw_value(&event).unwrap();
        let edge = Edge {
            ip_mode: crate::config::IpMode::Full,
            trusted_proxies: 0,
            explain: crate::config::Explain::Off,
        };
        caller(&ApiEvent::read(&raw), &[], &edge).unwrap()
    }

    #[test]
    fn an_origin_is_the_browsers_word_or_that_of_the_referring_page() {
        let (origin, referer) = (
            ("origin", "https://a.example"),
            ("referer", "https://b.example/x"),
        );
        for (headers, expected) in [
            (&[origin, referer][..], Some(("https://a.example", "origin"))),
            (&[referer], Some(("https://b.example", "referer"))),
            (&[("referer", "about:blank")], None),
            (&[], None),
        ] {
            let caller = called(headers);
            let found = caller.origin.as_deref().zip(caller.stood_in.origin);
            assert_eq!(found, expected, "{headers:?}");
            let is_noted = caller.record.notes.contains(&"no_origin");
            assert_eq!(is_noted, expected.is_none(), "{headers:?}");
        }
    }

    #[test]
    fn limits_hold_at_their_edge() {
        for (name, max, note) in [
            ("user-agent", USER_AGENT_MAX_BYTES, "user_agent_cut"),
            ("origin", ORIGIN_MAX_BYTES, "origin_cut"),
        ] {
            for (bytes, is_cut) in [(max, false), (max + 1, true)] {
                let caller = called(&[(name, &"a".repeat(bytes))]);
                let kept = [&caller.user_agent, &caller.origin].into_iter().flatten();
                assert_eq!(kept.map(String::len).collect::<Vec<_>>(), [max], "{name}");
                assert_eq!(caller.record.notes.contains(&note), is_cut, "{name}");
            }
        }
    }

    #[test]
    fn a_sender_is_of_its_hour_and_what_is_noticed_later_is_noted() {
        let mut caller = called(&[("user-agent", "agent")]);
        for (seconds, hour) in [(0, 0), (3_599, 0), (3_600, 1), (7_201, 2)] {
            let received = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            let sender = caller.sender(received);
            assert_eq!((sender.hour, sender.user_agent), (hour, "agent"), "{seconds}");
        }
        caller.note(&["later"]);
        assert_eq!(caller.record.notes.last(), Some(&"later"));
    }
}
