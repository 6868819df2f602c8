//! Makes the layer, or makes it right: rehearsal, create, login, verify; what locks tables of others comes last.

use super::steps::split;
use super::Attempt;
use crate::migrate::catalogue::V001;
use crate::migrate::failure::Failure;
use crate::migrate::notes::Weight;
use crate::migrate::plan::Plan;
use crate::migrate::report::Outcome;
use crate::migrate::{fingerprint, record};

impl Attempt<'_> {
    pub(super) async fn apply(&mut self, plan: Plan) -> Result<(), Failure> {
        let before = match self.is_new {
            true => self.rehearse().await?,
            false => fingerprint::read(self.client).await?,
        };
        let start = self.report.fingerprint_before.insert(before.digest()).clone();
        let adopt = if plan == Plan::Adopt { "yes" } else { "" };
        self.tell(&[
            ("tracking.adopt", adopt),
            ("tracking.adoption", ""),
            ("tracking.foreign_key", "not_valid"),
            ("tracking.fingerprint_before", &start),
        ])
        .await?;
        if plan == Plan::Adopt {
            // The create file's own preflight asks for the rights that adopting needs.
            self.send(V001.create().into_iter().take(1).collect()).await?;
            let (look, change) = split(V001.adopt(), "adopt_table");
            self.send(look).await?;
            self.remember(&before).await?;
            self.rehearse_return().await?;
            self.begin_locking().await?;
            self.send(change).await?;
        }
        self.make().await?;
        let written = record::last_applied(self.client).await?;
        if written.id.is_none() {
            self.report.notes.push(
                Weight::Know,
                "no ledger is kept, migrations.migration_log is a table of somebody else: a stack that is deleted will \
                 change nothing, roll back by hand",
            );
        }
        self.report.outcome = match written.status.as_deref() {
            Some("SHARED") if self.order.owner().is_some() && !self.owns => Outcome::Shared,
            _ => Outcome::Applied,
        };
        self.note(Weight::Act, written);
        Ok(())
    }

    /// The fingerprint behind it is that without the foreign key: it is read while nobody waits.
    async fn make(&mut self) -> Result<(), Failure> {
        let (make, lock) = split(V001.create(), "foreign_key");
        let (probe, compare) = split(V001.verify(), "compare");
        self.send(make).await?;
        self.ready_login().await?;
        self.send(probe).await?;
        self.look_around_and_bound().await?;
        let after = fingerprint::read(self.client).await?.digest();
        self.set("tracking.fingerprint_after", &after).await?;
        self.report.fingerprint_after = Some(after);
        self.begin_locking().await?;
        self.send(lock).await?;
        self.send(compare).await
    }
}
