//! A part of a beacon as text: what the queue holds; pure.
//!
//! In: a stamp and some events. Out: JSON of a stated version, which is read back into the same stamp and events, to
//! the byte of each payload. A large text is compressed, in base64. The site key is in it by its hash alone.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use flate2::Compression;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::super::beacon::{Beacon, Event, ENVELOPES_MAX_BYTES, UNPACKED_MAX_BYTES};
use super::super::failure::Flaw;
use super::super::stamp::Stamp;

/// Of the form below. A reader knows its own and all before it.
const VERSION: u8 = 1;

/// What a compressed text may hold: the largest beacon with all copies of its envelope, and a quarter for base64 and
/// what stands between events. Nobody but this function writes to the queue; a limit costs nothing.
const UNPACKED_MAX: u64 = (UNPACKED_MAX_BYTES + ENVELOPES_MAX_BYTES) as u64 * 5 / 4;

#[derive(Serialize, Deserialize)]
struct Head<'a> {
    v: u8,
    receipt: Uuid,
    received_us: u64,
    #[serde(borrow)]
    api_key_hk: Cow<'a, str>,
    #[serde(borrow)]
    origin: Option<Cow<'a, str>>,
    client_ip: Option<IpAddr>,
    #[serde(borrow)]
    user_agent: Option<Cow<'a, str>>,
    #[serde(borrow)]
    request: &'a RawValue,
    #[serde(borrow, default, skip_serializing)]
    events: Vec<Item<'a>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    key: Uuid,
    #[serde(borrow)]
    flaw: Option<(Cow<'a, str>, usize)>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[derive(Deserialize)]
struct Form {
    v: u8,
}

#[derive(Deserialize)]
struct Packed<'a> {
    #[serde(borrow)]
    gzip: Cow<'a, str>,
}

/// `events` under `stamp`, as it is.
pub fn plain(stamp: &Stamp, events: &[Event<'_>]) -> String {
    let since_1970 = stamp.received.duration_since(SystemTime::UNIX_EPOCH);
    let head = Head {
        v: VERSION,
        receipt: stamp.receipt,
        received_us: u64::try_from(since_1970.unwrap_or_default().as_micros()).unwrap_or(u64::MAX),
        api_key_hk: Cow::Owned(STANDARD.encode(stamp.api_key_hk)),
        origin: stamp.origin.as_deref().map(Cow::Borrowed),
        client_ip: stamp.client_ip,
        user_agent: stamp.user_agent.as_deref().map(Cow::Borrowed),
        request: &stamp.request,
        events: Vec::new(),
    };
    let head = serde_json::to_string(&head).unwrap_or_default();
    let bytes: usize = events.iter().map(bytes_of).sum();
    let mut text = String::with_capacity(head.len() + bytes);
    text.push_str(head.strip_suffix('}').unwrap_or_default());
    text.push_str(",\"events\":[");
    for (place, event) in events.iter().enumerate() {
        text.push_str(if place > 0 { ",{\"key\":\"" } else { "{\"key\":\"" });
        text.push_str(event.key.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
        if let Some((flaw, at)) = event.quarantined {
            text.push_str(&format!("\",\"flaw\":[\"{}\",{at}],\"payload\":", flaw.tag()));
        } else {
            text.push_str("\",\"payload\":");
        }
        text.push_str(&event.payload);
        text.push('}');
    }
    text.push_str("]}");
    storable(text)
}

/// What an event takes in a text, at most: its payload, and its key, flaw and names around it.
pub fn bytes_of(event: &Event<'_>) -> usize {
    const AROUND: usize = 128;
    // Each of the two characters that the queue refuses is three bytes, and six as an escape.
    let refused = event.payload.matches(REFUSED).count();
    event.payload.len() + 3 * refused + AROUND
}

/// The same text, compressed.
pub fn packed(text: &str) -> String {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let written = gzip.write_all(text.as_bytes()).and_then(|()| gzip.finish());
    let bytes = written.expect("a vector takes any number of bytes");
    format!("{{\"v\":{VERSION},\"gzip\":\"{}\"}}", STANDARD.encode(bytes))
}

/// XML 1.0 has no such characters, and the queue refuses a text with one of them (SendMessage, Amazon SQS API
/// reference); all others that it refuses stand in JSON as escapes already.
const REFUSED: [char; 2] = ['\u{fffe}', '\u{ffff}'];

fn storable(text: String) -> String {
    if !text.contains(REFUSED) {
        return text;
    }
    text.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
}

/// What a text held.
pub struct Message {
    /// The beacon's.
    pub stamp: Stamp,
    /// Some of its events, or all.
    pub beacon: Beacon<'static>,
}

/// # Errors
/// The text is none of ours, or of a later version than this program's; in words for the operator.
pub fn read(text: &str) -> Result<Message, &'static str> {
    if let Ok(Packed { gzip }) = serde_json::from_str(text) {
        let bytes = STANDARD.decode(&*gzip).map_err(|_| "its base64 is broken")?;
        let mut text = String::new();
        let mut inside = GzDecoder::new(&*bytes).take(UNPACKED_MAX);
        inside
            .read_to_string(&mut text)
            .map_err(|_| "its gzip is broken")?;
        return unpacked(&text);
    }
    unpacked(text)
}

fn unpacked(text: &str) -> Result<Message, &'static str> {
    const NOT_OURS: &str = "it is no message of ours";
    let Form { v } = serde_json::from_str(text).map_err(|_| NOT_OURS)?;
    if v > VERSION {
        return Err("it is of a later version; deploy that one");
    }
    let head: Head<'_> = serde_json::from_str(text).map_err(|_| NOT_OURS)?;
    let api_key_hk = STANDARD.decode(&*head.api_key_hk).ok();
    let events: Option<Vec<Event<'static>>> = head.events.iter().enumerate().map(event).collect();
    Ok(Message {
        stamp: Stamp {
            api_key_hk: api_key_hk
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or("its api_key_hk is no SHA-256")?,
            origin: head.origin.map(Cow::into_owned),
            client_ip: head.client_ip,
            user_agent: head.user_agent.map(Cow::into_owned),
            request: head.request.to_owned(),
            receipt: head.receipt,
            received: SystemTime::UNIX_EPOCH + Duration::from_micros(head.received_us),
        },
        beacon: Beacon {
            events: events.ok_or("an event's flaw is not known")?,
            refused: Vec::new(),
            notes: Vec::new(),
            undecodable: None,
        },
    })
}

