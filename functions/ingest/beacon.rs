//! A body's bytes as events; pure.
//!
//! In: the bytes as the sender wrote them, and a few headers. Out: one event per thing that happened, its text
//! exact to the byte, with its key; what cannot be stored as it is, as a quarantined event. The ladder looks at the
//! bytes, whatever their label says: `unpack → decode → split`, where `decode` tries one step after the other and a
//! step takes bytes and gives documents or nothing. What no step takes is quarantined as a whole.

use std::borrow::Cow;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::failure::{Flaw, Refusal, RefusedEvent, Undecodable};
use crate::site_key::SiteKey;

mod unpack;
mod decode;
mod document;
mod json;
mod surrogates;
mod lines;
mod ping;
mod form;
mod fields;
mod multipart;
mod claims;
mod split;
mod without_key;
mod beside;
mod storable;
mod event_key;
mod quarantine;

pub use beside::ENVELOPES_MAX_BYTES;
pub use decode::{decode, Decoded, Step};
pub use form::FIELDS_MAX;
pub use multipart::{BOUNDARY_MAX, HEADERS_MAX};
pub use ping::Ping;
pub use quarantine::Sender;
pub use storable::{DEPTH_MAX, EXPONENT_MAX, MEMBERS_MAX, NUMBER_MAX_DIGITS, VALUES_MAX};
pub use unpack::{
    most_bytes, unpack, Coding, Stopped, Unpacked, LAYERS_MAX, STREAMS_MAX, UNPACKED_MAX_BYTES,
};

use beside::Beside;
use document::Document;
use split::Group;

/// Bytes of a body. A gateway hands over 6 MB of event in which base64 takes a third, so this much always gets
/// through; browsers stop at 64 KiB for what they send while a page goes away.
pub const BODY_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Events of a beacon. At some 30 µs each they are committed well within the statement's time-out.
pub const EVENTS_MAX: usize = 10_000;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a body holds.
#[derive(Debug)]
pub struct Beacon<'a> {
    /// What is stored, in the order in which it stands.
    pub events: Vec<Event<'a>>,
    /// What is left out.
    pub refused: Vec<RefusedEvent>,
    /// What was noticed and passed over, by tag.
    pub notes: Vec<&'static str>,
    /// Why the one event is the whole body, quarantined.
    pub undecodable: Option<Undecodable>,
}

/// One event.
#[derive(Debug)]
pub struct Event<'a> {
    /// Its place in the beacon, from 0.
    pub index: usize,
    /// A JSON object.
    pub payload: Cow<'a, str>,
    /// The same for each attempt to store it, and for each beacon in which the sender names it alike.
    pub key: Uuid,
    /// Why it is quarantined, and the byte of it at which the reason stands.
    pub quarantined: Option<(Flaw, usize)>,
}

/// # Errors
/// There are too many events; there is none; none of them can be stored.
pub fn beacon<'d>(
    decoded: &'d Decoded<'_>,
    sender: Sender<'_>,
    new_key: &mut dyn FnMut() -> Uuid,
) -> Result<Beacon<'d>, Refusal> {
    let mut making = Making {
        beacon: Beacon {
            events: Vec::new(),
            refused: Vec::new(),
            notes: Vec::new(),
            undecodable: None,
        },
        count: 0,
        values_left: VALUES_MAX,
        site_key: sender.site_key,
        keys: event_key::Keys::new(new_key),
        quarantine_keys: quarantine::Keys::new(sender),
    };
    if let Some((undecodable, bytes)) = &decoded.undecodable {
        making.quarantine(bytes, Flaw::Undecodable, undecodable.offset, &Beside::default());
        making.beacon.undecodable = Some(undecodable.clone());
        return Ok(making.beacon);
    }
    for group in split::split(&decoded.pieces)? {
        making.group(group);
    }
    making.finished(decoded.step)
}

struct Making<'d, 's, 'n> {
    beacon: Beacon<'d>,
    count: usize,
    /// Names and values that its events may still hold.
    values_left: usize,
    site_key: &'s SiteKey,
    keys: event_key::Keys<'d, 'n>,
    quarantine_keys: quarantine::Keys<'s>,
}

