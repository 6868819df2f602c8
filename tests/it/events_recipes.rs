//! The README's statements and its worker for who works with the events, run as they stand there.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;
use tokio_postgres::error::SqlState;
use tokio_postgres::Client;

use crate::support::database::Database;
use crate::support::postgres::{Cluster, Version};
use crate::support::tools;

/// The section of the README that is about it.
fn section() -> String {
    let readme = std::fs::read_to_string(tools::project().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("\n## Working with the events\n").unwrap();
    rest.split("\n## ").next().unwrap().to_owned()
}

/// Each statement by the name in the comment before it.
fn statements() -> BTreeMap<String, String> {
    let section = section();
    let blocks = section.split("```sql\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap());
    let named = blocks.flat_map(|block| block.split("-- ").skip(1));
    let parts = named.map(|part| part.split_once('\n').unwrap());
    parts
        .map(|(name, sql)| {
            let name = name.split(':').next().unwrap().to_owned();
            (name, sql.trim().trim_end_matches(';').to_owned())
        })
        .collect()
}

/// V001 with so many pending events of tenant `shop`, and a tenant that nobody asks for.
async fn with_events(events: u32) -> Database<'static> {
    let database = Database::with_v001(Cluster::shared(Version::Default)).await;
    let sql = format!(
        "insert into raw.site_tracking_keys_r (api_key_hk, tenant_hk, tenant_bk) values
           (sha256('shop'), '\\x01', 'shop'), (sha256('other'), '\\x02', 'other');
         insert into raw.site_tracking_events_r (tenant_hk, raw_payload, event_key, client_ip, received_timestamp)
         select '\\x01', jsonb_build_object('event', 'page_view', 'n', n), md5(n::text)::uuid, '192.0.2.1',
           now() - make_interval(days => 100) + n * interval '1 second'
         from generate_series(1, {events}) n;
         insert into raw.site_tracking_events_r (tenant_hk, raw_payload) values ('\\x02', '{{\"event\": \"other\"}}')"
    );
    database.superuser().await.batch_execute(&sql).await.unwrap();
    database
}

async fn processor(database: &Database<'_>) -> Client {
    let login = database.login("tracking_processor_role").await;
    database.client(&login, &login).await
}

/// Ids that a statement gives back.
async fn ids(client: &Client, sql: &str) -> Vec<i64> {
    let rows = client.query(sql, &[]).await;
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter().map(|row| row.get("raw_event_id")).collect()
}

/// How many events there are of each status.
async fn standing(database: &Database<'_>) -> Value {
    let sql = "select coalesce(jsonb_object_agg(processing_status, n), '{}')
        from (select processing_status, count(*) as n from raw.site_tracking_events_r group by 1) s";
    database
        .superuser()
        .await
        .query_one(sql, &[])
        .await
        .unwrap()
        .get(0)
}

#[tokio::test]
async fn two_workers_claim_disjoint_events_and_one_that_dies_gives_its_events_back() {
    let database = with_events(250).await;
    let statements = statements();
    let claim = &statements["claim"];
    let (one, two) = (processor(&database).await, processor(&database).await);
    for client in [&one, &two] {
        client
            .batch_execute("set statement_timeout = '20s'; begin")
            .await
            .unwrap();
    }
    let (first, second) = tokio::join!(ids(&one, claim), ids(&two, claim));
    assert_eq!((first.len(), second.len()), (100, 100));
    assert!(first.iter().all(|id| !second.contains(id)));
    let pid: i32 = one
        .query_one("select pg_backend_pid()", &[])
        .await
        .unwrap()
        .get(0);
    let admin = database.superuser().await;
    admin
        .execute("select pg_terminate_backend($1)", &[&pid])
        .await
        .unwrap();
    drop(one);
    two.execute(&statements["done"], &[&second]).await.unwrap();
    two.batch_execute("commit").await.unwrap();
    let mut back = Vec::new();
    while back.len() < 151 {
        let more = ids(&two, claim).await;
        back.extend(more);
    }
    back.sort_unstable();
    back.dedup();
    assert_eq!(
        back.len(),
        151,
        "those of the worker that died, and the rest, once each"
    );
    assert!(first.iter().all(|id| back.contains(id)));
    assert_eq!(
        standing(&database).await,
        serde_json::json!({"PROCESSED": 100, "PROCESSING": 151})
    );

    let failed = &statements["failed"];
    two.execute(failed, &[&back[0], &"no such page"]).await.unwrap();
    // A worker that commits its claim and dies: somebody gives the events back while none is at work.
    assert_eq!(two.execute(&statements["reclaim"], &[]).await.unwrap(), 150);
    assert_eq!(
        standing(&database).await,
        serde_json::json!({"ERROR": 1, "PROCESSED": 100, "PENDING": 150})
    );
    assert_eq!(
        two.execute(&statements["again"], &[&vec![back[0]]])
            .await
            .unwrap(),
        1
    );
    let tried = "select retry_count, error_message from raw.site_tracking_events_r where raw_event_id = $1";
    let row = two.query_one(tried, &[&back[0]]).await.unwrap();
    assert_eq!((row.get::<_, i32>(0), row.get::<_, Option<String>>(1)), (1, None));
}

#[tokio::test]
async fn the_claim_finds_its_events_by_their_index() {
    let database = with_events(20_000).await;
    let client = database.superuser().await;
    client
        .batch_execute("update raw.site_tracking_events_r set processing_status = 'PROCESSED' where raw_event_id % 50 > 0; analyze raw.site_tracking_events_r")
        .await
        .unwrap();
    let rows = client
        .query(&format!("explain {}", statements()["claim"]), &[])
        .await
        .unwrap();
    let plan: String = rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect();
    assert!(
        plan.contains("site_tracking_events_r_pending") && !plan.contains("Seq Scan"),
        "{plan}"
    );
}

#[tokio::test]
async fn the_readmes_worker_works_until_nothing_waits() {
    let database = with_events(250).await;
    let login = database.login("tracking_processor_role").await;
    database
        .superuser()
        .await
        .batch_execute(&format!(
            "create table public.page_views (tenant_hk bytea, at timestamptz, page text);
            alter table public.page_views owner to {login}"
        ))
        .await
        .unwrap();
    let worker = section()
        .split("```sh\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap()
        .to_owned();
    assert!(worker.lines().count() <= 14, "ten lines, and a few: {worker}");
    let psql = tools::path("PSQL");
    let path = format!("{}:/usr/bin:/bin", psql.parent().unwrap().display());
    let output = Command::new("sh")
        .args(["-ec", &worker])
        .env("PATH", path)
        .envs([
            ("PGHOST", "127.0.0.1"),
            ("PGUSER", &login),
            ("PGPASSWORD", &login),
            ("PGDATABASE", &database.name),
        ])
        .env("PGPORT", database.cluster.port.to_string())
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", database.cluster.authority_pem())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "251 events\n",
        "{output:?}"
    );
    assert_eq!(standing(&database).await, serde_json::json!({"PROCESSED": 251}));
    let views: i64 = database
        .superuser()
        .await
        .query_one("select count(*) from public.page_views", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(views, 250);
}

#[tokio::test]
async fn purge_and_erasure_are_the_owners_and_take_what_they_say() {
    let database = with_events(30).await;
    let statements = statements();
    let (owner, worker) = (database.superuser().await, processor(&database).await);
    owner
        .batch_execute("update raw.site_tracking_events_r set processing_status = 'PROCESSED' where raw_event_id <= 10;
            update raw.site_tracking_events_r set processing_status = 'PROCESSED', received_timestamp = now() where raw_event_id = 10")
        .await
        .unwrap();
    for name in ["purge", "erase", "blank"] {
        let sql = &statements[name];
        let refused = match sql.contains("$1") {
            true => worker.execute(sql, &[&"shop"]).await,
            false => worker.execute(sql, &[]).await,
        };
        assert_eq!(
            refused.unwrap_err().code(),
            Some(&SqlState::INSUFFICIENT_PRIVILEGE),
            "{name}"
        );
    }
    assert_eq!(
        owner.execute(&statements["purge"], &[]).await.unwrap(),
        9,
        "done, and older than 90 days"
    );
    assert_eq!(owner.execute(&statements["purge"], &[]).await.unwrap(), 0);

    // What is purged can be stored again; what is blanked cannot.
    let again = "select raw.ingest_tracking_event('\\x01', null, null, null, '{\"event\": \"page_view\"}', md5($1)::uuid)";
    let stored = |n: &'static str| {
        let owner = &owner;
        async move {
            owner
                .query_one(again, &[&n])
                .await
                .unwrap()
                .get::<_, Option<i64>>(0)
                .is_some()
        }
    };
    assert!(stored("1").await && !stored("20").await);
    assert_eq!(owner.execute(&statements["blank"], &[&"shop"]).await.unwrap(), 22);
    assert!(!stored("20").await, "its event key is kept");
    let left = "select count(*) from raw.site_tracking_events_r where tenant_hk = '\\x01'
        and (raw_payload <> '{\"_erased\": true}' or client_ip is not null or user_agent is not null or request is not null)";
    assert_eq!(owner.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);

    assert_eq!(owner.execute(&statements["erase"], &[&"shop"]).await.unwrap(), 22);
    assert_eq!(
        standing(&database).await,
        serde_json::json!({"PENDING": 1}),
        "another tenant's"
    );
    assert!(stored("20").await, "and then the same event is a new one");
}
