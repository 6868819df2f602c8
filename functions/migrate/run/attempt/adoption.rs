//! What adoption does before and after the one transaction of an attempt.
//!
//! Each piece is a transaction of its own that is in the ledger or can be told from the catalog, so that whoever comes
//! after one that was killed goes on where it ended. A table that is big gets its columns and then its indexes while
//! others write to it. Functions that gave way come back before the columns and indexes go that the ones in their
//! place need: a call that is under way finds what it needs until its end.

use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::{Attempt, INCOMPATIBLE, UNDO_DIFFERS};
use crate::db;
use crate::migrate::catalogue::{Step, V001};
use crate::migrate::checklist::{ground, rules};
use crate::migrate::failure::{Failure, Kind};
use crate::migrate::fingerprint::{self, Fingerprint};
use crate::migrate::notes::Weight;
use crate::migrate::plan::{self, Plan, Wish};
use crate::migrate::predecessor::{Shape, Verdict};
use crate::migrate::preview::Preview;
use crate::migrate::report::Timed;
use crate::migrate::run::{millis, Pace};
use crate::migrate::shape::Functions;
use crate::migrate::{ledger, rights, shape};

/// Closes that row: the stack owns what is prepared, so that its Delete takes it away.
const PREPARED: &str = "
update migrations.migration_log set status = 'APPLIED', completed_at = clock_timestamp(), created_objects = '{}',
  notes = concat_ws(E'\\n', 'the table is prepared; its indexes are built while others write', nullif(notes, ''))
where migration_id = nullif(current_setting('tracking.log_id'), '')::bigint";

/// Ours that were added without a look at the rows.
const UNPROVEN: &str = "
select k.conname::text from pg_catalog.pg_constraint k
where k.conrelid = pg_catalog.to_regclass('raw.site_tracking_events_r') and not k.convalidated
  and k.conname in ('site_tracking_events_r_known_status', 'site_tracking_events_r_retry_count_not_negative')
order by 1";

/// Adds to what is left for the ledger.
const WAS: &str = "
select set_config('tracking.adoption', (current_setting('tracking.adoption')::jsonb
  || jsonb_build_object('was', $1::jsonb))::text, true)";

/// What the rollback file would know of functions that gave way and came back alone.
const GIVEN_WAY: &str = "
select set_config('tracking.replaced', current_setting('tracking.adoption'), true),
  set_config('tracking.mode', 'restore', true), set_config('tracking.made', '{}', true),
  set_config('tracking.done', 'tables', true)";

