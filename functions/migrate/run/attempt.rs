//! One attempt: begin, lock, look, decide, send, commit; or give everything back. Nobody else executes DDL.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::Client;

use super::{millis, Ending, Order};
use crate::config::{self, Auth};
use crate::db;
use crate::migrate::catalogue::{Step, V001};
use crate::migrate::failure::{Failure, Kind};
use crate::migrate::login::{self, Proof};
use crate::migrate::plan::{self, OnDelete, Plan, Wish};
use crate::migrate::preview::Watch;
use crate::migrate::report::{Outcome, Report, Timed};
use crate::migrate::time_left::GRACE;
use crate::migrate::{key_count, ledger, record};

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
    end: Instant,
) -> Result<Report, Failure> {
    let client = db::connect(database).await?;
    let proof = match database.auth {
        Auth::Iam(_) => Proof::Iam,
        Auth::Password(_) | Auth::Secret { .. } => Proof::Password,
    };
    let mut attempt = Attempt {
        client: &client,
        order,
        proof,
        end,
        owns: false,
        watch: None,
        report: Report {
            version: V001.version,
            checksum: V001.checksum(),
            ..Report::default()
        },
    };
    let ended = attempt.go().await;
    if ended.is_err() {
        // Locks go now, not when the server notices that the connection is gone.
        let _ = tokio::time::timeout(GRACE / 4, client.batch_execute("rollback")).await;
    }
    ended.map(|()| attempt.report)
}

struct Attempt<'a> {
    client: &'a Client,
    order: &'a Order,
    proof: Proof,
    end: Instant,
    /// Whether who asks is an owner already.
    owns: bool,
    /// Sees what a dry run does.
    watch: Option<Watch>,
    report: Report,
}

