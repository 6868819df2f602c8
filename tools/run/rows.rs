//! A line per row, as it lands.

use std::collections::HashSet;
use std::time::Duration;

use tokio_postgres::{Client, Row};

use crate::Failed;

/// Soon enough for a person who has just sent an event.
const PAUSE: Duration = Duration::from_millis(200);

/// Ids are drawn before the commit: a row may appear behind one with a higher id, though not this far behind.
const LATE_IDS: i64 = 10_000;

const ROWS: &str = "
    select e.raw_event_id, coalesce(k.tenant_bk, encode(e.tenant_hk, 'hex')), e.processing_status,
           coalesce(e.batch_id, '-'), left(e.raw_payload::text, 120)
    from raw.site_tracking_events_r e
    left join raw.site_tracking_keys_r k using (api_key_hk)
    where e.raw_event_id > $1
    order by e.raw_event_id";

/// Returns when the database does not answer any more.
pub async fn print_as_they_land(database: &Client) -> Failed {
    let mut printed = HashSet::new();
    loop {
        let last = printed.iter().max().copied().unwrap_or(0_i64);
        match database.query(ROWS, &[&(last - LATE_IDS)]).await {
            Ok(rows) => {
                for row in rows.iter().filter(|row| printed.insert(row.get(0))) {
                    print(row);
                }
            }
            Err(error) => return format!("PostgreSQL does not answer: {error}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn print(row: &Row) {
    let (id, tenant, status): (i64, String, String) = (row.get(0), row.get(1), row.get(2));
    let (receipt, payload): (String, String) = (row.get(3), row.get(4));
    println!("row {id} {status} tenant={tenant} receipt={receipt} {payload}");
}
