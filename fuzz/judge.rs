//! A body decoded as `ingest` does it, and judged: nothing lost, nothing invented, nothing beyond the limits.

use std::collections::HashMap;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde_json::value::RawValue;
use serde_json::Value;
use site_tracking::ingest::api_event::Body;
use site_tracking::ingest::beacon::{
    beacon, decode, unpack, Beacon, Decoded, Ping, Sender, Step, Unpacked, ENVELOPES_MAX_BYTES, EVENTS_MAX,
    UNPACKED_MAX_BYTES,
};
use site_tracking::ingest::failure::Refusal;
use site_tracking::site_key::SiteKey;
use uuid::Uuid;

use crate::storable;

/// What one byte can become at most: a control character of a form is six bytes of JSON.
const GROWTH_MAX: usize = 6;

/// What an event costs beside its own bytes: the frame of the quarantine, or `{"value":…}`.
const FRAME_MAX_BYTES: usize = 256;

/// What may be allocated at once beside what the body's size explains: a decoder's window and tables.
const FIXED_MAX_BYTES: usize = 12 * 1024 * 1024;

/// Bytes allocated at once for each byte that was unpacked: an array of scalars has an event for every second byte.
const ALLOCATED_MAX_PER_BYTE: usize = 512;

/// A beacon on its way.
#[derive(Debug)]
pub struct Sent<'a> {
    pub body: &'a Body<'a>,
    pub coding: Option<&'a str>,
    pub query: &'a str,
    pub ping: Ping<'a>,
    pub sender: Sender<'a>,
}

/// Decodes it, with what it allocates counted.
///
/// # Errors
/// It is refused, which is fine.
///
/// # Panics
/// Something is not as it must be.
pub fn judge(sent: &Sent<'_>) -> Result<(), Refusal> {
    let mut unpacked_bytes = 0;
    let mut verdict = Ok(());
    let allocated = allocation_counter::measure(|| {
        let unpacked = unpack(sent.body, sent.coding);
        unpacked_bytes = unpacked.bytes.len();
        verdict = read(sent, &unpacked);
    });
    let expected = FIXED_MAX_BYTES + ENVELOPES_MAX_BYTES + ALLOCATED_MAX_PER_BYTE * unpacked_bytes;
    let most = usize::try_from(allocated.bytes_max).unwrap_or(usize::MAX);
    assert!(
        most <= expected,
        "{most} bytes at once for {unpacked_bytes} bytes unpacked"
    );
    verdict
}

fn read(sent: &Sent<'_>, unpacked: &Unpacked<'_>) -> Result<(), Refusal> {
    assert!(unpacked.bytes.len() <= UNPACKED_MAX_BYTES.max(sent.body.bytes.len()));
    assert!(unpacked.coding.is_some() || unpacked.bytes == sent.body.bytes);
    let decoded = decode(&sent.body.bytes, unpacked, sent.query, sent.ping)?;
    let mut number = 0;
    let mut new_key = || {
        number += 1;
        Uuid::from_u128(number)
    };
    let beacon = beacon(&decoded, sent.sender, &mut new_key)?;
    accounts(&beacon);
    is_within_limits(&beacon, unpacked.bytes.len());
    is_storable(&beacon, sent.sender.site_key);
    keeps_exact_bytes(sent, unpacked, &decoded, &beacon);
    has_as_many_as_stand_there(unpacked, &decoded, &beacon);
    Ok(())
}

/// Each place of the beacon has an event or an error, none has two; events share a key only if they are the same.
fn accounts(beacon: &Beacon<'_>) {
    let events = beacon.events.iter().map(|event| event.index);
    let mut places: Vec<usize> = events
        .chain(beacon.refused.iter().map(|error| error.index))
        .collect();
    places.sort_unstable();
    assert!(places.iter().copied().eq(0..places.len()), "places {places:?}");
    let mut payloads = HashMap::new();
    for event in &beacon.events {
        let first = payloads.entry(event.key).or_insert(&event.payload);
        assert_eq!(*first, &event.payload, "two events of one key");
    }
}

fn is_within_limits(beacon: &Beacon<'_>, unpacked_bytes: usize) {
    let count = beacon.events.len() + beacon.refused.len();
    assert!(count <= EVENTS_MAX, "{count} events");
    let bytes: usize = beacon.events.iter().map(|event| event.payload.len()).sum();
    let query = usize::from(u16::MAX);
    let most = ENVELOPES_MAX_BYTES + GROWTH_MAX * (unpacked_bytes + query) + FRAME_MAX_BYTES * (count + 1);
    assert!(bytes <= most, "{bytes} bytes of payloads");
}

/// An object with something in it, that PostgreSQL takes, without the site key.
fn is_storable(beacon: &Beacon<'_>, site_key: &SiteKey) {
    for event in &beacon.events {
        let payload = &*event.payload;
        assert_eq!(storable::fault(payload), None, "{payload}");
        assert!(payload.starts_with('{') && payload.contains('"'), "{payload}");
        assert!(!payload.contains(site_key.expose()), "the site key in {payload}");
    }
}

/// What is quarantined holds the sender's own bytes: of a whole body all of them, of an event those that stand there.
fn keeps_exact_bytes(sent: &Sent<'_>, unpacked: &Unpacked<'_>, decoded: &Decoded<'_>, beacon: &Beacon<'_>) {
    let body = unpacked.bytes.trim_ascii();
    let is_verbatim = matches!(decoded.step, Step::Json | Step::JsonLines) && !body.starts_with(b"\"");
    let is_mark = body.starts_with(b"\xef\xbb\xbf");
    for event in beacon.events.iter().filter(|event| event.quarantined.is_some()) {
        let bytes = quarantined_bytes(&event.payload);
        if decoded.step == Step::Quarantine {
            assert_eq!(bytes, *sent.body.bytes, "not the body");
        } else if is_verbatim && !is_mark {
            let is_there = memchr::memmem::find(&unpacked.bytes, &bytes).is_some();
            assert!(is_there, "{bytes:?} is no part of the body");
        }
    }
}

/// What stands beside the quarantine may hold numbers that serde_json cannot read.
fn quarantined_bytes(payload: &str) -> Vec<u8> {
    let members: HashMap<String, &RawValue> = serde_json::from_str(payload).expect("an object");
    let quarantine: Value =
        serde_json::from_str(members["_quarantine"].get()).expect("a quarantine is flat JSON");
    let bytes = quarantine["bytes"].as_str().expect("bytes");
    STANDARD.decode(bytes).expect("base64")
}

/// As many as another reader of JSON finds.
fn has_as_many_as_stand_there(unpacked: &Unpacked<'_>, decoded: &Decoded<'_>, beacon: &Beacon<'_>) {
    if decoded.step != Step::Json {
        return;
    }
    let count = beacon.events.len() + beacon.refused.len();
    if let Ok(elements) = serde_json::from_slice::<Vec<&RawValue>>(&unpacked.bytes) {
        assert_eq!(count, elements.len(), "elements of an array");
    } else if let Ok(Value::Object(members)) = serde_json::from_slice(&unpacked.bytes) {
        let lists = ["batch", "events", "data"]
            .iter()
            .filter_map(|name| members.get(*name)?.as_array());
        let mut counts = lists.map(Vec::len).chain([1]);
        assert!(counts.any(|list| list == count), "{count} events of an object");
    }
}

/// Who the targets say sent it.
pub fn sender(site_key: &SiteKey) -> Sender<'_> {
    Sender {
        site_key,
        address: None,
        user_agent: "",
        hour: 480_000,
    }
}
