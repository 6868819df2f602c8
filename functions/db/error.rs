//! Why there is no connection, in words for the operator's log that end with the remedy.
//!
//! In: what TLS, the network, PostgreSQL or AWS said. Out: a [`ConnectError`], with SQLSTATE where there is one. No
//! password, token or secret stands in its texts.

use std::fmt;

use tokio_postgres::error::SqlState;

use super::CONNECT_TIMEOUT;

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// Other calls of this process have all the connections that it may have; none was looked for.
    Busy,
    /// Nothing answered in time.
    TimedOut,
    /// The network, TLS, or authority said no.
    Unreachable(String),
    /// The certificates of `DB_CA` cannot be used.
    Authority(String),
    /// The secret that holds the password cannot be had.
    Secret(String),
    /// PostgreSQL itself said no.
    Refused {
        /// SQLSTATE.
        sqlstate: SqlState,
        /// PostgreSQL's message.
        message: String,
    },
}

impl ConnectError {
    pub(super) fn from_postgres(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(refusal) => Self::Refused {
                sqlstate: refusal.code().clone(),
                message: refusal.message().to_owned(),
            },
            None => Self::Unreachable(with_sources(&error)),
        }
    }

    /// Whether another password might be taken.
    pub(super) fn is_wrong_password(&self) -> bool {
        matches!(self, Self::Refused { sqlstate, .. } if *sqlstate == SqlState::INVALID_PASSWORD)
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
            Self::Busy => f.write_str(
                "other calls of this process have all of its connections: look for locks and load, or lower \
                 AWS_LAMBDA_MAX_CONCURRENCY",
            ),
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
            Self::Secret(why) => write!(
                f,
                "the secret that holds the password cannot be had: {why}: check its ARN, secretsmanager:GetSecretValue on \
                 it, and the way to AWS Secrets Manager"
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
