//! The ladder's step for a click on `<a ping>`: the body says `PING`, two headers say what happened; pure.
//!
//! Source: the HTML standard, hyperlink auditing. A browser leaves `Ping-From` out where it would tell an insecure
//! page about a secure one.

use std::borrow::Cow;

use serde::Serialize;

use super::super::api_event::ApiEvent;
use super::document::Document;

const BODY: &[u8] = b"PING";

/// The headers of a ping.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Ping<'a> {
    /// The page on which the link stands.
    #[serde(rename = "ping_from", skip_serializing_if = "Option::is_none")]
    pub from: Option<&'a str>,
    /// Where the link leads.
    #[serde(rename = "ping_to", skip_serializing_if = "Option::is_none")]
    pub to: Option<&'a str>,
}

impl<'e> Ping<'e> {
    /// Those of a request.
    pub fn of(event: &'e ApiEvent<'_>) -> Self {
        Self {
            from: event.header("ping-from"),
            to: event.header("ping-to"),
        }
    }
}

/// The event of a ping.
pub fn document<'d>(body: &[u8], ping: Ping<'_>) -> Option<Document<'d>> {
    if body.trim_ascii() != BODY || (ping.from.is_none() && ping.to.is_none()) {
        return None;
    }
    let text = serde_json::value::to_raw_value(&ping).ok()?;
    Some(Document::new(Cow::Owned(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_is_its_body_and_one_of_its_headers() {
        let from = ("ping-from", "https://a.example/");
        let to = ("ping-to", "https://b.example/");
        for (body, headers, expected) in [
            (
                "PING",
                &[from, to][..],
                Some(r#"{"ping_from":"https://a.example/","ping_to":"https://b.example/"}"#),
            ),
            ("PING\n", &[to], Some(r#"{"ping_to":"https://b.example/"}"#)),
            ("PING", &[from], Some(r#"{"ping_from":"https://a.example/"}"#)),
            ("PING", &[], None),
            ("PONG", &[from, to], None),
        ] {
            let headers: serde_json::Map<_, _> = headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).into()))
                .collect();
            let event = serde_json::json!({ "headers": headers });
            let raw = serde_json::value::to_raw_value(&event).unwrap();
            let event = ApiEvent::read(&raw);
            let document = document(body.as_bytes(), Ping::of(&event));
            let text = document.as_ref().map(|document| document.text.get());
            assert_eq!(text, expected, "{body}");
        }
    }
}
