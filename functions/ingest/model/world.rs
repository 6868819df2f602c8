//! What the model's database, queue and clock hold, and what befalls them.
//!
//! A row is there once it is committed; a message is in the queue until its receiver says that it is done with it.
//! Processes die where something could befall them: what they waited for never comes.

use std::cell::{Cell, RefCell};
use std::collections::hash_map::DefaultHasher;
use std::future::poll_fn;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::choices::Choices;
use crate::ingest::queue::Tries;

/// One world, shared by all who live in it.
pub type Shared = Rc<World>;

/// A row of the events table.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub struct Row {
    pub key: Uuid,
    pub receipt: String,
    pub payload: String,
}

/// A message in the queue.
#[derive(Clone, Debug, Hash)]
pub struct Message {
    pub id: u32,
    pub text: String,
    pub receives: u32,
    pub tries: Tries,
}

/// Whether the database can be reached while nothing befalls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Fair,
    /// It is away until the end, when all is fair.
    Away,
    /// Each call takes long.
    Slow,
    /// Each request to the queue does.
    SlowQueue,
}

#[derive(Default, Hash)]
pub struct State {
    pub rows: Vec<Row>,
    /// Sent by somebody who gave up waiting; committed when it suits the server.
    pub overdue: Vec<Vec<Row>>,
    pub queue: Vec<Message>,
    pub dead_letters: Vec<String>,
    pub messages: u32,
    pub seconds: u64,
    /// Something refused a message that is none of an outage.
    pub was_refused: bool,
}

pub struct World {
    pub state: RefCell<State>,
    pub weather: Cell<Weather>,
    pub choices: RefCell<Choices>,
    /// What befell it, for who reads of a broken promise.
    pub story: RefCell<Vec<String>>,
    is_over: Cell<bool>,
    began: Instant,
}

/// A process that serves requests.
#[derive(Clone)]
pub struct Sandbox {
    pub name: char,
    pub is_killed: Rc<Cell<bool>>,
    pub world: Shared,
}

impl World {
    pub fn new(choices: Choices, weather: Weather, began: Instant) -> Self {
        Self {
            state: RefCell::default(),
            weather: Cell::new(weather),
            choices: RefCell::new(choices),
            story: RefCell::default(),
            is_over: Cell::new(false),
            began,
        }
    }

    pub fn now(&self) -> Instant {
        self.began + Duration::from_secs(self.state.borrow().seconds)
    }

    pub fn wait(&self, seconds: u64) {
        self.state.borrow_mut().seconds += seconds;
    }

    /// From here on nothing befalls anybody.
    pub fn end_misfortunes(&self) {
        self.weather.set(Weather::Fair);
        self.is_over.set(true);
        self.story.borrow_mut().push("all is fair".to_owned());
    }

    /// The database gets round to what nobody waits for any more.
    pub fn land_overdue(&self) {
        let overdue = std::mem::take(&mut self.state.borrow_mut().overdue);
        overdue.into_iter().for_each(|rows| {
            self.insert(rows);
        });
    }

    /// Which of the rows are new, as `on conflict do nothing` has it.
    pub fn insert(&self, rows: Vec<Row>) {
        let stored = &mut self.state.borrow_mut().rows;
        for row in rows {
            if stored.iter().all(|other| other.key != row.key) {
                stored.push(row);
            }
        }
    }

    pub fn turn(&self, what: &str, of: usize) -> usize {
        self.note_state(what);
        let chosen = self.choices.borrow_mut().turn(of);
        self.story.borrow_mut().push(format!("{what} {chosen}"));
        chosen
    }

    fn note_state(&self, what: &str) {
        let mut hasher = DefaultHasher::new();
        self.state.borrow().hash(&mut hasher);
        what.hash(&mut hasher);
        self.choices.borrow_mut().states.insert(hasher.finish());
    }
}

impl Sandbox {
    /// What happens, out of what can; the first costs nothing.
    pub fn happens<O: Copy + std::fmt::Debug>(&self, what: &str, outcomes: &[O]) -> O {
        if self.world.is_over.get() {
            return outcomes[0];
        }
        self.world.note_state(what);
        let chosen = self.world.choices.borrow_mut().misfortune(outcomes.len());
        let line = format!("{} {what}: {:?}", self.name, outcomes[chosen]);
        self.world.story.borrow_mut().push(line);
        outcomes[chosen]
    }

    /// Lets others come first.
    pub async fn step(&self) {
        let mut is_first = true;
        poll_fn(|_| match std::mem::take(&mut is_first) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })
        .await;
    }

    /// The end of the process: nothing behind this is ever done.
    pub async fn die(&self) -> ! {
        self.is_killed.set(true);
        std::future::pending().await
    }
}
