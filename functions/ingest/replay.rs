//! The queue's messages into the database: `delivery → message → landing → decision`.
//!
//! In: what the queue handed over. Out: which messages it must keep, and one line of the log. A message bears all that
//! its rows need, so that it lands as it would have on the day it was sent. Once the database is found away the
//! rest is put back untried; what is wrong with one message costs its neighbours nothing.

use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use super::blame::Blame;
use super::failure::{Failure, Fault, Refusal};
use super::keeper::Keeper;
use super::landing::{Effort, Landed, Landing, Server};
use super::queue::{self, PutBack, Requests};

mod decision;
mod delivery;

pub use decision::{LONGEST_PAUSE, QUEUE_KEEPS, REFUSALS_MAX};
pub use delivery::{deliveries, Delivery};

use decision::Next;

/// All landings of one batch.
pub const LANDINGS_TIMEOUT: Duration = Duration::from_secs(6);

/// The same, with the copies of messages that failed. One that is cut off may be in the queue, and its message comes again:
/// two where there was one. So none is begun that has not the time of a slow queue, [`LEAST_FOR_A_COPY`].
pub const COPIES_TIMEOUT: Duration = Duration::from_secs(8);

/// The same, with the word of when the others are to come again: all of a batch, with one of the function's ten seconds
/// left for the answer. A function that is ended before that has done nothing with any message, whatever it did.
pub const REPLAY_TIMEOUT: Duration = Duration::from_secs(9);

/// A landing is not begun with less time than one statement may take.
const LEAST_PATIENCE: Duration = Duration::from_secs(3);

const LEAST_FOR_A_COPY: Duration = Duration::from_secs(1);

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
    /// Messages that are in the database, all of each.
    pub landed: usize,
    /// Events that they stored as they are.
    pub stored: usize,
    /// Events that they stored as quarantined.
    pub quarantined: usize,
    /// Events that were there already.
    pub duplicate: usize,
    /// Messages that come again as they are: the database is away, or a fault may be their own and may pass.
    pub put_back: usize,
    /// How long the oldest message that the queue keeps has been in it.
    pub oldest_kept: Duration,
    /// Messages that come again as copies with new counts: they were refused.
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
        began: keeper.database.now(),
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
            .put_back(&replay.put_back, replay.left(REPLAY_TIMEOUT))
            .await
            .err()
            .or(effort.queue_error.take());
    }
    let failures = replay.failures;
    (Kept { failures }, replay.done)
}

struct Replay<'k, S, R> {
    keeper: &'k Keeper<S, R>,
    began: Instant,
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
                return decision::not_understood(delivery.tries);
            }
        };
        let age = delivery.age(SystemTime::now());
        let next = |failure| decision::next(failure, delivery.receives, delivery.tries, age);
        if self.is_away {
            return next(Some(&Fault::Spared.into()));
        }
        let patience = self.left(LANDINGS_TIMEOUT);
        if patience < LEAST_PATIENCE {
            return Next::PutBack(NOT_TRIED);
        }
        let landing = Landing {
            stamp: &message.stamp,
            beacon: &message.beacon,
            began: self.keeper.database.now(),
        };
        let mut own = Effort::default();
        let landed = self.keeper.land(&landing, patience, &mut own).await;
        effort.add(own);
        self.is_away = landed.as_ref().err().is_some_and(is_nobodys);
        let failure = match landed {
            Ok(landed) => {
                self.done.count(&landed);
                left_out(landed)
            }
            Err(failure) => Some(failure),
        };
        self.done.failure = failure.as_ref().map(told).or(self.done.failure.take());
        next(failure.as_ref())
    }

    async fn take(&mut self, delivery: &Delivery<'_>, next: Next, effort: &mut Effort) {
        let Some(queue) = &self.keeper.queue else {
            return self.keep(delivery);
        };
        match next {
            Next::Forget => {}
            Next::PutBack(after) => self.put_back(delivery, after),
            Next::Again { tries, after } => {
                let Some(within) = self.time_for_a_copy() else {
                    return self.put_back(delivery, NOT_TRIED);
                };
                let sent = queue.send_again(&delivery.text, tries, after, within).await;
                self.done.refused += self.forget_if(delivery, sent, effort);
            }
            Next::Rest { reason } => {
                let Some(within) = self.time_for_a_copy() else {
                    return self.put_back(delivery, NOT_TRIED);
                };
                let sent = queue.lay_to_rest(&delivery.text, &reason, within).await;
                self.done.dead_letters += self.forget_if(delivery, sent, effort);
            }
        }
    }

    fn put_back(&mut self, delivery: &Delivery<'_>, after: Duration) {
        self.done.put_back += 1;
        let place = self.put_back.len();
        self.put_back.push(PutBack::of(delivery, place, after));
        self.keep(delivery);
    }

    /// What is left of a time that began with the batch.
    fn left(&self, timeout: Duration) -> Duration {
        (self.began + timeout).saturating_duration_since(self.keeper.database.now())
    }

    fn time_for_a_copy(&self) -> Option<Duration> {
        let left = self.left(COPIES_TIMEOUT).min(queue::CALL_TIMEOUT);
        (left >= LEAST_FOR_A_COPY).then_some(left)
    }

    /// A copy is in a queue before this one is forgotten; should both come, their rows are the same. How many were.
    fn forget_if(&mut self, delivery: &Delivery<'_>, sent: Result<(), String>, effort: &mut Effort) -> usize {
        match sent {
            Ok(()) => 1,
            Err(why) => {
                effort.queue_error = Some(why);
                self.keep(delivery);
                0
            }
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
        self.landed += usize::from(landed.refused.is_empty());
        self.stored += landed.stored;
        self.quarantined += landed.quarantined.len();
        self.duplicate += landed.duplicates.len();
    }
}

/// Without a connection no other message fares better. An answer may be for this one alone: it is the breaker that hears
/// of the second such answer in a row, and then spares the database.
fn is_nobodys(failure: &Failure) -> bool {
    match failure {
        Failure::Fault(fault) | Failure::Uncertain(fault) => {
            fault.blame() == Blame::Database && !fault.is_answer()
        }
        Failure::Refused(_) => false,
    }
}

/// An event that the database takes in no form was acknowledged all the same: the message is not done with. What else it
/// holds is there when it comes again.
fn left_out(landed: Landed) -> Option<Failure> {
    let is_whole = landed.refused.is_empty();
    (!is_whole).then(|| Refusal::NoneStorable(landed.refused).into())
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
