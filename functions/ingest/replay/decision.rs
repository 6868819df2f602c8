//! What becomes of a message after an attempt to land it; pure.
//!
//! In: the attempt's end, how often the message was handed over, how it fared before, its age. Out: the next step. An
//! outage spends no tries. What the database itself says against a message is counted, and the count travels with it: a
//! refusal soon has the last word; a fault that may be its own, or may pass, has it after days.

use std::time::Duration;

use super::super::blame::Blame;
use super::super::failure::{Failure, Fault};
use super::super::queue::Tries;

/// So often is a message refused before it rests among the dead letters.
pub const REFUSALS_MAX: u32 = 5;

/// The pauses between refusals, in minutes, 36 in all. A refusal may pass: a key that is in the backup but not yet in the
/// standby, a tenant that is about to come, a version of this function that is about to be deployed. A message that
/// is sent is delayed by 15 at most (`DelaySeconds`, Amazon SQS API reference).
const REFUSAL_PAUSES_MIN: [u64; REFUSALS_MAX as usize - 1] = [1, 5, 15, 15];

/// A fault that may be a message's own is put up with until the message is so old, and once more as long, so that three
/// days pass: a lock or a deadlock costs seconds, a right that was lost on a Friday loses nothing if it is given back
/// on Monday, and what comes out of a long outage is not at its end at once. The age is the queue's own, so that its
/// alarm rings.
pub const FAULTS_FOR: Duration = Duration::from_secs(36 * 3600);

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
    /// It failed by itself: it comes again after the pause, with the new counts.
    Again {
        /// How it fared, this time included.
        tries: Tries,
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
pub fn next(failure: Option<&Failure>, receives: u32, tries: Tries, age: Duration) -> Next {
    match failure {
        None => Next::Forget,
        Some(Failure::Fault(fault) | Failure::Uncertain(fault)) => match fault.blame() {
            Blame::Database => away(fault, receives, age),
            Blame::Unclear => unclear(fault, receives, tries, age),
            Blame::Beacon => refused(reason(fault), tries),
        },
        Some(Failure::Refused(refusal)) => refused(refusal.tag(), tries),
    }
}

/// The tag of a text that is none of ours.
pub const NOT_UNDERSTOOD: &str = "not_understood";

/// What comes after such a text.
pub fn not_understood(tries: Tries) -> Next {
    refused(NOT_UNDERSTOOD, tries)
}

fn reason(fault: &Fault) -> &str {
    fault.sqlstate().unwrap_or(fault.tag())
}

fn rest(reason: &str) -> Next {
    let reason = reason.to_owned();
    Next::Rest { reason }
}

fn away(fault: &Fault, receives: u32, age: Duration) -> Next {
    if age + RESERVE >= QUEUE_KEEPS {
        return rest(reason(fault));
    }
    Next::PutBack(doubled(receives).min(LONGEST_PAUSE))
}

fn unclear(fault: &Fault, receives: u32, tries: Tries, age: Duration) -> Next {
    let pause = doubled(receives).min(LONGEST_PAUSE);
    if age < FAULTS_FOR {
        return Next::PutBack(pause);
    }
    match tries.faults {
        0 => Next::Again {
            tries: Tries { faults: 1, ..tries },
            after: pause,
        },
        _ => rest(reason(fault)),
    }
}

fn refused(reason: &str, tries: Tries) -> Next {
    let refusals = tries.refusals.saturating_add(1);
    let pause_min = REFUSAL_PAUSES_MIN.get(tries.refusals as usize);
    pause_min.map_or_else(
        || rest(reason),
        |minutes| Next::Again {
            tries: Tries { refusals, ..tries },
            after: Duration::from_secs(60 * minutes),
        },
    )
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
    use crate::db::ConnectError;

    fn database(code: &str) -> Failure {
        let sqlstate = SqlState::from_code(code);
        Failure::Fault(Fault::Database {
            sqlstate,
            message: None,
        })
    }

    fn tries(refusals: u32, faults: u32) -> Tries {
        Tries { refusals, faults }
    }

    fn again(refusals: u32, faults: u32, seconds: u64) -> Next {
        let after = Duration::from_secs(seconds);
        let tries = tries(refusals, faults);
        Next::Again { tries, after }
    }

    fn is(expected: &Next, failure: Option<&Failure>, receives: u32, tries: Tries, age_s: u64) {
        let next = next(failure, receives, tries, Duration::from_secs(age_s));
        assert_eq!(next, *expected, "{failure:?} {receives} {tries:?} {age_s}");
    }

    #[test]
    fn an_outage_spends_no_tries() {
        let back = |seconds| Next::PutBack(Duration::from_secs(seconds));
        let old = QUEUE_KEEPS.as_secs() - 7200;
        let away = || Failure::Fault(Fault::TimedOut);
        for (failure, receives, age_s, expected) in [
            (None, 1, 0, Next::Forget),
            (None, 900, old, Next::Forget),
            (Some(away()), 1, 0, back(2)),
            (Some(Failure::Fault(Fault::Spared)), 2, 0, back(4)),
            (Some(Failure::Uncertain(Fault::TimedOut)), 3, 0, back(8)),
            (Some(Fault::Connect(ConnectError::Busy).into()), 3, 0, back(8)),
            (Some(away()), 10, 0, back(900)),
            (Some(away()), u32::MAX, old - 1, back(900)),
            (Some(away()), 700, old, rest("timed_out")),
            (Some(database("57P03")), 1, 0, back(2)),
            (Some(database("53100")), 1, 0, back(2)),
            (Some(database("25006")), 1, 0, back(2)),
            (Some(database("XX000")), 1, 0, back(2)),
            (Some(database("53100")), 700, old, rest("53100")),
        ] {
            is(&expected, failure.as_ref(), receives, tries(4, 1), age_s);
        }
    }

    #[test]
    fn a_refusal_has_the_last_word_after_five_times_and_a_fault_after_days() {
        let back = |seconds| Next::PutBack(Duration::from_secs(seconds));
        let unknown_key = || Failure::Refused(Refusal::UnknownKey);
        let half = FAULTS_FOR.as_secs();
        for (failure, receives, before, age_s, expected) in [
            (unknown_key(), 600, tries(0, 0), half, again(1, 0, 60)),
            (unknown_key(), 1, tries(1, 1), 0, again(2, 1, 300)),
            (unknown_key(), 1, tries(2, 0), 0, again(3, 0, 900)),
            (unknown_key(), 1, tries(3, 0), 0, again(4, 0, 900)),
            (unknown_key(), 1, tries(4, 0), 0, rest("unknown_key")),
            (unknown_key(), 1, tries(u32::MAX, 0), 0, rest("unknown_key")),
            (database("ZZ001"), 1, tries(0, 0), 0, again(1, 0, 60)),
            (database("23503"), 1, tries(4, 0), 0, rest("23503")),
            (database("57014"), 1, tries(0, 0), 0, back(2)),
            (database("40001"), 2, tries(4, 0), 0, back(4)),
            (database("42501"), 90, tries(0, 0), half - 1, back(900)),
            (database("42501"), 90, tries(3, 0), half, again(3, 1, 900)),
            (database("42501"), 1, tries(3, 1), 0, back(2)),
            (database("42501"), 90, tries(0, 1), half - 1, back(900)),
            (database("42501"), 90, tries(0, 1), half, rest("42501")),
            (database("42501"), 1, tries(0, u32::MAX), half, rest("42501")),
            (Fault::Unexpected("x").into(), 1, tries(4, 0), 0, back(2)),
        ] {
            is(&expected, Some(&failure), receives, before, age_s);
        }
        assert_eq!(not_understood(tries(0, 0)), again(1, 0, 60));
        assert_eq!(not_understood(tries(4, 0)), rest("not_understood"));
    }

    #[test]
    fn no_pause_is_longer_than_the_queue_has_and_no_age_older() {
        let longest = REFUSAL_PAUSES_MIN.iter().max();
        assert!(longest.is_some_and(|minutes| 60 * minutes <= LONGEST_PAUSE.as_secs()));
        assert!(FAULTS_FOR + RESERVE < QUEUE_KEEPS);
    }
}
