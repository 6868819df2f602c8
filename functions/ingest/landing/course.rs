//! The way from events to an answer: a connection, the call, and what a failed call asks for.
//!
//! In: the events of a landing. Out: the database's answer to them, or that one of them is at fault. Each wait is
//! cut off at the landing's end; whatever is left unanswered takes its connection with it, which nobody else uses.

use std::time::{Duration, Instant};

use super::call::{Answer, Audit};
use super::decision::{self, Next};
use super::server::{CallError, Server};
use super::{Effort, Landing, CALL_TIMEOUT};
use crate::ingest::beacon::Event;
use crate::ingest::failure::Failure;

/// One landing's calls, one after the other.
pub struct Course<'a, S> {
    /// What is landed.
    pub landing: &'a Landing<'a>,
    /// Where.
    pub database: &'a S,
    /// Counts what is done.
    pub effort: &'a mut Effort,
    /// No wait goes beyond it.
    pub until: Instant,
}

/// What became of a call.
pub enum Called {
    /// All of its events are answered for.
    Answered(Answer),
    /// Nothing is stored, because of one of its events.
    RefusedForAnEvent,
}

impl<S: Server> Course<'_, S> {
    /// Calls until there is an answer or no reason to call again.
    ///
    /// # Errors
    /// The key is refused, or the database is away or at fault.
    pub async fn call(&mut self, events: &[Event<'_>]) -> Result<Called, Failure> {
        let mut may_repeat = true;
        loop {
            #[cfg(feature = "plant-new-key-per-retry")]
            let renamed = crate::ingest::plants::with_new_keys(events);
            #[cfg(feature = "plant-new-key-per-retry")]
            let events = if may_repeat { events } else { &renamed };
            let session = self.database.session(self.until).await?;
            let answered = self.once(&session, events).await;
            if !answered.as_ref().is_err_and(CallError::ends_session) {
                self.database.keep(session);
            }
            let error = match answered {
                Ok(answer) => {
                    let verdict = answer.verdict();
                    self.effort.is_unanswered |= matches!(verdict, Err(Failure::Fault(_)));
                    return verdict.map(|()| Called::Answered(answer));
                }
                Err(error) => error,
            };
            self.effort.is_unanswered |= error.is_unanswered();
            match decision::next(&error, may_repeat) {
                Next::Reconnect => self.effort.took("reconnected"),
                Next::Repeat => self.effort.took("repeated"),
                Next::Isolate => return Ok(Called::RefusedForAnEvent),
                Next::GiveUp(failure) => return Err(failure),
            }
            may_repeat = false;
        }
    }

    /// One call, answered or not; what is overdue is stopped, and who hears that drops the connection.
    ///
    /// # Errors
    /// As [`Server::land`].
    pub async fn once(&mut self, session: &S::Session, events: &[Event<'_>]) -> Result<Answer, CallError> {
        self.effort.calls += 1;
        // One that hung once would cost each further call as much.
        let audit = match self.effort.audit_error {
            None => Audit::On,
            Some(_) => Audit::Off,
        };
        let landing = self.landing;
        let patience = self.patience();
        let answered = self
            .database
            .land(session, landing, events, audit, patience)
            .await;
        if let Ok(answer) = &answered {
            self.effort.audit_error = self.effort.audit_error.take().or(answer.audit_error.clone());
        }
        answered
    }

    /// How long one message to the server may take.
    pub fn patience(&self) -> Duration {
        CALL_TIMEOUT.min(self.until.saturating_duration_since(self.database.now()))
    }
}
