//! What was done with the queue's messages, as one line of the log: counts, tags and times. What it stores was counted
//! when it was received, so its events are no metrics.

use std::time::Duration;

use serde::Serialize;

use super::super::dead_letters::Report;
use super::super::doctor::Examined;
use super::super::landing::Effort;
use super::super::replay::Replayed;
use super::{milliseconds, Start};
use crate::log::metrics::{Metric, Metrics, Unit};
use crate::log::Log;

#[derive(Serialize)]
struct Line<'a> {
    request_id: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'static str>,
    messages: usize,
    #[serde(rename = "Replayed")]
    landed: usize,
    #[serde(rename = "PutBack")]
    put_back: usize,
    #[serde(rename = "PutBackAge")]
    oldest_kept_s: u64,
    refused: usize,
    #[serde(rename = "LaidToRest")]
    dead_letters: usize,
    stored: usize,
    quarantined: usize,
    duplicate: usize,
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
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_error: Option<&'a str>,
    #[serde(rename = "Stack")]
    stack: &'a str,
    #[serde(rename = "_aws")]
    metrics: Metrics,
}

const METRICS: [Metric; 6] = [
    Metric::count("Replayed"),
    Metric::count("PutBack"),
    Metric::new("PutBackAge", Unit::Seconds),
    Metric::count("LaidToRest"),
    Metric::count("ColdStarts"),
    Metric::count("Reconnects"),
];

/// What an invocation by the queue is told by.
pub struct Batch<'a> {
    /// Id of the invocation.
    pub request_id: &'a str,
    /// Whether it is the first of its process.
    pub start: Start,
    /// Connections that were made in place of lost ones.
    pub reconnects: u32,
    /// How long it took.
    pub duration: Duration,
}

/// A batch of the queue was gone through.
pub fn replayed(log: &Log, batch: &Batch<'_>, done: &Replayed, effort: &Effort) {
    let failure = done.failure.as_ref();
    let line = Line {
        request_id: batch.request_id,
        outcome: "replayed",
        tag: failure.map(|failure| failure.tag),
        messages: done.messages,
        landed: done.landed,
        put_back: done.put_back,
        oldest_kept_s: done.oldest_kept.as_secs(),
        refused: done.refused,
        dead_letters: done.dead_letters,
        stored: done.stored,
        quarantined: done.quarantined,
        duplicate: done.duplicate,
        calls: effort.calls,
        database_ms: milliseconds(effort.database),
        duration_ms: milliseconds(batch.duration),
        cold_starts: batch.start.count(),
        reconnects: batch.reconnects,
        notes: &effort.detours,
        audit_sqlstate: effort.audit_error.as_deref(),
        sqlstate: failure.and_then(|failure| failure.sqlstate.as_deref()),
        error: failure.map(|failure| &*failure.why),
        queue_error: effort.queue_error.as_deref(),
        stack: log.stack(),
        metrics: Metrics::of_stack(&METRICS),
    };
    match done.landed == done.messages && effort.queue_error.is_none() {
        true => log.outcome(&line),
        false => log.fault(&line),
    }
}

#[derive(Serialize)]
struct Acted<'a> {
    request_id: &'a str,
    outcome: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letters: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// An operator asked for something.
pub fn acted(log: &Log, request_id: &str, report: &Report) {
    log.outcome(&Acted {
        request_id,
        outcome: "dead_letters",
        ok: report.ok,
        dead_letters: report.dead_letters,
        replayed: report.replayed,
        error: report.error.as_deref(),
    });
}

/// An operator asked what is wrong.
pub fn examined(log: &Log, request_id: &str, examined: &Examined) {
    log.outcome(&Acted {
        request_id,
        outcome: "doctor",
        ok: examined.ok,
        dead_letters: None,
        replayed: None,
        error: None,
    });
}
