//! How long the work may take, so that there is always time left to answer.
//!
//! In: what Lambda says of its deadline. Out: the instant at which the work must have ended, or that there is no time
//! to begin. The nesting: a statement ends at the work's end; the guard around the work [`GRACE`] later; recording and
//! sending fit into the reserve; Lambda's own end comes last.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::failure::{Failure, Kind};
use super::send;

/// What a deploy may take, so that with recording and sending it ends within 5 minutes.
const APPLY_LIMIT: Duration = Duration::from_secs(280);

/// The same for a rollback, which ends within 2 minutes.
const ROLLBACK_LIMIT: Duration = Duration::from_secs(100);

/// For the server to end a statement by itself and for the failed attempt to be recorded.
pub const GRACE: Duration = Duration::from_secs(4);

/// CloudFormation has its answer this long before Lambda ends the process.
const MARGIN: Duration = Duration::from_secs(5);

/// For the answer to somebody who waits for it directly.
const DIRECT_RESERVE: Duration = Duration::from_secs(1);

/// With less than this there is no use in connecting.
const LEAST: Duration = Duration::from_secs(1);

/// Who waits, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// CloudFormation, for a deploy.
    Deploy,
    /// CloudFormation, for a rollback.
    Undo,
    /// Somebody who invoked the function.
    Direct,
}

impl Work {
    fn limit(self) -> Duration {
        match self {
            Self::Deploy | Self::Direct => APPLY_LIMIT,
            Self::Undo => ROLLBACK_LIMIT,
        }
    }

    fn reserve(self) -> Duration {
        match self {
            Self::Deploy | Self::Undo => GRACE + send::LIMIT + MARGIN,
            Self::Direct => DIRECT_RESERVE,
        }
    }
}

/// When the work must have ended.
///
/// # Errors
/// Less than [`LEAST`] is left for it.
pub fn end_of(work: Work, deadline_ms: u64, now: SystemTime) -> Result<Instant, Failure> {
    let time = time_for(work, deadline_ms, now);
    if time < LEAST {
        return Err(Failure::new(
            Kind::Deadline,
            "the function's timeout leaves no time for the work",
            format!(
                "set the timeout of the function to {} s or more",
                (work.limit() + work.reserve()).as_secs()
            ),
        ));
    }
    Ok(Instant::now() + time)
}

/// What a deploy wants of the function's time-out, and what is left of it; `None`: nobody told a deadline.
pub fn of_a_deploy(deadline_ms: u64, now: SystemTime) -> (Duration, Option<Duration>) {
    let left = (UNIX_EPOCH + Duration::from_millis(deadline_ms)).duration_since(now);
    (Work::Deploy.limit() + Work::Deploy.reserve(), left.ok())
}

fn time_for(work: Work, deadline_ms: u64, now: SystemTime) -> Duration {
    match (UNIX_EPOCH + Duration::from_millis(deadline_ms)).duration_since(now) {
        Ok(left) => left.saturating_sub(work.reserve()).min(work.limit()),
        // Lambda hands out no invocation whose time is over: a local emulator that knows no deadline does.
        Err(_) => work.limit(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_ends_before_the_deadline_with_its_reserve_and_within_its_limit() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (work, left_s, is_s) in [
            (Work::Deploy, 330, 280),
            (Work::Deploy, 100, 81),
            (Work::Deploy, 19, 0),
            (Work::Deploy, 3, 0),
            (Work::Undo, 330, 100),
            (Work::Undo, 60, 41),
            (Work::Direct, 10, 9),
            (Work::Direct, 900, 280),
        ] {
            let deadline_ms = (1_000_000 + left_s) * 1000;
            assert_eq!(
                time_for(work, deadline_ms, now),
                Duration::from_secs(is_s),
                "{work:?} {left_s}"
            );
        }
    }

    #[test]
    fn an_emulator_without_a_deadline_grants_the_whole_limit() {
        assert_eq!(time_for(Work::Deploy, 600_000, SystemTime::now()), APPLY_LIMIT);
    }

    #[test]
    fn a_function_that_is_given_no_time_says_which_timeout_to_set() {
        let soon = SystemTime::now() + Duration::from_secs(6);
        let ms = soon.duration_since(UNIX_EPOCH).unwrap().as_millis();
        let failure = end_of(Work::Deploy, ms.try_into().unwrap(), SystemTime::now()).unwrap_err();
        assert!(failure.to_string().ends_with("to 299 s or more"), "{failure}");
    }
}
