//! One attempt: begin, lock, look, decide, send, commit; or give everything back. Nobody else executes DDL.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Client;

use super::{millis, Ending, Order, Pace};
use crate::config::{self, Auth};
use crate::db;
use crate::migrate::catalogue::V001;
use crate::migrate::checklist::inspect::{snapshot, Known};
use crate::migrate::checklist::{self, ground, rules};
use crate::migrate::failure::{Failure, Kind};
use crate::migrate::login::Proof;
use crate::migrate::notes::Weight;
use crate::migrate::plan::{self, Plan, Wish};
use crate::migrate::preview::Watch;
use crate::migrate::report::Report;
use crate::migrate::time_left::GRACE;
use crate::migrate::{key_count, ledger, record};

mod steps;
mod apply;
mod rehearsal;
mod logins;
mod undo;
mod locked;
mod patience;
mod adoption;
mod foreign_key;

use patience::Locking;

pub(super) use patience::WAITED_FOR;
pub(super) use rehearsal::UNDO_DIFFERS;

/// How long a statement waits for a lock. Everybody who comes after it waits behind it: half of what a beacon may
/// wait.
const LOCK_TIMEOUT: &str = "250ms";

/// How long the server keeps a transaction whose process was frozen or lost.
const IDLE_TIMEOUT: &str = "15s";

/// How often the server looks whether the client of a running statement is still there (14 and later).
const CHECK_INTERVAL: &str = "1s";

/// The first server that knows `client_connection_check_interval`.
const CHECKS_CLIENTS: i32 = 140_000;

/// Between two questions whether the migration lock is free.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// What is there is not V001's, and V001 cannot write to it.
const INCOMPATIBLE: &str = "TR010";

/// An earlier deploy of the stack, or the beginning of this one, has committed.
const PREPARED: &str = "what earlier steps made for this stack stands; its Delete takes that away";

/// The beginning of this rollback has committed.
const RESTORED: &str = "functions that had given way to V001's are back already";

/// The lock of V001, that its create file takes as well when it is run by hand.
const LOCK: &str = "select pg_catalog.pg_try_advisory_xact_lock(
    pg_catalog.hashtextextended('site_tracking_raw_layer', 0))";

/// Does what the order asks for, all of it or nothing.
///
/// # Errors
/// Whatever stood in the way; nothing was changed then.
pub(super) async fn attempt(
    database: &config::Database,
    order: &Order,
    pace: Pace,
    end: Instant,
) -> Result<Report, Failure> {
    let client = db::connect(database).await?;
    // Before anything is asked that an older server has no word for.
    ledger::server_version(&client).await?;
    let own = order.login.as_ref().and_then(|login| login.proof);
    let proof = own.unwrap_or(match database.auth {
        Auth::Iam(_) => Proof::Iam,
        Auth::Password(_) | Auth::Secret { .. } => Proof::Password,
    });
    let mut attempt = Attempt {
        client: &client,
        database,
        order,
        pace,
        proof,
        end,
        may_have_made: false,
        owns: false,
        is_new: false,
        before: String::new(),
        locking: None,
        watch: None,
        committed: None,
        report: Report {
            version: V001.version,
            checksum: V001.checksum(),
            ..Report::default()
        },
    };
    let ended = attempt.whole().await;
    if ended.is_err() {
        attempt.give_back().await;
    }
    ended.map(|()| attempt.report)
}

struct Attempt<'a> {
    client: &'a Client,
    database: &'a config::Database,
    order: &'a Order,
    pace: Pace,
    proof: Proof,
    end: Instant,
    /// Whether something of who asks may be there, whatever becomes of this attempt.
    may_have_made: bool,
    /// Whether who asks is an owner already.
    owns: bool,
    /// Whether nothing of V001 was there.
    is_new: bool,
    /// What was there, for the checklist.
    before: String,
    /// Since when others may have to wait; `None`: nothing is locked.
    locking: Option<Locking>,
    /// Sees what a dry run does.
    watch: Option<Watch>,
    /// What of it stands already, whatever becomes of the rest.
    committed: Option<&'static str>,
    report: Report,
}

