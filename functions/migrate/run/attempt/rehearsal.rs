//! Where V001 makes everything, its undo is tried first: create, verify, rollback file, compare, all behind a savepoint.
//!
//! The catalog that the rollback file leaves is compared with the one that the savepoint gives back, read directly
//! behind each other: what others change meanwhile has hardly time to be taken for ours. The foreign key has no part
//! in it, so no table of others is locked.

use tokio::time::Instant;

use super::{millis, Attempt};
use crate::migrate::catalogue::V001;
use crate::migrate::failure::Failure;
use crate::migrate::fingerprint::{self, Difference, Fingerprint};
use crate::migrate::ledger;
use crate::migrate::notes::Weight;
use crate::migrate::report::Rehearsal;

/// The undo is not complete, or takes too much.
pub(in crate::migrate::run) const UNDO_DIFFERS: &str = "TR018";

/// Lines of a difference that a person is told; the answer has little room.
const LINES: usize = 5;

impl Attempt<'_> {
    /// The fingerprint of the catalog as it was found, and is again.
    pub(super) async fn rehearse(&mut self) -> Result<Fingerprint, Failure> {
        let started = Instant::now();
        self.client.batch_execute("savepoint rehearsal").await?;
        let undone = self.make_and_undo().await.map_err(in_rehearsal)?;
        self.client
            .batch_execute("rollback to savepoint rehearsal; release savepoint rehearsal")
            .await?;
        let reading = Instant::now();
        let start = fingerprint::read(self.client).await?;
        let fingerprint_ms = millis(reading);
        match undone {
            Some(undone) => self.judge(&start.difference(&undone))?,
            None => self
                .report
                .notes
                .push(Weight::Know, "the undo was not rehearsed: it needs the ledger"),
        }
        self.report.rehearsal = Some(Rehearsal {
            ms: millis(started),
            fingerprint_ms,
            fingerprint_entries: start.len(),
        });
        Ok(start)
    }

    /// What the rollback file leaves; `None`: without a ledger it does not know what is V001's.
    async fn make_and_undo(&self) -> Result<Option<Fingerprint>, Failure> {
        self.tell(&[
            ("tracking.foreign_key", "none"),
            ("tracking.on_delete", "drop_if_empty"),
        ])
        .await?;
        self.send_untold(V001.create()).await?;
        self.send_untold(V001.verify()).await?;
        if !ledger::is_kept(self.client).await? {
            return Ok(None);
        }
        self.send_untold(V001.rollback()).await?;
        fingerprint::read(self.client).await.map(Some)
    }

    fn judge(&mut self, differences: &[Difference]) -> Result<(), Failure> {
        let (ours, others): (Vec<_>, Vec<_>) =
            differences.iter().partition(|found| V001.makes(&found.object));
        self.tell_others(&others);
        if ours.is_empty() {
            return Ok(());
        }
        let message = format!(
            "the rollback file does not give back what was there: {}",
            lines(&ours)
        );
        let remedy = "nothing was changed; see what else changes these objects, an event trigger for one, then try again";
        Err(Failure {
            sqlstate: Some(UNDO_DIFFERS.to_owned()),
            ..Failure::refused(message, remedy)
        })
    }

    /// Reports what somebody else changed meanwhile.
    pub(super) fn tell_others(&mut self, others: &[&Difference]) {
        if !others.is_empty() {
            let note = format!("changed by somebody else meanwhile: {}", lines(others));
            self.report.notes.push(Weight::Know, note);
        }
    }
}

fn in_rehearsal(failure: Failure) -> Failure {
    Failure {
        message: format!("in the rehearsal: {}", failure.message),
        ..failure
    }
}

/// The first few, and how many more there are.
pub(super) fn lines(differences: &[&Difference]) -> String {
    let told: Vec<&str> = differences
        .iter()
        .take(LINES)
        .map(|found| found.line.as_str())
        .collect();
    match differences.len().saturating_sub(LINES) {
        0 => told.join("; "),
        more => format!("{}; and {more} more", told.join("; ")),
    }
}
