//! What the sender is told: the only file that knows status codes.
//!
//! In: the event and its outcome. Out: the answer in the gateway's form, with the headers that let a page of any
//! origin read it; as an image where only an image can be taken. A fault is never shown: the sender is told to come
//! again.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::api_event::ApiEvent;
use super::failure::{Failure, Fault, Refusal};
use super::{route, Outcome};

mod cors;
mod body;
mod explained;
mod pixel;
mod shape;

pub use body::NAMED_MAX;
pub use cors::ECHO_MAX_BYTES;
pub use shape::Reply;

use shape::Content;

/// Carries the receipt, also where the body is not read.
const RECEIPT: &str = "X-Ingest-Receipt";

/// Carries the tag of a refusal, or `ok`.
const OUTCOME: &str = "X-Ingest-Outcome";

const RETRY_AFTER: &str = "Retry-After";

/// The events are kept, and will be stored.
const ACCEPTED: u16 = 202;

/// The body is quarantined as a whole.
const UNDECODABLE: u16 = 400;

/// Nothing was stored, and the sender may come again.
const UNAVAILABLE: u16 = 503;

/// Seconds after which a sender may come again: at least so many, and up to [`RETRY_SPREAD_S`] more, so that those
/// who were turned away together do not come back together.
const RETRY_LEAST_S: u8 = 2;
const RETRY_SPREAD_S: u8 = 9;

/// `receipt` also spreads the times at which senders are asked to come again.
pub fn reply(event: &ApiEvent<'_>, outcome: &Result<Outcome, Failure>, receipt: Uuid) -> Reply {
    let status = status(outcome);
    let mut headers = BTreeMap::new();
    let mut header = |name, value: &str| {
        headers.insert(name, value.to_owned());
    };
    cors::headers(event, &mut header);
    header("Cache-Control", "no-store");
    header(OUTCOME, body::tag(outcome));
    match outcome {
        Ok(
            Outcome::Landed { receipt, .. }
            | Outcome::Undecodable { receipt, .. }
            | Outcome::Queued { receipt, .. },
        ) => {
            header(RECEIPT, &receipt.to_string());
        }
        Err(Failure::Refused(Refusal::Method)) => header("Allow", route::ALLOWED),
        Err(Failure::Fault(_) | Failure::Uncertain(_)) => {
            header(RETRY_AFTER, &retry_after_s(receipt).to_string())
        }
        _ => {}
    }
    Reply::of(event.gateway, status, headers, content(event, outcome, status))
}

/// An explanation is for people, also where the beacon that it is about is an image's.
fn content(event: &ApiEvent<'_>, outcome: &Result<Outcome, Failure>, status: u16) -> Content {
    match outcome {
        _ if status == 204 || event.method.eq_ignore_ascii_case("HEAD") => Content::Nothing,
        Ok(Outcome::Explained(explanation)) => Content::Json(explained::text(explanation)),
        _ if route::wants_image(event) => Content::Image(pixel::GIF),
        _ => Content::Json(body::body(status, outcome)),
    }
}

fn status(outcome: &Result<Outcome, Failure>) -> u16 {
    match outcome {
        Ok(Outcome::Preflight) => 204,
        Ok(
            Outcome::Undecodable { .. }
            | Outcome::Queued {
                undecodable: Some(_), ..
            },
        ) => UNDECODABLE,
        Ok(Outcome::Queued {
            undecodable: None, ..
        }) => ACCEPTED,
        Ok(
            Outcome::Alive | Outcome::Ready | Outcome::Look | Outcome::Explained(_) | Outcome::Landed { .. },
        ) => 200,
        Err(Failure::Refused(refusal)) => status_of(refusal),
        Err(Failure::Fault(fault) | Failure::Uncertain(fault)) => match fault {
            Fault::Connect(_)
            | Fault::ConnectionLost(_)
            | Fault::TimedOut
            | Fault::NoRoom
            | Fault::Database { .. }
            | Fault::Unexpected(_)
            | Fault::Spared => UNAVAILABLE,
        },
    }
}

fn status_of(refusal: &Refusal) -> u16 {
    match refusal {
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
    }
}

fn retry_after_s(receipt: Uuid) -> u8 {
    RETRY_LEAST_S + receipt.as_bytes()[15] % RETRY_SPREAD_S
}

#[cfg(test)]
mod tests;
