//! What went wrong, in words for the operator: tag, SQLSTATE, sentence, object, remedy.
//!
//! In: errors of the database, the connection, the configuration, and refusals of our own. Out: one [`Failure`] that
//! a report, a log line and CloudFormation's `Reason` are made of. It holds no secret: no password, no site key,
//! no response URL is ever put into one. Behaviour is decided on [`Kind`] and SQLSTATE, never on text.

use std::fmt;

use serde::Serialize;
use tokio_postgres::error::{DbError, SqlState};

use crate::config::Invalid;
use crate::db::ConnectError;

/// What sort of failure; its name is the stable `code` of every answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The event or one of its fields cannot be understood.
    Request,
    /// A variable or property is missing or wrong.
    Configuration,
    /// There is no connection to the database.
    Connection,
    /// The connection died on the way, or took too long to come about.
    Disconnected,
    /// The database said no; `sqlstate` says how.
    Database,
    /// What was asked for is against a rule of ours.
    Refused,
    /// The time that there was is over.
    Deadline,
    /// A defect of this function.
    Panic,
}

/// One failure.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// What sort.
    pub code: Kind,
    /// PostgreSQL's code, or one of our class `TR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// The step of the migration that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<&'static str>,
    /// What happened.
    pub message: String,
    /// The object in question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Whether something of who asked may be there all the same: the commit's answer was lost, or an earlier attempt
    /// had made it.
    #[serde(skip)]
    pub may_have_made: bool,
}

impl Failure {
    /// A failure that PostgreSQL did not report.
    pub fn new(code: Kind, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            code,
            sqlstate: None,
            step: None,
            message: message.into(),
            object: None,
            remedy: Some(remedy.into()),
            may_have_made: false,
        }
    }

    /// Against a rule of ours.
    pub fn refused(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message, remedy)
    }

    /// The event cannot be understood.
    pub fn request(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Kind::Request, message, remedy)
    }

    /// The same failure, with the step in which it happened.
    #[must_use]
    pub fn in_step(self, step: &'static str) -> Self {
        Self {
            step: Some(step),
            ..self
        }
    }

    /// The same failure, with how often it was tried where that was more than once.
    #[must_use]
    pub fn after(self, attempts: u32) -> Self {
        match attempts {
            1 => self,
            _ => Self {
                message: format!("{}; attempts: {attempts}", self.message),
                ..self
            },
        }
    }

    /// Whether PostgreSQL reported this code.
    pub fn is(&self, sqlstate: &SqlState) -> bool {
        self.sqlstate.as_deref() == Some(sqlstate.code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(sqlstate) = &self.sqlstate {
            write!(f, "{sqlstate} ")?;
        }
        f.write_str(&self.message)?;
        if let Some(object) = &self.object {
            write!(f, " ({object})")?;
        }
        if let Some(step) = self.step {
            write!(f, ", in step {step}")?;
        }
        if let Some(remedy) = &self.remedy {
            write!(f, ": {remedy}")?;
        }
        Ok(())
    }
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        Self {
            remedy: None,
            ..Self::new(Kind::Configuration, invalid.to_string(), "")
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let sqlstate = error.sqlstate().map(str::to_owned);
        Self {
            code: match &error {
                ConnectError::TimedOut => Kind::Disconnected,
                _ => Kind::Connection,
            },
            remedy: sqlstate.as_deref().and_then(remedy).map(str::to_owned),
            // The text of a refusal begins with its code; here the code has a field of its own.
            message: match &error {
                ConnectError::Refused { message, .. } => {
                    format!("the database refused the connection: {message}")
                }
                other => other.to_string(),
            },
            sqlstate,
            step: None,
            object: None,
            may_have_made: false,
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(refusal) => Self::of_database(refusal),
            None => Self {
                may_have_made: true,
                ..Self::new(
                    Kind::Disconnected,
                    format!("the connection to the database was lost: {error}"),
                    "check the database and the network, then try again",
                )
            },
        }
    }
}

impl Failure {
    fn of_database(error: &DbError) -> Self {
        let message = match error.detail().filter(|_| !shows_a_row(error.code())) {
            Some(detail) => format!("{}; {detail}", error.message()),
            None => error.message().to_owned(),
        };
        let sqlstate = error.code().code();
        Self {
            code: Kind::Database,
            remedy: match error.code() {
                // PostgreSQL's own hint is to drop the others' objects too.
                &SqlState::DEPENDENT_OBJECTS_STILL_EXIST => remedy(sqlstate),
                _ => error.hint().or(remedy(sqlstate)),
            }
            .map(str::to_owned),
            object: object(error),
            message,
            sqlstate: Some(sqlstate.to_owned()),
            step: None,
            may_have_made: false,
        }
    }
}

/// Whether the detail is the row that was refused, with all that is in it.
fn shows_a_row(code: &SqlState) -> bool {
    [SqlState::CHECK_VIOLATION, SqlState::NOT_NULL_VIOLATION].contains(code)
}

fn object(error: &DbError) -> Option<String> {
    let name = error.constraint().or(error.datatype());
    let parts: Vec<&str> = [error.schema(), error.table(), error.column(), name]
        .into_iter()
        .flatten()
        .collect();
    (!parts.is_empty()).then(|| parts.join("."))
}

/// What helps where PostgreSQL gives no hint of its own.
fn remedy(sqlstate: &str) -> Option<&'static str> {
    Some(match sqlstate {
        "28P01" => "set DB_MIGRATOR_PASSWORD to the password of the migrator's login",
        "28000" => "check the migrator's login: with iam it must be a member of rds_iam and allowed rds-db:connect, and pg_hba.conf must let it in",
        "2BP01" => "drop or change what depends on it, then try again; what is not ours is never dropped",
        "3D000" => "create the database, or correct its name",
        "42501" => "grant the migrator's login the missing right, or make it a member of the object's owner",
        "53300" => "free connections or raise max_connections, then try again",
        "57P03" => "the server is starting or stopping; try again",
        "55P03" => "another session holds a lock on it: find it in pg_locks, end it, and try again",
        "57014" => "the time that there was is over: find in pg_stat_activity what blocks, then try again",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_has_code_object_step_and_remedy() {
        let failure = Failure {
            sqlstate: Some("42501".to_owned()),
            object: Some("schema raw".to_owned()),
            ..Failure::refused("permission denied", "grant it")
        };
        assert_eq!(
            failure.in_step("tables").to_string(),
            "42501 permission denied (schema raw), in step tables: grant it"
        );
    }

    #[test]
    fn a_refused_connection_names_its_remedy() {
        for sqlstate in [
            SqlState::INVALID_PASSWORD,
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            SqlState::INVALID_CATALOG_NAME,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::CANNOT_CONNECT_NOW,
        ] {
            let failure = Failure::from(ConnectError::Refused {
                sqlstate: sqlstate.clone(),
                message: "no".to_owned(),
            });
            assert!(failure.is(&sqlstate) && failure.remedy.is_some(), "{sqlstate:?}");
        }
    }
}
