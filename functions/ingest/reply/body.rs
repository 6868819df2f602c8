//! The universal body: what trackers that disagree on success all take for it, and what ours say.
//!
//! In: status and outcome. Out: JSON. `code`, `status`, `success` and `result` are what trackers look for, and a
//! sender that looks for another sign sends again; the rest is for people and for clients of ours.

use serde::Serialize;

use super::super::failure::{Failure, Flaw, Refusal, RefusedEvent};
use super::super::landing::Landed;
use super::super::Outcome;

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
}

#[derive(Serialize)]
struct Counts<'a> {
    receipt: String,
    stored: usize,
    duplicate: usize,
    quarantined: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    duplicates: Vec<First<'a>>,
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

/// The tag of a failure, `explained` or `ok`.
pub fn tag(outcome: &Result<Outcome, Failure>) -> &'static str {
    match outcome {
        Ok(Outcome::Explained(_)) => "explained",
        Ok(Outcome::Undecodable { .. }) => Flaw::Undecodable.tag(),
        Ok(_) => "ok",
        Err(failure) => tag_of(failure),
    }
}

/// Faults are ours, and one word is enough for all of them.
pub fn tag_of(failure: &Failure) -> &'static str {
    match failure {
        Failure::Refused(refusal) => refusal.tag(),
        Failure::Fault(_) => "unavailable",
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
        body.errors = errors(landed.refused.iter().chain(&landed.quarantined));
        body.errors.sort_by_key(|error| error.index);
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
        duplicate: landed.duplicates.len(),
        quarantined: landed.quarantined.len(),
        duplicates: duplicates.collect(),
    }
}

fn explained(failure: &Failure) -> Body<'static> {
    let Failure::Refused(refusal) = failure else {
        return Body {
            message: Some("not stored, or not all of it; try again later".to_owned()),
            ..Body::default()
        };
    };
    let mut body = Body {
        message: Some(refusal.to_string()),
        ..Body::default()
    };
    if let Refusal::NoneStorable(refused) = refusal {
        body.errors = errors(refused);
    }
    body
}

fn errors<'r>(refused: impl IntoIterator<Item = &'r RefusedEvent>) -> Vec<EventError> {
    let error = |refused: &RefusedEvent| EventError {
        index: refused.index,
        error: refused.flaw.tag(),
        message: refused.flaw.sentence(),
        offset: refused.offset,
    };
    refused.into_iter().map(error).collect()
}
