//! Optional functions that raise, hang, differ, or need another search path: no event is lost, and the remedy is said.

use std::time::Instant;

use tokio_postgres::Client;

use crate::support::database::{v001, Database};
use crate::support::postgres::Version;
use crate::support::v001::{alone, Operator};

const KEY: &str = "insert into raw.site_tracking_keys_r (api_key_hk, tenant_hk) values (sha256('k'), 't'), (sha256('orphan'), 'o')";

const WRITE: &str =
    "insert into util.audited values (event_type, resource_type, resource_id, actor, details)";

/// An audit function with this body, and the table it may write to.
fn audit(body: &str) -> String {
    format!(
        "create schema if not exists util; create table util.audited (type text, kind text, id text, actor text, details jsonb);
         create function util.log_audit_event(event_type text, resource_type text, resource_id text, actor text, details jsonb)
         returns jsonb language plpgsql as $$ begin {body}; return null; end $$"
    )
}

fn beacon(key: &str, events: usize, receipt: &str, audit: &str) -> String {
    format!(
        "select verdict, raw_event_id, audit_error from raw.ingest_tracking_beacon(sha256('{key}'), null, null, null,
         array_fill('{{\"a\": 1}}'::jsonb, array[{events}]), null, '{receipt}', null, null, null, null {audit})"
    )
}

async fn count(client: &Client, table: &str) -> i64 {
    client
        .query_one(&format!("select count(*) from {table}"), &[])
        .await
        .unwrap()
        .get(0)
}

#[tokio::test]
async fn an_audit_that_raises_or_hangs_costs_no_event_and_is_reported_with_the_remedy() {
    let path = "create function public.only_here() returns int language sql as 'select 1'";
    let cases = [
        (
            "raise 'audit is away'".to_owned(),
            "fails with search_path pg_catalog, pg_temp: audit is away",
            "repair it",
            "P0001",
        ),
        (
            "assert false".to_owned(),
            "fails with search_path pg_catalog, pg_temp: assertion failed",
            "repair it",
            "P0004",
        ),
        (
            "perform only_here()".to_owned(),
            "function only_here() does not exist",
            "set search_path = \"$user\", public",
            "42883",
        ),
        (
            "perform pg_sleep(600)".to_owned(),
            "gives no answer within two seconds",
            "until the statement timeout",
            "57014",
        ),
    ];
    for version in Version::ALL {
        let cluster = alone(version).await;
        for (body, fault, remedy, code) in &cases {
            let label = format!("{version:?} {body}");
            let database = Database::empty(&cluster).await;
            let client = database.superuser().await;
            client
                .batch_execute(&format!("{path}; {}", audit(body)))
                .await
                .unwrap();
            let said = Operator::superuser(&database).must("create", &["-1"]).stderr;
            for part in [fault, remedy] {
                assert!(said.contains(part), "{label}: {said}");
                let noted = "select notes like '%' || $1 || '%' from migrations.migration_log";
                assert!(
                    client.query_one(noted, &[part]).await.unwrap().get::<_, bool>(0),
                    "{label}: the ledger does not say {part}"
                );
            }
            client.batch_execute(&v001("verify")).await.unwrap();
            client
                .batch_execute(&format!("{KEY}; set statement_timeout = '300ms'"))
                .await
                .unwrap();
            for (events, audit, error) in [
                (1, "", Some(*code)),
                (3, "", Some(*code)),
                (1, ", p_audit => false", None),
            ] {
                for row in client.query(&beacon("k", events, "r", audit), &[]).await.unwrap() {
                    let found: (Option<i64>, Option<&str>) = (row.get(1), row.get(2));
                    assert!(found.0.is_some() && found.1 == error, "{label}: {found:?}");
                }
            }
            client
                .batch_execute("select raw.ingest_tracking_event('t', null, null, null, '[1]')")
                .await
                .unwrap();
            assert_eq!(count(&client, "raw.site_tracking_events_r").await, 6, "{label}");
        }
    }
}

#[tokio::test]
async fn a_search_path_given_as_the_remedy_says_makes_the_audit_work_at_once() {
    let cluster = alone(Version::Default).await;
    let database = Database::empty(&cluster).await;
    let client = database.superuser().await;
    client
        .batch_execute(&format!(
            "create function public.only_here() returns int language sql as 'select 1';
        {}",
            audit(&format!("perform only_here(); {WRITE}"))
        ))
        .await
        .unwrap();
    let said = Operator::superuser(&database).must("create", &["-1"]).stderr;
    let remedy = said
        .lines()
        .find_map(|line| line.find("alter function util").map(|at| line[at..].to_owned()))
        .expect("a remedy");
    client.batch_execute(&format!("{remedy}; {KEY}")).await.unwrap();
    client.batch_execute(&beacon("k", 1, "r", "")).await.unwrap();
    assert_eq!(count(&client, "util.audited").await, 1);
}

#[tokio::test]
async fn a_hash_that_raises_hangs_or_differs_is_reported_and_only_a_different_one_is_drift() {
    let hash = |body: &str| {
        format!("create schema util; create function util.hash_binary(p text) returns bytea language plpgsql as $$ begin {body}; end $$")
    };
    let path = "create function public.digest(bytea) returns bytea language sql as 'select sha256($1)'";
    let cases = [
        ("raise 'no'", "util.hash_binary fails", false),
        (
            "perform pg_sleep(600)",
            "util.hash_binary gives no answer within two seconds",
            false,
        ),
        (
            "return digest(convert_to(p, 'UTF8'))",
            "alter function util.hash_binary(text) set search_path = \"$user\", public",
            false,
        ),
        (
            "return sha256(convert_to(p || '!', 'UTF8'))",
            "util.hash_binary gives another hash",
            true,
        ),
    ];
    for version in [Version::Oldest, Version::Newest] {
        let cluster = alone(version).await;
        for (body, says, drift) in cases {
            let database = Database::empty(&cluster).await;
            let client = database.superuser().await;
            client
                .batch_execute(&format!("{path}; {}", hash(body)))
                .await
                .unwrap();
            let said = Operator::superuser(&database).must("create", &["-1"]).stderr;
            assert!(said.contains(says), "{version:?} {body}: {said}");
            let started = Instant::now();
            let verified = client.batch_execute(&v001("verify")).await;
            assert!(
                started.elapsed().as_secs() < 30,
                "{version:?} {body}: verify waited {:?}",
                started.elapsed()
            );
            assert_eq!(verified.is_err(), drift, "{version:?} {body}");
        }
    }
}
