//! The ledger's rows: reads back what the files wrote, and writes the one row that they cannot: of a failed attempt.
//!
//! A file that failed took its own row with it, so the row of the failure is written afterwards, in a transaction of
//! its own, and only where the ledger is there. That it cannot be written changes nothing about the failure.

use tokio_postgres::types::Type;
use tokio_postgres::Client;

use super::catalogue::V001;
use super::failure::Failure;
use super::ledger;
use super::plan::Wish;
use super::run::Order;
use super::time_left::GRACE;
use crate::config;
use crate::db;

/// The row that a file wrote about itself.
#[derive(Debug, Default)]
pub struct Written {
    /// Its id.
    pub id: Option<i64>,
    /// How the file says it ended.
    pub status: Option<String>,
    /// What a person should know or do, a line each.
    pub notes: Option<String>,
    /// Rows left in place.
    pub rows_retained: Option<i64>,
    /// Rows that went.
    pub rows_dropped: Option<i64>,
}

/// The newest row of `migration_log`; under the lock it is ours, but that failures are written without the lock.
///
/// # Errors
/// The database's.
pub async fn last_applied(client: &Client) -> Result<Written, Failure> {
    last(
        client,
        "select migration_id, status, notes, null::bigint, null::bigint
         from migrations.migration_log where status <> 'FAILED' order by migration_id desc limit 1",
    )
    .await
}

/// The newest row of `rollback_log`; under the lock it is ours, but that failures are written without the lock.
///
/// # Errors
/// The database's.
pub async fn last_rolled_back(client: &Client) -> Result<Written, Failure> {
    last(
        client,
        "select rollback_id, status, notes, rows_retained, rows_dropped
         from migrations.rollback_log where status <> 'FAILED' order by rollback_id desc limit 1",
    )
    .await
}

/// Adds the backup that would be restored to the notes of an apply that is not committed yet.
///
/// # Errors
/// The database's.
pub async fn note_backup(client: &Client, id: i64, backup: &str) -> Result<(), Failure> {
    let note = format!("backup reference: {backup}");
    client
        .query_typed(
            "update migrations.migration_log set notes = concat_ws(E'\\n', notes, $2) where migration_id = $1",
            &[(&id, Type::INT8), (&note, Type::TEXT)],
        )
        .await?;
    Ok(())
}

async fn last(client: &Client, query: &str) -> Result<Written, Failure> {
    if !ledger::is_kept(client).await? {
        return Ok(Written::default());
    }
    let rows = client.query_typed(query, &[]).await?;
    Ok(rows.first().map_or_else(Written::default, |row| Written {
        id: row.get(0),
        status: row.get(1),
        notes: row.get(2),
        rows_retained: row.get(3),
        rows_dropped: row.get(4),
    }))
}

const FAILED_MIGRATION: &str = "
insert into migrations.migration_log (version, script_name, description, status, completed_at, duration_ms,
  checksum, stack_id, logical_resource_id, request_id, environment, notes)
values ($1, $2, 'universal site tracking raw layer', 'FAILED', clock_timestamp(), $3, $4, $5, $6, $7, $8, $9)";

const FAILED_ROLLBACK: &str = "
insert into migrations.rollback_log (version, script_name, description, status, completed_at, duration_ms,
  checksum, stack_id, logical_resource_id, request_id, environment, notes)
values ($1, $2, 'universal site tracking raw layer', 'FAILED', clock_timestamp(), $3, $4, $5, $6, $7, $8, $9)";

/// Writes the row of a failed attempt, within half of [`GRACE`].
pub async fn failed(database: &config::Database, order: &Order, failure: &Failure, duration_ms: u64) {
    let writing = async {
        let client = db::connect(database).await?;
        if ledger::is_kept(&client).await? {
            insert(&client, order, failure, duration_ms).await?;
        }
        Ok::<(), Failure>(())
    };
    let _ = tokio::time::timeout(GRACE / 2, writing).await;
}

async fn insert(client: &Client, order: &Order, failure: &Failure, duration_ms: u64) -> Result<(), Failure> {
    let (statement, script) = match order.wish {
        Wish::Have(_) => (FAILED_MIGRATION, V001.create_name),
        Wish::Leave(..) | Wish::Gone { .. } => (FAILED_ROLLBACK, V001.rollback_name),
    };
    let owner = order.owner();
    let stack = owner.map(|owner| &owner.stack_id);
    let logical = owner.map(|owner| &owner.logical_resource_id);
    let (duration_ms, checksum) = (i64::try_from(duration_ms).unwrap_or(i64::MAX), V001.checksum());
    let notes = failure.to_string();
    client
        .query_typed(
            statement,
            &[
                (&V001.version, Type::TEXT),
                (&script, Type::TEXT),
                (&duration_ms, Type::INT8),
                (&checksum, Type::TEXT),
                (&stack, Type::TEXT),
                (&logical, Type::TEXT),
                (&order.request_id, Type::TEXT),
                (&order.environment, Type::TEXT),
                (&notes, Type::TEXT),
            ],
        )
        .await?;
    Ok(())
}
