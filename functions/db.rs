//! A live connection to PostgreSQL: TLS, authentication, and knowing when a connection is dead.
//!
//! In: [`config::Database`]. Out: a [`Client`] that answered a moment ago, or a [`ConnectError`] for the operator.
//! It holds no session state (no prepared statement, no `SET`, no start-up option), so that a pooler may stand in
//! between, and it knows no table and no function of ours.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postgres_native_tls::MakeTlsConnector;
use tokio::sync::Mutex;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::Client;

use crate::config::{self, Auth};
use crate::tls;

mod iam;

/// TCP, TLS and authentication together. Seven round trips: a second across a continent, so two leave room for a
/// lost packet and still let a function answer 503 within five seconds.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// An idle connection older than this is asked before it is used: network address translation and poolers forget
/// idle connections after minutes, a busy function never waits for the answer.
const IDLE_BEFORE_CHECK: Duration = Duration::from_secs(30);

/// How long the question may take; a server that needs longer for an empty message is not there.
const CHECK_TIMEOUT: Duration = Duration::from_millis(500);

/// One database, one connection to it, made when it is first needed and again when it has died.
pub struct Database {
    config: config::Database,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    client: Arc<Client>,
    used: Instant,
}

impl Database {
    /// Keeps the settings; connects to nothing yet.
    pub fn new(config: config::Database) -> Self {
        Self {
            config,
            kept: Mutex::new(None),
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
        let client = Arc::new(connect(&self.config).await?);
        Ok(kept
            .insert(Kept {
                client,
                used: Instant::now(),
            })
            .client
            .clone())
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
        connect(&self.config).await
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
    let settings = settings(config)?;
    let tls = tls::connector(&config.ca).map_err(ConnectError::Authority)?;
    let tls = MakeTlsConnector::new(tls);
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, settings.connect(tls)).await;
    let (client, connection) = connecting
        .map_err(|_| ConnectError::TimedOut)?
        .map_err(ConnectError::from_postgres)?;
    tokio::spawn(connection);
    Ok(client)
}

fn settings(config: &config::Database) -> Result<tokio_postgres::Config, ConnectError> {
    let mut settings = tokio_postgres::Config::new();
    settings
        .host(&config.host)
        .port(config.port)
        .dbname(&config.name)
        .user(&config.user);
    // `prefer` falls back to clear text without a word: it serves only where nobody is on the wire.
    settings.ssl_mode(if is_local(&config.host) {
        SslMode::Prefer
    } else {
        SslMode::Require
    });
    match &config.auth {
        Auth::Password(password) => settings.password(password.expose()),
        Auth::Iam(credentials) => settings.password(iam::token(config, credentials)),
    };
    Ok(settings)
}

/// Loopback and Unix sockets: the only places where clear text is taken.
fn is_local(host: &str) -> bool {
    host.starts_with('/') || tls::is_loopback(host)
}

/// Why there is no connection. The texts are for the operator's log and end with the remedy.
#[derive(Debug)]
pub enum ConnectError {
    /// Nothing answered in time.
    TimedOut,
    /// The network, TLS, or authority said no.
    Unreachable(String),
    /// The certificates of `DB_CA` cannot be used.
    Authority(String),
    /// PostgreSQL itself said no.
    Refused {
        /// SQLSTATE.
        sqlstate: SqlState,
        /// PostgreSQL's message.
        message: String,
    },
}

impl ConnectError {
    fn from_postgres(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(refusal) => Self::Refused {
                sqlstate: refusal.code().clone(),
                message: refusal.message().to_owned(),
            },
            None => Self::Unreachable(with_sources(&error)),
        }
    }

    /// SQLSTATE where PostgreSQL gave one.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Refused { sqlstate, .. } => Some(sqlstate.code()),
            _ => None,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => write!(
                f,
                "no connection to the database within {} s: check DB_HOST, DB_PORT and the security group",
                CONNECT_TIMEOUT.as_secs()
            ),
            Self::Unreachable(why) => write!(f, "{why}: {}", remedy(why)),
            Self::Authority(why) => write!(
                f,
                "the certificates of DB_CA cannot be used: {why}: set it to rds, system or a PEM file"
            ),
            Self::Refused { sqlstate, message } => {
                write!(
                    f,
                    "the database refused the connection: {} {message}: {}",
                    sqlstate.code(),
                    remedy_of(sqlstate)
                )
            }
        }
    }
}

impl std::error::Error for ConnectError {}

fn remedy_of(sqlstate: &SqlState) -> &'static str {
    match sqlstate.code() {
        "28P01" | "28000" => "check the login, its password or its right to sign in by IAM, and DB_AUTH",
        "3D000" => "check DB_NAME",
        "42501" => "grant connect on the database to the login",
        "53300" => "all connections are taken; raise the limit or lower the function's concurrency",
        "57P03" => "the server is starting or stopping; wait",
        _ => "see the server's log",
    }
}

/// OpenSSL says what is wrong only in text; the text picks the advice and never the behaviour.
fn remedy(why: &str) -> &'static str {
    if why.contains("ostname mismatch") || why.contains("IP address mismatch") {
        "the server's certificate is for another host; set DB_HOST to a name that it bears"
    } else if why.contains("certificate has expired") {
        "the server's certificate has expired; renew it"
    } else if why.contains("certificate") {
        "the server's certificate is vouched for by nobody that DB_CA names; set DB_CA to its authority"
    } else if why.contains("does not support TLS") {
        "clear text is taken on loopback only; switch ssl on in PostgreSQL"
    } else {
        "check that the database runs, DB_HOST, DB_PORT and the security group"
    }
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_text_is_taken_on_loopback_and_unix_sockets_only() {
        for (host, local) in [
            ("localhost", true),
            ("127.0.0.1", true),
            ("127.8.9.1", true),
            ("::1", true),
            ("/run/postgresql", true),
            ("localhost.example.com", false),
            ("10.0.0.1", false),
            ("db.example", false),
            ("0.0.0.0", false),
        ] {
            assert_eq!(is_local(host), local, "{host}");
        }
    }
}
