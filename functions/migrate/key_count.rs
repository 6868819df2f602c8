//! How many site keys a rollback takes away.
//!
//! In: a connection inside the transaction that rolls back. Out: a number, for the report. A key that is made at the
//! same time waits behind the count, so that none goes uncounted.

use tokio_postgres::Client;

use super::failure::Failure;

/// How many keys there are, none of which comes or goes until the transaction ends; `None`: no table of keys, or it is
/// not ours to look into.
///
/// # Errors
/// The database's.
pub async fn counted(client: &Client) -> Result<Option<i64>, Failure> {
    let ours =
        "select from pg_catalog.pg_class where oid = pg_catalog.to_regclass('raw.site_tracking_keys_r')
                and relkind = 'r' and pg_catalog.pg_has_role(relowner, 'USAGE')";
    if client.query_typed(ours, &[]).await?.is_empty() {
        return Ok(None);
    }
    client
        .batch_execute("lock table raw.site_tracking_keys_r in share mode")
        .await?;
    let count = "select pg_catalog.count(*) from raw.site_tracking_keys_r";
    let rows = client.query_typed(count, &[]).await?;
    Ok(rows.first().map(|row| row.get(0)))
}
