//! An explanation as JSON: what every stage found, and what the answer would have been.
//!
//! Its members are for people who look for a fault in their page, and may change. The sender is told of itself
//! alone; the site key is named by its place.

use serde_json::{json, Map, Value};

use super::super::caller::{Caller, Place};
use super::super::explain::{Explanation, Found};
use super::super::failure::{Failure, Flaw, Refusal, RefusedEvent};
use super::super::limits;
use super::body;

/// The body of an answer that explains.
pub fn text(explanation: &Explanation) -> String {
    let beacon = explanation.beacon.as_ref();
    let took = explanation.took_ms.iter();
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
            "sent_bytes": explanation.sent_bytes,
            "unpacked_bytes": explanation.unpacked_bytes,
            "encoding_found": explanation.coding.map(|coding| coding.tag()),
        },
        "ladder_step": said(&explanation.step, |step| json!(step.tag())),
        "sender": said(&explanation.caller, sender),
        "events": beacon.map(|beacon| said(beacon, events)),
        "verdict": explanation.verdict.as_ref().map(verdict),
        "limits": limits::ALL.iter().map(|limit| (limit.name.to_owned(), json!(limit.value))).collect::<Map<_, _>>(),
        "took_ms": took.map(|(stage, ms)| ((*stage).to_owned(), json!(ms))).collect::<Map<_, _>>(),
    })
    .to_string()
}

fn would_answer(explanation: &Explanation) -> Value {
    let status = |status: u16, error: &str| json!({ "status": status, "error": error });
    if let Some(refusal) = explanation.refusal() {
        return status(super::status_of(refusal), refusal.tag());
    }
    match (&explanation.verdict, explanation.undecodable()) {
        (Some(Err(failure)), _) => status(super::UNAVAILABLE, body::tag_of(failure)),
        (_, Some(_)) => status(super::UNDECODABLE, Flaw::Undecodable.tag()),
        _ => json!({ "status": 200 }),
    }
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
    json!({
        "storable": found.storable,
        "quarantined": flawed(&found.quarantined),
        "refused": flawed(&found.refused),
        "notes": found.notes,
        "undecodable": found.undecodable.as_ref().map(ToString::to_string),
    })
}

fn flawed(events: &[RefusedEvent]) -> Vec<Value> {
    let told = |event: &RefusedEvent| json!({ "index": event.index, "error": event.flaw.tag(), "offset": event.offset });
    events.iter().map(told).collect()
}

fn verdict(verdict: &Result<(), Failure>) -> &'static str {
    verdict.as_ref().err().map_or("ok", body::tag_of)
}
