//! What stands between this function and its work: its variables, the database, its one right there, the queues.
//!
//! In: a direct invocation, `{"action":"doctor"}`. Out: a line for each, with its remedy. Nothing is stored or sent. What
//! can be seen of the database from the owner's side `migrate` tells.

use std::time::SystemTime;

use serde::Serialize;

use super::landing;
use super::queue::Queue;
use crate::db::Database;

/// What the operator is told.
#[derive(Debug, Default, Serialize)]
pub struct Page {
    ok: bool,
    action: &'static str,
    failed: Vec<&'static str>,
    checks: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    check: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Failed,
    Skipped,
}

/// Looks at everything.
pub async fn examine(database: &Database, queue: Option<&Queue>) -> Page {
    let mut page = Page::new();
    page.write(
        "variables",
        Ok("all that ingest reads can be understood".to_owned()),
        "",
    );
    let connected = database.client().await.map(|_| "connected".to_owned());
    let is_connected = connected.is_ok();
    page.write(
        "database",
        connected.map_err(|error| error.to_string()),
        "ask migrate what stands in the way: {\"action\":\"doctor\"} of the migrate function",
    );
    if is_connected {
        let may = landing::may_call(database, SystemTime::now()).await;
        page.write(
            "grants",
            may.map(|()| "the ingest function of the database answers".to_owned()),
            "apply V001, and make DB_USER a member of tracking_ingest_role",
        );
    } else {
        page.skip("grants", "needs a connection");
    }
    let Some(queue) = queue else {
        page.skip(
            "queue",
            "QUEUE_URL is off: while the database is away senders get 503",
        );
        return page;
    };
    page.write(
        "queue",
        queue.are_there().await.map(|()| "both queues answer".to_owned()),
        "check QUEUE_URL and DEAD_LETTERS_URL, sqs:GetQueueAttributes on both, and the way to Amazon SQS",
    );
    page
}

impl Page {
    fn new() -> Self {
        Self {
            ok: true,
            action: "doctor",
            ..Self::default()
        }
    }

    /// For the log.
    pub fn is_ok(&self) -> bool {
        self.ok
    }

    fn write(&mut self, check: &'static str, found: Result<String, String>, remedy: &'static str) {
        let line = match found {
            Ok(found) => Line {
                check,
                verdict: Verdict::Ok,
                found,
                remedy: None,
            },
            Err(found) => Line {
                check,
                verdict: Verdict::Failed,
                found,
                remedy: Some(remedy),
            },
        };
        if line.verdict == Verdict::Failed {
            self.ok = false;
            self.failed.push(check);
        }
        self.checks.push(line);
    }

    fn skip(&mut self, check: &'static str, why: &str) {
        self.checks.push(Line {
            check,
            verdict: Verdict::Skipped,
            found: why.to_owned(),
            remedy: None,
        });
    }
}
