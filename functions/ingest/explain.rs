//! What would become of a beacon: each decision of each stage, and nothing stored.
//!
//! In: the gateway's event. Out: what every stage found, also those behind one that refused, and how long each took.
//! The stages are the ones that store; the database is asked for its verdict on key and origin alone. Only where the
//! stack allows it: a stranger could learn from it what a refusal does not tell.

use std::time::{Instant, SystemTime};

use uuid::Uuid;

use super::api_event::{ApiEvent, Gateway};
use super::beacon::{self, Coding, Decoded, Ping, Step};
use super::caller::{self, Caller};
use super::failure::{Failure, Refusal, RefusedEvent, Undecodable};
use super::{landing, route};
use crate::config::{Edge, Explain};
use crate::db::Database;

/// The header with which a sender asks, by the value `1`.
const HEADER: &str = "x-ingest-explain";

/// What every stage found.
pub struct Explanation {
    /// Who told of the request.
    pub gateway: Gateway,
    /// Whether the answer would be an image.
    pub wants_image: bool,
    /// Label of the body.
    pub content_type: Option<String>,
    /// What the sender says of the body's compression.
    pub content_encoding: Option<String>,
    /// Whether the gateway took the body for bytes.
    pub is_base64: bool,
    /// Bytes of the body as the sender wrote it.
    pub sent_bytes: usize,
    /// Bytes of it without its compression.
    pub unpacked_bytes: usize,
    /// The compression that was found, whatever the header says.
    pub coding: Option<Coding>,
    /// The step of the ladder that understood it.
    pub step: Result<Step, Refusal>,
    /// The sender.
    pub caller: Result<Caller, Refusal>,
    /// The body's events; none where there is no sender or no step.
    pub beacon: Option<Result<Found, Refusal>>,
    /// The database's verdict on key and origin; none where there was no key to ask about.
    pub verdict: Option<Result<(), Failure>>,
    /// How long each stage took, in milliseconds.
    pub took_ms: Vec<(&'static str, f64)>,
}

/// What a body holds, without the body.
pub struct Found {
    /// Events that would be stored as they are.
    pub storable: usize,
    /// Events that would be quarantined: place, reason, and the byte of the event at which it stands.
    pub quarantined: Vec<RefusedEvent>,
    /// Events that would be left out.
    pub refused: Vec<RefusedEvent>,
    /// What was noticed and passed over, by tag.
    pub notes: Vec<&'static str>,
    /// Why the whole body would be quarantined.
    pub undecodable: Option<Undecodable>,
}

/// Whether the sender asks, and may.
pub fn is_asked_for(event: &ApiEvent<'_>, edge: &Edge) -> bool {
    edge.explain == Explain::On && event.header(HEADER) == Some("1")
}

/// Walks through all stages.
pub async fn explain(event: &ApiEvent<'_>, edge: &Edge, database: &Database) -> Explanation {
    let mut watch = Watch::started();
    let body = event.body();
    let unpacked = beacon::unpack(&body, event.header("content-encoding"));
    watch.lap("unpack");
    let decoded = beacon::decode(&body.bytes, &unpacked, &event.query, Ping::of(event));
    watch.lap("decode");
    let claims = decoded.as_ref().map(Decoded::claims).unwrap_or_default();
    let caller = caller::caller(event, &claims, edge);
    watch.lap("caller");
    let received = event.received_or(SystemTime::now());
    let beacon = match (&decoded, &caller) {
        (Ok(decoded), Ok(caller)) => Some(found(decoded, caller, received)),
        _ => None,
    };
    watch.lap("split");
    let verdict = match &caller {
        Ok(caller) => Some(landing::verdict(database, caller, received).await),
        Err(_) => None,
    };
    watch.lap("database");
    Explanation {
        gateway: event.gateway,
        wants_image: route::wants_image(event),
        content_type: event.header("content-type").map(str::to_owned),
        content_encoding: event.header("content-encoding").map(str::to_owned),
        is_base64: event.is_base64,
        sent_bytes: body.bytes.len(),
        unpacked_bytes: unpacked.bytes.len(),
        coding: unpacked.coding,
        step: decoded.as_ref().map(|decoded| decoded.step).map_err(Clone::clone),
        caller,
        beacon,
        verdict,
        took_ms: watch.laps,
    }
}

fn found(decoded: &Decoded<'_>, caller: &Caller, received: SystemTime) -> Result<Found, Refusal> {
    let beacon = beacon::beacon(decoded, caller.sender(received), &mut Uuid::now_v7)?;
    let quarantined = beacon.events.iter().filter_map(|event| {
        event.quarantined.map(|(flaw, offset)| RefusedEvent {
            index: event.index,
            flaw,
            offset: Some(offset),
        })
    });
    let quarantined: Vec<RefusedEvent> = quarantined.collect();
    Ok(Found {
        storable: beacon.events.len() - quarantined.len(),
        quarantined,
        refused: beacon.refused,
        notes: beacon.notes,
        undecodable: beacon.undecodable,
    })
}

impl Explanation {
    /// Why nothing would be stored, by the first stage that says so; none where something would be.
    pub fn refusal(&self) -> Option<&Refusal> {
        let by_beacon = self.beacon.as_ref().and_then(|beacon| beacon.as_ref().err());
        let by_database = match &self.verdict {
            Some(Err(Failure::Refused(refusal))) => Some(refusal),
            _ => None,
        };
        let by_caller = self.caller.as_ref().err();
        by_caller
            .or(self.step.as_ref().err())
            .or(by_beacon)
            .or(by_database)
    }

    /// Why the whole body would be quarantined.
    pub fn undecodable(&self) -> Option<&Undecodable> {
        self.beacon.as_ref()?.as_ref().ok()?.undecodable.as_ref()
    }
}

struct Watch {
    since: Instant,
    laps: Vec<(&'static str, f64)>,
}

impl Watch {
    fn started() -> Self {
        Self {
            since: Instant::now(),
            laps: Vec::new(),
        }
    }

    fn lap(&mut self, stage: &'static str) {
        let took = self.since.elapsed();
        self.laps.push((stage, (took.as_secs_f64() * 1e6).round() / 1e3));
        self.since = Instant::now();
    }
}
