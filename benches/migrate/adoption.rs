//! A predecessor of two million rows is adopted and given back while others write to it: times, and who waits.

use std::time::{Duration, Instant};

use crate::migrate_predecessor::{predecessor, rows, state, COMPATIBLE};
use crate::support::postgres::Cluster;
use crate::support::traffic::Traffic;
use crate::table::Table;
use crate::waits::{BEAT, LONGEST_MS};
use crate::INGEST;

/// Of about 200 bytes each; the index of all payloads would take longer than everything else.
const GROWN: &str = "drop index raw.idx_tracking_payload;
    insert into auth.tenant_h values ('tenant', 'tenant', now(), 'bench');
    insert into raw.site_tracking_events_r (tenant_hk, raw_payload, processing_status)
    select '\\x01', jsonb_build_object('event', 'page_view', 'n', n, 'path', md5(n::text)),
      case when n % 100 = 0 then 'PENDING' else 'PROCESSED' end
    from generate_series(1, 2000000) as n;
    analyze raw.site_tracking_events_r";

const CALL: &str = "select raw.ingest_tracking_event('\\x01', null, null, null, '{\"live\": 1}')";

pub async fn measure(cluster: &Cluster, table: &mut Table) {
    table.heading("a predecessor of two million rows, adopted and given back");
    let mut stack = predecessor(cluster, COMPATIBLE).await;
    let client = stack.client().await;
    client.batch_execute(GROWN).await.unwrap();
    let (before, held) = (state(&client).await, rows(&client).await);
    let calls = Traffic::of_statements(stack.client().await, CALL, BEAT);
    let reads = Traffic::of_statements(stack.client().await, "select count(*) from auth.tenant_h", BEAT);
    let update = "update auth.tenant_h set load_date = now() where tenant_bk = 'one'";
    let writes = Traffic::of_statements(stack.client().await, update, BEAT);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let callers = [
        ("call of the function", &calls),
        ("read", &reads),
        ("write", &writes),
    ];
    told(table, "nothing else", &callers);
    let started = Instant::now();
    let created = stack.create().await;
    assert_eq!(created["Status"], "SUCCESS", "{created}");
    table.figure("adoption, all of it", format!("{:.1?}", started.elapsed()));
    told(table, "adoption", &callers);
    let (ingest, event) = stack.ingest(INGEST).await;
    let beacons = Traffic::of_events(ingest, event, BEAT);
    tokio::time::sleep(Duration::from_secs(1)).await;
    told(table, "adopted", &[("beacon", &beacons)]);
    let started = Instant::now();
    let deleted = stack.delete().await;
    assert_eq!(deleted["Status"], "SUCCESS", "{deleted}");
    table.figure("delete, all of it", format!("{:.1?}", started.elapsed()));
    told(table, "delete", &callers);
    told(table, "delete", &[("beacon", &beacons)]);
    for traffic in [calls, reads, writes, beacons] {
        traffic.stop().await;
    }
    let old = "delete from raw.site_tracking_events_r where raw_payload in ('{\"live\": 1}', '{\"event\": \"page_view\"}')";
    client.batch_execute(old).await.unwrap();
    table.target(
        "rows that are not as they were",
        f64::from(u8::from(rows(&client).await != held)),
        0.0,
        "",
    );
    // The beacons have values in two columns that were added: these stay.
    let is_kept = |line: &&String| {
        ["event_key", "request"]
            .iter()
            .any(|name| line.contains(&format!("_r.{name} ")))
    };
    let now = state(&client).await;
    let differ = now
        .iter()
        .filter(|line| !before.contains(line) && !is_kept(line))
        .count();
    table.target(
        "entries of the catalog that are not as they were",
        differ as f64,
        0.0,
        "",
    );
}

fn told(table: &mut Table, label: &str, callers: &[(&str, &Traffic)]) {
    for (who, traffic) in callers {
        let longest = traffic.so_far();
        let ms = longest.longest.as_secs_f64() * 1e3;
        table.target(
            &format!("  {label}, longest {who} of {}", longest.calls),
            ms,
            LONGEST_MS,
            "ms",
        );
    }
}
