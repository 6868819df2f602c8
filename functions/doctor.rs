//! What a function's doctor tells: a page of checks, each with what was found and, where it failed, a remedy.

use serde::Serialize;

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is as it should be.
    Ok,
    /// It stands in the way.
    Failed,
    /// It cannot be seen from here, or needs what failed before.
    Skipped,
}

/// What a check came to.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// How it is.
    pub verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(found: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, found, None)
    }

    /// Nobody looked.
    pub fn skipped(why: impl Into<String>) -> Self {
        Self::new(Verdict::Skipped, why, None)
    }

    /// It is to be mended.
    pub fn failed(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Verdict::Failed, found, Some(remedy.into()))
    }

    fn new(verdict: Verdict, found: impl Into<String>, remedy: Option<String>) -> Self {
        let found = found.into();
        Self {
            verdict,
            found,
            remedy,
        }
    }
}

/// All checks, in the order in which they were made.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Page {
    lines: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    check: &'static str,
    #[serde(flatten)]
    finding: Finding,
}

impl Page {
    /// Whether it went well.
    pub fn write(&mut self, check: &'static str, finding: Finding) -> bool {
        let is_ok = finding.verdict == Verdict::Ok;
        self.lines.push(Line { check, finding });
        is_ok
    }

    /// None of these can be looked at.
    pub fn skip(&mut self, checks: &[&'static str], needs: &str) {
        for check in checks {
            self.write(check, Finding::skipped(format!("needs {needs}")));
        }
    }

    /// The checks that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        let failed = self.lines.iter();
        let failed = failed.filter(|line| line.finding.verdict == Verdict::Failed);
        failed.map(|line| line.check).collect()
    }
}
