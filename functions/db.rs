//! Live connections to PostgreSQL: TLS, authentication, and knowing when a connection is dead.
//!
//! In: [`config::Database`]. Out: a [`Lent`] connection that answered a moment ago and that nobody else uses, or a
//! [`ConnectError`] for the operator. It holds no session state (no prepared statement, no `SET`, no start-up option),
//! so that a pooler may stand in between, and it knows no table and no function of ours.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::config;

mod connector;
mod iam;
mod secret;
mod error;
mod lent;

pub use error::ConnectError;
pub use lent::{Lent, CONNECTIONS_MAX};

use connector::Connector;
use lent::{Free, Lending, Turn};

/// TCP, TLS and authentication together. Seven round trips: a second across a continent, so two leave room for a
/// lost packet and still let a function answer 503 within five seconds.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// An idle connection older than this is asked before it is used: network address translation and poolers forget
/// idle connections after minutes, a busy function never waits for the answer.
const IDLE_BEFORE_CHECK: Duration = Duration::from_secs(30);

/// How long the question may take; a server that needs longer for an empty message is not there.
const CHECK_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a server may take to hear that a statement is to be stopped: a new connection, with TLS, and one message. The
/// sender waits for it.
pub const CANCEL_TIMEOUT: Duration = Duration::from_millis(500);

/// One database, and the connections of this process to it: made when they are first needed and again when they have
/// died. A process that serves one request at a time has one.
pub struct Database {
    connector: Connector,
    lending: Lending,
}

impl Database {
    /// Keeps the settings; connects to nothing yet.
    pub fn new(config: config::Database) -> Self {
        Self {
            connector: Connector::new(config),
            lending: Lending::new(),
        }
    }

    /// A connection before it is needed; who comes meanwhile waits for it.
    ///
    /// # Errors
    /// No connection within [`CONNECT_TIMEOUT`].
    pub async fn connect_ahead(&self) -> Result<(), ConnectError> {
        let _one = self.lending.one_connects().await;
        let client = Box::pin(self.connector.connect()).await?;
        self.lending.give(client);
        Ok(())
    }

    /// A connection, checked if it idled, made anew if there is none that lives.
    ///
    /// # Errors
    /// Others have all of them, or no connection can be made, within [`CONNECT_TIMEOUT`].
    pub async fn client(&self) -> Result<Lent, ConnectError> {
        // A thawed process first lets the connection's own task see that the server hung up.
        tokio::task::yield_now().await;
        let turn = self.turn(Instant::now() + CONNECT_TIMEOUT).await?;
        self.lend(turn).await
    }

    /// The right to a connection, in the order in which they come who want one.
    ///
    /// # Errors
    /// Others have all of them until then.
    pub async fn turn(&self, until: Instant) -> Result<Turn, ConnectError> {
        self.lending.turn(until).await
    }

    /// The connection for `turn`. While all is well nothing in it waits.
    ///
    /// # Errors
    /// No connection within [`CONNECT_TIMEOUT`].
    pub async fn lend(&self, turn: Turn) -> Result<Lent, ConnectError> {
        if let Some(client) = self.free().await {
            return Ok(turn.lent(client));
        }
        Box::pin(self.connected(turn)).await
    }

    /// Takes a connection back that is as it was lent: nothing unanswered, no transaction. Any other is dropped, which
    /// closes it, and the server rolls back.
    pub fn keep(&self, lent: Lent) {
        self.lending.take_back(lent);
    }

    /// How often a connection was made in place of one that was lost, since this was last asked.
    pub fn reconnects(&self) -> u32 {
        self.lending.reconnects()
    }

    /// Asks the server to stop what it does on a connection whose answer did not come in time: what nobody waits for any
    /// more must not hold locks, nor land behind an attempt that took its place. The connection is not lent again: what
    /// is asked here could come late, and stop another's call.
    pub async fn cancel(&self, overdue: &Lent) {
        overdue.never_again();
        if let Ok(tls) = self.connector.tls() {
            let token = overdue.cancel_token();
            let cancelling = token.cancel_query(tls);
            // Best effort: a server that cannot be reached now, or whose pooler drops the request, has the login's
            // statement_timeout.
            let _ = tokio::time::timeout(CANCEL_TIMEOUT, cancelling).await;
        }
    }

    /// One that nobody has and that lives. What one of them did not survive while it idled, the others did not either.
    async fn free(&self) -> Option<Client> {
        while let Some(free) = self.lending.free() {
            if free.client.is_closed() {
                self.lending.lose(1);
            } else if free.answers().await {
                return Some(free.client);
            } else {
                self.lending.lose_all();
            }
        }
        None
    }

    /// One at a time connects: whoever waited finds what the one before it made and gave back.
    async fn connected(&self, turn: Turn) -> Result<Lent, ConnectError> {
        let _one = self.lending.one_connects().await;
        if let Some(client) = self.free().await {
            return Ok(turn.lent(client));
        }
        let client = self.connector.connect().await?;
        self.lending.count_reconnect();
        Ok(turn.lent(client))
    }
}

impl Free {
    async fn answers(&self) -> bool {
        self.since.elapsed() < IDLE_BEFORE_CHECK
            || matches!(
                tokio::time::timeout(CHECK_TIMEOUT, self.client.check_connection()).await,
                Ok(Ok(()))
            )
    }
}

/// Connects once. The connection's task ends with the client.
///
/// # Errors
/// What stood in the way, in words for the operator.
pub async fn connect(config: &config::Database) -> Result<Client, ConnectError> {
    Connector::new(config.clone()).connect().await
}
