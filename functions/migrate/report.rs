//! What was found and what was done, as data: the answer of an action, the data of a deploy, a line of the log.
//!
//! In: the facts of a run as they come up. Out: one value with stable field names, the filled checklist among them.
//! It decides nothing.

use serde::Serialize;
use serde_json::{Map, Value};

use super::checklist::filled::Filled;
use super::notes::Notes;
use super::preview::Preview;

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing had to be done.
    #[default]
    Unchanged,
    /// Objects were made or made right.
    Applied,
    /// The layer was there; it has one owner more.
    Shared,
    /// It has one owner less.
    Left,
    /// Tables and rows stay, the functions that write to them went.
    Retained,
    /// All objects of the layer went.
    RolledBack,
}

/// One run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
    /// Version of the migration.
    pub version: &'static str,
    /// Its checksum.
    pub checksum: String,
    /// The ledger's row of this run; `None`: nothing was changed, or there is no ledger.
    pub ledger_id: Option<i64>,
    /// Rows that a rollback left in place.
    pub rows_retained: Option<i64>,
    /// Rows that went.
    pub rows_dropped: Option<i64>,
    /// Site keys that went.
    pub keys_dropped: Option<i64>,
    /// How the undo was tried; `None`: the layer was there.
    pub rehearsal: Option<Rehearsal>,
    /// Fingerprint of the catalog before the first step.
    pub fingerprint_before: Option<String>,
    /// The same behind the last but for the foreign key, which is made then.
    pub fingerprint_after: Option<String>,
    /// How long the rows were checked against the foreign key, behind the commit; `None`: they needed no check.
    pub validation_ms: Option<u64>,
    /// Tables of others that were locked.
    pub locked: Vec<Locked>,
    /// What a person should know or do.
    pub notes: Notes,
    /// What was sent, with its time.
    pub steps: Vec<Timed>,
    /// How often it was begun; more than once where a lock was in the way.
    pub attempts: u32,
    /// All attempts together.
    pub duration_ms: u64,
    /// Digest of the settings that the stack gives ingest; empty where nobody asked.
    #[serde(skip_serializing)]
    pub ingest_settings: String,
    /// The deployment checklist, filled in behind the commit; `None`: what was asked for is no deploy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checklist: Option<Filled>,
    /// What a dry run saw; `None`: it was the real one.
    #[serde(flatten)]
    pub preview: Option<Preview>,
}

/// The undo tried before it is needed.
#[derive(Clone, Debug, Serialize)]
pub struct Rehearsal {
    /// Milliseconds, all of it.
    pub ms: u64,
    /// Of them for one fingerprint.
    pub fingerprint_ms: u64,
    /// How many things the fingerprint has.
    pub fingerprint_entries: usize,
}

/// A lock on a table that is not ours, strong enough to keep its writers waiting.
#[derive(Clone, Debug, Serialize)]
pub struct Locked {
    /// With its schema.
    pub table: String,
    /// As `lock table` calls it.
    pub mode: String,
    /// Milliseconds, at most: from before the statement that took it to behind the commit.
    pub ms: u64,
}

/// A step and its time.
#[derive(Clone, Debug, Serialize)]
pub struct Timed {
    /// As the file names it.
    pub step: &'static str,
    /// Milliseconds.
    pub ms: u64,
}

impl Report {
    /// One sentence for the person who reads the stack's events; the notes go beside it.
    pub fn sentence(&self) -> String {
        let outcome = match self.outcome {
            Outcome::Unchanged => "nothing was changed",
            Outcome::Applied => "applied",
            Outcome::Shared => "shared",
            Outcome::Left => "left",
            Outcome::Retained => "rows retained",
            Outcome::RolledBack => "rolled back",
        };
        format!("{} {outcome}: {}", self.version, self.reason)
    }

    /// What a template may read. CloudFormation takes strings.
    pub fn data(&self) -> Map<String, Value> {
        let text = |number: Option<i64>| number.map_or_else(String::new, |n| n.to_string());
        let outcome = serde_json::to_value(self.outcome).unwrap_or_default();
        let checklist = self.checklist.as_ref();
        let failed = checklist
            .map(|filled| filled.failed().join(" "))
            .unwrap_or_default();
        Map::from_iter([
            (
                "Checklist".to_owned(),
                Value::from(checklist.map(Filled::counts).unwrap_or_default()),
            ),
            ("ChecklistFailed".to_owned(), Value::from(failed)),
            ("Outcome".to_owned(), outcome),
            ("Version".to_owned(), Value::from(self.version)),
            ("Checksum".to_owned(), Value::from(self.checksum.as_str())),
            ("IngestSettings".to_owned(), Value::from(&*self.ingest_settings)),
            ("LedgerId".to_owned(), Value::from(text(self.ledger_id))),
            ("RowsRetained".to_owned(), Value::from(text(self.rows_retained))),
        ])
    }
}
