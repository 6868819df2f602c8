//! Reads the shape of what stands under our names. It changes nothing.
//!
//! In: a connection. Out: a [`Shape`] for `predecessor` to judge, and what of a predecessor the ledger says has to be
//! put back.

use tokio_postgres::Client;

use super::failure::{Failure, Kind};
use super::ledger;
use super::predecessor::Shape;

const SHAPE: &str = include_str!("shape.sql");

/// Whether functions gave way to V001's, which still stand in their place.
const GAVE_WAY: &str = "
select exists (
  select from migrations.migration_log l
  cross join lateral pg_catalog.jsonb_array_elements(l.replaced_objects -> 'functions') as f
  where l.version = 'V001' and l.status in ('STARTED', 'APPLIED', 'SHARED')
    and l.applied_at > coalesce((select max(r.rolled_back_at) from migrations.rollback_log r
      where r.version = 'V001' and r.status = 'ROLLED_BACK'), '-infinity')
    and pg_catalog.to_regprocedure(f ->> 'call') is null)";

/// What stands under our names.
///
/// # Errors
/// The database's.
pub async fn read(client: &Client) -> Result<Shape, Failure> {
    let rows = client.query_typed(SHAPE, &[]).await?;
    let Some(row) = rows.first() else {
        return Ok(Shape::default());
    };
    serde_json::from_value(row.get(0)).map_err(|error| {
        Failure::new(
            Kind::Database,
            format!("the catalog describes schema raw in words that are not understood: {error}"),
            "report it with the version of the server",
        )
    })
}

/// Whether functions of a predecessor wait to be put back.
///
/// # Errors
/// The database's.
pub async fn gave_way(client: &Client) -> Result<bool, Failure> {
    if !ledger::is_kept(client).await? {
        return Ok(false);
    }
    let rows = client.query_typed(GAVE_WAY, &[]).await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}
