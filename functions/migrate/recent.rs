//! The last events of a tenant, for databases that no laptop reaches.
//!
//! In: a connection inside a transaction that reads, a tenant, how many, and whether to show what they hold. Out: the
//! fields of the answer, newest first. They are looked for among the newest [`LOOKED_AT`] rows, since no index knows
//! tenants. No visitor's address, no site key and no exact bytes of a quarantined event, which may hold one, are shown.

use std::time::Duration;

use serde_json::{json, Map, Value};
use tokio_postgres::types::Type;
use tokio_postgres::Client;

use super::failure::Failure;

/// Rows that are shown at most: with payloads 3 MB, of the 6 MB that Lambda answers with.
pub const ROWS_MAX: i64 = 100;

/// Rows that are shown where nobody says how many.
pub const ROWS: i64 = 20;

const LOOKED_AT: i64 = 100_000;

/// Bytes of a document that is shown; of a longer one its length is.
const SHOWN_MAX_BYTES: i32 = 16 * 1024;

const LIMIT: Duration = Duration::from_secs(5);

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Business key of the tenant.
    pub tenant_bk: String,
    /// How many.
    pub rows: i64,
    /// What of them.
    pub shows: Shows,
}

/// How much of an event is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// When it came and what became of it.
    Outline,
    /// What it holds, too.
    Payloads,
}

const RECENT: &str = "
with tenant as (select distinct tenant_hk from raw.site_tracking_keys_r where tenant_bk = $1),
newest as (select e.raw_event_id, e.tenant_hk, e.received_timestamp, e.processing_status, e.error_message, e.retry_count,
    e.batch_id, e.event_key, e.raw_payload, e.request
  from raw.site_tracking_events_r e order by e.raw_event_id desc limit $3),
found as (select n.* from newest n where n.tenant_hk in (select t.tenant_hk from tenant t)
  order by n.raw_event_id desc limit $2)
select (select count(*) from tenant), pg_catalog.jsonb_build_object('raw_event_id', f.raw_event_id,
    'received_timestamp', f.received_timestamp, 'processing_status', f.processing_status,
    'error_message', f.error_message, 'retry_count', f.retry_count, 'receipt', f.batch_id, 'event_key', f.event_key,
    'quarantined', f.raw_payload #>> '{_quarantine,tag}', 'payload_bytes', pg_catalog.pg_column_size(f.raw_payload))
  || case when $4 then pg_catalog.jsonb_build_object(
    'payload', case when pg_catalog.octet_length(f.raw_payload::text) <= $5
      then f.raw_payload #- '{_quarantine,bytes}' end,
    'request', case when pg_catalog.octet_length(f.request::text) <= $5
      then f.request #- '{_quarantine,bytes}' end) else '{}' end
from (values (1)) as always(there) left join found f on true
order by f.raw_event_id desc";

/// Tells them.
///
/// # Errors
/// The tenant has no site key; or the database's.
pub async fn recent(client: &Client, asked: &Asked) -> Result<Map<String, Value>, Failure> {
    let limit = format!("set local statement_timeout = '{}ms'", LIMIT.as_millis());
    client.batch_execute(&limit).await?;
    let shows = asked.shows == Shows::Payloads;
    let rows = client
        .query_typed(
            RECENT,
            &[
                (&asked.tenant_bk, Type::TEXT),
                (&asked.rows, Type::INT8),
                (&LOOKED_AT, Type::INT8),
                (&shows, Type::BOOL),
                (&SHOWN_MAX_BYTES, Type::INT4),
            ],
        )
        .await?;
    let keys: i64 = rows.first().map_or(0, |row| row.get(0));
    if keys == 0 {
        return Err(Failure::refused(
            "no tenant of that tenant_bk has a site key here",
            "see list_keys for those that have one",
        ));
    }
    let events: Vec<Value> = rows.iter().map(|row| row.get::<_, Value>(1)).collect();
    let events: Vec<Value> = events
        .into_iter()
        .filter(|event| !event["raw_event_id"].is_null())
        .collect();
    Ok(Map::from_iter([
        ("of_newest".to_owned(), json!(LOOKED_AT)),
        ("events".to_owned(), json!(events)),
    ]))
}