impl Attempt<'_> {
    async fn go(&mut self) -> Result<(), Failure> {
        self.begin().await?;
        self.lock().await?;
        let found = ledger::found(self.client, &V001).await?;
        let owner = self.order.owner();
        self.owns = owner.is_some_and(|owner| found.owners.contains(owner));
        let (plan, reason) = plan::decide(&self.order.wish, &found, &self.report.checksum);
        self.report.reason = reason;
        if self.order.ending == Ending::GiveBack {
            self.watch = Some(Watch::begin(self.client).await?);
        }
        self.perform(plan).await.map_err(|failure| Failure {
            may_have_made: failure.may_have_made || self.owns,
            ..failure
        })
    }

    async fn perform(&mut self, plan: Plan) -> Result<(), Failure> {
        match plan {
            Plan::Keep => self.ready_login().await?,
            Plan::Apply => self.apply().await?,
            Plan::RefuseFor(owners) => {
                return Err(Failure::refused(
                    &self.report.reason,
                    format!("delete those stacks, or add \"owners\": {owners} to take it from them"),
                ))
            }
            Plan::StrikeOwner => {
                self.roll_back("leave").await?;
                self.report
                    .notes
                    .push("the logins of ingest stay as long as the layer does".to_owned());
            }
            Plan::RollBack(on_delete) => {
                self.remove_logins().await?;
                let keys = key_count::counted(self.client).await?;
                self.roll_back(on_delete.map_or("", as_setting)).await?;
                let left = key_count::counted(self.client).await?;
                self.report.keys_dropped = keys.map(|keys| keys - left.unwrap_or_default());
            }
        }
        self.end().await
    }

    async fn end(&mut self) -> Result<(), Failure> {
        let Some(mut watch) = self.watch.take() else {
            return Ok(self.client.batch_execute("commit").await?);
        };
        watch.look(self.client, "logins", Instant::now()).await?;
        self.report.preview = Some(watch.end(self.client).await?);
        self.report.ledger_id = None;
        Ok(self.client.batch_execute("rollback").await?)
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

    /// The server ends a statement when our time is over: a process that went away must not leave one running.
    fn statement_timeout(&self) -> String {
        let left = self.end.saturating_duration_since(Instant::now()).as_millis();
        format!("set local statement_timeout = '{}ms'", left.max(1))
    }

    async fn lock(&self) -> Result<(), Failure> {
        loop {
            let rows = self.client.query_typed(LOCK, &[]).await?;
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

    async fn apply(&mut self) -> Result<(), Failure> {
        self.tell(&[]).await?;
        self.send(V001.create()).await?;
        self.ready_login().await?;
        self.send(V001.verify()).await?;
        let written = record::last_applied(self.client).await?;
        if written.id.is_none() {
            self.report.notes.push(
                "no ledger is kept, migrations.migration_log is a table of somebody else: a stack that is deleted will \
                 change nothing, roll back by hand"
                    .to_owned(),
            );
        }
        self.report.outcome = match written.status.as_deref() {
            Some("SHARED") if self.order.owner().is_some() && !self.owns => Outcome::Shared,
            _ => Outcome::Applied,
        };
        self.note(written);
        Ok(())
    }

    async fn roll_back(&mut self, on_delete: &str) -> Result<(), Failure> {
        let drop_rows = match self.order.wish {
            Wish::Gone { rows: Some(rows), .. } => rows.to_string(),
            _ => String::new(),
        };
        self.tell(&[
            ("tracking.on_delete", on_delete),
            ("tracking.drop_rows", &drop_rows),
        ])
        .await?;
        self.send(V001.rollback()).await?;
        let written = record::last_rolled_back(self.client).await?;
        self.report.outcome = match written.status.as_deref() {
            Some("LEFT") => Outcome::Left,
            Some("RETAINED") => Outcome::Retained,
            _ => Outcome::RolledBack,
        };
        self.report.rows_retained = written.rows_retained;
        self.report.rows_dropped = written.rows_dropped;
        self.note(written);
        Ok(())
    }

    fn note(&mut self, written: record::Written) {
        self.report.ledger_id = written.id;
        self.report.notes.extend(
            written
                .notes
                .iter()
                .flat_map(|notes| notes.lines())
                .map(str::to_owned),
        );
    }

    /// Who asks and for what, for the files to read; gone with the transaction.
    async fn tell(&self, more: &[(&str, &str)]) -> Result<(), Failure> {
        let order = self.order;
        let owner = order.owner();
        let reason = self.report.reason.clone();
        let settings = [
            ("tracking.reason", reason.as_str()),
            ("tracking.stack_id", owner.map_or("", |o| &o.stack_id)),
            (
                "tracking.logical_resource_id",
                owner.map_or("", |o| &o.logical_resource_id),
            ),
            ("tracking.request_id", &order.request_id),
            ("tracking.checksum", &self.report.checksum),
            (
                "tracking.environment",
                order.environment.as_deref().unwrap_or_default(),
            ),
        ];
        self.client
            .batch_execute("select set_config('tracking.started_at', clock_timestamp()::text, true)")
            .await?;
        for (name, value) in settings.iter().chain(more) {
            self.client
                .query_typed(
                    "select set_config($1, $2, true)",
                    &[(name, Type::TEXT), (value, Type::TEXT)],
                )
                .await?;
        }
        Ok(())
    }

    async fn send(&mut self, steps: Vec<Step<'static>>) -> Result<(), Failure> {
        for step in steps {
            let started = Instant::now();
            let sent = async {
                self.client.batch_execute(&self.statement_timeout()).await?;
                self.client.batch_execute(step.sql).await
            };
            sent.await
                .map_err(|error| Failure::from(error).in_step(step.name))?;
            self.report.steps.push(Timed {
                step: step.name,
                ms: millis(started),
            });
            if let Some(watch) = &mut self.watch {
                watch.look(self.client, step.name, started).await?;
            }
        }
        Ok(())
    }

    /// Makes the ingest login what the order says; says nothing to the database where it is so already.
    async fn ready_login(&mut self) -> Result<(), Failure> {
        let (Some(login), Wish::Have(_)) = (&self.order.login, &self.order.wish) else {
            return Ok(());
        };
        let standing = login::standing(self.client, login).await?;
        let statements = login::statements(login, &standing, self.proof)?;
        for statement in &statements {
            let sent = self.client.batch_execute(statement).await;
            sent.map_err(|error| {
                missing_right(error.into(), || login::remedy(&standing, &statements, statement))
            })?;
        }
        if !statements.is_empty() && self.report.outcome == Outcome::Unchanged {
            self.report.outcome = Outcome::Applied;
            self.report.reason += &format!("; login {} was made right", login.name);
        }
        self.report
            .notes
            .extend(login::note(login, &standing, self.proof));
        Ok(())
    }

    /// Takes away the logins that were made for ingest; what something else hangs on stays and is reported.
    async fn remove_logins(&mut self) -> Result<(), Failure> {
        let (go, stay) = login::leaving(self.client).await?;
        self.report.notes.extend(stay);
        for statement in go {
            self.client.batch_execute("savepoint login").await?;
            match self.client.batch_execute(&statement).await.map_err(Failure::from) {
                Ok(()) => self.client.batch_execute("release savepoint login").await?,
                Err(failure) if is_in_use(&failure) => {
                    self.client.batch_execute("rollback to savepoint login").await?;
                    self.report
                        .notes
                        .push(format!("{statement} was not possible: {failure}"));
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }
}

/// What the rollback file is told; it is told nothing where somebody asks by hand.
fn as_setting(on_delete: OnDelete) -> &'static str {
    match on_delete {
        OnDelete::Retain => "retain",
        OnDelete::DropIfEmpty => "drop_if_empty",
        OnDelete::Drop => "drop",
    }
}

fn is_in_use(failure: &Failure) -> bool {
    failure.is(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST) || failure.is(&SqlState::INSUFFICIENT_PRIVILEGE)
}

fn missing_right(failure: Failure, remedy: impl FnOnce() -> String) -> Failure {
    if !failure.is(&SqlState::INSUFFICIENT_PRIVILEGE) {
        return failure;
    }
    Failure {
        remedy: Some(remedy()),
        ..failure
    }
}