impl<'d> Making<'d, '_, '_> {
    fn group(&mut self, group: Group<'d>) {
        let (document, events, is_list, rest) = match group {
            Group::Garbage { bytes, flaw, offset } => {
                return self.quarantine(bytes, flaw, offset, &Beside::default());
            }
            Group::Events {
                document,
                events,
                is_list,
                rest,
            } => (document, events, is_list, rest),
        };
        let mut beside = Beside::default();
        for rest in rest.into_iter().chain(document.beside()) {
            beside.push(&rest, self.site_key);
        }
        self.note(beside.is_quarantined, "envelope_quarantined");
        let is_for_each = beside.is_for_each_of(events.len(), self.values_left);
        let copies = if is_for_each { events.len() } else { 1 };
        self.values_left = self.values_left.saturating_sub(beside.values() * copies);
        self.note(!is_for_each, "envelope_beside_first");
        let nothing = Beside::default();
        self.beacon.events.reserve(events.len());
        for (place, raw) in events.into_iter().enumerate() {
            let beside = if is_for_each || place == 0 {
                &beside
            } else {
                &nothing
            };
            self.event(document, raw, is_list, beside);
        }
    }

    fn event(&mut self, document: &Document<'_>, raw: &'d RawValue, is_list: bool, beside: &Beside) {
        let exact = document.exact_of(raw);
        if let Some((flaw, offset)) = quarantine::flaw(raw.get(), exact, &mut self.values_left) {
            let offset = document.exact_offset(flaw, offset);
            return self.quarantine(exact.unwrap_or(raw.get().as_bytes()), flaw, offset, beside);
        }
        let payload = as_object(without_key::without_key(raw.get(), self.site_key));
        if storable::is_empty(&payload) {
            self.beacon.refused.push(RefusedEvent {
                index: self.count,
                flaw: Flaw::EmptyEvent,
                offset: None,
            });
        } else {
            self.beacon.events.push(Event {
                index: self.count,
                payload: beside.beside(payload),
                key: self.keys.of(raw, is_list),
                quarantined: None,
            });
        }
        self.count += 1;
    }

    fn quarantine(&mut self, bytes: &[u8], flaw: Flaw, offset: usize, beside: &Beside) {
        let document = quarantine::document(bytes, flaw.tag(), offset);
        self.beacon.events.push(Event {
            index: self.count,
            payload: beside.beside(Cow::Owned(document)),
            key: self.quarantine_keys.of(bytes),
            quarantined: Some((flaw, offset)),
        });
        self.count += 1;
    }

    fn note(&mut self, is_so: bool, note: &'static str) {
        if is_so && !self.beacon.notes.contains(&note) {
            self.beacon.notes.push(note);
        }
    }

    fn finished(mut self, step: Step) -> Result<Beacon<'d>, Refusal> {
        self.note(self.keys.is_reused, "event_key_reused");
        if self.beacon.events.is_empty() && self.count > 0 {
            return Err(match step {
                // What is left of a query that gives the site key alone.
                Step::Query => Refusal::NoEvent,
                _ => Refusal::NoneStorable(self.beacon.refused),
            });
        }
        Ok(self.beacon)
    }
}

impl Event<'_> {
    /// The same event, quarantined: the database refused it for a reason that was not foreseen. It keeps its key, since
    /// another attempt may store it as it is.
    pub fn quarantined(&self) -> Event<'static> {
        let bytes = self.payload.as_bytes();
        let flaw = Flaw::NotStorable;
        Event {
            index: self.index,
            payload: Cow::Owned(quarantine::document(bytes, flaw.tag(), 0)),
            key: self.key,
            quarantined: Some((flaw, 0)),
        }
    }
}

/// What is stored is always an object.
fn as_object(text: Cow<'_, str>) -> Cow<'_, str> {
    match text.starts_with('{') {
        true => text,
        false => Cow::Owned(format!("{{\"value\":{text}}}")),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod properties;
