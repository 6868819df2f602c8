//! How many events wait or are quarantined, since when, and how long the ids last; at a bounded cost.
//!
//! In: a connection inside a transaction that reads. Out: the fields of `status` that tell it. Pending events are
//! counted in their own partial index, quarantined ones among the newest rows, each up to [`COUNTED`]; the rate at which
//! ids are drawn comes from two rows found by the primary key. What takes longer than [`LIMIT`] all the same is told as
//! not counted.

use std::time::Duration;

use serde_json::{json, Map, Value};
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::Client;

use super::failure::Failure;

/// Rows looked at for one figure: with rows of 1 KB a hundred megabytes, a second from a cold disk.
const COUNTED: i64 = 100_000;

/// For each figure; an operator waits for all of them at once.
const LIMIT: Duration = Duration::from_secs(5);

/// A figure by its name, and the query that tells it in JSON, of no more than `$1` rows.
pub type Figure = (&'static str, &'static str);

/// In the order of the partial index, which a scan of the table would not give.
const PENDING: &str = "
select pg_catalog.jsonb_build_object('count', least(count(*), $1), 'more', count(*) > $1)
from (select from raw.site_tracking_events_r where processing_status = 'PENDING'
  order by raw_event_id limit $1 + 1) as waiting";

const QUARANTINED: &str = "
select pg_catalog.jsonb_build_object('count', count(*) filter (where is_quarantined), 'of_newest', count(*))
from (select processing_status = 'ERROR' and raw_payload ? '_quarantine' as is_quarantined
  from raw.site_tracking_events_r order by raw_event_id desc limit $1) as newest";

const OLDEST_PENDING: &str = "
select (select pg_catalog.jsonb_build_object('raw_event_id', raw_event_id, 'received_timestamp', received_timestamp,
    'age_seconds', greatest(0, extract(epoch from clock_timestamp() - received_timestamp))::bigint)
  from raw.site_tracking_events_r where processing_status = 'PENDING' order by raw_event_id limit 1)
from (values ($1::bigint)) as unused";

/// The end is that of the column's type or of its sequence, whichever comes first. Days need a rate: from the row that
/// is `$1` ids back, or the oldest, until now.
const IDS: &str = "
with drawn as (
  select pg_catalog.pg_get_serial_sequence('raw.site_tracking_events_r', 'raw_event_id')::pg_catalog.regclass as sequence),
numbers as (
  select coalesce(pg_catalog.pg_sequence_last_value(d.sequence), s.seqstart - s.seqincrement) as last,
    least(s.seqmax, case a.atttypid when 'pg_catalog.int4'::pg_catalog.regtype then 2147483647
      else 9223372036854775807 end) as final
  from drawn d
  join pg_catalog.pg_sequence s on s.seqrelid = d.sequence
  join pg_catalog.pg_attribute a on a.attrelid = 'raw.site_tracking_events_r'::pg_catalog.regclass
    and a.attname = 'raw_event_id'),
newest as (select raw_event_id as id from raw.site_tracking_events_r order by raw_event_id desc limit 1),
earlier as (
  (select raw_event_id as id, received_timestamp as at from raw.site_tracking_events_r
    where raw_event_id <= (select id from newest) - $1 order by raw_event_id desc limit 1)
  union all
  (select raw_event_id, received_timestamp from raw.site_tracking_events_r order by raw_event_id limit 1)
  limit 1),
rate as (
  select ((select id from newest) - e.id) * 86400 / nullif(extract(epoch from clock_timestamp() - e.at), 0) as per_day
  from earlier e)
select pg_catalog.jsonb_build_object('last', n.last, 'left', n.final - n.last,
  'per_day', (select pg_catalog.round(per_day::numeric) from rate),
  'days_left', (select pg_catalog.floor(((n.final - n.last) / nullif(greatest(per_day, 0), 0))::numeric) from rate))
from numbers n";

/// The figures by their names in the answer.
pub const FIGURES: [Figure; 4] = [
    ("pending", PENDING),
    ("oldest_pending", OLDEST_PENDING),
    ("ids", IDS),
    ("quarantined", QUARANTINED),
];

/// Tells them; what was not counted in time, or may not be read, is null and has a line in `notes`. All of them end by
/// `end`.
///
/// # Errors
/// The database's, other than the end of the time and a missing right.
pub async fn figures(
    client: &Client,
    wanted: &[Figure],
    end: Option<Instant>,
) -> Result<Map<String, Value>, Failure> {
    let (mut figures, mut notes) = (Map::new(), Vec::new());
    for (name, query) in wanted {
        let left = end.map_or(LIMIT, |end| end.saturating_duration_since(Instant::now()));
        let limit_ms = LIMIT.min(left).as_millis().max(1);
        let begin = format!("savepoint figure; set local statement_timeout = '{limit_ms}ms'");
        client.batch_execute(&begin).await?;
        let told = match client.query_typed(query, &[(&COUNTED, Type::INT8)]).await {
            Ok(rows) => rows.first().map_or(Value::Null, |row| {
                row.get::<_, Option<Value>>(0).unwrap_or_default()
            }),
            Err(error) => {
                notes.push(unknown(name, limit_ms, error.into())?);
                Value::Null
            }
        };
        client.batch_execute("rollback to savepoint figure").await?;
        figures.insert((*name).to_owned(), told);
    }
    figures.insert("notes".to_owned(), json!(notes));
    Ok(figures)
}

fn unknown(name: &str, limit_ms: u128, failure: Failure) -> Result<String, Failure> {
    if failure.is(&SqlState::QUERY_CANCELED) {
        Ok(format!("{name} was not counted within {limit_ms} ms"))
    } else if failure.is(&SqlState::INSUFFICIENT_PRIVILEGE) {
        Ok(format!("{name} is not known: {failure}"))
    } else {
        Err(failure)
    }
}
