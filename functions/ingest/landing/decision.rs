//! What to do after a call that failed; pure, and decided on SQLSTATEs alone.
//!
//! In: the error, and whether the call may be sent once more. Out: the next step. It is the
//! one place that knows which errors are an event's, which the connection's and which the operator's.

use tokio_postgres::error::SqlState;

use super::super::failure::{Failure, Fault, Refusal};
use super::server::CallError;

/// What comes after an error.
#[derive(Debug)]
pub enum Next {
    /// Send the same again on a new connection.
    Reconnect,
    /// Send the same again.
    Repeat,
    /// Find the event that is at fault.
    Isolate,
    /// There is nothing left to try.
    GiveUp(Failure),
}

/// Classes of errors that PostgreSQL itself raises about connections, rights, names and resources. Every other
/// message may be a trigger's and hold what a sender sent.
const TELLING_CLASSES: &[&str] = &["08", "25", "28", "3D", "3F", "42", "53", "55", "57", "58"];

/// What comes after `error`.
pub fn next(error: &CallError, may_repeat: bool) -> Next {
    match error {
        CallError::Database { sqlstate, message } => after(sqlstate, message, may_repeat),
        CallError::Lost(_) if may_repeat => Next::Reconnect,
        CallError::Lost(why) => Next::GiveUp(Fault::ConnectionLost(why.clone()).into()),
        CallError::Overdue => Next::GiveUp(Fault::TimedOut.into()),
    }
}

fn after(sqlstate: &SqlState, message: &str, may_repeat: bool) -> Next {
    let class = sqlstate.code().get(..2).unwrap_or_default();
    match sqlstate.code() {
        // The server ends the session, or is no longer the one that may write.
        "57P01" | "57P02" | "57P03" | "57P05" | "25006" if may_repeat => Next::Reconnect,
        _ if class == "08" && may_repeat => Next::Reconnect,
        // Serialization failure, deadlock: the other one went through.
        "40001" | "40P01" if may_repeat => Next::Repeat,
        "23503" => Next::GiveUp(Refusal::UnknownTenant.into()),
        // Data exceptions, constraints, limits of the server, what a trigger raises or silently leaves out.
        "P0001" | "TR003" => Next::Isolate,
        _ if matches!(class, "22" | "23" | "54") => Next::Isolate,
        _ => Next::GiveUp(
            Fault::Database {
                sqlstate: sqlstate.clone(),
                message: TELLING_CLASSES.contains(&class).then(|| message.to_owned()),
            }
            .into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_of_error_has_its_next_step() {
        for (code, may_repeat, expected) in [
            ("57P01", true, "Reconnect"),
            ("57P01", false, "GiveUp"),
            ("57P03", true, "Reconnect"),
            ("08006", true, "Reconnect"),
            ("25006", true, "Reconnect"),
            ("40P01", true, "Repeat"),
            ("40001", false, "GiveUp"),
            // An audit that hangs is cut off in the database: what is left of this code is locks and load.
            ("57014", true, "GiveUp(Fault(Database"),
            ("23503", true, "GiveUp(Refused(UnknownTenant"),
            ("22P05", true, "Isolate"),
            ("22P02", false, "Isolate"),
            ("22003", true, "Isolate"),
            ("54001", true, "Isolate"),
            ("23514", true, "Isolate"),
            ("P0001", true, "Isolate"),
            ("TR003", true, "Isolate"),
            ("TR002", true, "GiveUp(Fault(Database"),
            ("42883", true, "GiveUp(Fault(Database"),
            ("42501", true, "GiveUp(Fault(Database"),
            ("53100", true, "GiveUp(Fault(Database"),
            ("XX000", true, "GiveUp(Fault(Database"),
            ("ZZ001", true, "GiveUp(Fault(Database"),
            ("", true, "GiveUp(Fault(Database"),
        ] {
            let next = format!("{:?}", after(&SqlState::from_code(code), "", may_repeat));
            assert!(next.starts_with(expected), "{code} {may_repeat}: {next}");
        }
    }
}
