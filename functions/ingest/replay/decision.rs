//! What becomes of a message after an attempt to land it; pure.
//!
//! In: the attempt's end, how often the message was handed over and refused, its age. Out: the next step. An outage
//! spends no tries: only what the database itself refuses is counted, and the count travels with the message.

use std::time::Duration;

use super::super::failure::{Failure, Fault};

/// So often is a message refused before it rests among the dead letters. A refusal may pass: a key that is in the
/// backup but not yet in the standby, a tenant that is about to come.
pub const REFUSALS_MAX: u32 = 5;

/// The queue keeps a message so long (`MessageRetentionPeriod` in template.yaml).
pub const QUEUE_KEEPS: Duration = Duration::from_secs(7 * 24 * 3600);

/// Then it would be gone: before that it is put among the dead letters, which are kept longer. The longest pause
/// between two attempts leaves several within this reserve.
const RESERVE: Duration = Duration::from_secs(2 * 3600);

/// The longest pause: what is lost to recovery after a long outage. In seven days 672 of them pass, less than the
/// queue's `maxReceiveCount`.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is landed: the queue may forget it.
    Forget,
    /// Nothing is said about the message: it comes again after the pause, with no try spent.
    PutBack(Duration),
    /// It was refused: it comes again after the pause, with the new count.
    Again {
        /// How often it was refused.
        refusals: u32,
        /// The pause.
        after: Duration,
    },
    /// It rests until somebody looks at it.
    Rest {
        /// The tag of the last refusal.
        reason: String,
    },
}

/// What comes after an attempt; `age` is that of the message in the queue.
pub fn next(failure: Option<&Failure>, receives: u32, refusals: u32, age: Duration) -> Next {
    match failure {
        None => Next::Forget,
        Some(Failure::Fault(fault) | Failure::Uncertain(fault)) if fault.is_away() => {
            away(fault, receives, age)
        }
        Some(Failure::Fault(fault) | Failure::Uncertain(fault)) => {
            refused(fault.sqlstate().unwrap_or(fault.tag()), refusals)
        }
        Some(Failure::Refused(refusal)) => refused(refusal.tag(), refusals),
    }
}

/// The tag of a text that is none of ours.
pub const NOT_UNDERSTOOD: &str = "not_understood";

/// What comes after such a text.
pub fn not_understood(refusals: u32) -> Next {
    refused(NOT_UNDERSTOOD, refusals)
}

fn away(fault: &Fault, receives: u32, age: Duration) -> Next {
    if age + RESERVE >= QUEUE_KEEPS {
        return Next::Rest {
            reason: fault.tag().to_owned(),
        };
    }
    Next::PutBack(doubled(receives).min(LONGEST_PAUSE))
}

fn refused(reason: &str, refusals: u32) -> Next {
    let refusals = refusals.saturating_add(1);
    if refusals >= REFUSALS_MAX {
        return Next::Rest {
            reason: reason.to_owned(),
        };
    }
    Next::Again {
        refusals,
        after: doubled(refusals - 1),
    }
}

/// One second, two, four …
fn doubled(times: u32) -> Duration {
    Duration::from_secs(1 << times.min(16))
}

#[cfg(test)]
mod tests {
    use tokio_postgres::error::SqlState;

    use super::super::super::failure::Refusal;
    use super::*;

    fn database(code: &str) -> Failure {
        let sqlstate = SqlState::from_code(code);
        Failure::Fault(Fault::Database {
            sqlstate,
            message: None,
        })
    }

    fn again(refusals: u32, seconds: u64) -> Next {
        let after = Duration::from_secs(seconds);
        Next::Again { refusals, after }
    }

    fn rest(reason: &str) -> Next {
        let reason = reason.to_owned();
        Next::Rest { reason }
    }

    #[test]
    fn an_outage_spends_no_tries_and_five_refusals_are_enough() {
        let back = |seconds| Next::PutBack(Duration::from_secs(seconds));
        let unknown_key = || Failure::Refused(Refusal::UnknownKey);
        let old = QUEUE_KEEPS.as_secs() - 7200;
        for (failure, receives, refusals, age_s, expected) in [
            (None, 1, 0, 0, Next::Forget),
            (None, 900, 4, old, Next::Forget),
            (Some(Failure::Fault(Fault::TimedOut)), 1, 0, 0, back(2)),
            (Some(Failure::Fault(Fault::Spared)), 2, 0, 0, back(4)),
            (Some(Failure::Uncertain(Fault::TimedOut)), 3, 4, 0, back(8)),
            (Some(Failure::Fault(Fault::TimedOut)), 10, 4, 0, back(900)),
            (
                Some(Failure::Fault(Fault::TimedOut)),
                u32::MAX,
                4,
                old - 1,
                back(900),
            ),
            (
                Some(Failure::Fault(Fault::TimedOut)),
                700,
                0,
                old,
                rest("timed_out"),
            ),
            (Some(database("57P03")), 1, 0, 0, back(2)),
            (Some(database("53100")), 1, 0, 0, back(2)),
            (Some(database("42501")), 1, 0, 0, back(2)),
            (Some(database("25006")), 1, 0, 0, back(2)),
            (Some(database("XX000")), 1, 0, 0, again(1, 1)),
            (Some(database("XX000")), 1, 4, 0, rest("XX000")),
            (Some(Failure::Fault(Fault::Unexpected("x"))), 1, 1, 0, again(2, 2)),
            (Some(unknown_key()), 600, 0, 0, again(1, 1)),
            (Some(unknown_key()), 1, 3, 0, again(4, 8)),
            (Some(unknown_key()), 1, 4, 0, rest("unknown_key")),
            (Some(unknown_key()), 1, u32::MAX, 0, rest("unknown_key")),
        ] {
            let next = next(failure.as_ref(), receives, refusals, Duration::from_secs(age_s));
            assert_eq!(next, expected, "{failure:?} {receives} {refusals} {age_s}");
        }
        assert_eq!(not_understood(0), again(1, 1));
        assert_eq!(not_understood(4), rest("not_understood"));
    }
}
