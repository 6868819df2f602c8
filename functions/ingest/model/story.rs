//! One story from its first beacon to the day on which all is fair again, and the promises that hold all the while.
//!
//! What serves the beacons is what is shipped: keeper, breaker, landing, queue, replay and the status of the answer.
//! A story is who sends what, and how; what befalls them is chosen by the world.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::database::{Database, ODD, POISON};
use super::promises::Promises;
use super::queue::{Sqs, DEAD_LETTERS, QUEUE};
use super::world::{Message, Sandbox, Shared, Weather};
use crate::ingest::api_event::ApiEvent;
use crate::ingest::beacon::{Beacon, Event};
use crate::ingest::keeper::Keeper;
use crate::ingest::landing::{Effort, Landing};
use crate::ingest::queue::{Queue, Tries};
use crate::ingest::replay::{self, Delivery};
use crate::ingest::stamp::Stamp;
use crate::ingest::{reply, Outcome};

/// How often a sender sends a beacon that was not taken.
const SENDS: u32 = 2;

/// Batches in which a queue is empty once all is fair: each refusal takes one.
const ROUNDS: u32 = 12;

/// How often one that could go on lets another come first: two are enough for one to meet the other half-way, and
/// to be met.
const SWITCHES: usize = 2;

/// Who sends what.
pub struct Plot {
    pub label: &'static str,
    /// Events of each beacon.
    pub beacons: &'static [&'static [Kind]],
    pub weather: Weather,
    pub has_queue: bool,
    pub order: Order,
    /// Misfortunes in one story, at most.
    pub depth: usize,
}

/// An event, as its sender and the database see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It has no name: sent again, it is another.
    Nameless,
    /// It bears a name: sent again, it is the same.
    Named,
    /// It has no name, and is refused by the database unless quarantined.
    Odd,
    /// It has no name, and the database has a fault whenever it comes.
    Poison,
}

/// How beacons follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    OneByOne,
    /// In one process.
    AtOnce,
}

type Process = Rc<Keeper<Database, Sqs>>;
type Task<'t> = (Sandbox, Pin<Box<dyn Future<Output = ()> + 't>>);

struct Story<'p> {
    plot: &'p Plot,
    world: Shared,
    promises: Promises,
    processes: u8,
}

/// Tells one story.
pub fn tell(plot: &Plot, world: &Shared) {
    let mut story = Story {
        plot,
        world: world.clone(),
        promises: Promises::new(world.clone()),
        processes: 0,
    };
    story.send_all();
    let mut way = if world.state.borrow().queue.is_empty() {
        0
    } else {
        1 + world.turn("delivered", 3)
    };
    if way > 0 {
        story.deliver(way);
    }
    world.land_overdue();
    story.promises.check();
    world.end_misfortunes();
    for _ in 0..ROUNDS {
        if !story.promises.is_waiting() {
            break;
        }
        world.wait(60);
        way = 1;
        story.deliver(way);
    }
    story.promises.check_at_the_end();
}

/// A batch of texts that are none of ours, each of which costs a request to a queue that is slow: how long it takes, how
/// many of them the queue is to keep, and how many copies there are.
pub fn replay_junk(messages: u32, world: &Shared) -> (u64, usize, usize) {
    let plot = Plot {
        label: "junk",
        beacons: &[],
        weather: Weather::SlowQueue,
        has_queue: true,
        order: Order::OneByOne,
        depth: 0,
    };
    let mut story = Story {
        plot: &plot,
        world: world.clone(),
        promises: Promises::new(world.clone()),
        processes: 0,
    };
    let junk = |id| Message {
        id,
        text: "junk".to_owned(),
        receives: 0,
        tries: Tries::default(),
    };
    let state = &world.state;
    state.borrow_mut().queue = (1..=messages).map(junk).collect();
    state.borrow_mut().messages = messages;
    story.deliver(1);
    let state = state.borrow();
    let is_copy = |message: &&Message| message.id > messages;
    let copies = state.queue.iter().filter(is_copy).count();
    (state.seconds, state.queue.len() - copies, copies)
}

