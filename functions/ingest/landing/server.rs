//! What a landing asks of the world: the time, a connection, and the two things that are said on one.
//!
//! In: a wish and how long it may take. Out: what came of it. Everything that decides stands on this side of it, so
//! that the same code runs against PostgreSQL and against a model in which every outcome can be tried.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;
use tokio_postgres::Client;

use super::call::{self, Answer, Audit};
use super::Landing;
use crate::db::{ConnectError, Database, CANCEL_TIMEOUT};
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

    /// The connection that all share.
    ///
    /// # Errors
    /// There is none before `until`.
    async fn session(&self, until: Instant) -> Result<Arc<Self::Session>, Fault>;

    /// A connection that nobody else uses; dropped, it takes its transaction with it.
    ///
    /// # Errors
    /// As [`Server::session`].
    async fn session_alone(&self, until: Instant) -> Result<Self::Session, Fault>;

    /// Takes a connection back that was used alone.
    async fn keep(&self, session: Self::Session);

    /// Forgets a connection that failed.
    async fn discard(&self, session: &Arc<Self::Session>);

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
    type Session = Client;

    fn now(&self) -> Instant {
        Instant::now()
    }

    async fn session(&self, until: Instant) -> Result<Arc<Client>, Fault> {
        // Outside the time-out: while all is well nothing in it waits, and no timer is set.
        tokio::task::yield_now().await;
        connected(until, self.client_now()).await
    }

    async fn session_alone(&self, until: Instant) -> Result<Client, Fault> {
        connected(until, self.alone()).await
    }

    async fn keep(&self, session: Client) {
        Self::keep(self, session).await;
    }

    async fn discard(&self, session: &Arc<Client>) {
        Self::discard(self, session).await;
    }

    async fn land(
        &self,
        session: &Client,
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

    async fn tell(&self, session: &Client, sql: &'static str, patience: Duration) -> Result<(), CallError> {
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
