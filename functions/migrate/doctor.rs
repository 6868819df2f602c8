//! What stands between this function and its work, from the outside in: each thing by itself, with its remedy.
//!
//! In: the environment, the deadline. Out: the fields of the answer: a line for each check, in an order in which the
//! first that failed is the one to mend. What needs a line that failed, or cannot be seen from here, is skipped and says
//! why. Nothing lasts: the beacon that is landed is rolled back, but for one identity value; a bucket that is named is
//! given one small object.

use std::time::Duration;

use serde::Serialize;
use serde_json::{json, Map, Value};
use tokio_postgres::Client;

use crate::config::Environment;

mod way;
mod inside;
mod beside;

/// Each wait of a check.
const PATIENCE: Duration = Duration::from_secs(3);

/// Who is looked at.
pub struct Patient {
    /// Its variables.
    pub environment: Environment,
    /// When Lambda ends it, in milliseconds since 1970; the past: nobody said.
    pub deadline_ms: u64,
    /// Where reports are kept.
    pub bucket: Option<String>,
}

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Failed,
    Skipped,
}

/// One thing.
#[derive(Debug, Serialize)]
struct Line {
    check: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// What a check came to.
struct Finding {
    verdict: Verdict,
    found: String,
    remedy: Option<String>,
}

impl Finding {
    fn ok(found: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, found, None)
    }

    fn skipped(why: impl Into<String>) -> Self {
        Self::new(Verdict::Skipped, why, None)
    }

    fn failed(found: impl Into<String>, remedy: impl Into<String>) -> Self {
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

/// The lines as they are written.
#[derive(Default)]
struct Page {
    lines: Vec<Line>,
}

impl Page {
    /// Whether it went well.
    fn write(&mut self, check: &'static str, finding: Finding) -> bool {
        let Finding {
            verdict,
            found,
            remedy,
        } = finding;
        self.lines.push(Line {
            check,
            verdict,
            found,
            remedy,
        });
        verdict == Verdict::Ok
    }

    fn skip(&mut self, checks: &[&'static str], needs: &str) {
        for check in checks {
            self.write(check, Finding::skipped(format!("needs {needs}")));
        }
    }

    fn told(self) -> Map<String, Value> {
        let failed = self.lines.iter().filter(|line| line.verdict == Verdict::Failed);
        let failed: Vec<&str> = failed.map(|line| line.check).collect();
        Map::from_iter([
            ("failed".to_owned(), json!(failed)),
            ("checks".to_owned(), json!(self.lines)),
        ])
    }
}

/// Looks at everything.
pub async fn examine(patient: Patient) -> Map<String, Value> {
    let mut page = Page::default();
    match way::client(&patient.environment, &mut page).await {
        Some(client) => within(&client, &patient, &mut page).await,
        None => page.skip(&inside::BEFORE, "a connection"),
    }
    page.write("queue", beside::queue());
    page.write(
        "s3",
        beside::s3(&patient.environment, patient.bucket.as_deref()).await,
    );
    page.told()
}

/// Whatever holds a lock or the server up is told by the check that it stops.
const BOUNDED: &str = "set statement_timeout = '10s'; set lock_timeout = '2s'";

async fn within(client: &Client, patient: &Patient, page: &mut Page) {
    // Without it each check has the end of all of them.
    let _ = client.batch_execute(BOUNDED).await;
    let (version, is_there) = inside::version(client).await;
    page.write("version", version);
    if !is_there {
        page.skip(&inside::BEFORE[1..4], "V001");
        page.write("clock", inside::clock(client).await);
        return page.skip(&inside::BEFORE[5..], "V001");
    }
    page.write("grants", inside::grants(client).await);
    page.write("connections", inside::connections(client).await);
    page.write("timeouts", inside::timeouts(client, patient.deadline_ms).await);
    page.write("clock", inside::clock(client).await);
    page.write("beacon", inside::beacon(client).await);
}
