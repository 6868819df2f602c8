//! The universal body: what trackers that disagree on success all take for it, and what ours say.
//!
//! In: status and outcome. Out: JSON. `code`, `status`, `success` and `result` are what trackers look for, and a
//! sender that looks for another sign sends again; the rest is for people and for clients of ours.

use serde::Serialize;

use super::super::failure::{Failure, Flaw, Refusal, RefusedEvent};
use super::super::keeper::Queued;
use super::super::landing::Landed;
use super::super::Outcome;

/// Events that an answer names among its errors, and as many among its duplicates; all are counted. A load balancer
/// turns an answer of more than a megabyte into a 502 ("Lambda functions as targets", Elastic Load Balancing), and the
/// sender would send again what is stored.
pub const NAMED_MAX: usize = 1_000;

#[derive(Serialize, Default)]
struct Body<'a> {
    code: u16,
    status: u8,
    success: bool,
    result: &'static str,
    #[serde(flatten)]
    landed: Option<Counts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<EventError>,
    #[serde(skip_serializing_if = "is_none")]
    errors_left_out: usize,
}

#[derive(Serialize)]
struct Counts<'a> {
    receipt: String,
    stored: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    queued: Option<usize>,
    duplicate: usize,
    quarantined: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    duplicates: Vec<First<'a>>,
    #[serde(skip_serializing_if = "is_none")]
    duplicates_left_out: usize,
}

#[derive(Serialize)]
struct First<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<&'a str>,
}

#[derive(Serialize)]
struct EventError {
    index: usize,
    error: &'static str,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<usize>,
}

/// The body of an answer with this status.
pub fn body(code: u16, outcome: &Result<Outcome, Failure>) -> String {
    let body = match outcome {
        Ok(Outcome::Undecodable { receipt, why, landed }) => Body {
            code,
            result: "Error",
            error: Some(Flaw::Undecodable.tag()),
            message: Some(why.to_string()),
            offset: Some(why.offset),
            landed: Some(counts(receipt.to_string(), landed)),
            ..Body::default()
        },
        Ok(Outcome::Queued {
            receipt,
            queued,
            undecodable: Some(why),
        }) => Body {
            code,
            result: "Error",
            error: Some(Flaw::Undecodable.tag()),
            message: Some(why.to_string()),
            offset: Some(why.offset),
            landed: Some(queued_counts(receipt.to_string(), queued)),
            ..Body::default()
        },
        Ok(outcome) => success(code, outcome),
        Err(failure) => Body {
            code,
            result: "Error",
            error: Some(tag_of(failure)),
            ..explained(failure)
        },
    };
    serde_json::to_string(&body).unwrap_or_default()
}

/// The tag of a failure, `explained`, `queued` or `ok`.
pub fn tag(outcome: &Result<Outcome, Failure>) -> &'static str {
    match outcome {
        Ok(Outcome::Explained(_)) => "explained",
        Ok(
            Outcome::Undecodable { .. }
            | Outcome::Queued {
                undecodable: Some(_), ..
            },
        ) => Flaw::Undecodable.tag(),
        Ok(Outcome::Queued { .. }) => "queued",
        Ok(_) => "ok",
        Err(failure) => tag_of(failure),
    }
}

/// Faults are ours, and a sender needs to know one thing of them: whether its events may be stored all the same.
pub fn tag_of(failure: &Failure) -> &'static str {
    match failure {
        Failure::Refused(refusal) => refusal.tag(),
        Failure::Fault(_) => "unavailable",
        Failure::Uncertain(_) => "outcome_unknown",
    }
}

fn success(code: u16, outcome: &Outcome) -> Body<'_> {
    let mut body = Body {
        code,
        status: 1,
        success: true,
        result: "Success",
        ..Body::default()
    };
    if let Outcome::Landed { receipt, landed } = outcome {
        body.landed = Some(counts(receipt.to_string(), landed));
        body.name(landed.refused.iter().chain(&landed.quarantined));
    }
    if let Outcome::Queued { receipt, queued, .. } = outcome {
        body.landed = Some(queued_counts(receipt.to_string(), queued));
        body.name(queued.refused.iter().chain(&queued.quarantined));
    }
    body
}

fn counts(receipt: String, landed: &Landed) -> Counts<'_> {
    let duplicates = landed.duplicates.iter().map(|duplicate| First {
        index: duplicate.index,
        receipt: duplicate.first_receipt.as_deref(),
    });
    Counts {
        receipt,
        stored: landed.stored,
        queued: None,
        duplicate: landed.duplicates.len(),
        quarantined: landed.quarantined.len(),
        duplicates: duplicates.take(NAMED_MAX).collect(),
        duplicates_left_out: landed.duplicates.len().saturating_sub(NAMED_MAX),
    }
}

/// Whether an event is there already is known when it leaves the queue.
fn queued_counts(receipt: String, queued: &Queued) -> Counts<'static> {
    Counts {
        receipt,
        stored: 0,
        queued: Some(queued.events),
        duplicate: 0,
        quarantined: queued.quarantined.len(),
        duplicates: Vec::new(),
        duplicates_left_out: 0,
    }
}

fn explained(failure: &Failure) -> Body<'static> {
    let refusal = match failure {
        Failure::Refused(refusal) => refusal,
        Failure::Fault(_) => return saying("nothing was stored; try again later"),
        Failure::Uncertain(_) => {
            return saying("it is not known whether anything was stored; try again later, events that name themselves are stored once");
        }
    };
    let mut body = Body {
        message: Some(refusal.to_string()),
        ..Body::default()
    };
    if let Refusal::NoneStorable(refused) = refusal {
        body.name(refused);
    }
    body
}

fn saying(message: &str) -> Body<'static> {
    Body {
        message: Some(message.to_owned()),
        ..Body::default()
    }
}

impl Body<'_> {
    /// The events that are not stored as they are, in their order, as far as there is room.
    fn name<'r>(&mut self, refused: impl IntoIterator<Item = &'r RefusedEvent>) {
        let error = |refused: &RefusedEvent| EventError {
            index: refused.index,
            error: refused.flaw.tag(),
            message: refused.flaw.sentence(),
            offset: refused.offset,
        };
        self.errors = refused.into_iter().map(error).collect();
        self.errors.sort_by_key(|error| error.index);
        self.errors_left_out = self.errors.len().saturating_sub(NAMED_MAX);
        self.errors.truncate(NAMED_MAX);
    }
}

fn is_none(count: &usize) -> bool {
    *count == 0
}
