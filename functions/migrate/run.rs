//! Carries a plan out: attempts of one transaction each, until one commits, none can, or the time is over.
//!
//! In: a database, an [`Order`], the instant at which it must have ended. Out: a [`Report`], or a [`Failure`] that is
//! in the ledger where there is one. A lock that cannot be had at once costs the whole attempt: everything is rolled
//! back, nobody queues behind us, and it begins again after a pause.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::error::SqlState;

use super::checklist::says::Says;
use super::failure::{Failure, Kind};
use super::plan::{Owner, Wish};
use super::properties::Login;
use super::record;
use super::report::Report;
use crate::config;

mod attempt;

/// The pause after an attempt, times its number, up to the longest.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// How often what is no lock time-out may fail: a lost connection, a race with another database over a role.
const ATTEMPTS: u32 = 5;

/// What is to be done, for whom.
#[derive(Clone, Debug)]
pub struct Order {
    /// What somebody wants.
    pub wish: Wish,
    /// The login that ingest is to have; `None`: it is not looked at.
    pub login: Option<Login>,
    /// DEV, TEST, STAGING or PRODUCTION.
    pub environment: Option<String>,
    /// What the rules and the checklist read beside that.
    pub says: Says,
    /// Id of the request, for the ledger.
    pub request_id: String,
    /// Whether it is to last.
    pub ending: Ending,
}

/// How a run that could do all that it was to do ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It lasts.
    Commit,
    /// Everything is given back, and nothing is written anywhere: a dry run.
    GiveBack,
}

/// How a predecessor is adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// All of it in one transaction, but for a table that is big.
    InOneGo,
    /// The table in steps of their own, each recorded and resumable: what keeps nobody waiting for long.
    InSteps,
}

impl Order {
    /// Who asks; `None`: by hand.
    pub fn owner(&self) -> Option<&Owner> {
        match &self.wish {
            Wish::Have(owner) => owner.as_ref(),
            Wish::Leave(owner, _) => Some(owner),
            Wish::Gone { .. } => None,
        }
    }
}

/// One attempt at it, which ends as it ends: not tried again, not recorded.
///
/// # Errors
/// Whatever stood in the way; nothing was changed then.
pub async fn once(
    database: &config::Database,
    order: &Order,
    pace: Pace,
    end: Instant,
) -> Result<Report, Failure> {
    attempt::attempt(database, order, pace, end).await
}

/// Does it, before `end`.
///
/// # Errors
/// Whatever stood in the way; nothing was changed then, but for a ledger row that says so.
pub async fn run(database: &config::Database, order: &Order, end: Instant) -> Result<Report, Failure> {
    let started = Instant::now();
    let (mut attempts, mut may_have_made, mut blocked) = (0, false, None);
    let mut pace = Pace::InOneGo;
    loop {
        attempts += 1;
        let failure = match once(database, order, pace, end).await {
            Ok(report) => {
                return Ok(Report {
                    attempts,
                    duration_ms: millis(started),
                    ..report
                })
            }
            Err(failure) => failure,
        };
        may_have_made |= failure.may_have_made;
        if failure.sqlstate.as_deref() == Some(attempt::WAITED_FOR) {
            pace = Pace::InSteps;
        }
        let pause = (PAUSE * attempts).min(LONGEST_PAUSE);
        if !may_pass(&failure, attempts) || Instant::now() + pause >= end {
            let failure = Failure {
                may_have_made,
                ..telling(failure, blocked).after(attempts)
            };
            if order.ending == Ending::Commit {
                record::failed(database, order, &failure, millis(started)).await;
            }
            return Err(failure);
        }
        blocked = Some(failure);
        tokio::time::sleep(pause).await;
    }
}

/// That the time was over in the last attempt says less than what stood in the way before.
fn telling(last: Failure, before: Option<Failure>) -> Failure {
    match before {
        Some(before) if last.is(&SqlState::QUERY_CANCELED) => before,
        _ => last,
    }
}

/// Whether it may go well another time.
fn may_pass(failure: &Failure, attempts: u32) -> bool {
    const PASSING: [SqlState; 7] = [
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::DUPLICATE_OBJECT,
        SqlState::UNIQUE_VIOLATION,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ];
    failure.is(&SqlState::LOCK_NOT_AVAILABLE)
        || failure.sqlstate.as_deref() == Some(attempt::WAITED_FOR)
        // Somebody else may have changed just that in just that moment.
        || attempts == 1 && failure.sqlstate.as_deref() == Some(attempt::UNDO_DIFFERS)
        || attempts < ATTEMPTS
            && (failure.code == Kind::Disconnected || PASSING.iter().any(|state| failure.is(state)))
}

pub(super) fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
