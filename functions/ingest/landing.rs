//! A beacon's events into the database, once each: the only folder that names the SQL function.
//!
//! In: caller, events, receipt, time. Out: what became of each event, after the commit. One round trip; more only
//! when something went wrong: a lost connection is made again and the same call sent once more, a call that a
//! single event makes fail is halved, in one transaction, until that event stands alone. There is one commit, so a
//! fault leaves nothing of the beacon behind. Receipt and keys stay, so that no attempt stores anything twice.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::beacon::{Beacon, Event};
use super::failure::{Failure, Fault, Refusal, RefusedEvent};
use super::stamp::Stamp;

mod call;
mod course;
mod decision;
mod isolation;
mod server;
mod verdict;

pub use call::{Answer, Audit, EventRow};
pub use server::{CallError, Server};
pub use verdict::{may_call, verdict};

use course::{Called, Course};

/// One call, on the wire and back. Above the three seconds of `statement_timeout` that the login has, so that the
/// server gives up first and says so.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(4);

/// All calls and connections of one beacon, and its wait for room: below the function's own ten seconds with a reserve
/// for the answer.
pub const LANDING_TIMEOUT: Duration = Duration::from_secs(8);

/// A beacon that is ready to be stored.
pub struct Landing<'a> {
    /// Who sent it, when, and its receipt.
    pub stamp: &'a Stamp,
    /// Its events.
    pub beacon: &'a Beacon<'a>,
    /// When its body was read.
    pub began: Instant,
}

/// What became of a beacon's events, all of it committed.
#[derive(Debug, Default)]
pub struct Landed {
    /// Events that this beacon stored as they are.
    pub stored: usize,
    /// Events that this beacon stored as quarantined, and why, in the order of their indexes.
    pub quarantined: Vec<RefusedEvent>,
    /// Events that were there already.
    pub duplicates: Vec<Duplicate>,
    /// Events that were left out, in the order of their indexes.
    pub refused: Vec<RefusedEvent>,
}

/// An event that was there already.
#[derive(Debug)]
pub struct Duplicate {
    /// Its place in the beacon, from 0.
    pub index: usize,
    /// The receipt under which it is stored; absent where a direct caller gave none.
    pub first_receipt: Option<String>,
}

/// What it took.
#[derive(Debug, Default)]
pub struct Effort {
    /// Calls that were sent.
    pub calls: u32,
    /// Time spent on connections and calls.
    pub database: Duration,
    /// Whether a call went out and nothing that can be understood came back: what it asked for may be done.
    pub is_unanswered: bool,
    /// Tags of what was done beside the straight path.
    pub detours: Vec<&'static str>,
    /// Whether the database had been away a moment ago.
    pub is_breaker_open: bool,
    /// Why the queue did not do what it was asked.
    pub queue_error: Option<String>,
    /// SQLSTATE with which the audit of events failed that are stored all the same.
    pub audit_error: Option<String>,
}

impl Landing<'_> {
    /// Stores what can be stored, within `patience` of its beginning.
    ///
    /// # Errors
    /// The database refuses the key, its origin or its tenant, or every event; or it is away or at fault, and then
    /// nothing is acknowledged, and nothing is stored unless it went with the last commit.
    pub async fn land<S: Server>(
        &self,
        database: &S,
        patience: Duration,
        effort: &mut Effort,
    ) -> Result<Landed, Failure> {
        let began = database.now();
        let course = Course {
            landing: self,
            database,
            effort,
            until: self.began + patience,
        };
        let landed = self.land_all(course).await;
        effort.database += database.now().saturating_duration_since(began);
        let mut landed = landed?;
        landed.refused.extend_from_slice(&self.beacon.refused);
        landed.refused.sort_by_key(|refused| refused.index);
        landed.quarantined.sort_by_key(|quarantined| quarantined.index);
        let is_nothing_there =
            landed.stored == 0 && landed.quarantined.is_empty() && landed.duplicates.is_empty();
        if is_nothing_there && !landed.refused.is_empty() {
            return Err(Refusal::NoneStorable(landed.refused).into());
        }
        Ok(landed)
    }

    async fn land_all<S: Server>(&self, mut course: Course<'_, S>) -> Result<Landed, Failure> {
        let mut landed = Landed::default();
        if self.beacon.events.is_empty() {
            return Ok(landed);
        }
        match course.call(&self.beacon.events).await? {
            Called::Answered(answer) => {
                let counted = self.count(&mut landed, &self.beacon.events, &answer);
                // It answers for a commit: that it cannot be understood says nothing of what is stored.
                course.effort.is_unanswered |= counted.is_err();
                counted?;
            }
            Called::RefusedForAnEvent => return Box::pin(isolation::isolate(&mut course)).await,
        }
        Ok(landed)
    }

    /// An event that is there under this very receipt was stored by an attempt whose answer was lost, unless
    /// another event of this beacon with the same key was.
    fn count(&self, landed: &mut Landed, events: &[Event<'_>], answer: &Answer) -> Result<(), Fault> {
        let own = self.stamp.receipt.to_string();
        let event_of = |index: usize| events.get(index).ok_or(Fault::Unexpected("an index of no event"));
        let mut stored: HashSet<Uuid> = HashSet::new();
        for row in answer.rows.iter().filter(|row| row.is_new) {
            let event = event_of(row.index)?;
            stored.insert(event.key);
            landed.stored(event);
        }
        for row in answer.rows.iter().filter(|row| !row.is_new) {
            let event = event_of(row.index)?;
            let Some(first) = row.first_receipt.as_deref() else {
                return Err(Fault::Unexpected("an event that is neither stored nor there"));
            };
            if first == own && stored.insert(event.key) {
                landed.stored(event);
            } else {
                landed.duplicates.push(Duplicate {
                    index: event.index,
                    first_receipt: (!first.is_empty()).then(|| first.to_owned()),
                });
            }
        }
        if answer.rows.len() != events.len() {
            return Err(Fault::Unexpected("not one row for each event"));
        }
        Ok(())
    }
}

impl Landed {
    fn stored(&mut self, event: &Event<'_>) {
        match event.quarantined {
            None => self.stored += 1,
            Some((flaw, offset)) => self.quarantined.push(RefusedEvent {
                index: event.index,
                flaw,
                offset: Some(offset),
            }),
        }
    }
}

impl Effort {
    /// That of another landing in the same invocation.
    pub fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.database += other.database;
        self.is_unanswered |= other.is_unanswered;
        other.detours.into_iter().for_each(|detour| self.took(detour));
        self.audit_error = other.audit_error.or(self.audit_error.take());
    }

    fn took(&mut self, detour: &'static str) {
        if !self.detours.contains(&detour) {
            self.detours.push(detour);
        }
    }
}
