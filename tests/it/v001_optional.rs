//! V001 with and without what it can use: a tenant hub, a hash function, an audit function, a processor role.

use tokio_postgres::Client;

use crate::support::database::{v001, Database};
use crate::support::postgres::Version;
use crate::support::v001::{alone, assert_same, catalog, layered, refusal, Operator};

const TENANTS: &str =
    "create schema auth; create table auth.tenant_h (tenant_hk bytea primary key, tenant_bk varchar(255),
    load_date timestamptz, record_source varchar(100)); insert into auth.tenant_h values ('t')";
const HASH: &str =
    "create schema if not exists util; create function util.hash_binary(text) returns bytea language sql
    as 'select sha256(convert_to($1, ''UTF8''))'";
const PROCESSOR: &str = "create role tracking_processor_role";
const KEY: &str = "insert into raw.site_tracking_keys_r (api_key_hk, tenant_hk) values (sha256('k'), 't'), (sha256('orphan'), 'o')";

/// An audit function with this body, and the table it may write to.
fn audit(body: &str) -> String {
    format!(
        "create schema if not exists util; create table util.audited (type text, kind text, id text, actor text, details jsonb);
         create function util.log_audit_event(event_type text, resource_type text, resource_id text, actor text, details jsonb)
         returns jsonb language plpgsql as $$ begin {body}; return null; end $$"
    )
}

const WRITE: &str =
    "insert into util.audited values (event_type, resource_type, resource_id, actor, details)";

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
async fn all_sixteen_combinations_are_applied_bound_verified_and_undone() {
    for version in Version::ALL {
        let cluster = alone(version).await;
        let parts = [
            TENANTS.to_owned(),
            HASH.to_owned(),
            audit(WRITE),
            PROCESSOR.to_owned(),
        ];
        let database = Database::empty(&cluster).await;
        let client = database.superuser().await;
        for combination in 0..16 {
            let label = format!("{version:?} {combination:04b}");
            let has = |part: usize| combination & (1 << part) != 0;
            for (part, sql) in parts.iter().enumerate() {
                if has(part) {
                    client.batch_execute(sql).await.unwrap();
                }
            }
            let before = catalog(&client).await;
            client.batch_execute(&v001("create")).await.unwrap();
            client.batch_execute(&v001("verify")).await.unwrap();
            let probes = if has(2) {
                count(&client, "util.audited").await
            } else {
                0
            };
            assert_eq!(probes, 0, "{label}: the probe left a row");
            lands(&client, has(0), has(2), &label).await;
            let processor = "select has_table_privilege('tracking_processor_role', 'raw.site_tracking_events_r', 'select')";
            assert!(
                client.query_one(processor, &[]).await.unwrap().get::<_, bool>(0),
                "{label}"
            );
            client
                .batch_execute(&format!("set tracking.on_delete = drop; {}", v001("rollback")))
                .await
                .unwrap();
            assert_same(&catalog(&client).await, &before, &label);
            let clean =
                "drop schema if exists auth, util cascade; drop role if exists tracking_processor_role";
            client.batch_execute(clean).await.unwrap();
        }
    }
}

async fn lands(client: &Client, tenants: bool, audited: bool, label: &str) {
    client.batch_execute(KEY).await.unwrap();
    for events in [1, 3] {
        for row in client.query(&beacon("k", events, "r", ""), &[]).await.unwrap() {
            let found: (&str, Option<i64>, Option<&str>) = (row.get(0), row.get(1), row.get(2));
            assert!(matches!(found, ("ok", Some(_), None)), "{label}: {found:?}");
        }
    }
    client
        .batch_execute("select raw.ingest_tracking_event('t', null, null, null, '[1]')")
        .await
        .unwrap();
    client
        .batch_execute(&beacon("k", 1, "r", ", p_audit => false"))
        .await
        .unwrap();
    let orphan = client.query(&beacon("orphan", 1, "r", ""), &[]).await;
    assert_eq!(
        orphan.is_err(),
        tenants,
        "{label}: a tenant that is not in auth.tenant_h: {orphan:?}"
    );
    if tenants {
        let error = orphan.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(
            (error.code().code(), error.constraint()),
            ("23503", Some("site_tracking_events_r_tenant_exists"))
        );
    }
    if audited {
        let rows = "select string_agg(concat_ws(' ', type, kind, id, actor, details ->> 'tenant_hk', details ->> 'batch_id',
            jsonb_array_length(details -> 'raw_event_ids')), ', ' order by details #> '{raw_event_ids,0}') from util.audited";
        let rows: String = client.query_one(rows, &[]).await.unwrap().get(0);
        let orphan = if tenants {
            ""
        } else {
            ", RAW_EVENT_INGESTED SITE_TRACKING 7 postgres 6f r 1"
        };
        let expected = "RAW_EVENT_INGESTED SITE_TRACKING 1 postgres 74 r 1, RAW_EVENT_INGESTED SITE_TRACKING r postgres 74 r 3, \
            RAW_EVENT_INGESTED SITE_TRACKING 5 postgres 74 1";
        assert_eq!(rows, format!("{expected}{orphan}"), "{label}");
    }
}

#[tokio::test]
async fn what_comes_later_is_drift_that_a_second_create_binds_also_for_sessions_that_are_there() {
    for version in Version::ALL {
        let cluster = alone(version).await;
        let database = Database::empty(&cluster).await;
        let client = database.superuser().await;
        client
            .batch_execute(&format!("{};{KEY}", v001("create")))
            .await
            .unwrap();
        let session = database.superuser().await;
        for _ in 0..7 {
            session.batch_execute(&beacon("k", 1, "r", "")).await.unwrap();
        }
        client
            .batch_execute(&format!("{}; {TENANTS}", audit(WRITE)))
            .await
            .unwrap();
        let (code, message, _) = refusal(client.batch_execute(&v001("verify")).await);
        assert_eq!(code, "TR011");
        for part in ["audit_tracking_events is sql i", "tenant_exists is missing"] {
            assert!(message.contains(part), "{version:?}: {message}");
        }
        client.batch_execute(&v001("create")).await.unwrap();
        client.batch_execute(&v001("verify")).await.unwrap();
        session.batch_execute(&beacon("k", 1, "r", "")).await.unwrap();
        assert_eq!(count(&client, "util.audited").await, 1, "{version:?}");
        client
            .batch_execute("drop function util.log_audit_event")
            .await
            .unwrap();
        client.batch_execute(&v001("create")).await.unwrap();
        client.batch_execute(&v001("verify")).await.unwrap();
        session.batch_execute(&beacon("k", 1, "r", "")).await.unwrap();
    }
}

#[tokio::test]
async fn events_of_unknown_tenants_stay_and_new_ones_are_refused() {
    for version in [Version::Oldest, Version::Newest] {
        let cluster = alone(version).await;
        let database = layered(&cluster).await;
        let client = database.superuser().await;
        client
            .batch_execute(&format!("{KEY}; {}; {TENANTS}", beacon("orphan", 1, "r", "")))
            .await
            .unwrap();
        let said = Operator::superuser(&database).must("create", &["-1"]).stderr;
        assert!(
            said.contains("validate constraint site_tracking_events_r_tenant_exists"),
            "{version:?}: {said}"
        );
        client.batch_execute(&v001("verify")).await.unwrap();
        let (code, ..) = refusal(client.batch_execute(&beacon("orphan", 1, "r", "")).await);
        assert_eq!(
            (code.as_str(), count(&client, "raw.site_tracking_events_r").await),
            ("23503", 1),
            "{version:?}"
        );
    }
}
