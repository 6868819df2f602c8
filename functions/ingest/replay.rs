//! The queue's messages into the database: `delivery → message → landing → decision`.
//!
//! In: what the queue handed over. Out: which messages it must keep, and one line of the log. A message bears all that
//! its rows need, so that it lands as it would have on the day it was sent. Once the database is found away the
//! rest is put back untried; a message that is none of ours costs its neighbours nothing.

use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use super::failure::{Failure, Fault};
use super::keeper::Keeper;
use super::landing::{Effort, Landed, Landing, Server};
use super::queue::{self, PutBack, Requests};

mod decision;
mod delivery;

pub use decision::{LONGEST_PAUSE, QUEUE_KEEPS, REFUSALS_MAX};
pub use delivery::{deliveries, Delivery};

use decision::Next;

/// All landings of one batch: with three seconds for what the queue is told, below the function's ten.
const REPLAY_TIMEOUT: Duration = Duration::from_secs(6);

/// A landing is not begun with less time than one statement may take.
const LEAST_PATIENCE: Duration = Duration::from_secs(3);

/// Messages that were not tried come again so soon.
const NOT_TRIED: Duration = Duration::from_secs(1);

/// The answer to the queue: these messages are not done with ("ReportBatchItemFailures", AWS Lambda).
#[derive(Debug, Serialize)]
pub struct Kept {
    #[serde(rename = "batchItemFailures")]
    failures: Vec<Failed>,
}

#[derive(Debug, Serialize)]
struct Failed {
    #[serde(rename = "itemIdentifier")]
    id: String,
}

/// What was done, for the log.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Messages that were handed over.
    pub messages: usize,
    /// Messages that are in the database.
    pub landed: usize,
    /// Events that they stored as they are.
    pub stored: usize,
    /// Events that they stored as quarantined.
    pub quarantined: usize,
    /// Events that were there already.
    pub duplicate: usize,
    /// Messages that come again because the database is away.
    pub put_back: usize,
    /// How long the oldest message that the queue keeps has been in it.
    pub oldest_kept: Duration,
    /// Messages that come again because they were refused.
    pub refused: usize,
    /// Messages that were put among the dead letters.
    pub dead_letters: usize,
    /// The last failure.
    pub failure: Option<Told>,
}

/// A failure in words for the operator.
#[derive(Debug)]
pub struct Told {
    /// A word for machines.
    pub tag: &'static str,
    /// Where PostgreSQL gave one.
    pub sqlstate: Option<String>,
    /// A sentence.
    pub why: String,
}

/// Lands what can be landed.
pub async fn replay<S: Server, R: Requests>(
    deliveries: &[Delivery<'_>],
    keeper: &Keeper<S, R>,
    effort: &mut Effort,
) -> (Kept, Replayed) {
    let mut replay = Replay {
        keeper,
        until: keeper.database.now() + REPLAY_TIMEOUT,
        is_away: false,
        put_back: Vec::new(),
        failures: Vec::new(),
        done: Replayed {
            messages: deliveries.len(),
            ..Replayed::default()
        },
    };
    for delivery in deliveries {
        let next = replay.attempt(delivery, effort).await;
        replay.take(delivery, next, effort).await;
    }
    if let (Some(queue), false) = (&keeper.queue, replay.put_back.is_empty()) {
        // Without it they come again when the queue's own time is over.
        effort.queue_error = queue
            .put_back(&replay.put_back)
            .await
            .err()
            .or(effort.queue_error.take());
    }
    let failures = replay.failures;
    (Kept { failures }, replay.done)
}

struct Replay<'k, S, R> {
    keeper: &'k Keeper<S, R>,
    until: Instant,
    is_away: bool,
    put_back: Vec<PutBack>,
    failures: Vec<Failed>,
    done: Replayed,
}

impl<S: Server, R: Requests> Replay<'_, S, R> {
    async fn attempt(&mut self, delivery: &Delivery<'_>, effort: &mut Effort) -> Next {
        let message = match queue::read(&delivery.text) {
            Ok(message) => message,
            Err(why) => {
                self.done.failure = Some(Told {
                    tag: decision::NOT_UNDERSTOOD,
                    sqlstate: None,
                    why: format!("a message cannot be read: {why}"),
                });
                return decision::not_understood(delivery.refusals);
            }
        };
        let age = delivery.age(SystemTime::now());
        let next = |failure| decision::next(failure, delivery.receives, delivery.refusals, age);
        if self.is_away {
            return next(Some(&Fault::Spared.into()));
        }
        let now = self.keeper.database.now();
        let patience = self.until.saturating_duration_since(now);
        if patience < LEAST_PATIENCE {
            return Next::PutBack(NOT_TRIED);
        }
        let landing = Landing {
            stamp: &message.stamp,
            beacon: &message.beacon,
            began: now,
        };
        let mut own = Effort::default();
        let landed = self.keeper.land(&landing, patience, &mut own).await;
        effort.add(own);
        match &landed {
            Ok(landed) => self.done.count(landed),
            Err(failure) => {
                self.is_away = matches!(failure, Failure::Fault(fault) if fault.is_away());
                self.done.failure = Some(told(failure));
            }
        }
        next(landed.as_ref().err())
    }

    async fn take(&mut self, delivery: &Delivery<'_>, next: Next, effort: &mut Effort) {
        let Some(queue) = &self.keeper.queue else {
            return self.keep(delivery);
        };
        match next {
            Next::Forget => {}
            Next::PutBack(after) => {
                self.done.put_back += 1;
                let place = self.put_back.len();
                self.put_back.push(PutBack::of(delivery, place, after));
                self.keep(delivery);
            }
            Next::Again { refusals, after } => {
                self.done.refused += 1;
                let sent = queue.send_again(&delivery.text, refusals, after).await;
                self.keep_unless(delivery, sent, effort);
            }
            Next::Rest { reason } => {
                self.done.dead_letters += 1;
                let sent = queue.lay_to_rest(&delivery.text, &reason).await;
                self.keep_unless(delivery, sent, effort);
            }
        }
    }

    /// A copy is in a queue before this one is forgotten; should both come, their rows are the same.
    fn keep_unless(&mut self, delivery: &Delivery<'_>, sent: Result<(), String>, effort: &mut Effort) {
        if let Err(why) = sent {
            effort.queue_error = Some(why);
            self.keep(delivery);
        }
    }

    fn keep(&mut self, delivery: &Delivery<'_>) {
        let age = delivery.age(SystemTime::now());
        self.done.oldest_kept = self.done.oldest_kept.max(age);
        let id = delivery.id.clone().into_owned();
        self.failures.push(Failed { id });
    }
}

impl Replayed {
    fn count(&mut self, landed: &Landed) {
        self.landed += 1;
        self.stored += landed.stored;
        self.quarantined += landed.quarantined.len();
        self.duplicate += landed.duplicates.len();
    }
}

fn told(failure: &Failure) -> Told {
    match failure {
        Failure::Refused(refusal) => Told {
            tag: refusal.tag(),
            sqlstate: None,
            why: refusal.to_string(),
        },
        Failure::Fault(fault) | Failure::Uncertain(fault) => Told {
            tag: fault.tag(),
            sqlstate: fault.sqlstate().map(str::to_owned),
            why: fault.to_string(),
        },
    }
}