fn event((index, item): (usize, &Item<'_>)) -> Option<Event<'static>> {
    let quarantined = match &item.flaw {
        None => None,
        Some((tag, at)) => Some((Flaw::of_tag(tag)?, *at)),
    };
    Some(Event {
        index,
        payload: Cow::Owned(item.payload.get().to_owned()),
        key: item.key,
        quarantined,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn stamp() -> Stamp {
        Stamp {
            api_key_hk: [7; 32],
            origin: Some("https://a.example".to_owned()),
            client_ip: "2001:db8::7".parse().ok(),
            user_agent: Some("agent \"\u{ffff}\" \u{1f600}\n".to_owned()),
            request: RawValue::from_string(r#"{"method":"POST"}"#.to_owned()).unwrap(),
            receipt: Uuid::from_u128(1),
            received: SystemTime::UNIX_EPOCH + Duration::from_micros(1_767_323_045_123_456),
        }
    }

    fn event(payload: &str, quarantined: Option<(Flaw, usize)>) -> Event<'_> {
        Event {
            index: 0,
            payload: Cow::Borrowed(payload),
            key: Uuid::now_v7(),
            quarantined,
        }
    }

    #[test]
    fn what_was_written_is_read_back_to_the_byte() {
        let deep = format!("{{\"d\":{}{}}}", "[".repeat(500), "]".repeat(500));
        let events = [
            event(" {\"a\" : 1e3,\t\"a\":\"\\u00e4\\ud83d\\ude00\" }", None),
            event(
                r#"{"_quarantine":{"bytes":"AP8="}}"#,
                Some((Flaw::LoneSurrogate, 17)),
            ),
            event(&deep, None),
        ];
        let text = plain(&stamp(), &events);
        for text in [text.clone(), packed(&text)] {
            let message = read(&text).unwrap();
            for (found, sent) in message.beacon.events.iter().zip(&events) {
                assert_eq!(found.payload.trim(), sent.payload.trim());
                assert_eq!((found.key, found.quarantined), (sent.key, sent.quarantined));
            }
            assert_eq!(message.beacon.events.len(), events.len());
            let (found, sent) = (message.stamp, stamp());
            assert_eq!((found.api_key_hk, found.origin), (sent.api_key_hk, sent.origin));
            assert_eq!(
                (found.client_ip, found.user_agent),
                (sent.client_ip, sent.user_agent)
            );
            assert_eq!((found.receipt, found.received), (sent.receipt, sent.received));
            assert_eq!(found.request.get(), sent.request.get());
        }
    }

    #[test]
    fn a_text_holds_no_character_that_the_queue_refuses_and_is_no_longer_than_reckoned() {
        let events = [event(
            "{\"a\":\"\u{fffe}\u{ffff}\"}",
            Some((Flaw::InvalidUtf8, usize::MAX)),
        )];
        let text = plain(&stamp(), &events);
        assert!(!text.contains(REFUSED), "{text}");
        let around = plain(&stamp(), &[]).len();
        assert!(text.len() <= around + bytes_of(&events[0]));
        let payload = read(&text).unwrap().beacon.events[0].payload.clone();
        let value: serde_json::Value = serde_json::from_str(&payload).unwrap();
        assert_eq!(value["a"], "\u{fffe}\u{ffff}");
    }

    #[test]
    fn what_is_none_of_ours_says_so() {
        let good = plain(&stamp(), &[]);
        let event = r#"[{"key":"00000000-0000-0000-0000-000000000001","flaw":["?",1],"payload":{}}]"#;
        for (text, why) in [
            (String::new(), "it is no message of ours"),
            ("{}".to_owned(), "it is no message of ours"),
            ("stk_".to_owned(), "it is no message of ours"),
            (
                r#"{"v":2}"#.to_owned(),
                "it is of a later version; deploy that one",
            ),
            (
                good.replace("\"v\":1", "\"v\":2"),
                "it is of a later version; deploy that one",
            ),
            (good.replace("Bwc", "B"), "its api_key_hk is no SHA-256"),
            (good.replace("[]", event), "an event's flaw is not known"),
            (r#"{"v":1,"gzip":"!"}"#.to_owned(), "its base64 is broken"),
            (r#"{"v":1,"gzip":"AAAA"}"#.to_owned(), "its gzip is broken"),
        ] {
            assert_eq!(read(&text).err(), Some(why), "{text}");
        }
    }
}
