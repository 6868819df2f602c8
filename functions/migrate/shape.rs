//! Reads the shape of what stands under our names. It changes nothing.
//!
//! In: a connection. Out: a [`Shape`] for `predecessor` to judge, and what of a predecessor the ledger says has to be
//! put back.

use tokio_postgres::Client;

use super::failure::{Failure, Kind};
use super::ledger;
use super::predecessor::Shape;

const SHAPE: &str = include_str!("shape.sql");

/// Functions that gave way to V001's: whether there are any, and whether one is not back in its place.
const GAVE_WAY: &str = "
select count(*) > 0, coalesce(bool_or(pg_catalog.to_regprocedure(f ->> 'call') is null), false)
  from migrations.migration_log l
  cross join lateral pg_catalog.jsonb_array_elements(l.replaced_objects -> 'functions') as f
  where l.version = 'V001' and l.status in ('STARTED', 'APPLIED', 'SHARED')
    and l.applied_at > coalesce((select max(r.rolled_back_at) from migrations.rollback_log r
      where r.version = 'V001' and r.status = 'ROLLED_BACK'), '-infinity')";

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

/// What became of a predecessor's functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Functions {
    /// None had to give way.
    Untouched,
    /// One waits to be put back.
    GaveWay,
    /// All are back.
    Returned,
}

/// What became of a predecessor's functions.
///
/// # Errors
/// The database's.
pub async fn functions(client: &Client) -> Result<Functions, Failure> {
    if !ledger::is_kept(client).await? {
        return Ok(Functions::Untouched);
    }
    let rows = client.query_typed(GAVE_WAY, &[]).await?;
    Ok(match rows.first().map(|row| (row.get(0), row.get(1))) {
        Some((_, true)) => Functions::GaveWay,
        Some((true, false)) => Functions::Returned,
        _ => Functions::Untouched,
    })
}
