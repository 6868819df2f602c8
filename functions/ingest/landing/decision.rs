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

/// How errors begin that PostgreSQL itself raises about connections, rights, time-outs and resources, and that name what
/// is ours. Every other message may be a trigger's, or name what a trigger made of what a sender sent.
const TELLING: &[&str] = &[
    "08", "25006", "28", "3D", "3F", "40", "42501", "42883", "53", "55P03", "57", "58",
];

/// What comes after `error`.
pub fn next(error: &CallError, may_repeat: bool) -> Next {
    match error {
        CallError::Database { sqlstate, message } => after(sqlstate, message, may_repeat),
        CallError::Lost(_) if may_repeat => Next::Reconnect,
        CallError::Lost(why) => Next::GiveUp(Fault::ConnectionLost(why.clone()).into()),
        CallError::Overdue => Next::GiveUp(Fault::TimedOut.into()),
    }
}

/// Whether another session may fare better: the server ended this one, or is no longer the one that may write, or somebody
/// in between lost it. What was asked may have gone through, the keys tell.
pub fn is_of_the_session(sqlstate: &SqlState) -> bool {
    let code = sqlstate.code();
    code.starts_with("08") || matches!(code, "57P01" | "57P02" | "57P03" | "57P05" | "25006" | "40003")
}

fn after(sqlstate: &SqlState, message: &str, may_repeat: bool) -> Next {
    let class = sqlstate.code().get(..2).unwrap_or_default();
    match sqlstate.code() {
        _ if may_repeat && is_of_the_session(sqlstate) => Next::Reconnect,
        // Serialization failure, deadlock: the other one went through.
        "40001" | "40P01" if may_repeat => Next::Repeat,
        "23503" => Next::GiveUp(Refusal::UnknownTenant.into()),
        // Data exceptions, constraints, limits of the server, what a trigger raises or silently leaves out.
        "P0001" | "TR003" => Next::Isolate,
        _ if matches!(class, "22" | "23" | "54") => Next::Isolate,
        _ => Next::GiveUp(
            Fault::Database {
                sqlstate: sqlstate.clone(),
                message: is_telling(sqlstate.code()).then(|| message.to_owned()),
            }
            .into(),
        ),
    }
}

fn is_telling(code: &str) -> bool {
    TELLING.iter().any(|begin| code.starts_with(begin))
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
            ("08P01", true, "Reconnect"),
            ("08P01", false, "GiveUp(Fault(Database"),
            ("40003", true, "Reconnect"),
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

    #[test]
    fn a_message_is_told_where_it_can_hold_nothing_that_a_sender_sent() {
        for (code, is_told) in [
            ("08006", true),
            ("42501", true),
            ("42883", true),
            ("3F000", true),
            ("57014", true),
            ("53100", true),
            // `relation "…" does not exist`, of a trigger that makes names of payloads.
            ("42P01", false),
            ("42703", false),
            ("55000", false),
            ("25P02", false),
            ("P0002", false),
            ("XX000", false),
            ("ZZ001", false),
        ] {
            let failure = after(&SqlState::from_code(code), "canary", false);
            let Next::GiveUp(Failure::Fault(fault)) = failure else {
                panic!("{code}: {failure:?}");
            };
            assert_eq!(fault.to_string().contains("canary"), is_told, "{code}: {fault}");
        }
    }
}
