//! The way from events to an answer: a connection, the call, and what a failed call asks for.
//!
//! In: the events of a landing. Out: the database's answer to them, or that one of them is at fault. Each wait is
//! cut off at the landing's end; whatever is left unanswered takes its connection with it, so that the next call
//! does not queue behind it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::{Client, Error};

use super::call::{self, Answer, Audit};
use super::decision::{self, Next};
use super::{Effort, Landing, CALL_TIMEOUT};
use crate::db::Database;
use crate::ingest::beacon::Event;
use crate::ingest::failure::{Failure, Fault};

/// One landing's calls, one after the other.
pub struct Course<'a> {
    /// What is landed.
    pub landing: &'a Landing<'a>,
    /// Where.
    pub database: &'a Database,
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

impl Course<'_> {
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
            let client = self.client().await?;
            let answered = self.once(&client, events).await;
            // An error that is not the database's own came instead of its answer.
            self.effort.is_unanswered |= match &answered {
                Ok(answer) => answer.as_ref().is_err_and(|error| error.as_db_error().is_none()),
                Err(_) => true,
            };
            let error = match answered {
                Ok(Ok(answer)) => return answer.verdict().map(|()| Called::Answered(answer)),
                Ok(Err(error)) => error,
                Err(fault) => {
                    self.database.discard(&client).await;
                    return Err(fault.into());
                }
            };
            match decision::next(&error, may_repeat) {
                Next::Reconnect => {
                    self.effort.took("reconnected");
                    self.database.discard(&client).await;
                    may_repeat = false;
                }
                Next::Repeat => {
                    self.effort.took("repeated");
                    may_repeat = false;
                }
                Next::Isolate => return Ok(Called::RefusedForAnEvent),
                Next::GiveUp(failure) => return Err(failure),
            }
        }
    }

    async fn client(&self) -> Result<Arc<Client>, Fault> {
        // Outside the time-out: while all is well nothing in it waits, and no timer is set.
        tokio::task::yield_now().await;
        let connecting = tokio::time::timeout_at(self.until.into(), self.database.client_now());
        let client = connecting.await.map_err(|_| Fault::TimedOut)?;
        client.map_err(Fault::Connect)
    }

    /// One call, answered or not; who gets a fault drops the connection.
    pub async fn once(
        &mut self,
        client: &Client,
        events: &[Event<'_>],
    ) -> Result<Result<Answer, Error>, Fault> {
        self.effort.calls += 1;
        // One that hung once would cost each further call as much.
        let audit = match self.effort.audit_error {
            None => Audit::On,
            Some(_) => Audit::Off,
        };
        let calling = call::call(client, self.landing, events, audit);
        let answered = tokio::time::timeout(self.patience(), calling).await;
        let Ok(answer) = answered else {
            self.database.cancel(client).await;
            return Err(Fault::TimedOut);
        };
        if let Ok(answer) = &answer {
            self.effort.audit_error = self.effort.audit_error.take().or(answer.audit_error.clone());
        }
        Ok(answer)
    }

    /// How long one message to the server may take.
    pub fn patience(&self) -> Duration {
        CALL_TIMEOUT.min(self.until.saturating_duration_since(Instant::now()))
    }
}
