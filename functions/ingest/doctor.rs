//! What stands between this function and its work: its variables, the database, its one right there, the queues.
//!
//! In: a direct invocation, `{"action":"doctor"}`. Out: a line for each, with its remedy. Nothing is stored or sent. What
//! can be seen of the database from the owner's side `migrate` tells.

use std::time::SystemTime;

use serde::Serialize;

use super::landing;
use super::queue::Queue;
use crate::db::Database;
use crate::doctor::{Finding, Page};

/// What the operator is told.
#[derive(Debug, Serialize)]
pub struct Examined {
    /// Whether nothing failed.
    pub ok: bool,
    action: &'static str,
    failed: Vec<&'static str>,
    checks: Page,
}

/// Looks at everything.
pub async fn examine(database: &Database, queue: Option<&Queue>) -> Examined {
    let mut page = Page::default();
    page.write(
        "variables",
        Finding::ok("all that ingest reads can be understood"),
    );
    let connected = database.client().await.map(|client| {
        database.keep(client);
        "connected".to_owned()
    });
    let ask = "ask migrate what stands in the way: {\"action\":\"doctor\"} of the migrate function; if nothing does there, it is \
               what migrate goes past: this login's secret, or the proxy, whose security group must let ingest in on port 5432";
    match page.write(
        "database",
        judged(connected.map_err(|error| error.to_string()), ask),
    ) {
        true => page.write("grants", grants(database).await),
        false => page.write("grants", Finding::skipped("needs a connection")),
    };
    page.write("queue", queues(queue).await);
    let failed = page.failed();
    Examined {
        ok: failed.is_empty(),
        action: "doctor",
        failed,
        checks: page,
    }
}

async fn grants(database: &Database) -> Finding {
    let may = landing::may_call(database, SystemTime::now()).await;
    judged(
        may.map(|()| "the ingest function of the database answers".to_owned()),
        "apply V001, and make DB_USER a member of tracking_ingest_role",
    )
}

async fn queues(queue: Option<&Queue>) -> Finding {
    let Some(queue) = queue else {
        return Finding::skipped("QUEUE_URL is off: while the database is away senders get 503");
    };
    judged(
        queue.are_there().await.map(|()| "both queues answer".to_owned()),
        "check QUEUE_URL and DEAD_LETTERS_URL, sqs:GetQueueAttributes on both, and the way to Amazon SQS",
    )
}

fn judged(found: Result<String, String>, remedy: &str) -> Finding {
    found.map_or_else(|found| Finding::failed(found, remedy), Finding::ok)
}
