//! What a sender may rely on, checked after each step.
//!
//! Events are told apart by what their sender wrote, which stands in their rows also where they are quarantined: a
//! key that was made anew, or a row too many, cannot hide.

use std::cell::RefCell;
use std::rc::Rc;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use uuid::Uuid;

use super::database::POISON;
use super::world::{Row, Shared};
use crate::ingest::beacon::Event;
use crate::ingest::failure::Failure;
use crate::ingest::Outcome;

/// What was sent and what was said of it.
#[derive(Clone)]
pub struct Promises {
    world: Shared,
    sent: Rc<RefCell<Vec<Sent>>>,
}

/// A beacon, each time that it is sent.
struct Sent {
    beacon: usize,
    receipt: Uuid,
    /// The payload of each event, as it is and as it stands in the row of a quarantined one.
    events: Vec<[String; 2]>,
    said: Said,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    /// 200
    Stored,
    /// 202
    Kept,
    /// 503, and that it cannot be known what became of it.
    Unknown,
    /// 503, and that nothing was stored.
    NotStored,
    Refused,
}

impl Promises {
    pub fn new(world: Shared) -> Self {
        Self {
            world,
            sent: Rc::default(),
        }
    }

    pub fn sent(&self, beacon: usize, receipt: Uuid, events: &[Event<'_>]) {
        let spellings = |event: &Event<'_>| [event.payload.to_string(), STANDARD.encode(&*event.payload)];
        self.sent.borrow_mut().push(Sent {
            beacon,
            receipt,
            events: events.iter().map(spellings).collect(),
            said: Said::Nothing,
        });
    }

    pub fn answered(&self, beacon: usize, receipt: Uuid, status: u16, outcome: &Result<Outcome, Failure>) {
        let said = match (status, outcome) {
            (200, Ok(Outcome::Landed { landed, .. })) => {
                let told = landed.stored + landed.quarantined.len() + landed.duplicates.len();
                self.hold(landed.refused.is_empty() && told > 0, "an event is told of");
                Said::Stored
            }
            (202, Ok(_)) => Said::Kept,
            (503, Err(Failure::Uncertain(_))) => Said::Unknown,
            (503, Err(Failure::Fault(_))) => Said::NotStored,
            (401, Err(Failure::Refused(_))) => Said::Refused,
            (status, _) => panic!("beacon {beacon} is answered with {status}: {}", self.story()),
        };
        let line = format!("beacon {beacon} hears: {said:?}");
        self.world.story.borrow_mut().push(line);
        let mut sent = self.sent.borrow_mut();
        let of_receipt = sent.iter_mut().find(|sent| sent.receipt == receipt);
        of_receipt.expect("what is answered was sent").said = said;
    }

    /// Whether its sender has no reason to send it again.
    pub fn is_taken(&self, beacon: usize) -> bool {
        let taken = [Said::Stored, Said::Kept, Said::Refused];
        let sent = self.sent.borrow();
        sent.iter()
            .any(|sent| sent.beacon == beacon && taken.contains(&sent.said))
    }

    /// Whether a message waits that lands on a fair day.
    pub fn is_waiting(&self) -> bool {
        let state = self.world.state.borrow();
        state.queue.iter().any(|message| !message.text.contains(POISON))
    }

    pub fn check(&self) {
        let state = self.world.state.borrow();
        for sent in &*self.sent.borrow() {
            let receipt = sent.receipt.to_string();
            let is_waiting = || {
                let texts = state.queue.iter().map(|message| &message.text);
                texts
                    .chain(&state.dead_letters)
                    .any(|text| text.contains(&receipt))
            };
            for event in &sent.events {
                let rows = state.rows.iter().filter(|row| is_of(row, event));
                let here = rows.clone().filter(|row| row.receipt == receipt).count();
                let count = rows.count();
                self.hold(count <= 1, "no event is stored twice");
                match sent.said {
                    Said::Stored => self.hold(count == 1, "200 is said of what is stored"),
                    Said::Kept => self.hold(count == 1 || is_waiting(), "202 is said of what is kept"),
                    Said::NotStored => {
                        let overdue = state.overdue.iter().flatten();
                        let later = overdue.filter(|row| row.receipt == receipt).count();
                        self.hold(
                            here + later == 0 && !is_waiting(),
                            "503 claims nothing that is not so",
                        );
                    }
                    // A key may be revoked between a commit whose answer was lost and the retry.
                    Said::Refused | Said::Nothing | Said::Unknown => {}
                }
            }
        }
    }

    pub fn check_at_the_end(&self) {
        self.check();
        let state = self.world.state.borrow();
        self.hold(
            !self.is_waiting(),
            "a fair day empties the queue of all but what always fails",
        );
        let spent = !state.dead_letters.is_empty();
        self.hold(!spent || state.was_refused, "an outage spends no tries");
    }

    fn hold(&self, holds: bool, promise: &str) {
        assert!(holds, "broken: {promise}\n{}", self.story());
    }

    fn story(&self) -> String {
        self.world.story.borrow().join("\n")
    }
}

fn is_of(row: &Row, event: &[String; 2]) -> bool {
    event.iter().any(|spelling| row.payload.contains(spelling))
}
