//! An explanation as JSON: what every stage found, and what the answer would have been.
//!
//! Its members are for people who look for a fault in their page, and may change. The sender is told of itself
//! alone; the site key is named by its place.

use serde_json::{json, Map, Value};

use super::super::beacon::{Coding, BODY_MAX_BYTES, EVENTS_MAX, UNPACKED_MAX_BYTES};
use super::super::caller::{Caller, Place};
use super::super::explain::{Explanation, Found};
use super::super::failure::{Failure, Flaw, Refusal, RefusedEvent};
use super::body;

/// The body of an answer that explains.
pub fn text(explanation: &Explanation) -> String {
    json!({
        "explained": true,
        "stored": 0,
        "would_answer": would_answer(explanation),
        "gateway": explanation.gateway.name(),
        "wants_image": explanation.wants_image,
        "body": {
            "content_type": explanation.content_type,
            "content_encoding": explanation.content_encoding,
            "gateway_base64": explanation.is_base64,
            "wire_bytes": explanation.wire_bytes,
            "unpacked_bytes": explanation.unpacked_bytes,
        },
        "sender": said(&explanation.caller, sender),
        "events": said(&explanation.beacon, events),
        "verdict": explanation.verdict.as_ref().map(verdict),
        "limits": { "body_bytes": BODY_MAX_BYTES, "unpacked_bytes": UNPACKED_MAX_BYTES, "events": EVENTS_MAX },
        "took_ms": explanation.took_ms.iter().map(|(stage, ms)| ((*stage).to_owned(), json!(ms))).collect::<Map<_, _>>(),
    })
    .to_string()
}

fn would_answer(explanation: &Explanation) -> Value {
    match (explanation.refusal(), &explanation.verdict) {
        (Some(refusal), _) => json!({ "status": super::status_of(refusal), "error": refusal.tag() }),
        (None, Some(Err(failure))) => json!({ "status": super::UNAVAILABLE, "error": body::tag_of(failure) }),
        (None, _) if is_undecodable(explanation) => {
            json!({ "status": super::UNDECODABLE, "error": Flaw::Undecodable.tag() })
        }
        (None, _) => json!({ "status": 200 }),
    }
}

fn is_undecodable(explanation: &Explanation) -> bool {
    explanation
        .beacon
        .as_ref()
        .is_ok_and(|found| found.undecodable.is_some())
}

/// What a stage found, or why it refused.
fn said<T>(result: &Result<T, Refusal>, found: fn(&T) -> Value) -> Value {
    match result {
        Ok(value) => found(value),
        Err(refusal) => json!({ "error": refusal.tag(), "message": refusal.to_string() }),
    }
}

fn sender(caller: &Caller) -> Value {
    json!({
        "site_key_in": caller.stood_in.site_key,
        "client_ip": caller.client_ip,
        "client_ip_from": place(caller.stood_in.client_ip),
        "origin": caller.origin,
        "origin_from": caller.stood_in.origin,
        "notes": caller.record.notes,
    })
}

fn place(place: Place) -> String {
    match place {
        Place::SourceIp => "the gateway".to_owned(),
        Place::ForwardedFor(nth) => format!("x-forwarded-for, number {nth} from the right"),
        Place::Nowhere => "nowhere: IP_MODE is none".to_owned(),
    }
}

fn events(found: &Found) -> Value {
    let each = |events: &[RefusedEvent]| {
        let each = events.iter();
        let each = each.map(|r| json!({ "index": r.index, "error": r.flaw.tag(), "offset": r.offset }));
        each.collect::<Vec<_>>()
    };
    json!({
        "encoding": found.coding.map(Coding::tag),
        "step": found.step.tag(),
        "undecodable": found.undecodable.as_ref().map(ToString::to_string),
        "storable": found.events,
        "quarantined": each(&found.quarantined),
        "refused": each(&found.refused),
        "notes": found.notes,
    })
}

fn verdict(verdict: &Result<(), Failure>) -> &'static str {
    verdict.as_ref().err().map_or("ok", body::tag_of)
}
