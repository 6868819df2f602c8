//! What a landing asks of the world: the time, a connection, and the two things that are said on one.
//!
//! In: a wish and how long it may take. Out: what came of it. Everything that decides stands on this side of it, so
//! that the same code runs against PostgreSQL and against a model in which every outcome can be tried.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;

use super::call::{self, Answer, Audit};
use super::decision;
use super::{Landing, CALL_TIMEOUT};
use crate::db::{ConnectError, Database, Lent, CANCEL_TIMEOUT};
use crate::ingest::beacon::Event;
use crate::ingest::failure::Fault;

/// A database with the raw layer.
#[expect(
    async_fn_in_trait,
    reason = "whoever spawns knows which server it is, and so whether that is `Send`"
)]
pub trait Server {
    /// A connection.
    type Session;

    /// The time by which waits are judged.
    fn now(&self) -> Instant;

    /// A connection that nobody else uses, with a call's time left before `until`; dropped, it takes along what it is
    /// asked, and its transaction.
    ///
    /// # Errors
    /// There is none in time.
    async fn session(&self, until: Instant) -> Result<Self::Session, Fault>;

    /// Takes a connection back that has answered all that it was asked.
    fn keep(&self, session: Self::Session);

    /// Sends events; the answer is that of a commit where no transaction is around it. What is overdue is stopped.
    ///
    /// # Errors
    /// The server says no, or nothing.
    async fn land(
        &self,
        session: &Self::Session,
        landing: &Landing<'_>,
        events: &[Event<'_>],
        audit: Audit,
        patience: Duration,
    ) -> Result<Answer, CallError>;

    /// Sends what begins, divides or ends a transaction.
    ///
    /// # Errors
    /// The server says no, or nothing.
    async fn tell(
        &self,
        session: &Self::Session,
        sql: &'static str,
        patience: Duration,
    ) -> Result<(), CallError>;
}

/// Why a call has no good answer.
#[derive(Clone, Debug)]
pub enum CallError {
    /// Somebody answered, and said no: nothing of the call is stored, unless what is said is that the answer was lost.
    Database {
        /// SQLSTATE.
        sqlstate: SqlState,
        /// PostgreSQL's message.
        message: String,
    },
    /// The connection ended instead; the call may have been done.
    Lost(String),
    /// Nothing came in time; the call may be done, or still be.
    Overdue,
}

impl CallError {
    /// Whether the connection is of no more use.
    pub fn ends_session(&self) -> bool {
        match self {
            Self::Database { sqlstate, .. } => decision::is_of_the_session(sqlstate),
            Self::Lost(_) | Self::Overdue => true,
        }
    }

    /// Whether nobody said what became of the call: also where a pooler answers that it lost the server.
    pub fn is_unanswered(&self) -> bool {
        match self {
            Self::Database { sqlstate, .. } => is_lost_answer(sqlstate),
            Self::Lost(_) | Self::Overdue => true,
        }
    }
}

/// Class 08 is about connections: behind `send` it is what a pooler says whose own connection ended, PgBouncer with
/// 08P01 for one; 40003 is "statement completion unknown" (appendix "PostgreSQL Error Codes").
fn is_lost_answer(sqlstate: &SqlState) -> bool {
    sqlstate.code().starts_with("08") || *sqlstate == SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN
}

impl From<tokio_postgres::Error> for CallError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(refusal) => Self::Database {
                sqlstate: refusal.code().clone(),
                message: refusal.message().to_owned(),
            },
            None => Self::Lost(error.to_string()),
        }
    }
}

impl Server for Database {
    type Session = Lent;

    fn now(&self) -> Instant {
        Instant::now()
    }

    async fn session(&self, until: Instant) -> Result<Lent, Fault> {
        // Outside the time-out: while all is well nothing in it waits, and no timer is set.
        tokio::task::yield_now().await;
        // Who would be sent too late to have its time is not sent.
        let turn = self.turn(until.checked_sub(CALL_TIMEOUT).unwrap_or(until)).await;
        connected(until, self.lend(turn.map_err(Fault::Connect)?)).await
    }

    fn keep(&self, session: Lent) {
        Self::keep(self, session);
    }

    async fn land(
        &self,
        session: &Lent,
        landing: &Landing<'_>,
        events: &[Event<'_>],
        audit: Audit,
        patience: Duration,
    ) -> Result<Answer, CallError> {
        let mut calling = pin!(call::call(session, landing, events, audit));
        match answered(patience, &mut calling).await {
            Err(CallError::Overdue) => {
                self.cancel(session).await;
                // It may have ended meanwhile; what it says then is true.
                let late = answered(CANCEL_TIMEOUT, calling).await;
                late.map_err(|_| CallError::Overdue)
            }
            answered => answered,
        }
    }

    async fn tell(&self, session: &Lent, sql: &'static str, patience: Duration) -> Result<(), CallError> {
        answered(patience, session.batch_execute(sql)).await
    }
}

async fn connected<C>(
    until: Instant,
    connecting: impl Future<Output = Result<C, ConnectError>>,
) -> Result<C, Fault> {
    let connected = tokio::time::timeout_at(until.into(), connecting).await;
    connected.map_err(|_| Fault::TimedOut)?.map_err(Fault::Connect)
}

async fn answered<T>(
    patience: Duration,
    calling: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, CallError> {
    let answered = tokio::time::timeout(patience, calling).await;
    Ok(answered.map_err(|_| CallError::Overdue)??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_lost_is_none_whoever_says_so() {
        let says = |code| CallError::Database {
            sqlstate: SqlState::from_code(code),
            message: String::new(),
        };
        for (error, is_unanswered) in [
            (CallError::Lost(String::new()), true),
            (CallError::Overdue, true),
            (says("08P01"), true),
            (says("08006"), true),
            (says("08007"), true),
            (says("40003"), true),
            (says("40001"), false),
            (says("57P01"), false),
            (says("57014"), false),
            (says("XX000"), false),
            (says(""), false),
        ] {
            assert_eq!(error.is_unanswered(), is_unanswered, "{error:?}");
        }
    }
}
