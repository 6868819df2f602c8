//! Who sent the beacon, and what its request says besides the body; pure.
//!
//! In: the gateway's event. Out: the site key, the client's address, its user agent, its origin, and the record
//! that goes into column `request`. Only the key can be refused here: an address or a header that makes no sense
//! is left out or cut, with a note, and never costs an event. The key stands in nothing that is stored.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::SystemTime;

use super::api_event::ApiEvent;
use super::beacon::Sender;
use super::failure::Refusal;
use crate::site_key::SiteKey;

mod place;
mod address;
mod record;

pub use place::KEY_NAMES;
pub use record::Record;

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
    /// The address that connected to the gateway, where it can be understood.
    pub client_ip: Option<IpAddr>,
    /// At most [`USER_AGENT_MAX_BYTES`].
    pub user_agent: Option<String>,
    /// The page's origin as the browser tells it, or that of the referring page.
    pub origin: Option<String>,
    /// What goes into column `request`.
    pub record: Record,
}

/// `claims` is what the body has under names of site keys.
///
/// # Errors
/// No site key, a malformed one, two different ones.
pub fn caller(event: &ApiEvent<'_>, claims: &[Cow<'_, str>]) -> Result<Caller, Refusal> {
    let place::Found { site_key, path } = place::find(event, claims)?;
    let mut notes = Vec::new();
    let client_ip = event.source_ip.as_deref().and_then(address::read);
    if client_ip.is_none() {
        notes.push("client_ip_unreadable");
    }
    let user_agent = event.header("user-agent").map(|agent| {
        cut(
            &storable(agent, &site_key),
            USER_AGENT_MAX_BYTES,
            "user_agent_cut",
            &mut notes,
        )
    });
    let origin = origin(event).map(|origin| {
        let origin = storable(&origin, &site_key);
        cut(&origin, ORIGIN_MAX_BYTES, "origin_cut", &mut notes)
    });
    if origin.is_none() {
        notes.push("no_origin");
    }
    let record = record::record(event, &site_key, &path, notes);
    Ok(Caller {
        site_key,
        client_ip,
        user_agent,
        origin,
        record,
    })
}

impl Caller {
    /// What tells this sender's bytes from those of others.
    pub fn sender(&self, received: SystemTime) -> Sender<'_> {
        let since_1970 = received
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Sender {
            api_key_hk: self.site_key.hash(),
            address: self.client_ip,
            user_agent: self.user_agent.as_deref().unwrap_or_default(),
            hour: since_1970.as_secs() / 3600,
        }
    }

    /// Adds what a later stage noticed.
    pub fn note(&mut self, notes: &[&'static str]) {
        self.record.notes.extend_from_slice(notes);
    }
}

/// `Origin`, else the origin of `Referer`.
fn origin<'e>(event: &'e ApiEvent<'_>) -> Option<Cow<'e, str>> {
    let origin = event.header("origin").map(Cow::Borrowed);
    origin.or_else(|| origin_of(event.header("referer")?).map(Cow::Owned))
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
    fn what_is_stored_holds_no_nul_and_no_key() {
        let key = SiteKey::generate().unwrap();
        let text = format!("a\0b {} c", key.expose());
        assert_eq!(storable(&text, &key), "a\u{fffd}b stk_... c");
    }
}
