//! What was found and what was done, as data: the answer of an action, the data of a deploy, a line of the log.
//!
//! In: the facts of a run as they come up. Out: one value with stable field names. It grows into the deployment
//! checklist; it decides nothing.

use serde::Serialize;
use serde_json::{Map, Value};

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
    /// What a person should know or do.
    pub notes: Vec<String>,
    /// What was sent, with its time.
    pub steps: Vec<Timed>,
    /// How often it was begun; more than once where a lock was in the way.
    pub attempts: u32,
    /// All attempts together.
    pub duration_ms: u64,
    /// What a dry run saw; `None`: it was the real one.
    #[serde(flatten)]
    pub preview: Option<Preview>,
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
    /// One sentence for the person who reads the stack's events.
    pub fn sentence(&self) -> String {
        let outcome = match self.outcome {
            Outcome::Unchanged => "nothing was changed",
            Outcome::Applied => "applied",
            Outcome::Shared => "shared",
            Outcome::Left => "left",
            Outcome::Retained => "rows retained",
            Outcome::RolledBack => "rolled back",
        };
        let notes: String = self.notes.iter().map(|note| format!("; {note}")).collect();
        format!("{} {outcome}: {}{notes}", self.version, self.reason)
    }

    /// What a template may read. CloudFormation takes strings.
    pub fn data(&self) -> Map<String, Value> {
        let text = |number: Option<i64>| number.map_or_else(String::new, |n| n.to_string());
        let outcome = serde_json::to_value(self.outcome).unwrap_or_default();
        Map::from_iter([
            ("Outcome".to_owned(), outcome),
            ("Version".to_owned(), Value::from(self.version)),
            ("Checksum".to_owned(), Value::from(self.checksum.as_str())),
            ("LedgerId".to_owned(), Value::from(text(self.ledger_id))),
            ("RowsRetained".to_owned(), Value::from(text(self.rows_retained))),
        ])
    }
}
