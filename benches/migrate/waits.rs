//! The longest that a beacon, a reader and a writer of the tenants wait in a deploy and in a delete.

use std::time::Duration;

use crate::migrate_stack::Stack;
use crate::support::database::Database;
use crate::support::postgres::Cluster;
use crate::support::traffic::Traffic;
use crate::table::Table;
use crate::INGEST;

const TENANTS: &str = "create schema auth; create table auth.tenant_h (tenant_hk bytea primary key,
    tenant_bk varchar(255), load_date timestamptz, record_source varchar(100));
    insert into auth.tenant_h (tenant_hk, tenant_bk) values ('tenant', 'tenant')";

/// 50 calls a second.
pub const BEAT: Duration = Duration::from_millis(20);
pub const LONGEST_MS: f64 = 500.0;

pub async fn measure(cluster: &Cluster, table: &mut Table) {
    table.heading("the longest call beside it, 50 beacons, reads and writes of tenants a second");
    let database = Database::empty(cluster).await;
    database.superuser().await.batch_execute(TENANTS).await.unwrap();
    let mut one = Stack::on(database, "one").await;
    let reads = Traffic::of_statements(one.client().await, "select count(*) from auth.tenant_h", BEAT);
    let update = "update auth.tenant_h set load_date = now() where tenant_hk = 'tenant'";
    let writes = Traffic::of_statements(one.client().await, update, BEAT);
    let mut told = |label: &str, traffic: &[(&str, &Traffic)]| {
        for (who, traffic) in traffic {
            let longest = traffic.so_far().longest.as_secs_f64() * 1e3;
            table.target(&format!("{label}, {who}"), longest, LONGEST_MS, "ms");
        }
    };
    one.create().await;
    told("first deploy", &[("read", &reads), ("write", &writes)]);
    let (ingest, event) = one.ingest(INGEST).await;
    let beacons = Traffic::of_events(ingest, event, BEAT);
    tokio::time::sleep(Duration::from_secs(2)).await;
    told(
        "nothing else",
        &[("beacon", &beacons), ("read", &reads), ("write", &writes)],
    );
    let mut two = one.sibling("two").await;
    two.create().await;
    told(
        "second deploy",
        &[("beacon", &beacons), ("read", &reads), ("write", &writes)],
    );
    one.set("OnDelete", "Drop");
    two.set("OnDelete", "Drop");
    two.delete().await;
    told(
        "first delete",
        &[("beacon", &beacons), ("read", &reads), ("write", &writes)],
    );
    one.delete().await;
    told(
        "last delete",
        &[("beacon", &beacons), ("read", &reads), ("write", &writes)],
    );
    for traffic in [reads, writes, beacons] {
        traffic.stop().await;
    }
}
