//! The model of PostgreSQL: rows by key, commits, and whatever can come between a call and its answer.

use std::cell::{Cell, RefCell, RefMut};
use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;

use super::world::{Row, Sandbox, Weather};
use crate::db::ConnectError;
use crate::ingest::beacon::Event;
use crate::ingest::failure::Fault;
use crate::ingest::landing::{Answer, Audit, CallError, EventRow, Landing, Server};

/// Stands in the payload of an event that the database refuses unless it is quarantined.
pub const ODD: &str = "odd";

/// Stands in the payload of an event that always meets a fault that nobody else meets.
pub const POISON: &str = "poison";

/// What a slow call takes: short of its time-out, and too much of a landing's time for a second pass.
const SLOW_S: u64 = 3;

/// A server as one process sees it.
pub struct Database {
    pub sandbox: Sandbox,
    pub kept: RefCell<Vec<Session>>,
}

#[derive(Default)]
pub struct Session {
    /// What its transaction has done, and how much of it before the savepoint.
    open: RefCell<Option<(Vec<Row>, usize)>>,
    is_closed: Cell<bool>,
}

impl Session {
    fn open(&self) -> RefMut<'_, Option<(Vec<Row>, usize)>> {
        self.open.borrow_mut()
    }

    fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    fn close_if(&self, is_over: bool) {
        self.is_closed.set(is_over);
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
    Says("42501"),
    Says("ZZ001"),
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
            Weather::Fair | Weather::Slow | Weather::SlowQueue => [
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

    async fn session(&self, _until: Instant) -> Result<Session, Fault> {
        let mut kept = std::mem::take(&mut *self.kept.borrow_mut());
        kept.retain(|session| !session.is_closed());
        let last = kept.pop();
        self.kept.replace(kept);
        match last {
            Some(session) => Ok(session),
            None => self.connect().await,
        }
    }

    fn keep(&self, session: Session) {
        assert!(session.open().is_none(), "a transaction is nobody else's");
        self.kept.borrow_mut().push(session);
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
        if is_heard && events.iter().any(|event| event.payload.contains(POISON)) {
            return Err(says("42501"));
        }
        if is_heard && events.iter().any(is_odd) {
            return Err(says("22P05"));
        }
        let rows: Vec<Row> = events.iter().map(|event| row(landing, event)).collect();
        let mut answer = self.answer(session, &rows);
        if outcome == StoredAndGarbled {
            answer.rows.pop();
        }
        let is_none = |event| is_odd(event) || event.payload.contains(POISON);
        let rows = if events.iter().any(is_none) {
            Vec::new()
        } else {
            rows
        };
        self.sandbox.world.state.borrow_mut().was_refused |= matches!(outcome, UnknownKey | Says("ZZ001"));
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
