//! A live connection to PostgreSQL: TLS, authentication, and knowing when a connection is dead.
//!
//! In: [`config::Database`]. Out: a [`Client`] that answered a moment ago, or a [`ConnectError`] for the operator.
//! It holds no session state (no prepared statement, no `SET`, no start-up option), so that a pooler may stand in
//! between, and it knows no table and no function of ours.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio_postgres::Client;

use crate::config;

mod connector;
mod iam;
mod secret;
mod error;

pub use error::ConnectError;

use connector::Connector;

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

/// One database, one connection to it, made when it is first needed and again when it has died.
pub struct Database {
    connector: Connector,
    kept: Mutex<Option<Kept>>,
    has_connected: AtomicBool,
    reconnects: AtomicU32,
}

struct Kept {
    client: Arc<Client>,
    used: Instant,
}

impl Database {
    /// Keeps the settings; connects to nothing yet.
    pub fn new(config: config::Database) -> Self {
        Self {
            connector: Connector::new(config),
            kept: Mutex::new(None),
            has_connected: AtomicBool::new(false),
            reconnects: AtomicU32::new(0),
        }
    }

    /// The connection, checked if it idled, made anew if it is dead.
    ///
    /// # Errors
    /// No connection within [`CONNECT_TIMEOUT`].
    pub async fn client(&self) -> Result<Arc<Client>, ConnectError> {
        // A thawed process first lets the connection's own task see that the server hung up.
        tokio::task::yield_now().await;
        self.client_now().await
    }

    /// The same, for who has just let the connection's own task run: it waits for nothing while all is well.
    ///
    /// # Errors
    /// As [`Database::client`].
    pub async fn client_now(&self) -> Result<Arc<Client>, ConnectError> {
        let mut kept = self.kept.lock().await;
        if let Some(alive) = kept.take() {
            if alive.is_usable().await {
                return Ok(kept
                    .insert(Kept {
                        used: Instant::now(),
                        ..alive
                    })
                    .client
                    .clone());
            }
        }
        let client = Arc::new(Box::pin(self.connector.connect()).await?);
        if self.has_connected.swap(true, Ordering::Relaxed) {
            self.reconnects.fetch_add(1, Ordering::Relaxed);
        }
        Ok(kept
            .insert(Kept {
                client,
                used: Instant::now(),
            })
            .client
            .clone())
    }

    /// How often a connection was made in place of one that was lost, since this was last asked.
    pub fn reconnects(&self) -> u32 {
        self.reconnects.swap(0, Ordering::Relaxed)
    }

    /// Asks the server to stop what it does on a connection whose answer did not come in time: what nobody waits for any
    /// more must not hold locks, nor land behind an attempt that took its place. Whoever calls it drops the connection.
    pub async fn cancel(&self, overdue: &Client) {
        if let Ok(tls) = self.connector.tls() {
            let token = overdue.cancel_token();
            let cancelling = token.cancel_query(tls);
            // Best effort: a server that cannot be reached now, or whose pooler drops the request, has the login's
            // statement_timeout.
            let _ = tokio::time::timeout(CANCEL_TIMEOUT, cancelling).await;
        }
    }

    /// A connection that nobody else uses meanwhile, for a transaction of several calls: the one that is here where
    /// nobody holds it, else another. Whoever ends its transaction gives it back with [`Database::keep`]; dropped, it
    /// is closed, and the server rolls back.
    ///
    /// # Errors
    /// As [`Database::client`].
    pub async fn alone(&self) -> Result<Client, ConnectError> {
        let mut kept = self.kept.lock().await;
        if let Some(Kept { client, used }) = kept.take() {
            match Arc::try_unwrap(client) {
                Ok(client) if !client.is_closed() => return Ok(client),
                Ok(_) => {}
                Err(client) => *kept = Some(Kept { client, used }),
            }
        }
        drop(kept);
        Box::pin(self.connector.connect()).await
    }

    /// Takes a connection back that was used alone; one that is here already stays.
    pub async fn keep(&self, client: Client) {
        self.kept.lock().await.get_or_insert_with(|| Kept {
            client: Arc::new(client),
            used: Instant::now(),
        });
    }

    /// Drops a connection that failed, so that the next call makes another; one that replaced it already stays.
    pub async fn discard(&self, failed: &Arc<Client>) {
        let mut kept = self.kept.lock().await;
        if kept
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(&current.client, failed))
        {
            *kept = None;
        }
    }
}

impl Kept {
    async fn is_usable(&self) -> bool {
        if self.client.is_closed() {
            return false;
        }
        self.used.elapsed() < IDLE_BEFORE_CHECK
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
