//! What the action `verify` answers: whether the layer is there and as it should be, with the checklist filled in; or
//! whether nothing of it is left.
//!
//! In: a connection of its own. Out: the fields of the answer. It changes nothing: what it tries is rolled back.

use serde_json::{json, Map, Value};
use tokio::time::Instant;
use tokio_postgres::Client;

use super::catalogue::V001;
use super::checklist::inspect::{inspect, Extent, Known};
use super::checklist::markdown;
use super::checklist::says::Says;
use super::failure::Failure;
use super::ledger;

/// What the last rollback left in its place since V001 had not made it: an adopted table, and functions that are back.
const GIVEN_BACK: &str = "
select coalesce((select r.retained_objects from migrations.rollback_log r
  where r.version = 'V001' and r.status = 'ROLLED_BACK' and not exists (select from migrations.migration_log m
    where m.version = r.version and m.status in ('APPLIED', 'SHARED') and m.applied_at > r.rolled_back_at)
  order by r.rollback_id desc limit 1), '{}')";

/// Whether nothing of V001 is left.
///
/// # Errors
/// The database's.
pub async fn absent(client: &Client) -> Result<Map<String, Value>, Failure> {
    let mut left = ledger::objects(client).await?;
    if ledger::is_kept(client).await? {
        let rows = client.query_typed(GIVEN_BACK, &[]).await?;
        let given_back: Vec<String> = rows.first().map(|row| row.get(0)).unwrap_or_default();
        left.retain(|object| !given_back.contains(object));
    }
    let differences = left.iter().map(|object| format!("{object} is there")).collect();
    Ok(verified("absent", differences))
}

/// Whether all is as it should be, and the page. A server that takes no writes is only read.
///
/// # Errors
/// The database's.
pub async fn present(
    client: &Client,
    says: &Says,
    host: &str,
    end: Instant,
) -> Result<Map<String, Value>, Failure> {
    let writing = "begin isolation level read committed read write";
    if client.batch_execute(writing).await.is_err() {
        client.batch_execute("begin read only").await?;
    }
    let differences = ledger::differences(client, &V001).await?.into_iter().collect();
    let known = Known {
        says,
        host,
        before: None,
        line_limit: None,
    };
    let filled = inspect(client, known, Extent::Page, end).await?;
    client.batch_execute("rollback").await?;
    let mut answer = verified("present", differences);
    answer.insert("markdown".to_owned(), json!(markdown::page(&filled)));
    answer.insert("failed".to_owned(), json!(filled.failed()));
    answer.insert("summary".to_owned(), json!(filled.counts()));
    answer.insert("report".to_owned(), filled.to_json());
    Ok(answer)
}

/// `ok` of an answer: no difference, and no failed line.
pub fn is_fine(answer: &Map<String, Value>) -> bool {
    ["differences", "failed"].into_iter().all(|name| {
        let found = answer.get(name).and_then(Value::as_array);
        found.is_none_or(Vec::is_empty)
    })
}

fn verified(expect: &str, differences: Vec<String>) -> Map<String, Value> {
    Map::from_iter([
        ("version".to_owned(), json!(V001.version)),
        ("expect".to_owned(), json!(expect)),
        ("differences".to_owned(), json!(differences)),
    ])
}
