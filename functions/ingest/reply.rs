//! What the sender is told: the only file that knows status codes.
//!
//! In: the event and its outcome. Out: the answer in the gateway's format, with the headers that let a page of any
//! origin read it. A fault is never shown: the sender is told to come again.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::api_event::{ApiEvent, Format};
use super::failure::{Failure, Fault, Refusal};
use super::{route, Outcome};

mod body;
mod cors;

/// Carries the receipt, also where the body is not read.
const RECEIPT: &str = "X-Ingest-Receipt";

/// Carries the tag of a refusal, or `ok`.
const OUTCOME: &str = "X-Ingest-Outcome";

const RETRY_AFTER: &str = "Retry-After";

/// Seconds after which a sender may come again: at least so many, and up to [`RETRY_SPREAD_S`] more, so that those
/// who were turned away together do not come back together.
const RETRY_LEAST_S: u8 = 2;
const RETRY_SPREAD_S: u8 = 9;

/// The gateway's answer format.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reply {
    status_code: u16,
    headers: serde_json::Map<String, Value>,
    body: String,
    is_base64_encoded: bool,
    /// Format 2.0's way to set cookies; a REST API answers 502 to a member that it does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    cookies: Option<[&'static str; 0]>,
}

impl Reply {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status_code
    }
}

/// `receipt` also spreads the times at which senders are asked to come again.
pub fn reply(event: &ApiEvent<'_>, outcome: &Result<Outcome, Failure>, receipt: Uuid) -> Reply {
    let status_code = status(outcome);
    let mut headers = serde_json::Map::new();
    let mut header = |name: &str, value: &str| headers.insert(name.to_owned(), Value::from(value));
    cors::headers(event, &mut header);
    header("Cache-Control", "no-store");
    header(OUTCOME, body::tag(outcome));
    match outcome {
        Ok(Outcome::Landed { receipt, .. } | Outcome::Undecodable { receipt, .. }) => {
            header(RECEIPT, &receipt.to_string());
        }
        Err(Failure::Refused(Refusal::Method)) => {
            header("Allow", route::ALLOWED);
        }
        Err(Failure::Fault(_)) => {
            header(RETRY_AFTER, &retry_after_s(receipt).to_string());
        }
        _ => {}
    }
    let is_empty = status_code == 204 || event.method.eq_ignore_ascii_case("HEAD");
    let body = if is_empty {
        String::new()
    } else {
        header("Content-Type", "application/json");
        body::body(status_code, outcome)
    };
    Reply {
        status_code,
        headers,
        body,
        is_base64_encoded: false,
        cookies: (event.format == Format::V2).then_some([]),
    }
}

fn status(outcome: &Result<Outcome, Failure>) -> u16 {
    match outcome {
        Ok(Outcome::Preflight) => 204,
        Ok(Outcome::Undecodable { .. }) => 400,
        Ok(Outcome::Alive | Outcome::Ready | Outcome::Landed { .. }) => 200,
        Err(Failure::Refused(refusal)) => match refusal {
            Refusal::NotHttp | Refusal::NoEvent | Refusal::NoneStorable(_) => 400,
            Refusal::NoKey
            | Refusal::MalformedKey
            | Refusal::TwoKeys
            | Refusal::UnknownKey
            | Refusal::RevokedKey
            | Refusal::UnknownTenant => 401,
            Refusal::Origin => 403,
            Refusal::NoSuchPath => 404,
            Refusal::Method => 405,
            Refusal::TooLarge(_) | Refusal::UnpacksTooLarge | Refusal::TooMany(_) => 413,
        },
        Err(Failure::Fault(fault)) => match fault {
            Fault::Connect(_)
            | Fault::ConnectionLost(_)
            | Fault::TimedOut
            | Fault::Database { .. }
            | Fault::Unexpected(_) => 503,
        },
    }
}

fn retry_after_s(receipt: Uuid) -> u8 {
    RETRY_LEAST_S + receipt.as_bytes()[15] % RETRY_SPREAD_S
}
