//! The views tell what is there, to who may read events, and read no more of the table than an index gives them.
//!
//! `make views` asks for their plans over a million rows; as one of all tests there are fewer.

use serde_json::Value;
use tokio_postgres::Client;

use crate::support::database::Database;
use crate::support::postgres::{Cluster, Version};

const ROWS: u32 = 20_000;

/// What finds the rows of each view: the index that its plan names.
const PLANS: [(&str, &str); 6] = [
    ("event_rate", "site_tracking_events_r_received"),
    ("event_lag", "site_tracking_events_r_pending"),
    ("pending", "site_tracking_events_r_pending"),
    ("quarantined", "site_tracking_events_r_received"),
    ("volume", "site_tracking_events_r_received"),
    ("growth", "site_tracking_events_r_pkey"),
];

/// As a member of the processor's role.
async fn processor(database: &Database<'_>) -> Client {
    let login = database.login("tracking_processor_role").await;
    database.client(&login, &login).await
}

async fn one(client: &Client, sql: &str) -> Value {
    let row = client
        .query_one(&format!("select to_jsonb(v) from ({sql}) v"), &[])
        .await;
    row.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
}

#[tokio::test]
async fn each_view_tells_the_processor_what_is_there() {
    for version in [Version::Oldest, Version::Newest] {
        let database = Database::with_v001(Cluster::shared(version)).await;
        let client = processor(&database).await;
        let lag = one(&client, "select * from raw.site_tracking_event_lag_v").await;
        assert_eq!(lag["lag_seconds"], 0, "{lag}");
        let growth = one(&client, "select * from raw.site_tracking_growth_v").await;
        assert_eq!(growth["newest_event_id"], Value::Null, "{growth}");
        let bytes = r#"{"_quarantine": {"tag": "nul", "encoding": "base64", "bytes": "AA=="}}"#;
        let rows = format!(
            "insert into raw.site_tracking_events_r (tenant_hk, raw_payload, received_timestamp, processing_status) values
               ('a', '{{\"n\": 1}}', now() - interval '40 minutes', 'PENDING'),
               ('a', '{{\"n\": 2}}', now() - interval '30 minutes', 'PENDING'),
               ('b', '{{\"n\": 3}}', now() - interval '30 minutes', 'PROCESSED'),
               ('b', '{bytes}', now() - interval '5 hours', 'ERROR'),
               ('b', '{{\"own\": \"error\"}}', now() - interval '2 days', 'ERROR'),
               ('b', '{bytes}', now() - interval '8 days', 'ERROR')"
        );
        database.superuser().await.batch_execute(&rows).await.unwrap();
        let lag = one(&client, "select * from raw.site_tracking_event_lag_v").await;
        assert_eq!(lag["oldest_pending_id"], 1, "{lag}");
        assert!(
            (2400..2500).contains(&lag["lag_seconds"].as_i64().unwrap()),
            "{lag}"
        );
        let rate = "select sum(events) as events, count(*) as minutes, max(tenants) as tenants from raw.site_tracking_event_rate_v";
        let rate = one(&client, rate).await;
        assert_eq!(
            [&rate["events"], &rate["minutes"], &rate["tenants"]],
            [3, 2, 2],
            "{rate}"
        );
        let pending = one(&client, "select * from raw.site_tracking_pending_v").await;
        assert_eq!(
            [&pending["tenant_hk"], &pending["events"]].map(Value::to_string),
            ["\"\\\\x61\"", "2"],
            "{pending}"
        );
        let quarantined = one(&client, "select * from raw.site_tracking_quarantined_v").await;
        assert_eq!(
            (&quarantined["reason"], &quarantined["first_event_id"]),
            (&"nul".into(), &4.into()),
            "{quarantined}"
        );
        assert_eq!(quarantined["events"], 1, "{quarantined}");
        let volume = "select * from raw.site_tracking_volume_v where tenant_hk = 'b'";
        let volume = one(&client, volume).await;
        assert_eq!([&volume["events"], &volume["errors"]], [2, 1], "{volume}");
        assert!(volume["payload_bytes"].as_i64().unwrap() > 50, "{volume}");
        let growth = one(&client, "select * from raw.site_tracking_growth_v").await;
        assert_eq!(growth["newest_event_id"], 6, "{growth}");
        assert!(
            growth["table_bytes"].as_i64().unwrap() > 0 && growth["events_per_day"].is_number(),
            "{growth}"
        );
    }
}

#[tokio::test]
async fn each_view_reads_what_an_index_gives_it() {
    let rows = std::env::var("VIEWS_ROWS").map_or(ROWS, |rows| rows.parse().unwrap());
    for version in [Version::Oldest, Version::Newest] {
        let database = Database::with_v001(Cluster::shared(version)).await;
        let admin = database.superuser().await;
        // As many as `rows` over three hundred days; every hundredth waits, every thousandth is quarantined.
        let fill = format!(
            "insert into raw.site_tracking_events_r (tenant_hk, raw_payload, received_timestamp, processing_status)
             select decode(md5((n % 50)::text), 'hex'),
               case when n % 1000 = 7 then '{{\"_quarantine\": {{\"tag\": \"nul\", \"encoding\": \"base64\", \"bytes\": \"AA==\"}}}}'
                 else jsonb_build_object('event', 'page_view', 'text', repeat(md5(n::text), 12)) end,
               now() - make_interval(secs => ({rows} - n) * 25920000.0 / {rows}),
               case when n % 1000 = 7 then 'ERROR' when n % 100 = 0 then 'PENDING' else 'PROCESSED' end
             from generate_series(1, {rows}) as n"
        );
        admin.batch_execute(&fill).await.unwrap();
        admin
            .batch_execute("vacuum analyze raw.site_tracking_events_r")
            .await
            .unwrap();
        let client = processor(&database).await;
        for (view, index) in PLANS {
            let sql =
                format!("explain (analyze, buffers, format json) select * from raw.site_tracking_{view}_v");
            let row = admin.query_one(&sql, &[]).await.unwrap();
            let plan: Value = row.get(0);
            let text = plan.to_string();
            assert!(
                text.contains(&format!("\"{index}\"")),
                "{version:?} {view}: {text}"
            );
            assert!(!reads_all(&plan), "{version:?} {view}: {text}");
            client
                .batch_execute(&format!("select * from raw.site_tracking_{view}_v"))
                .await
                .unwrap();
            let top = &plan[0];
            println!(
                "{version:?} {rows} rows, site_tracking_{view}_v: {} ms, {} pages",
                top["Execution Time"],
                top["Plan"]["Shared Hit Blocks"].as_i64().unwrap_or_default()
                    + top["Plan"]["Shared Read Blocks"].as_i64().unwrap_or_default()
            );
        }
    }
}

/// Whether a node of the plan goes through the whole table of events.
fn reads_all(plan: &Value) -> bool {
    match plan {
        Value::Array(nodes) => nodes.iter().any(reads_all),
        Value::Object(node) => {
            let is_whole =
                plan["Node Type"] == "Seq Scan" && plan["Relation Name"] == "site_tracking_events_r";
            is_whole || node.values().any(reads_all)
        }
        _ => false,
    }
}
