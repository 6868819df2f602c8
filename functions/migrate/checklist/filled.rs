//! The page filled in: each line with its verdict and evidence, and what follows from all of them.
//!
//! In: the answers, in the order of the page. Out: counts, the failed ids, versioned JSON in full and in short, and the
//! failure of a deploy. Pure.

use serde::{Serialize, Serializer};
use serde_json::{json, Value};
use tokio_postgres::error::SqlState;

use super::{lines, Line, Section};
use crate::migrate::catalogue::V001;
use crate::migrate::failure::{Failure, Kind};

/// Version of the JSON: it changes when a field goes or changes its meaning.
pub const REPORT_VERSION: u32 = 1;

/// Of a line's evidence, in the log: a plan or a list of columns would fill it.
const SHORT: usize = 160;

/// How a line was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is so.
    Passed,
    /// It is not.
    Failed,
    /// There is nothing that it could be said of.
    NotApplicable,
    /// Only somebody else can tell.
    NeedsAPerson,
}

impl Verdict {
    /// All of them, in the order of a summary.
    pub const ALL: [Self; 4] = [
        Self::Passed,
        Self::Failed,
        Self::NotApplicable,
        Self::NeedsAPerson,
    ];

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotApplicable => "not applicable",
            Self::NeedsAPerson => "needs a person",
        }
    }
}

/// A verdict with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The verdict.
    pub verdict: Verdict,
    /// What it rests on.
    pub evidence: String,
    /// PostgreSQL's code, where an error is the evidence.
    pub sqlstate: Option<String>,
}

impl Answer {
    /// One without an error.
    pub fn new(verdict: Verdict, evidence: impl Into<String>) -> Self {
        Self {
            verdict,
            evidence: evidence.into(),
            sqlstate: None,
        }
    }
}

/// The page.
#[derive(Clone, Debug)]
pub struct Filled {
    /// When, in RFC 3339.
    pub at: String,
    /// How long it took.
    pub ms: u64,
    /// Each line with its answer, in the order of the page.
    pub lines: Vec<(&'static Line, Answer)>,
}

impl Filled {
    /// Ids of the failed lines.
    pub fn failed(&self) -> Vec<&'static str> {
        self.with(Verdict::Failed).map(|(line, _)| line.id).collect()
    }

    fn with(&self, verdict: Verdict) -> impl Iterator<Item = &(&'static Line, Answer)> {
        self.lines
            .iter()
            .filter(move |(_, answer)| answer.verdict == verdict)
    }

    /// `41 passed, 0 failed, 9 not applicable, 10 needs a person`.
    pub fn counts(&self) -> String {
        let counted =
            Verdict::ALL.map(|verdict| format!("{} {}", self.with(verdict).count(), verdict.words()));
        counted.join(", ")
    }

    /// What fails the deploy; `None`: nothing on the closed list.
    pub fn failure(&self) -> Option<Failure> {
        let (line, answer) = self
            .with(Verdict::Failed)
            .find(|(line, _)| line.fails_a_deploy())?;
        let failure = Failure::refused(
            format!("checklist {}: {}: {}", line.id, line.sentence, answer.evidence),
            line.remedy,
        );
        // A lock that was not to be had says nothing of the layer: the attempt is begun anew.
        let is_lock = answer.sqlstate.as_deref() == Some(SqlState::LOCK_NOT_AVAILABLE.code());
        Some(Failure {
            code: if is_lock { Kind::Database } else { failure.code },
            sqlstate: answer.sqlstate.clone(),
            ..failure
        })
    }

    /// All of it, for whoever keeps it.
    pub fn to_json(&self) -> Value {
        let lines: Vec<Value> = self
            .lines
            .iter()
            .map(|(line, answer)| in_full(line, answer))
            .collect();
        json!({
            "report_version": REPORT_VERSION,
            "migration": V001.version,
            "checksum": V001.checksum(),
            "at": self.at,
            "duration_ms": self.ms,
            "summary": self.counts(),
            "failed": self.failed(),
            "lines": lines,
        })
    }
}

fn in_full(line: &Line, answer: &Answer) -> Value {
    json!({
        "id": line.id,
        "section": line.section,
        "sentence": line.sentence,
        "answered_by": if line.is_a_persons() { "person" } else { "machine" },
        "fails_a_deploy": line.fails_a_deploy(),
        "verdict": answer.verdict,
        "evidence": answer.evidence,
        "remedy": (answer.verdict == Verdict::Failed).then_some(line.remedy),
        "sql": line.sql().map(str::trim),
    })
}

/// In short, as a line of the log and the answer of an action hold it.
impl Serialize for Filled {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let lines = self.lines.iter().filter(|(line, _)| !line.is_a_persons());
        let lines: Vec<Value> = lines
            .map(|(line, answer)| json!([line.id, answer.verdict, shortened(&answer.evidence)]))
            .collect();
        json!({
            "report_version": REPORT_VERSION,
            "at": self.at,
            "duration_ms": self.ms,
            "summary": self.counts(),
            "failed": self.failed(),
            "lines": lines,
        })
        .serialize(serializer)
    }
}

fn shortened(evidence: &str) -> String {
    match evidence.char_indices().nth(SHORT) {
        Some((end, _)) => format!("{}…", &evidence[..end]),
        None => evidence.to_owned(),
    }
}

/// The lines of a section, with their answers.
pub fn of_section(filled: &Filled, section: Section) -> impl Iterator<Item = &(&'static Line, Answer)> {
    filled
        .lines
        .iter()
        .filter(move |(line, _)| line.section == section)
}

/// The sections in the order of their first lines.
pub fn sections() -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in lines() {
        if !sections.contains(&line.section) {
            sections.push(line.section);
        }
    }
    sections.sort_by_key(|section| *section as u8);
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(id: &str, sqlstate: Option<&str>) -> Filled {
        let answered = lines().map(|line| {
            let verdict = if line.id == id {
                Verdict::Failed
            } else {
                Verdict::Passed
            };
            let answer = Answer {
                sqlstate: sqlstate.map(str::to_owned),
                ..Answer::new(verdict, "é".repeat(1000))
            };
            (line, answer)
        });
        Filled {
            at: String::new(),
            ms: 1,
            lines: answered.collect(),
        }
    }

    #[test]
    fn only_the_closed_list_fails_a_deploy() {
        for line in lines() {
            let failure = with(line.id, None).failure();
            assert_eq!(failure.is_some(), line.fails_a_deploy(), "{}", line.id);
            if let Some(failure) = failure {
                let told = failure.to_string();
                assert!(told.contains(line.id) && told.ends_with(line.remedy), "{told}");
            }
        }
    }

    #[test]
    fn a_lock_that_was_not_to_be_had_is_told_as_one() {
        let failure = with("FUN-01", Some("55P03")).failure().unwrap();
        assert!(failure.is(&SqlState::LOCK_NOT_AVAILABLE));
    }

    #[test]
    fn in_short_it_fits_a_line_of_the_log() {
        let filled = with("PRE-01", None);
        let short = serde_json::to_string(&filled).unwrap();
        assert!(short.len() < 32_768, "{}", short.len());
        assert_eq!(
            filled.to_json()["lines"].as_array().unwrap().len(),
            lines().count()
        );
    }
}