impl Attempt<'_> {
    /// What has to be there, or gone, before the transaction begins.
    pub(super) async fn prepare_or_restore(&mut self) -> Result<(), Failure> {
        match self.order.wish {
            Wish::Have(_) => self.prepare().await,
            Wish::Leave(..) | Wish::Gone { .. } => self.restore_functions().await,
        }
    }

    async fn prepare(&mut self) -> Result<(), Failure> {
        let found = shape::read(self.client).await?;
        if found.verdict() != Verdict::Compatible || !self.goes_in_steps(&found) {
            return Ok(());
        }
        self.begin().await?;
        self.lock().await?;
        let before = fingerprint::read(self.client).await?;
        // Another stack may have been faster.
        let decided = ledger::found(self.client, &V001).await?;
        let (plan, reason) = plan::decide(&self.order.wish, &decided, &self.report.checksum);
        if plan != Plan::Adopt {
            return Ok(self.client.batch_execute("rollback").await?);
        }
        let kept = ground::environment_kept(self.client).await?;
        rules::permit(
            &self.order.wish,
            plan,
            &decided,
            &self.order.says,
            kept.as_deref(),
        )?;
        self.report.reason = reason;
        self.may_have_made = true;
        self.make_ready(&before).await?;
        self.build().await
    }

    /// Whether the table lacks something that takes steps of its own, so that nobody waits for long.
    fn goes_in_steps(&self, found: &Shape) -> bool {
        let is_left_over = found.indexes.iter().any(|index| !index.valid);
        (self.pace == Pace::InSteps || found.is_live() || is_left_over) && !found.lacks().is_empty()
    }

    /// The row of the ledger comes before the lock that nobody can pass.
    async fn make_ready(&mut self, before: &Fingerprint) -> Result<(), Failure> {
        self.tell(&[("tracking.adopt", "yes"), ("tracking.foreign_key", "not_valid")])
            .await?;
        let of = |steps: Vec<Step<'static>>, name| steps.into_iter().filter(move |step| step.name == name);
        let look = of(V001.create(), "preflight").chain(of(V001.adopt(), "adopt_look"));
        self.send(look.collect()).await?;
        self.remember(before).await?;
        self.send(of(V001.create(), "ledger").collect()).await?;
        self.rehearse_return().await?;
        self.begin_locking().await?;
        self.send(of(V001.adopt(), "adopt_table").collect()).await?;
        self.look_around_and_bound().await?;
        self.client.batch_execute(PREPARED).await?;
        self.client.batch_execute("commit").await?;
        self.committed = Some(super::PREPARED);
        self.locking = None;
        Ok(())
    }

    /// Has the ledger keep how the predecessor was, in brief, for the undo to compare. To be called behind `adopt_look`.
    pub(super) async fn remember(&self, before: &Fingerprint) -> Result<(), Failure> {
        let was = serde_json::json!(before.brief(|object| V001.makes(object))).to_string();
        self.client.query_typed(WAS, &[(&was, Type::TEXT)]).await?;
        Ok(())
    }

    /// Lets the functions give way and come back as they were, behind a savepoint and before anybody is kept waiting: an
    /// adoption that no Delete could undo is none. To be called behind `adopt_look`.
    pub(super) async fn rehearse_return(&self) -> Result<(), Failure> {
        let of = |steps: Vec<Step<'static>>, name| steps.into_iter().filter(move |step| step.name == name);
        self.client.batch_execute("savepoint return").await?;
        self.send_untold(of(V001.adopt(), "adopt_functions").collect())
            .await?;
        self.client.batch_execute(GIVEN_WAY).await?;
        let back = self.send_untold(of(V001.rollback(), "functions").collect()).await;
        back.map_err(unreturned)?;
        let undo = "rollback to savepoint return; release savepoint return";
        Ok(self.client.batch_execute(undo).await?)
    }

    /// A dry run of what goes in steps: indexes that are built while others write cannot be given back, and built in
    /// one transaction they would keep writers out. Whether that is all there is to see.
    pub(super) async fn foresee(&mut self) -> Result<bool, Failure> {
        let found = shape::read(self.client).await?;
        if !self.goes_in_steps(&found) {
            return Ok(false);
        }
        let (appears, replaced) = (found.lacks(), found.functions);
        self.report.preview = Some(Preview {
            appears,
            vanishes: replaced
                .into_iter()
                .map(|f| format!("function {}", f.name))
                .collect(),
            ..Preview::default()
        });
        let note = format!(
            "the table has {} MB: its columns come in a step of their own, its indexes are built while others write; a dry \
             run does not try that",
            found.bytes / 1_000_000
        );
        self.report.notes.push(Weight::Know, note);
        self.client.batch_execute("rollback").await?;
        Ok(true)
    }

    /// Under the migration lock, which another connection holds: a statement that waits for all transactions that
    /// may use an old snapshot cannot be in a transaction itself.
    async fn build(&mut self) -> Result<(), Failure> {
        let guardian = db::connect(self.database).await?;
        let guard = Attempt {
            client: &guardian,
            order: self.order,
            pace: self.pace,
            database: self.database,
            proof: self.proof,
            end: self.end,
            may_have_made: false,
            owns: false,
            is_new: false,
            before: String::new(),
            locking: None,
            watch: None,
            committed: None,
            report: self.report.clone(),
        };
        guard.begin().await?;
        let left = self.end.saturating_duration_since(Instant::now()).as_millis();
        let patience = format!(
            "set local idle_in_transaction_session_timeout = '{}ms'",
            left.max(1)
        );
        guardian.batch_execute(&patience).await?;
        guard.lock().await?;
        let now = shape::read(self.client).await?;
        for (name, create, left_over) in now.indexes_to_build() {
            let drop = left_over.then(|| format!("drop index concurrently raw.{name}"));
            for statement in drop.iter().chain([&create]) {
                self.outside(name, statement).await?;
            }
        }
        Ok(guardian.batch_execute("rollback").await?)
    }

    async fn outside(&mut self, name: &'static str, statement: &str) -> Result<(), Failure> {
        let started = Instant::now();
        let left = self.end.saturating_duration_since(started).as_millis();
        let bound = format!("set statement_timeout = '{}ms'", left.max(1));
        self.client.batch_execute(&bound).await?;
        let sent = self.client.batch_execute(statement).await;
        sent.map_err(|error| unbuilt(error.into(), name, statement))?;
        self.report.steps.push(Timed {
            step: name,
            ms: millis(started),
        });
        Ok(())
    }

    /// The functions that gave way, in a transaction of their own.
    async fn restore_functions(&mut self) -> Result<(), Failure> {
        rights::to_look(self.client).await?;
        let functions = shape::functions(self.client).await?;
        if functions != Functions::GaveWay {
            self.committed = (functions == Functions::Returned).then_some(super::RESTORED);
            return Ok(());
        }
        self.begin().await?;
        self.lock().await?;
        let found = ledger::found(self.client, &V001).await?;
        let (plan, _) = plan::decide(&self.order.wish, &found, &self.report.checksum);
        if !matches!(plan, Plan::RollBack(_)) || shape::functions(self.client).await? != Functions::GaveWay {
            return Ok(self.client.batch_execute("rollback").await?);
        }
        let kept = ground::environment_kept(self.client).await?;
        rules::permit(&self.order.wish, plan, &found, &self.order.says, kept.as_deref())?;
        self.may_have_made = true;
        self.tell(&[("tracking.on_delete", "restore"), ("tracking.drop_rows", "")])
            .await?;
        self.send(V001.rollback()).await?;
        self.client.batch_execute("commit").await?;
        self.committed = Some(super::RESTORED);
        Ok(())
    }

    /// Looks through the rows for what was added without a look, while others write. What is found is told; new rows
    /// are checked all the same.
    pub(super) async fn prove_checks(&mut self) {
        let Ok(rows) = self.client.query_typed(UNPROVEN, &[]).await else {
            return;
        };
        for row in rows {
            let name: String = row.get(0);
            let validate = format!("alter table raw.site_tracking_events_r validate constraint {name}");
            let (timeouts, started) = (self.statement_timeout(), Instant::now());
            let sent = format!("begin; set local lock_timeout = '250ms'; {timeouts}; {validate}; commit");
            match self.client.batch_execute(&sent).await.map_err(Failure::from) {
                Ok(()) => self.report.steps.push(Timed {
                    step: "validate",
                    ms: millis(started),
                }),
                Err(failure) => {
                    let _ = self.client.batch_execute("rollback").await;
                    let note = format!("\"{validate}\" is to be repeated: {failure}");
                    self.report.notes.push(Weight::Act, note);
                }
            }
        }
    }
}

/// What passes by itself is tried again; the rest is a reason not to adopt.
fn unreturned(failure: Failure) -> Failure {
    let passes = [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    if failure.code != Kind::Database || passes.iter().any(|state| failure.is(state)) {
        return failure;
    }
    let message = format!(
        "a function that has to give way could not be put back as it is: {}",
        failure.message
    );
    let remedy = match failure.remedy {
        Some(remedy) if failure.sqlstate.as_deref() == Some(UNDO_DIFFERS) => remedy,
        _ => "make it one that the migrator's login may create, or rename it".to_owned(),
    };
    Failure {
        sqlstate: Some(INCOMPATIBLE.to_owned()),
        ..Failure::refused(message, remedy)
    }
}

fn unbuilt(failure: Failure, name: &'static str, statement: &str) -> Failure {
    let remedy = match failure.code {
        Kind::Database => Some(format!("run \"{statement}\" by hand, then deploy again")),
        _ => failure.remedy.clone(),
    };
    Failure {
        remedy,
        ..failure.in_step(name)
    }
}
