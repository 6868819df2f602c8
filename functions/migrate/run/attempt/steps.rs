//! Sends the files of a migration step by step, and tells them who asks and for what.
//!
//! What is told is a setting of the transaction, gone with it or with the savepoint behind which it was told.

use tokio::time::Instant;
use tokio_postgres::types::{ToSql, Type};

use super::{millis, Attempt};
use crate::migrate::catalogue::Step;
use crate::migrate::failure::Failure;
use crate::migrate::report::Timed;

impl Attempt<'_> {
    /// Who asks and for what, for the files to read; gone with the transaction.
    pub(super) async fn tell(&self, more: &[(&str, &str)]) -> Result<(), Failure> {
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
            self.set(name, value).await?;
        }
        Ok(())
    }

    /// One thing more for the files to read.
    pub(super) async fn set(&self, name: &str, value: &str) -> Result<(), Failure> {
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&name, Type::TEXT), (&value, Type::TEXT)];
        self.client
            .query_typed("select set_config($1, $2, true)", &parameters)
            .await?;
        Ok(())
    }

    pub(super) async fn send(&mut self, steps: Vec<Step<'static>>) -> Result<(), Failure> {
        for step in steps {
            let started = Instant::now();
            self.look_around()
                .await
                .map_err(|failure| failure.in_step(step.name))?;
            self.send_one(&step).await?;
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

    /// The same without its time in the report.
    pub(super) async fn send_untold(&self, steps: Vec<Step<'static>>) -> Result<(), Failure> {
        for step in steps {
            self.send_one(&step).await?;
        }
        Ok(())
    }

    pub(super) async fn send_one(&self, step: &Step<'static>) -> Result<(), Failure> {
        let sent = async {
            self.client.batch_execute(&self.statement_timeout()).await?;
            self.client.batch_execute(step.sql).await
        };
        sent.await
            .map_err(|error| Failure::from(error).in_step(step.name))
    }
}

/// What comes before the step of this name, and the rest, which begins with it.
pub(super) fn split(mut steps: Vec<Step<'static>>, name: &str) -> (Vec<Step<'static>>, Vec<Step<'static>>) {
    let at = steps.iter().position(|step| step.name == name);
    let behind = steps.split_off(at.unwrap_or(steps.len()));
    (steps, behind)
}
