//! What stands between this function and its work, from the outside in: each thing by itself, with its remedy.
//!
//! In: the environment, the deadline. Out: the fields of the answer: a line for each check, in an order in which the
//! first that failed is the one to mend. What needs a line that failed, or cannot be seen from here, is skipped and says
//! why. Nothing lasts: the beacon that is landed is rolled back, but for one identity value; a bucket that is named is
//! given one small object.

use std::time::Duration;

use serde_json::{json, Map, Value};
use tokio_postgres::Client;

use crate::config::Environment;
use crate::doctor::Page;

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
    Map::from_iter([
        ("failed".to_owned(), json!(page.failed())),
        ("checks".to_owned(), json!(page)),
    ])
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
