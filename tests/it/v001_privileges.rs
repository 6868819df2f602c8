//! Every object of V001 × every privilege × {a role without grants, the ingest role, the processor role}: tried for
//! real as that login, and compared with the table below.

use tokio_postgres::error::SqlState;
use tokio_postgres::Client;

use crate::support::database::Database;
use crate::support::postgres::{Cluster, Version};
use crate::support::v001::{alone, layered};

/// Object, privilege, the statement that needs it, and who may: `-` nobody, else `i` ingest, `p` processor.
const RIGHTS: &[(&str, &str, &str, &str)] = &[
    ("schema raw", "usage", "select 'raw.site_tracking_events_r'::regclass", "ip"),
    ("schema raw", "create", "create table raw.mine ()", "-"),
    ("schema migrations", "usage", "select 'migrations.migration_log'::regclass", "-"),
    ("schema migrations", "create", "create table migrations.mine ()", "-"),
    ("raw.site_tracking_events_r", "select", "select raw_payload from raw.site_tracking_events_r", "p"),
    ("raw.site_tracking_events_r", "insert", "insert into raw.site_tracking_events_r (tenant_hk, raw_payload) values ('x', '[]')", "-"),
    ("raw.site_tracking_events_r", "delete", "delete from raw.site_tracking_events_r", "-"),
    ("raw.site_tracking_events_r", "truncate", "truncate raw.site_tracking_events_r", "-"),
    ("raw.site_tracking_events_r", "references", "create table own.t (x bigint references raw.site_tracking_events_r)", "-"),
    ("raw.site_tracking_events_r", "trigger", "create trigger t before insert on raw.site_tracking_events_r
        for each row execute function suppress_redundant_updates_trigger()", "-"),
    ("raw.site_tracking_events_r", "maintain", "reindex table raw.site_tracking_events_r", "-"),
    ("raw.site_tracking_events_r", "ownership", "alter table raw.site_tracking_events_r add mine text", "-"),
    ("raw.site_tracking_keys_r", "select", "select tenant_hk from raw.site_tracking_keys_r", "-"),
    ("raw.site_tracking_keys_r", "insert", "insert into raw.site_tracking_keys_r (api_key_hk, tenant_hk) values (sha256('x'), 'x')", "-"),
    ("raw.site_tracking_keys_r", "update", "update raw.site_tracking_keys_r set is_active = true", "-"),
    ("raw.site_tracking_keys_r", "delete", "delete from raw.site_tracking_keys_r", "-"),
    ("raw.site_tracking_keys_r", "truncate", "truncate raw.site_tracking_keys_r", "-"),
    ("raw.site_tracking_keys_r", "references", "create table own.t (x bytea references raw.site_tracking_keys_r)", "-"),
    ("raw.site_tracking_keys_r", "trigger", "create trigger t before insert on raw.site_tracking_keys_r
        for each row execute function suppress_redundant_updates_trigger()", "-"),
    ("raw.site_tracking_keys_r", "maintain", "reindex table raw.site_tracking_keys_r", "-"),
    ("raw.site_tracking_keys_r", "ownership", "alter table raw.site_tracking_keys_r add mine text", "-"),
    ("raw.site_tracking_events_r_raw_event_id_seq", "usage", "select nextval('raw.site_tracking_events_r_raw_event_id_seq')", "-"),
    ("raw.site_tracking_events_r_raw_event_id_seq", "select", "select last_value from raw.site_tracking_events_r_raw_event_id_seq", "-"),
    ("raw.site_tracking_events_r_raw_event_id_seq", "update", "select setval('raw.site_tracking_events_r_raw_event_id_seq', 9)", "-"),
    ("raw.site_tracking_event_rate_v", "select", "select from raw.site_tracking_event_rate_v", "p"),
    ("raw.site_tracking_event_lag_v", "select", "select from raw.site_tracking_event_lag_v", "p"),
    ("raw.site_tracking_pending_v", "select", "select from raw.site_tracking_pending_v", "p"),
    ("raw.site_tracking_quarantined_v", "select", "select from raw.site_tracking_quarantined_v", "p"),
    ("raw.site_tracking_volume_v", "select", "select from raw.site_tracking_volume_v", "p"),
    ("raw.site_tracking_growth_v", "select", "select from raw.site_tracking_growth_v", "p"),
    ("raw.site_tracking_growth_v", "ownership", "drop view raw.site_tracking_growth_v", "-"),
    ("raw.ingest_tracking_beacon", "execute", "select raw.ingest_tracking_beacon(sha256('x'), null, null, null, null, null, null, null, null, null, null)", "i"),
    ("raw.ingest_tracking_event", "execute", "select raw.ingest_tracking_event('x', null, null, null, '[1]')", "-"),
    ("raw.audit_tracking_events", "execute", "select raw.audit_tracking_events('x', '{1}', 'r')", "-"),
    ("raw.origin_is_allowed", "execute", "select raw.origin_is_allowed('x', '{y}')", "-"),
    ("raw.quarantined_bytes", "execute", "select raw.quarantined_bytes(1)", "p"),
    ("raw.requeue_quarantined", "execute", "select raw.requeue_quarantined(1, '[1]')", "p"),
    ("migrations.migration_log", "select", "select from migrations.migration_log", "-"),
    ("migrations.migration_log", "insert", "insert into migrations.migration_log (version) values ('V001')", "-"),
    ("migrations.migration_log", "update", "update migrations.migration_log set notes = ''", "-"),
    ("migrations.migration_log", "delete", "delete from migrations.migration_log", "-"),
    ("migrations.migration_log", "truncate", "truncate migrations.migration_log", "-"),
    ("migrations.migration_log_migration_id_seq", "usage", "select nextval('migrations.migration_log_migration_id_seq')", "-"),
    ("migrations.rollback_log", "select", "select from migrations.rollback_log", "-"),
    ("migrations.rollback_log", "insert", "insert into migrations.rollback_log (version) values ('V001')", "-"),
    ("migrations.rollback_log", "update", "update migrations.rollback_log set notes = ''", "-"),
    ("migrations.rollback_log", "delete", "delete from migrations.rollback_log", "-"),
    ("migrations.rollback_log", "truncate", "truncate migrations.rollback_log", "-"),
    ("migrations.rollback_log_rollback_id_seq", "usage", "select nextval('migrations.rollback_log_rollback_id_seq')", "-"),
];

/// The columns that the processor may update; of all others nobody may update any.
const MARKED: [&str; 3] = ["processing_status", "error_message", "retry_count"];

const LOGINS: [(&str, &str); 3] = [
    ("s", ""),
    ("i", "tracking_ingest_role"),
    ("p", "tracking_processor_role"),
];

#[tokio::test]
async fn each_login_may_do_what_the_table_says_and_nothing_else() {
    for version in Version::ALL {
        let cluster = alone(version).await;
        let database = layered(&cluster).await;
        let superuser = database.superuser().await;
        every_object_is_in_the_table(&superuser).await;
        let columns =
            "select attname::text from pg_attribute where attrelid = 'raw.site_tracking_events_r'::regclass
            and attnum > 0 and not attisdropped";
        let columns: Vec<String> = superuser
            .query(columns, &[])
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect();
        for (who, role) in LOGINS {
            let login = database.login(role).await;
            superuser
                .batch_execute(&format!(
                    "drop schema if exists own; create schema own authorization {login}"
                ))
                .await
                .unwrap();
            let client = database.client(&login, &login).await;
            for (object, privilege, sql, may) in RIGHTS {
                let expected = may.contains(who);
                assert_eq!(
                    allowed(&client, sql).await,
                    expected,
                    "{version:?} {role:?}: {privilege} on {object}"
                );
            }
            for column in &columns {
                let sql = format!("update raw.site_tracking_events_r set {column} = default");
                let expected = who == "p" && MARKED.contains(&column.as_str());
                assert_eq!(
                    allowed(&client, &sql).await,
                    expected,
                    "{version:?} {role:?}: update of {column}"
                );
            }
        }
    }
}

/// Whether the server lets this login do it; what it did is undone.
async fn allowed(client: &Client, sql: &str) -> bool {
    client.batch_execute("begin").await.unwrap();
    let result = client.batch_execute(sql).await;
    client.batch_execute("rollback").await.unwrap();
    match result {
        Ok(()) => true,
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => false,
        Err(error) => panic!("{sql}: {error:?}"),
    }
}

async fn every_object_is_in_the_table(superuser: &Client) {
    let sql =
        "select format('%s.%s', nspname, relname) from pg_class c join pg_namespace n on n.oid = relnamespace
          where nspname in ('raw', 'migrations') and relkind <> 'i'
        union select 'raw.' || proname from pg_proc where pronamespace = 'raw'::regnamespace
        union select 'schema ' || nspname from pg_namespace where nspname in ('raw', 'migrations')";
    for row in superuser.query(sql, &[]).await.unwrap() {
        let object: String = row.get(0);
        assert!(
            RIGHTS.iter().any(|(known, ..)| *known == object),
            "{object} has no line in the table"
        );
    }
}

#[tokio::test]
async fn the_ingest_role_lands_events_that_it_can_never_read() {
    for version in Version::ALL {
        let database = Database::with_v001(Cluster::shared(version)).await;
        let superuser = database.superuser().await;
        superuser
            .batch_execute(
                "insert into raw.site_tracking_keys_r (api_key_hk, tenant_hk) values (sha256('k'), 't')",
            )
            .await
            .unwrap();
        let login = database.login("tracking_ingest_role").await;
        let client = database.client(&login, &login).await;
        for events in [r#"{"{\"a\": 1}"}"#, r#"{"{\"a\": 1}", "{\"a\": 2}"}"#] {
            let call = format!("select * from raw.ingest_tracking_beacon(sha256('k'), null, null, null, '{events}', null, 'r', null, null, null, null)");
            client.batch_execute(&call).await.unwrap();
        }
        let rows: i64 = superuser
            .query_one("select count(*) from raw.site_tracking_events_r", &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(rows, 3, "{version:?}");
    }
}
