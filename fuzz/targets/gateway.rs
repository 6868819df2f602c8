//! A gateway's event on its whole way to an answer, but for the database.

#![no_main]

use std::time::SystemTime;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, Corpus};
use promises::{fault, judge, mutated, Sent, SITE_KEY};
use serde_json::value::RawValue;
use site_tracking::config::{Edge, Explain, IpMode};
use site_tracking::ingest::api_event::ApiEvent;
use site_tracking::ingest::beacon::{decode, unpack, Decoded, Ping};
use site_tracking::ingest::caller::{caller, Caller, ORIGIN_MAX_BYTES, USER_AGENT_MAX_BYTES};
use site_tracking::ingest::failure::{Failure, Refusal};
use site_tracking::ingest::reply::reply;
use site_tracking::ingest::route::{route, Route};
use site_tracking::ingest::Outcome;
use uuid::Uuid;

const EDGE: Edge = Edge {
    ip_mode: IpMode::Full,
    trusted_proxies: 1,
    explain: Explain::Off,
};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutated(data, size, max_size, seed)
});

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(gateway) = serde_json::from_slice::<&RawValue>(input) else {
        return Corpus::Reject;
    };
    let event = ApiEvent::read(gateway);
    let outcome = outcome(&event).map_err(Failure::Refused);
    let status = reply(&event, &outcome, Uuid::nil()).status();
    assert!((200..500).contains(&status), "status {status}");
    Corpus::Keep
});

fn outcome(event: &ApiEvent<'_>) -> Result<Outcome, Refusal> {
    match route(event)? {
        Route::Beacon => land(event),
        Route::Preflight => Ok(Outcome::Preflight),
        Route::Look => Ok(Outcome::Look),
        Route::Alive | Route::Ready => Ok(Outcome::Alive),
    }
}

/// What `ingest` does with a beacon, up to the database, which is never told.
fn land(event: &ApiEvent<'_>) -> Result<Outcome, Refusal> {
    let body = event.body();
    let coding = event.header("content-encoding");
    let unpacked = unpack(&body, coding);
    let decoded = decode(&body.bytes, &unpacked, &event.query, Ping::of(event));
    let claims = decoded.as_ref().map(Decoded::claims).unwrap_or_default();
    let caller = caller(event, &claims, &EDGE)?;
    is_storable(&caller);
    decoded.as_ref().map_err(Refusal::clone)?;
    judge(&Sent {
        body: &body,
        coding,
        query: &event.query,
        ping: Ping::of(event),
        sender: caller.sender(event.received_or(SystemTime::UNIX_EPOCH)),
    })?;
    Ok(Outcome::Alive)
}

fn is_storable(caller: &Caller) {
    let key = caller.site_key.expose();
    let record = serde_json::to_string(&caller.record).expect("a record is JSON");
    assert_eq!(fault(&record), None, "{record}");
    for (text, most) in [
        (caller.user_agent.as_deref(), USER_AGENT_MAX_BYTES),
        (caller.origin.as_deref(), ORIGIN_MAX_BYTES),
        (Some(&*record), usize::MAX),
    ] {
        let text = text.unwrap_or_default();
        assert!(text.len() <= most && !text.contains('\0'), "{text:?}");
        assert!(!text.contains(key), "the site key in {text:?}");
    }
    assert!(caller.site_key.expose().len() == SITE_KEY.len());
}
