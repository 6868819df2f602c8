//! Whose doing it is that PostgreSQL answered with an error; pure, and decided on SQLSTATEs alone.
//!
//! In: what went wrong. Out: whether the database is away for everybody, whether that cannot be told, or whether it is
//! what the beacon holds. On it hangs whether others are kept from the database, and how long a message in the
//! queue is tried. What is away for everybody costs nobody a try; what one beacon may have brought about never costs
//! its neighbours anything.

use super::failure::Fault;

/// Who is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// There is no database that works, or nobody heard of one: all wait for it.
    Database,
    /// It will pass by itself or by an operator's hand, or is this beacon's for good: it alone is tried again, for days.
    Unclear,
    /// What the beacon holds: it is refused.
    Beacon,
}

use Blame::{Beacon, Database, Unclear};

/// How an error begins, who is to blame, and why. The longest beginning counts. What is not here a function or a trigger
/// of somebody's chose, for what it was given. Errors at connecting are none of these: there is no connection then.
const TABLE: &[(&str, Blame, &str)] = &[
    ("08", Database, "a connection ended: the pooler's, and so ours"),
    ("0A", Unclear, "a plan that a change of the schema overtook, or a trigger's feature that is not there"),
    ("22", Beacon, "a value that a type does not take"),
    ("23", Beacon, "a value that a constraint does not take"),
    ("25", Unclear, "a transaction's state: idle or open for too long, or what a trigger does"),
    ("25006", Database, "a standby, or a primary that is one now"),
    ("28", Unclear, "a right to log in: behind our own log-in it is a trigger's, elsewhere"),
    ("3D", Unclear, "no such database: likewise a trigger's, elsewhere"),
    ("3F", Unclear, "schema raw is gone until V001 is applied again, or a trigger's schema is"),
    ("40", Unclear, "a deadlock, a serialization failure: the others went through, and it goes through next"),
    ("40003", Database, "nobody heard whether it was done: a lost connection by another name"),
    ("42", Unclear, "a right, function or table is gone until an operator brings it back, or a trigger names it for this beacon"),
    ("53", Database, "disk, memory or connections are used up"),
    ("54", Beacon, "larger than the server can have it"),
    ("54000", Unclear, "a row that an index does not take, or the server has no transaction ids left"),
    ("55", Unclear, "an object that is locked or not ready: it passes, or a trigger says so of this beacon"),
    ("57", Unclear, "the statement was stopped: locks and load, or a trigger that is too slow for this beacon"),
    ("57P", Database, "the server is starting, stopping or crashed, or an operator ended the session"),
    ("58", Database, "a file or a disk under the server"),
    ("F0", Database, "the server's own configuration"),
    ("HV", Unclear, "a foreign server that a trigger asks"),
    ("P0", Beacon, "raised by a function or a trigger"),
    ("TR", Beacon, "raised by V001"),
    ("XX", Database, "the server finds itself damaged"),
];

/// Who is to blame for an answer with this SQLSTATE.
fn of_answer(code: &str) -> Blame {
    let rows = TABLE.iter().filter(|(begin, _, _)| code.starts_with(begin));
    let longest = rows.max_by_key(|(begin, _, _)| begin.len());
    longest.map_or(Beacon, |(_, blame, _)| *blame)
}

impl Fault {
    /// Who is to blame for it.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Connect(_) | Self::ConnectionLost(_) | Self::TimedOut | Self::Spared => Database,
            Self::Database { sqlstate, .. } => of_answer(sqlstate.code()),
            Self::Unexpected(_) | Self::NoRoom => Unclear,
        }
    }

    /// Whether it is a database's own word, and so may be no other beacon's.
    pub fn is_answer(&self) -> bool {
        match self {
            Self::Database { sqlstate, .. } => !sqlstate.code().starts_with("08"),
            Self::Unexpected(_) => true,
            Self::Connect(_) | Self::ConnectionLost(_) | Self::TimedOut | Self::Spared | Self::NoRoom => {
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::error::SqlState;

    use super::*;
    use crate::db::ConnectError;

    #[test]
    fn each_row_counts_for_itself_and_says_why() {
        for (place, (begin, blame, why)) in TABLE.iter().enumerate() {
            assert_eq!(of_answer(&format!("{begin:Z<5}")), *blame, "{begin}");
            assert!(why.len() > 10 && (2..=5).contains(&begin.len()), "{begin}: {why}");
            assert!(
                place == 0 || TABLE[place - 1].0 < *begin,
                "{begin} is not in order"
            );
        }
    }

    #[test]
    fn what_a_beacon_may_have_brought_about_is_not_the_databases() {
        for (code, blame) in [
            ("08006", Database),
            ("08P01", Database),
            ("25006", Database),
            ("40003", Database),
            ("53100", Database),
            ("53300", Database),
            ("57P01", Database),
            ("57P02", Database),
            ("57P03", Database),
            ("57P05", Database),
            ("58030", Database),
            ("XX000", Database),
            ("XX001", Database),
            ("F0000", Database),
            ("0A000", Unclear),
            ("25P02", Unclear),
            ("25P03", Unclear),
            ("3F000", Unclear),
            ("40001", Unclear),
            ("40P01", Unclear),
            ("42501", Unclear),
            ("42883", Unclear),
            ("42P01", Unclear),
            ("55000", Unclear),
            ("55P03", Unclear),
            ("57014", Unclear),
            ("22P05", Beacon),
            ("23503", Beacon),
            ("54001", Beacon),
            ("P0001", Beacon),
            ("TR001", Beacon),
            ("ZZ001", Beacon),
            ("", Beacon),
        ] {
            assert_eq!(of_answer(code), blame, "{code}");
        }
    }

    #[test]
    fn a_fault_without_an_answer_is_nobodys_but_the_databases() {
        let says = |code| Fault::Database {
            sqlstate: SqlState::from_code(code),
            message: None,
        };
        for (fault, blame, is_answer) in [
            (Fault::Connect(ConnectError::TimedOut), Database, false),
            (Fault::Connect(ConnectError::Busy), Database, false),
            (Fault::ConnectionLost(String::new()), Database, false),
            (Fault::TimedOut, Database, false),
            (Fault::Spared, Database, false),
            (says("08P01"), Database, false),
            (says("53100"), Database, true),
            (says("42501"), Unclear, true),
            (Fault::Unexpected("x"), Unclear, true),
            (Fault::NoRoom, Unclear, false),
        ] {
            assert_eq!(
                (fault.blame(), fault.is_answer()),
                (blame, is_answer),
                "{fault:?}"
            );
        }
    }
}
