//! What one request did, as one line of the log.
//!
//! Tags, counts, sizes, times and ids go in; keys, addresses, user agents, origins and payloads do not.

use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

mod queue;
mod tally;

pub use queue::{acted, examined, replayed, Batch};

use super::beacon::{self, Beacon, Coding};
use super::failure::{Failure, Fault, Flaw};
use super::landing::Effort;
use super::Outcome;
use crate::config::{Invalid, LogLevel};
use crate::db::ConnectError;
use crate::log::metrics::Metrics;
use crate::log::Log;
use tally::Tally;

/// What a request asks for, as far as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// To keep events.
    Beacon,
    /// Something else.
    Other,
}

/// The line as it is collected.
pub struct Account<'a> {
    request_id: &'a str,
    /// What is asked for; whatever cannot be told is a beacon that failed.
    pub asks: Asks,
    cold_starts: u8,
    body_bytes: usize,
    coding: Option<&'static str>,
    step: Option<&'static str>,
    events: Option<usize>,
    notes: Vec<&'static str>,
    /// What the database took.
    pub effort: Effort,
    /// Connections that were made in place of lost ones.
    pub reconnects: u32,
}

#[derive(Serialize)]
struct Line<'a> {
    request_id: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'static str>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    coding: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
    #[serde(flatten)]
    tally: Option<&'a Tally>,
    calls: u32,
    #[serde(rename = "DatabaseTime")]
    database_ms: f64,
    #[serde(rename = "Duration")]
    duration_ms: f64,
    #[serde(rename = "ColdStarts")]
    cold_starts: u8,
    #[serde(rename = "Reconnects")]
    reconnects: u32,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    notes: &'a [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_sqlstate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sqlstate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_error: Option<&'a str>,
    #[serde(rename = "Stack")]
    stack: &'a str,
    #[serde(rename = "_aws")]
    metrics: Metrics,
}

#[derive(Serialize)]
struct Step<'a> {
    step: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sqlstate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl<'a> Account<'a> {
    /// An empty one.
    pub fn new(request_id: &'a str, cold_start: Start) -> Self {
        Self {
            request_id,
            asks: Asks::Beacon,
            cold_starts: cold_start.count(),
            body_bytes: 0,
            coding: None,
            step: None,
            events: None,
            notes: Vec::new(),
            effort: Effort::default(),
            reconnects: 0,
        }
    }

    /// A body was read.
    pub fn read(&mut self, body_bytes: usize, coding: Option<Coding>) {
        self.body_bytes = body_bytes;
        self.coding = coding.map(Coding::tag);
    }

    /// A step of the ladder took it.
    pub fn decoded(&mut self, step: beacon::Step) {
        self.step = Some(step.tag());
    }

    /// Its events were found.
    pub fn understood(&mut self, beacon: &Beacon<'_>) {
        self.events = Some(beacon.events.len() + beacon.refused.len());
        self.notes.extend_from_slice(&beacon.notes);
    }

    /// Writes the line.
    pub fn close(mut self, log: &Log, outcome: &Result<Outcome, Failure>, status: u16, duration: Duration) {
        self.notes.append(&mut self.effort.detours);
        let (name, tag) = named(outcome);
        let tally = self.tally(outcome);
        let mut line = Line {
            request_id: self.request_id,
            outcome: name,
            tag,
            status,
            coding: self.coding,
            step: self.step,
            receipt: None,
            tally: tally.as_ref(),
            calls: self.effort.calls,
            database_ms: milliseconds(self.effort.database),
            duration_ms: milliseconds(duration),
            cold_starts: self.cold_starts,
            reconnects: self.reconnects,
            notes: &self.notes,
            audit_sqlstate: self.effort.audit_error.as_deref(),
            sqlstate: None,
            error: None,
            queue_error: self.effort.queue_error.as_deref(),
            stack: log.stack(),
            metrics: Metrics::now(tally.as_ref().map_or(&tally::OF_ANOTHER, Tally::directives)),
        };
        match outcome {
            Ok(Outcome::Landed { receipt, .. } | Outcome::Undecodable { receipt, .. }) => {
                line.receipt = Some(receipt.to_string());
            }
            Ok(Outcome::Queued { receipt, queued, .. }) => {
                line.receipt = Some(receipt.to_string());
                line.sqlstate = queued.because.sqlstate();
                line.error = Some(queued.because.to_string());
            }
            Err(Failure::Fault(fault) | Failure::Uncertain(fault)) => {
                line.sqlstate = fault.sqlstate();
                line.error = Some(fault.to_string());
                return log.fault(&line);
            }
            _ => {}
        }
        log.outcome(&line);
    }

    fn tally(&self, outcome: &Result<Outcome, Failure>) -> Option<Tally> {
        let tally = match self.asks {
            Asks::Beacon => Tally::of(outcome, self.events),
            Asks::Other => None,
        };
        tally.map(|tally| tally.with(self.body_bytes, self.effort.is_breaker_open))
    }
}

/// Whether a process answers for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It does.
    Cold,
    /// It has answered before.
    Warm,
}

impl Start {
    fn count(self) -> u8 {
        u8::from(self == Self::Cold)
    }
}

fn named(outcome: &Result<Outcome, Failure>) -> (&'static str, Option<&'static str>) {
    match outcome {
        Ok(Outcome::Preflight) => ("preflight", None),
        Ok(Outcome::Alive) => ("alive", None),
        Ok(Outcome::Ready) => ("ready", None),
        Ok(Outcome::Look) => ("look", None),
        Ok(Outcome::Explained(_)) => ("explained", None),
        Ok(Outcome::Landed { .. }) => ("landed", None),
        Ok(Outcome::Undecodable { .. }) => ("quarantined", Some(Flaw::Undecodable.tag())),
        Err(Failure::Refused(refusal)) => ("refused", Some(refusal.tag())),
        Ok(Outcome::Queued { queued, .. }) => ("queued", Some(queued.because.tag())),
        Err(Failure::Fault(fault)) => ("fault", Some(fault.tag())),
        Err(Failure::Uncertain(fault)) => ("outcome_unknown", Some(fault.tag())),
    }
}

/// A variable that cannot be understood ends the start; its name, the fault and the remedy are all that is said.
pub fn could_not_start(invalid: &Invalid) -> ExitCode {
    Log::new(LogLevel::Info, "").fault(&Step {
        step: "start",
        sqlstate: None,
        error: Some(invalid.to_string()),
    });
    ExitCode::FAILURE
}

/// The connection that was made before the first request, or was not.
pub fn connected_ahead(log: &Log, error: Option<ConnectError>) {
    let fault = error.map(Fault::Connect);
    let step = Step {
        step: "connect_ahead",
        sqlstate: fault.as_ref().and_then(Fault::sqlstate),
        error: fault.as_ref().map(Fault::to_string),
    };
    match fault {
        Some(_) => log.fault(&step),
        None => log.step(&step),
    }
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