impl Attempt<'_> {
    async fn whole(&mut self) -> Result<(), Failure> {
        let is_real = self.order.ending != Ending::GiveBack;
        let before = if is_real {
            self.prepare_or_restore().await
        } else {
            Ok(())
        };
        let ended = match before {
            Ok(()) => self.go().await,
            Err(failure) => Err(failure),
        };
        ended.map_err(|failure| {
            let failure = self.told(failure);
            Failure {
                may_have_made: failure.may_have_made || self.may_have_made,
                remedy: self.with_what_stands(&failure),
                ..failure
            }
        })?;
        if is_real && matches!(self.order.wish, Wish::Have(_)) {
            self.prove_checks().await;
            self.validate_foreign_key().await;
            self.fill_in().await;
        }
        Ok(())
    }

    /// The remedy, with what was committed before the failure; of what cannot be adopted, that nothing was.
    fn with_what_stands(&self, failure: &Failure) -> Option<String> {
        let stands = match self.committed {
            None if failure.sqlstate.as_deref() == Some(INCOMPATIBLE) => "nothing was changed",
            None => return failure.remedy.clone(),
            Some(committed) => committed,
        };
        let remedy = failure.remedy.iter().map(String::as_str);
        Some(remedy.chain([stands]).collect::<Vec<_>>().join("; "))
    }

    async fn go(&mut self) -> Result<(), Failure> {
        self.begin().await?;
        self.lock().await?;
        let found = ledger::found(self.client, &V001).await?;
        let owner = self.order.owner();
        self.owns = owner.is_some_and(|owner| found.owners.contains(owner));
        self.is_new = found.objects.is_empty();
        self.may_have_made |= self.owns;
        let (plan, reason) = plan::decide(&self.order.wish, &found, &self.report.checksum);
        if self.owns && matches!(plan, Plan::Adopt | Plan::RefuseToAdopt) {
            self.committed = Some(PREPARED);
        }
        // What was prepared in this attempt was prepared for a reason.
        if self.report.reason.is_empty() {
            self.report.reason = reason;
        }
        let kept = ground::environment_kept(self.client).await?;
        rules::permit(&self.order.wish, plan, &found, &self.order.says, kept.as_deref())?;
        if self.order.ending == Ending::GiveBack {
            if plan == Plan::Adopt && self.foresee().await? {
                return Ok(());
            }
            self.watch = Some(Watch::begin(self.client).await?);
        }
        self.perform(plan).await
    }

    async fn perform(&mut self, plan: Plan) -> Result<(), Failure> {
        self.before = snapshot(self.client).await?;
        match plan {
            Plan::Keep => self.ready_login().await?,
            Plan::Apply | Plan::Adopt => self.apply(plan).await?,
            Plan::RefuseToAdopt => return Err(incompatible(&self.report.reason)),
            Plan::RefuseFor(owners) => {
                return Err(Failure::refused(
                    &self.report.reason,
                    format!("delete those stacks, or add \"owners\": {owners} to take it from them"),
                ))
            }
            Plan::StrikeOwner => {
                self.leave().await?;
                let stay = "the logins of ingest stay as long as the layer does";
                self.report.notes.push(Weight::Aside, stay);
            }
            Plan::RollBack(on_delete) => {
                self.remove_logins().await?;
                let keys = key_count::counted(self.client).await?;
                self.roll_back(on_delete).await?;
                let left = key_count::counted(self.client).await?;
                self.report.keys_dropped = keys.map(|keys| keys - left.unwrap_or_default());
            }
        }
        self.end().await
    }

    /// Asks the checklist's closed list before a deploy's commit.
    async fn commit(&mut self) -> Result<(), Failure> {
        self.look_around().await?;
        if matches!(self.order.wish, Wish::Have(_)) {
            checklist::deploy::check(self.client, self.known(), self.report.ledger_id, self.end).await?;
        }
        let held = self.locks_of_others().await?;
        self.look_around().await?;
        self.client.batch_execute("commit").await?;
        self.tell_locks(held);
        self.locking = None;
        Ok(())
    }

    /// Fills the checklist's page in: behind the commit, where it holds nobody up.
    async fn fill_in(&mut self) {
        match checklist::deploy::fill_in(self.client, self.known(), self.end).await {
            Ok(filled) => self.report.checklist = Some(filled),
            Err(failure) => self.report.notes.push(
                Weight::Know,
                format!("the checklist was not filled in: {failure}"),
            ),
        }
    }

    fn known(&self) -> Known<'_> {
        Known {
            says: &self.order.says,
            host: &self.database.host,
            before: Some(&self.before),
            line_limit: self.left_of_patience(),
        }
    }

    async fn end(&mut self) -> Result<(), Failure> {
        let Some(mut watch) = self.watch.take() else {
            return self.commit().await;
        };
        self.look_around_and_bound().await?;
        watch.look(self.client, "logins", Instant::now()).await?;
        self.report.preview = Some(watch.end(self.client).await?);
        self.report.ledger_id = None;
        Ok(self.client.batch_execute("rollback").await?)
    }

    /// Locks go now, not when the server notices that the connection is gone.
    async fn give_back(&self) {
        let _ = tokio::time::timeout(GRACE / 4, self.client.batch_execute("rollback")).await;
    }

    async fn begin(&self) -> Result<(), Failure> {
        let version = ledger::server_version(self.client).await?;
        let begin = format!(
            "begin isolation level read committed read write;
             set local lock_timeout = '{LOCK_TIMEOUT}';
             set local idle_in_transaction_session_timeout = '{IDLE_TIMEOUT}';
             {};
             savepoint beginning",
            self.statement_timeout()
        );
        self.client.batch_execute(&begin).await?;
        let check = format!("set local client_connection_check_interval = '{CHECK_INTERVAL}'");
        if version >= CHECKS_CLIENTS && self.client.batch_execute(&check).await.is_err() {
            // Some operating systems cannot tell; there the time-outs above have to do.
            self.client
                .batch_execute("rollback to savepoint beginning")
                .await?;
        }
        Ok(self.client.batch_execute("release savepoint beginning").await?)
    }

    /// The server ends a statement when our time is over, or that of who waits: a process that went away must not leave
    /// one running.
    fn statement_timeout(&self) -> String {
        let left = self.end.saturating_duration_since(Instant::now());
        let left = self
            .left_of_patience()
            .map_or(left, |patience| patience.min(left));
        format!("set local statement_timeout = '{}ms'", left.as_millis().max(1))
    }

    async fn lock(&self) -> Result<(), Failure> {
        loop {
            let rows = self.client.query_typed(LOCK, &[]).await?;
            // The question's portal keeps its snapshot until another query comes, and who holds the lock may be building
            // an index, which waits for every old snapshot.
            self.client.batch_execute("select").await?;
            if rows.first().is_some_and(|row| row.get(0)) {
                return Ok(());
            }
            if Instant::now() + LOCK_PAUSE >= self.end {
                return Err(Failure::new(
                    Kind::Deadline,
                    "another session has held the migration lock all the time",
                    "wait for the other deploy, or find its session in pg_locks (locktype advisory), then try again",
                ));
            }
            tokio::time::sleep(LOCK_PAUSE).await;
        }
    }

    fn note(&mut self, weight: Weight, written: record::Written) {
        self.report.ledger_id = written.id;
        let lines = written.notes.iter().flat_map(|notes| notes.lines());
        self.report.notes.extend(weight, lines.map(str::to_owned));
    }
}

fn incompatible(reason: &str) -> Failure {
    Failure {
        sqlstate: Some(INCOMPATIBLE.to_owned()),
        ..Failure::refused(reason, "change what is named, or choose another database")
    }
}
