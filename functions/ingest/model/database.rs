//! The model of PostgreSQL: rows by key, commits, and whatever can come between a call and its answer.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;

use super::world::{Row, Sandbox, Weather};
use crate::db::ConnectError;
use crate::ingest::beacon::Event;
use crate::ingest::failure::Fault;
use crate::ingest::landing::{Answer, Audit, CallError, EventRow, Landing, Server};

/// Stands in the payload of an event that the database refuses unless it is quarantined.
pub const ODD: &str = "odd";

/// What a slow call takes: short of its time-out, and too much of a landing's time for a second pass.
const SLOW_S: u64 = 3;

/// A server as one process sees it.
pub struct Database {
    pub sandbox: Sandbox,
    pub kept: RefCell<Option<Arc<Session>>>,
}

#[derive(Default)]
pub struct Session {
    /// What its transaction has done, and how much of it before the savepoint.
    open: Mutex<Option<(Vec<Row>, usize)>>,
    is_closed: AtomicBool,
}

impl Session {
    fn open(&self) -> MutexGuard<'_, Option<(Vec<Row>, usize)>> {
        self.open.lock().expect("nobody panics while holding it")
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    fn close_if(&self, is_over: bool) {
        self.is_closed.store(is_over, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connecting {
    Connects,
    Refused,
    Overdue,
    Killed,
}

/// What becomes of a call. "Stored" is before the misfortune, else it is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Calling {
    Answered,
    Cut,
    StoredAndCut,
    Says(&'static str),
    /// A pooler that lost the server says so.
    StoredAndSays(&'static str),
    /// There is an answer, with a row too few.
    StoredAndGarbled,
    Overdue,
    StoredAndOverdue,
    OverdueAndStoredLater,
    Slow,
    UnknownKey,
    Killed,
    StoredAndKilled,
}
use Calling::{
    Answered, Cut, Killed, Overdue, OverdueAndStoredLater, Says, Slow, StoredAndCut, StoredAndGarbled,
    StoredAndKilled, StoredAndOverdue, StoredAndSays, UnknownKey,
};

/// A statement that is its own commit.
const ALONE: &[Calling] = &[
    Answered,
    Cut,
    StoredAndCut,
    Says("08P01"),
    StoredAndSays("08P01"),
    StoredAndGarbled,
    Says("57014"),
    Says("57P01"),
    Says("40001"),
    Says("XX000"),
    Overdue,
    StoredAndOverdue,
    OverdueAndStoredLater,
    Slow,
    UnknownKey,
    Killed,
    StoredAndKilled,
];

/// A statement inside a transaction.
const INSIDE: &[Calling] = &[Answered, Cut, Says("57014"), Says("40P01"), Overdue, Slow, Killed];

/// Its commit.
const COMMIT: &[Calling] = &[
    Answered,
    Cut,
    StoredAndCut,
    Says("08P01"),
    StoredAndSays("08P01"),
    Says("40001"),
    Overdue,
    StoredAndOverdue,
    OverdueAndStoredLater,
    Killed,
    StoredAndKilled,
];

impl Database {
    pub fn of(sandbox: &Sandbox) -> Self {
        Self {
            sandbox: sandbox.clone(),
            kept: RefCell::default(),
        }
    }

    async fn connect(&self) -> Result<Session, Fault> {
        self.sandbox.step().await;
        let outcomes = match self.sandbox.world.weather.get() {
            Weather::Fair | Weather::Slow => [
                Connecting::Connects,
                Connecting::Refused,
                Connecting::Overdue,
                Connecting::Killed,
            ],
            Weather::Away => [
                Connecting::Refused,
                Connecting::Connects,
                Connecting::Overdue,
                Connecting::Killed,
            ],
        };
        match self.sandbox.happens("connects", &outcomes) {
            Connecting::Connects => Ok(Session::default()),
            Connecting::Refused => Err(Fault::Connect(ConnectError::Refused {
                sqlstate: SqlState::CANNOT_CONNECT_NOW,
                message: String::new(),
            })),
            Connecting::Overdue => Err(Fault::TimedOut),
            Connecting::Killed => self.sandbox.die().await,
        }
    }

    /// What a commit does, and what its sender hears.
    async fn end(&self, session: &Session, rows: Vec<Row>, outcome: Calling) -> Result<(), CallError> {
        let world = &self.sandbox.world;
        match outcome {
            Answered | Slow | StoredAndGarbled | UnknownKey => {}
            _ => session.close_if(!matches!(outcome, Says(code) if !["57P01", "08P01"].contains(&code))),
        }
        match outcome {
            Answered | Slow | StoredAndCut | StoredAndSays(_) | StoredAndGarbled | StoredAndOverdue
            | StoredAndKilled => world.insert(rows),
            OverdueAndStoredLater => world.state.borrow_mut().overdue.push(rows),
            Cut | Says(_) | Overdue | UnknownKey | Killed => {}
        }
        match outcome {
            Answered | Slow | StoredAndGarbled | UnknownKey => Ok(()),
            Cut | StoredAndCut => Err(CallError::Lost("cut".to_owned())),
            Says(code) | StoredAndSays(code) => Err(says(code)),
            Overdue | StoredAndOverdue | OverdueAndStoredLater => {
                world.wait(4);
                Err(CallError::Overdue)
            }
            Killed | StoredAndKilled => self.sandbox.die().await,
        }
    }

    /// Rows as they are when all of `events` are sent, and the answer to that.
    fn answer(&self, session: &Session, rows: &[Row]) -> Answer {
        let state = self.sandbox.world.state.borrow();
        let open = session.open();
        let inside = open.as_ref().map_or(&[][..], |(rows, _)| rows);
        let answers = rows.iter().enumerate().map(|(index, row)| {
            let stored = state
                .rows
                .iter()
                .chain(inside)
                .find(|stored| stored.key == row.key);
            EventRow {
                index,
                is_new: stored.is_none(),
                first_receipt: stored.map(|stored| stored.receipt.clone()),
            }
        });
        Answer {
            rows: answers.collect(),
            ..Answer::default()
        }
    }
}

impl Server for Database {
    type Session = Session;

    fn now(&self) -> Instant {
        self.sandbox.world.now()
    }

    async fn session(&self, _until: Instant) -> Result<Arc<Session>, Fault> {
        let kept = self.kept.borrow().clone();
        match kept.filter(|session| !session.is_closed()) {
            Some(session) => Ok(session),
            None => {
                let session = Arc::new(self.connect().await?);
                *self.kept.borrow_mut() = Some(session.clone());
                Ok(session)
            }
        }
    }

    async fn session_alone(&self, _until: Instant) -> Result<Session, Fault> {
        let kept = self.kept.borrow_mut().take().map(Arc::try_unwrap);
        match kept {
            Some(Ok(session)) if !session.is_closed() => Ok(session),
            _ => self.connect().await,
        }
    }

    async fn keep(&self, session: Session) {
        self.kept.borrow_mut().get_or_insert_with(|| Arc::new(session));
    }

    async fn discard(&self, session: &Arc<Session>) {
        let mut kept = self.kept.borrow_mut();
        if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, session)) {
            *kept = None;
        }
    }

    async fn land(
        &self,
        session: &Session,
        landing: &Landing<'_>,
        events: &[Event<'_>],
        _audit: Audit,
        _patience: Duration,
    ) -> Result<Answer, CallError> {
        self.sandbox.step().await;
        if session.is_closed() {
            return Err(CallError::Lost("closed".to_owned()));
        }
        let is_inside = session.open().is_some();
        let mut outcomes = if is_inside { INSIDE } else { ALONE }.to_vec();
        if self.sandbox.world.weather.get() == Weather::Slow {
            outcomes.retain(|outcome| *outcome != Slow);
            outcomes[0] = Slow;
        }
        let outcome = self.sandbox.happens("calls", &outcomes);
        let is_odd = |event: &Event<'_>| event.quarantined.is_none() && event.payload.contains(ODD);
        if outcome == Slow {
            self.sandbox.world.wait(SLOW_S);
        }
        let is_heard = matches!(outcome, Answered | Slow);
        if is_heard && events.iter().any(is_odd) {
            return Err(says("22P05"));
        }
        let rows: Vec<Row> = events.iter().map(|event| row(landing, event)).collect();
        let mut answer = self.answer(session, &rows);
        if outcome == StoredAndGarbled {
            answer.rows.pop();
        }
        let rows = if events.iter().any(is_odd) {
            Vec::new()
        } else {
            rows
        };
        self.sandbox.world.state.borrow_mut().was_refused |= matches!(outcome, UnknownKey | Says("XX000"));
        match (is_inside, outcome) {
            (_, UnknownKey) => {
                return Ok(Answer {
                    refusal: Some("unknown".to_owned()),
                    ..Answer::default()
                })
            }
            (true, Answered | Slow) => inside(session, rows),
            (_, outcome) => self.end(session, rows, outcome).await?,
        }
        Ok(answer)
    }

    async fn tell(&self, session: &Session, sql: &'static str, _patience: Duration) -> Result<(), CallError> {
        self.sandbox.step().await;
        if session.is_closed() {
            return Err(CallError::Lost("closed".to_owned()));
        }
        if sql == "commit" {
            let outcome = self.sandbox.happens("commits", COMMIT);
            let rows = session.open().take().unwrap_or_default().0;
            return self.end(session, rows, outcome).await;
        }
        match self.sandbox.happens(sql, &[Answered, Cut, Killed]) {
            Answered => {}
            outcome => return self.end(session, Vec::new(), outcome).await,
        }
        let mut open = session.open();
        let (rows, savepoint) = open.get_or_insert_default();
        match sql.starts_with("rollback") {
            true => rows.truncate(*savepoint),
            false => *savepoint = rows.len(),
        }
        Ok(())
    }
}

fn inside(session: &Session, new: Vec<Row>) {
    if let Some((rows, _)) = session.open().as_mut() {
        rows.extend(new);
    }
}

fn row(landing: &Landing<'_>, event: &Event<'_>) -> Row {
    Row {
        key: event.key,
        receipt: landing.stamp.receipt.to_string(),
        payload: event.payload.clone().into_owned(),
    }
}

fn says(code: &str) -> CallError {
    CallError::Database {
        sqlstate: SqlState::from_code(code),
        message: String::new(),
    }
}
