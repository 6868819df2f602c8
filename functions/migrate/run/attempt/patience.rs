//! How long others may be kept waiting: from the first statement that may lock what they use until the commit.
//!
//! Between statements the server is asked whether anybody waits for this session; while nobody does, no time counts.
//! The server ends a statement that would outlast what is left, and a session that has fallen silent. What cannot be
//! done in that time is given back, as if nothing had been begun, and is begun anew, an adoption in steps.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::error::SqlState;

use super::{millis, Attempt, IDLE_TIMEOUT};
use crate::migrate::failure::{Failure, Kind};

/// What anybody may wait; a tenth of a second less than is promised, for the commit.
pub(super) const LONGEST: Duration = Duration::from_millis(400);

/// A session that says nothing for so long has lost its process.
const SILENCE: &str = "set local idle_in_transaction_session_timeout = '500ms'";

/// Others had to wait.
pub(in crate::migrate::run) const WAITED_FOR: &str = "TR019";

/// Whether somebody waits for a relation or a row of ours, and whether we hold a lock that keeps writers out. Who waits
/// for the migration lock is no call.
const AROUND: &str = "
select exists (select from pg_catalog.pg_locks w
    where not w.granted and w.locktype in ('relation', 'tuple', 'transactionid')
      and pg_catalog.pg_backend_pid() = any (pg_catalog.pg_blocking_pids(w.pid))),
  exists (select from pg_catalog.pg_locks l join pg_catalog.pg_class c on c.oid = l.relation and c.relkind in ('r', 'p')
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where l.pid = pg_catalog.pg_backend_pid() and l.locktype = 'relation' and n.nspname !~ '^pg_'
      and n.nspname not in ('migrations', 'information_schema')
      and l.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))";

/// Since when there may be locks that others wait for, and when it was last seen that nobody did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Locking {
    since: Instant,
    alone: Instant,
    /// The statement that takes the first lock is still to come.
    is_to_come: bool,
}

impl Attempt<'_> {
    /// From here on statements may lock what others use.
    pub(super) async fn begin_locking(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        let alone = self.locking.map_or(now, |locking| locking.alone);
        self.client.batch_execute(SILENCE).await?;
        self.locking = Some(Locking {
            since: now,
            alone,
            is_to_come: true,
        });
        Ok(())
    }

    /// Milliseconds since then.
    pub(super) fn locking_ms(&self) -> u64 {
        self.locking.map_or(0, |locking| millis(locking.since))
    }

    /// To be called before whatever takes time: gives up where somebody has waited too long.
    pub(super) async fn look_around(&mut self) -> Result<(), Failure> {
        let Some(locking) = self.locking else {
            return Ok(());
        };
        let now = Instant::now();
        let rows = self.client.query_typed(AROUND, &[]).await?;
        let (is_waited_for, locks) = rows.first().map_or((true, true), |row| (row.get(0), row.get(1)));
        let may_lock = locks || locking.is_to_come;
        self.locking = may_lock.then_some(Locking {
            alone: if is_waited_for { locking.alone } else { now },
            is_to_come: false,
            ..locking
        });
        match self.left_of_patience() {
            Some(left) if left.is_zero() => Err(waited_for()),
            Some(_) => Ok(()),
            None => {
                let usual = format!(
                    "set local idle_in_transaction_session_timeout = '{IDLE_TIMEOUT}'; {}",
                    self.statement_timeout()
                );
                Ok(self.client.batch_execute(&usual).await?)
            }
        }
    }

    /// The same where no step comes next, which tells the server by itself how long it may take.
    pub(super) async fn look_around_and_bound(&mut self) -> Result<(), Failure> {
        if self.locking.is_none() {
            return Ok(());
        }
        self.look_around().await?;
        Ok(self.client.batch_execute(&self.statement_timeout()).await?)
    }

    /// How much longer the longest wait may become; `None`: nobody can be waiting.
    pub(super) fn left_of_patience(&self) -> Option<Duration> {
        let locking = self.locking?;
        Some(LONGEST.saturating_sub(locking.alone.elapsed()))
    }

    /// What the server cut off because others waited is told as that.
    pub(super) fn told(&self, failure: Failure) -> Failure {
        if self.locking.is_none() || !failure.is(&SqlState::QUERY_CANCELED) || Instant::now() >= self.end {
            return failure;
        }
        Failure {
            step: failure.step,
            may_have_made: failure.may_have_made,
            ..waited_for()
        }
    }
}

fn waited_for() -> Failure {
    let message = format!(
        "what was to be done could not be done without keeping others waiting for more than {} ms",
        LONGEST.as_millis()
    );
    let remedy = "it was given back; try again when less is going on in the database";
    Failure {
        sqlstate: Some(WAITED_FOR.to_owned()),
        ..Failure::new(Kind::Database, message, remedy)
    }
}