impl Story<'_> {
    fn start(&mut self) -> (Sandbox, Process) {
        let sandbox = Sandbox {
            name: char::from(b'A' + self.processes),
            is_killed: Rc::default(),
            world: self.world.clone(),
        };
        self.processes += 1;
        let queue = Queue::asking(Sqs(sandbox.clone()), QUEUE, DEAD_LETTERS);
        let queue = self.plot.has_queue.then_some(queue);
        let keeper = Keeper::new(Database::of(&sandbox), queue);
        (sandbox, Rc::new(keeper))
    }

    /// Each beacon until it is taken, or its sender gives up. A process that died is followed by another.
    fn send_all(&mut self) {
        let mut process = self.start();
        let mut waiting: Vec<(usize, u32)> = (0..self.plot.beacons.len()).map(|beacon| (beacon, 1)).collect();
        while !waiting.is_empty() {
            if process.0.is_killed.get() {
                process = self.start();
            }
            let many = if self.plot.order == Order::AtOnce {
                waiting.len()
            } else {
                1
            };
            let now: Vec<(usize, u32)> = waiting.drain(..many).collect();
            let tasks = now
                .iter()
                .map(|(beacon, nth)| self.sends(&process, *beacon, *nth))
                .collect();
            self.run(tasks);
            let again = now
                .into_iter()
                .filter(|(beacon, nth)| *nth < SENDS && !self.promises.is_taken(*beacon));
            let again: Vec<_> = again.map(|(beacon, nth)| (beacon, nth + 1)).collect();
            waiting.splice(0..0, again);
            if !waiting.is_empty() && self.world.turn("pause", 2) == 1 {
                self.world.wait(3);
            }
        }
    }

    fn sends(&self, (sandbox, keeper): &(Sandbox, Process), beacon: usize, nth: u32) -> Task<'static> {
        let receipt = Uuid::from_u128(1000 * (beacon as u128 + 1) + u128::from(nth));
        let events = events(beacon, nth, self.plot.beacons[beacon]);
        let (keeper, promises) = (keeper.clone(), self.promises.clone());
        promises.sent(beacon, receipt, &events);
        let sending = async move {
            let stamp = stamp(receipt);
            let beacon_sent = Beacon {
                events,
                refused: Vec::new(),
                notes: Vec::new(),
                undecodable: None,
            };
            let landing = Landing {
                stamp: &stamp,
                beacon: &beacon_sent,
                began: crate::ingest::landing::Server::now(&keeper.database),
            };
            let kept = keeper.keep(&landing, &mut Effort::default()).await;
            let outcome = kept.map(|kept| Outcome::of(receipt, kept, None));
            promises.answered(beacon, receipt, status(&outcome, receipt), &outcome);
        };
        (sandbox.clone(), Box::pin(sending))
    }

    /// The whole queue: once, twice one after the other, or to two processes at once.
    fn deliver(&mut self, way: usize) {
        let batch: Vec<Message> = {
            let mut state = self.world.state.borrow_mut();
            state.queue.iter_mut().for_each(|message| message.receives += 1);
            state.queue.clone()
        };
        if batch.is_empty() {
            return;
        }
        let once = |story: &mut Self| {
            let process = story.start();
            replays(&process, batch.clone())
        };
        let first = once(self);
        match way {
            1 => self.run(vec![first]),
            2 => {
                self.run(vec![first]);
                let second = once(self);
                self.run(vec![second]);
            }
            _ => {
                let second = once(self);
                self.run(vec![first, second]);
            }
        }
    }

    /// Runs tasks, in each order of their steps with few switches; who dies takes along all that its process did.
    fn run(&self, mut tasks: Vec<Task<'_>>) {
        let mut context = Context::from_waker(Waker::noop());
        let mut switches = SWITCHES;
        while !tasks.is_empty() {
            if tasks.len() > 1 && switches > 0 && self.world.turn("next", 2) == 1 {
                tasks.rotate_left(1);
                switches -= 1;
            }
            let (sandbox, task) = &mut tasks[0];
            let (polled, is_killed) = (task.as_mut().poll(&mut context), sandbox.is_killed.clone());
            if polled == Poll::Ready(()) {
                drop(tasks.remove(0));
            } else if is_killed.get() {
                tasks.retain(|(sandbox, _)| !Rc::ptr_eq(&sandbox.is_killed, &is_killed));
            }
            self.promises.check();
        }
    }
}

/// The queue forgets what its receiver does not want to have again, once that has answered.
fn replays((sandbox, keeper): &(Sandbox, Process), batch: Vec<Message>) -> Task<'static> {
    let (keeper, world) = (keeper.clone(), sandbox.world.clone());
    let replaying = async move {
        let deliveries: Vec<Delivery<'_>> = batch.iter().map(delivery).collect();
        let (kept, _) = replay::replay(&deliveries, &keeper, &mut Effort::default()).await;
        let kept = serde_json::to_value(&kept).expect("an answer in JSON");
        let kept = kept["batchItemFailures"].as_array().expect("a list").iter();
        let kept: Vec<&str> = kept
            .filter_map(|failed| failed["itemIdentifier"].as_str())
            .collect();
        let is_done = |id: &u32| !kept.contains(&&*id.to_string());
        let done: Vec<u32> = batch.iter().map(|message| message.id).filter(is_done).collect();
        world
            .state
            .borrow_mut()
            .queue
            .retain(|message| !done.contains(&message.id));
    };
    (sandbox.clone(), Box::pin(replaying))
}

fn delivery(message: &Message) -> Delivery<'_> {
    Delivery {
        id: Cow::Owned(message.id.to_string()),
        handle: Cow::Borrowed("handle"),
        text: Cow::Borrowed(&message.text),
        receives: message.receives,
        tries: message.tries,
        sent: None,
    }
}

fn events(beacon: usize, nth: u32, kinds: &[Kind]) -> Vec<Event<'static>> {
    let event = |(index, kind): (usize, &Kind)| {
        let named = 100 * beacon as u128 + index as u128 + 1;
        let (name, key) = match kind {
            Kind::Named => (format!("{beacon}.{index}"), named),
            Kind::Nameless | Kind::Odd | Kind::Poison => (
                format!("{beacon}.{index}.{nth}"),
                named + 10_000 * u128::from(nth),
            ),
        };
        let odd = match kind {
            Kind::Odd => ODD,
            Kind::Poison => POISON,
            Kind::Nameless | Kind::Named => "",
        };
        Event {
            index,
            payload: Cow::Owned(format!(r#"{{"is":"{name}{odd}"}}"#)),
            key: Uuid::from_u128(key),
            quarantined: None,
        }
    };
    kinds.iter().enumerate().map(event).collect()
}

fn stamp(receipt: Uuid) -> Stamp {
    Stamp {
        api_key_hk: [7; 32],
        origin: None,
        client_ip: None,
        user_agent: None,
        request: RawValue::from_string("{}".to_owned()).expect("JSON"),
        receipt,
        received: SystemTime::UNIX_EPOCH,
    }
}

fn status(outcome: &Result<Outcome, crate::ingest::failure::Failure>, receipt: Uuid) -> u16 {
    let event = RawValue::from_string("{}".to_owned()).expect("JSON");
    reply::reply(&ApiEvent::read(&event), outcome, receipt).status()
}
