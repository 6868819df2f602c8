//! A beacon as messages, none of them larger than the queue takes; pure.
//!
//! In: a stamp and events. Out: one message where that is possible, compressed if need be, since one is taken or
//! refused as a whole; else several, each with some of the events and with the same stamp.

use super::super::beacon::Event;
use super::super::stamp::Stamp;
use super::message;

/// Bytes of a message's text. Queues take 1 MiB since August 2025, older ones and other regions' 256 KiB; 4 KiB of
/// them are left for the attributes, which count.
pub const TEXT_MAX_BYTES: usize = 252 * 1024;

/// A compressed text is tried up to this many times the limit: events compress to a tenth of their size, rarely to
/// less than a sixteenth.
const RATIO_TRIED: usize = 16;

/// An event that no message can hold, compressed or not.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLarge;

/// # Errors
/// An event fits into no message.
pub fn texts(stamp: &Stamp, events: &[Event<'_>]) -> Result<Vec<String>, TooLarge> {
    if let Some(text) = one(stamp, events) {
        return Ok(vec![text]);
    }
    let around = message::plain(stamp, &[]).len();
    let mut texts = Vec::new();
    let mut rest = events;
    while !rest.is_empty() {
        let mut bytes = around;
        let fits = |event: &&Event<'_>| {
            bytes += message::bytes_of(event);
            bytes <= TEXT_MAX_BYTES
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (part, behind) = rest.split_at(count);
        texts.push(one(stamp, part).ok_or(TooLarge)?);
        rest = behind;
    }
    Ok(texts)
}

fn one(stamp: &Stamp, events: &[Event<'_>]) -> Option<String> {
    let text = message::plain(stamp, events);
    if text.len() <= TEXT_MAX_BYTES {
        return Some(text);
    }
    let is_tried = text.len() <= RATIO_TRIED * TEXT_MAX_BYTES;
    let packed = is_tried.then(|| message::packed(&text))?;
    (packed.len() <= TEXT_MAX_BYTES).then_some(packed)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::time::SystemTime;

    use serde_json::value::RawValue;
    use uuid::Uuid;

    use super::*;

    fn stamp() -> Stamp {
        Stamp {
            api_key_hk: [7; 32],
            origin: None,
            client_ip: None,
            user_agent: None,
            request: RawValue::from_string("{}".to_owned()).unwrap(),
            receipt: Uuid::nil(),
            received: SystemTime::UNIX_EPOCH,
        }
    }

    /// An event of so many characters, out of so many different ones: it compresses to their logarithm.
    fn event((length, different): (usize, u64)) -> Event<'static> {
        let mut state = length as u64 | 1;
        let characters = (0..length).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'0' + (state % different) as u8)
        });
        let payload = format!("{{\"a\":\"{}\"}}", characters.collect::<String>());
        Event {
            index: 0,
            payload: Cow::Owned(payload.replace('\\', "x")),
            key: Uuid::now_v7(),
            quarantined: None,
        }
    }

    #[test]
    fn a_beacon_is_as_few_messages_as_can_be_and_loses_nothing() {
        for (label, of, expected) in [
            ("nothing", vec![], Ok(1)),
            ("small", vec![(100, 64); 10], Ok(1)),
            ("just fits", vec![(TEXT_MAX_BYTES - 400, 64)], Ok(1)),
            ("compresses", vec![(100_000, 1); 20], Ok(1)),
            ("does not", vec![(100_000, 64); 8], Ok(4)),
            (
                "one of them does",
                vec![(200_000, 64), (300_000, 8), (100, 64)],
                Ok(3),
            ),
            (
                "one that is too large",
                vec![(100, 64), (600_000, 64)],
                Err(TooLarge),
            ),
            (
                "too large to be tried, not to be sent",
                vec![(200_000, 1); 22],
                Ok(22),
            ),
        ] {
            let events: Vec<Event<'_>> = of.into_iter().map(event).collect();
            let texts = texts(&stamp(), &events);
            assert_eq!(
                texts.as_ref().map(Vec::len).map_err(|_| TooLarge),
                expected,
                "{label}"
            );
            let texts = texts.unwrap_or_default();
            assert!(texts.iter().all(|text| text.len() <= TEXT_MAX_BYTES), "{label}");
            let read = texts
                .iter()
                .flat_map(|text| message::read(text).unwrap().beacon.events);
            let read: Vec<(Uuid, String)> = read.map(|e| (e.key, e.payload.into_owned())).collect();
            let sent = events.iter().map(|e| (e.key, e.payload.clone().into_owned()));
            assert!(texts.is_empty() || read == sent.collect::<Vec<_>>(), "{label}");
        }
    }
}
