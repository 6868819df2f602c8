//! The story of one deploy, or of one operator's question: every path ends in an answer.
//!
//! An event of CloudFormation goes `cfn_event → resource (→ plan → run → report) → answer → send`; any other event is
//! an [`action`]. What went wrong on the way is part of the answer: a stack whose resource is never answered hangs for
//! an hour.

use std::panic::PanicHookInfo;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{json, Value};

use crate::config::Environment;
use crate::log::Log;

pub mod fields;
pub mod cfn_event;
pub mod properties;
pub mod action;
pub mod resource;
pub mod time_left;
pub mod guard;
pub mod catalogue;
pub mod fingerprint;
pub mod rights;
pub mod ledger;
pub mod predecessor;
pub mod shape;
pub mod backlog;
pub mod measure;
pub mod recent;
pub mod doctor;
pub mod plan;
pub mod run;
pub mod notes;
pub mod health;
pub mod login;
pub mod record;
pub mod keys;
pub mod first_key;
pub mod key_count;
pub mod origin;
pub mod checklist;
pub mod verify;
pub mod keep;
pub mod report;
pub mod preview;
pub mod failure;
pub mod answer;
pub mod send;

use cfn_event::Envelope;
use resource::Fulfilled;
use send::Undelivered;

/// What outlives an invocation.
#[derive(Clone)]
pub struct Migrate {
    environment: Environment,
    log: Log,
}

/// What Lambda says of an invocation.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Its id.
    pub request_id: String,
    /// When Lambda ends it, in milliseconds since 1970.
    pub deadline_ms: u64,
}

impl Migrate {
    /// Connects to nothing, and takes any environment: what is wrong with it is told in the answers.
    pub fn new(environment: Environment, log: Log) -> Self {
        Self { environment, log }
    }

    /// Answers one event.
    ///
    /// # Errors
    /// Somebody waits at a response URL and could not be reached. Everything else is an answer.
    pub async fn handle(&self, event: &RawValue, invocation: &Invocation) -> Result<Value, Undelivered> {
        match Envelope::of(event) {
            Some(envelope) => self.deploy(event, &envelope, invocation).await,
            None => Ok(self.operate(event, invocation).await),
        }
    }

    async fn deploy(
        &self,
        event: &RawValue,
        envelope: &Envelope,
        invocation: &Invocation,
    ) -> Result<Value, Undelivered> {
        let fulfilled = resource::fulfil(&self.environment, event, envelope, invocation.deadline_ms).await;
        let body = fulfilled.answer.encode(envelope);
        let delivered = match &envelope.response_url {
            Some(url) => send::put(url, body).await,
            None => Err(Undelivered::NoUrl("is missing")),
        };
        self.tell(envelope, &fulfilled, delivered.as_ref().err(), invocation);
        delivered.map(|()| {
            json!({
                "status": fulfilled.answer.status,
                "reason": fulfilled.answer.reason,
                "physical_resource_id": fulfilled.answer.physical_resource_id,
            })
        })
    }

    fn tell(
        &self,
        envelope: &Envelope,
        fulfilled: &Fulfilled,
        undelivered: Option<&Undelivered>,
        invocation: &Invocation,
    ) {
        let line = DeployLine {
            function: "migrate",
            request_id: &invocation.request_id,
            stack_id: &envelope.stack_id,
            logical_resource_id: &envelope.logical_resource_id,
            physical_resource_id: &fulfilled.answer.physical_resource_id,
            status: fulfilled.answer.status,
            reason: &fulfilled.answer.reason,
            report: fulfilled.report.as_ref(),
            failure: fulfilled.failure.as_ref(),
            undelivered: undelivered.map(ToString::to_string),
        };
        if fulfilled.failure.is_none() && undelivered.is_none() {
            self.log.outcome(&line);
        } else {
            self.log.fault(&line);
        }
    }

    async fn operate(&self, event: &RawValue, invocation: &Invocation) -> Value {
        let answer = action::perform(
            &self.environment,
            event,
            &invocation.request_id,
            invocation.deadline_ms,
        )
        .await;
        let mut line = json!({
            "function": "migrate",
            "request_id": invocation.request_id,
            "Stack": self.log.stack(),
            "action": answer.get("action"),
            "ok": answer.get("ok"),
            "outcome": answer.get("outcome"),
            "api_key_hk": answer.get("api_key_hk"),
            "failure": answer.get("error"),
        });
        if let Value::Object(line) = &mut line {
            line.append(&mut measure::as_metrics(&answer));
        }
        if answer.get("error").is_none() {
            self.log.outcome(&line);
        } else {
            self.log.fault(&line);
        }
        Value::Object(answer)
    }
}

#[derive(Serialize)]
struct DeployLine<'a> {
    function: &'static str,
    request_id: &'a str,
    stack_id: &'a str,
    logical_resource_id: &'a str,
    physical_resource_id: &'a str,
    status: answer::Status,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a report::Report>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a failure::Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undelivered: Option<String>,
}

/// Logs where a panic was. Its message is left out: it may quote what was being worked on.
pub fn log_panic(log: &Log, panic: &PanicHookInfo<'_>) {
    let at = panic.location().map(|at| format!("{}:{}", at.file(), at.line()));
    log.fault(&json!({ "function": "migrate", "outcome": "panic", "at": at }));
}
