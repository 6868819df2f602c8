//! The foreign key is made without a look at the rows; this looks at them, in a transaction of its own behind the commit.
//!
//! Nobody waits for it: writers of both tables go on. It never fails a deploy that has committed: what stands in its
//! way is told, and the next apply tries again.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::error::SqlState;

use super::{millis, Attempt};
use crate::migrate::failure::Failure;
use crate::migrate::ledger;
use crate::migrate::notes::Weight;

/// Between two attempts to get its lock.
const PAUSE: Duration = Duration::from_millis(500);

const VALIDATE: &str =
    "alter table raw.site_tracking_events_r validate constraint site_tracking_events_r_tenant_exists";

impl Attempt<'_> {
    pub(super) async fn validate_foreign_key(&mut self) {
        loop {
            let failure = match self.validate().await {
                Ok(()) => return,
                Err(failure) => failure,
            };
            self.give_back().await;
            if !failure.is(&SqlState::LOCK_NOT_AVAILABLE) || Instant::now() + PAUSE >= self.end {
                self.report.notes.push(Weight::Act, told(&failure));
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn validate(&mut self) -> Result<(), Failure> {
        if !ledger::is_unvalidated(self.client).await? {
            return Ok(());
        }
        let started = Instant::now();
        self.begin().await?;
        self.lock().await?;
        self.client.batch_execute(VALIDATE).await?;
        self.client.batch_execute("commit").await?;
        self.report.validation_ms = Some(millis(started));
        Ok(())
    }
}

fn told(failure: &Failure) -> String {
    if failure.is(&SqlState::FOREIGN_KEY_VIOLATION) {
        return format!(
            "events are there whose tenant auth.tenant_h does not know; insert the tenants, then \"{VALIDATE}\""
        );
    }
    format!("new events are checked against auth.tenant_h, those from before are not yet ({failure}); then \"{VALIDATE}\"")
}
