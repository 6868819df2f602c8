//! The second pass, where the database refused a beacon for an event in which nothing was found.
//!
//! In: the events of a landing. Out: what became of each. The pass is one transaction: parts behind savepoints are
//! halved until the odd event stands alone and is quarantined, and what all parts have made is committed at the end
//! or not at all. A part that is still odd when time runs short is quarantined as it is: its bytes are kept.

use std::time::Duration;

use tokio_postgres::error::SqlState;

use super::course::Course;
use super::decision::{self, Next};
use super::server::{CallError, Server};
use super::Landed;
use crate::ingest::beacon::Event;
use crate::ingest::failure::{Failure, Fault, Flaw, RefusedEvent};

/// Valid for this transaction alone, so that a pooler has nothing to remember. A process that is killed half-way
/// holds its locks no longer than a landing may take.
const BEGIN: &str = "begin; set local idle_in_transaction_session_timeout = '8s'; savepoint part";
const TAKEN: &str = "release savepoint part; savepoint part";
const REFUSED: &str = "rollback to savepoint part";
const COMMIT: &str = "commit";

/// What is kept of a landing's time for quarantining what is left, and for the commit: two calls of the largest
/// beacon.
const RESERVE: Duration = Duration::from_secs(3);

/// What ends a pass early; nothing of it is stored unless it was the commit whose answer was lost.
enum Stop {
    /// By the server or the connection.
    Interrupted(CallError),
    /// By the verdict on the key, or the end of all patience.
    Failed(Failure),
}

/// Lands the events one by one where it must; a pass that a lost connection or a deadlock ends is made once more.
///
/// # Errors
/// The key is refused, or the database is away or at fault.
pub async fn isolate<S: Server>(course: &mut Course<'_, S>) -> Result<Landed, Failure> {
    course.effort.took("isolated");
    let mut may_repeat = true;
    loop {
        let session = course.database.session(course.until).await?;
        let error = match pass(course, &session).await {
            Ok(landed) => {
                course.database.keep(session);
                return Ok(landed);
            }
            Err(Stop::Failed(failure)) => return Err(failure),
            Err(Stop::Interrupted(error)) => error,
        };
        match decision::next(&error, may_repeat) {
            Next::Reconnect => course.effort.took("reconnected"),
            Next::Repeat => course.effort.took("repeated"),
            // Each event was taken, their commit was not: something is checked at the commit that is no event's.
            Next::Isolate => return Err(fault_of(sqlstate_of(error)).into()),
            Next::GiveUp(failure) => return Err(failure),
        }
        may_repeat = false;
    }
}

async fn pass<S: Server>(course: &mut Course<'_, S>, session: &S::Session) -> Result<Landed, Stop> {
    let landing = course.landing;
    let mut pass = Pass {
        landed: Landed::default(),
        refused_with: None,
        course,
        session,
    };
    pass.tell(BEGIN).await?;
    let mut waiting = pass.parts(&landing.beacon.events).await?;
    while let Some(part) = waiting.pop() {
        if !pass.is_taken(part).await? {
            waiting.extend(pass.parts(part).await?);
        }
    }
    let committed = pass.tell(COMMIT).await;
    pass.course.effort.is_unanswered |= match &committed {
        Err(Stop::Interrupted(error)) => error.is_unanswered(),
        other => other.is_err(),
    };
    committed?;
    Ok(pass.landed)
}

struct Pass<'p, 'a, S: Server> {
    course: &'p mut Course<'a, S>,
    session: &'p S::Session,
    landed: Landed,
    /// The last refusal of a part.
    refused_with: Option<SqlState>,
}

impl<S: Server> Pass<'_, '_, S> {
    /// What is left to try of a part that was refused: its halves, the first one last.
    async fn parts<'e>(&mut self, part: &'e [Event<'e>]) -> Result<Vec<&'e [Event<'e>]>, Stop> {
        let is_time_short = self.course.database.now() + RESERVE > self.course.until;
        if part.len() > 1 && !is_time_short {
            let (first, second) = part.split_at(part.len() / 2);
            return Ok(vec![second, first]);
        }
        let quarantined: Vec<_> = part.iter().map(Event::quarantined).collect();
        if !self.is_taken(&quarantined).await? {
            // Quarantined it is no larger than others: no transaction ids are left, for anybody.
            if self.refused_with.as_ref() == Some(&SqlState::PROGRAM_LIMIT_EXCEEDED) {
                return Err(fault_of(SqlState::PROGRAM_LIMIT_EXCEEDED).into());
            }
            self.landed.refused.extend(part.iter().map(|event| RefusedEvent {
                index: event.index,
                flaw: Flaw::NotStorable,
                offset: None,
            }));
        }
        Ok(Vec::new())
    }

    /// Whether the database takes all of `part`; if not, it is as if it had never been sent.
    async fn is_taken(&mut self, part: &[Event<'_>]) -> Result<bool, Stop> {
        match self.course.once(self.session, part).await {
            Ok(answer) => {
                answer.verdict()?;
                let landing = self.course.landing;
                landing.count(&mut self.landed, part, &answer)?;
                self.tell(TAKEN).await?;
                Ok(true)
            }
            Err(error) if matches!(decision::next(&error, true), Next::Isolate) => {
                self.tell(REFUSED).await?;
                self.refused_with = Some(sqlstate_of(error));
                Ok(false)
            }
            Err(error) => Err(Stop::Interrupted(error)),
        }
    }

    async fn tell(&self, sql: &'static str) -> Result<(), Stop> {
        let told = self
            .course
            .database
            .tell(self.session, sql, self.course.patience());
        told.await.map_err(Stop::Interrupted)
    }
}

fn fault_of(sqlstate: SqlState) -> Fault {
    Fault::Database {
        sqlstate,
        message: None,
    }
}

fn sqlstate_of(error: CallError) -> SqlState {
    match error {
        CallError::Database { sqlstate, .. } => sqlstate,
        CallError::Lost(_) | CallError::Overdue => SqlState::TRANSACTION_ROLLBACK,
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.into())
    }
}
