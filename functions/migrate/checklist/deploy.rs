//! The checklist of one deploy: what must be so before it commits, and the page behind that.
//!
//! In: the deploy's connection and what is known of it. Out: a failure of the closed list, or the filled page. It
//! decides on nothing else: which lines fail a deploy is the table's to say.

use tokio::time::Instant;
use tokio_postgres::Client;

use super::filled::Filled;
use super::inspect::{inspect, Extent, Known};
use crate::migrate::failure::{Failure, Kind};
use crate::migrate::record;

/// Asks the closed list, inside the deploy's transaction; `ledger_id` is the row that it wrote.
///
/// # Errors
/// A failed line: the end of the deploy.
pub async fn check(
    client: &Client,
    known: Known<'_>,
    ledger_id: Option<i64>,
    end: Instant,
) -> Result<(), Failure> {
    if let (Some(backup), Some(id)) = (&known.says.backup_reference, ledger_id) {
        record::note_backup(client, id, backup).await?;
    }
    let filled = inspect(client, known, Extent::ClosedList, end).await?;
    filled.failure().map_or(Ok(()), Err)
}

/// Fills the page in behind the commit, with no lock left that anybody could wait for.
///
/// # Errors
/// The connection's. The deploy is done all the same: it is worth a note.
pub async fn fill_in(client: &Client, known: Known<'_>, end: Instant) -> Result<Filled, Failure> {
    let filling = async {
        client
            .batch_execute("begin isolation level read committed read write")
            .await?;
        let filled = inspect(client, known, Extent::Page, end).await?;
        client.batch_execute("rollback").await?;
        Ok(filled)
    };
    let late = || Failure::new(Kind::Deadline, "the time was over", "ask verify");
    tokio::time::timeout_at(end, filling)
        .await
        .unwrap_or_else(|_| Err(late()))
}
