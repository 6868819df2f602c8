//! An acknowledged beacon is kept: in the database, or in the queue while that is away.
//!
//! In: a landing. Out: what became of it, once it is committed or in the queue; a failure acknowledges nothing. The
//! breaker is asked before the database and told after it, by live beacons and replayed ones alike. How either is
//! reached is not known here.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::blame::Blame;
use super::breaker::{Breaker, Found, Way};
use super::failure::{Failure, Fault, RefusedEvent};
use super::landing::{Effort, Landed, Landing, Server, LANDING_TIMEOUT};
use super::queue::{Queue, Requests};
use crate::aws::Aws;
use crate::db::{ConnectError, Database};

/// How long the database is tried where there is a queue: one statement up to its time-out, and a new connection, so
/// that the queue has three of the function's ten seconds, and the answer two.
pub const LANDING_TIMEOUT_BEFORE_QUEUE: Duration = Duration::from_secs(5);

/// Where beacons are kept.
pub struct Keeper<S = Database, R = Aws> {
    /// At first.
    pub database: S,
    /// While that is away.
    pub queue: Option<Queue<R>>,
    breaker: Mutex<Breaker>,
    /// Tells this sandbox from others.
    spread: u8,
}

/// Where a beacon is.
pub enum Kept {
    /// Committed.
    Landed(Landed),
    /// In the queue.
    Queued(Queued),
}

/// A beacon that waits in the queue.
#[derive(Debug)]
pub struct Queued {
    /// Events that will be stored as they are.
    pub events: usize,
    /// Events that will be stored as quarantined.
    pub quarantined: Vec<RefusedEvent>,
    /// Events that were left out.
    pub refused: Vec<RefusedEvent>,
    /// Why it is not in the database.
    pub because: Fault,
}

impl<S: Server, R: Requests> Keeper<S, R> {
    /// Reaches for nothing yet.
    pub fn new(database: S, queue: Option<Queue<R>>) -> Self {
        Self {
            database,
            queue,
            breaker: Mutex::default(),
            spread: Uuid::now_v7().as_bytes()[15],
        }
    }

    /// Lands a live beacon, or queues it.
    ///
    /// # Errors
    /// The database refuses it; or it is away, and so is the queue or there is none.
    pub async fn keep(&self, landing: &Landing<'_>, effort: &mut Effort) -> Result<Kept, Failure> {
        let patience = match self.queue {
            Some(_) => LANDING_TIMEOUT_BEFORE_QUEUE,
            None => LANDING_TIMEOUT,
        };
        let fault = match self.land(landing, patience, effort).await {
            Ok(landed) => return Ok(Kept::Landed(landed)),
            Err(Failure::Fault(fault)) => fault,
            Err(other) => return Err(other),
        };
        #[cfg(feature = "plant-acknowledge-before-commit")]
        if effort.calls > 0 {
            return Ok(Kept::Landed(super::plants::as_if_committed(landing)));
        }
        #[cfg(feature = "plant-drop-when-open")]
        if matches!(fault, Fault::Spared) {
            return Ok(Kept::Queued(Queued::of(landing, fault)));
        }
        if let Some(queue) = &self.queue {
            match Box::pin(queue.take(landing)).await {
                Ok(()) => return Ok(Kept::Queued(Queued::of(landing, fault))),
                Err(not_taken) => {
                    effort.is_unanswered |= not_taken.is_partly_taken;
                    effort.queue_error = Some(not_taken.why);
                }
            }
        }
        Err(match effort.is_unanswered {
            true => Failure::Uncertain(fault),
            false => Failure::Fault(fault),
        })
    }

    /// Lands a beacon unless the database was away a moment ago.
    ///
    /// # Errors
    /// As [`Landing::land`].
    pub async fn land(
        &self,
        landing: &Landing<'_>,
        patience: Duration,
        effort: &mut Effort,
    ) -> Result<Landed, Failure> {
        if landing.beacon.events.is_empty() {
            return landing.land(&self.database, patience, effort).await;
        }
        let way = self.breaker().way(self.database.now());
        effort.is_breaker_open = way != Way::Go;
        if way == Way::Spare {
            return Err(Fault::Spared.into());
        }
        let landed = landing.land(&self.database, patience, effort).await;
        let found = match &landed {
            Err(Failure::Fault(Fault::Connect(ConnectError::Busy))) => Found::Nothing,
            Err(Failure::Fault(fault)) if fault.blame() == Blame::Database => Found::Away,
            _ => Found::There,
        };
        self.breaker().tell(self.database.now(), way, found, self.spread);
        landed
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queued {
    fn of(landing: &Landing<'_>, because: Fault) -> Self {
        let events = &landing.beacon.events;
        let quarantined = events.iter().filter_map(|event| {
            event.quarantined.map(|(flaw, offset)| RefusedEvent {
                index: event.index,
                flaw,
                offset: Some(offset),
            })
        });
        let quarantined: Vec<RefusedEvent> = quarantined.collect();
        Self {
            events: events.len() - quarantined.len(),
            quarantined,
            refused: landing.beacon.refused.clone(),
            because,
        }
    }
}
