//! V001's rollback: no event goes unasked, nothing of others goes at all, and what stays is said.

use tokio_postgres::Client;

use crate::support::database::{v001, Database};
use crate::support::postgres::Version;
use crate::support::v001::{alone, assert_same, catalog, layered, refusal, steps, Operator};

const EVENT: &str = "insert into raw.site_tracking_events_r (tenant_hk, raw_payload) values ('x', '[]')";

async fn count(client: &Client, table: &str) -> i64 {
    client
        .query_one(&format!("select count(*) from {table}"), &[])
        .await
        .unwrap()
        .get(0)
}

/// The newest row of a ledger table, one column as text.
async fn ledger(client: &Client, table: &str, column: &str) -> Option<String> {
    let sql = format!("select {column}::text from migrations.{table} order by 1 desc limit 1");
    let sql = sql.replace(
        "order by 1",
        if table == "migration_log" {
            "order by migration_id"
        } else {
            "order by rollback_id"
        },
    );
    client.query_one(&sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn events_go_only_for_their_exact_count_and_the_refusal_prints_the_line() {
    for version in Version::ALL {
        let cluster = alone(version).await;
        let database = layered(&cluster).await;
        let client = database.superuser().await;
        client.batch_execute(&format!("{EVENT}; {EVENT}")).await.unwrap();
        let before = catalog(&client).await;
        for settings in [
            "",
            "set tracking.drop_rows = '1';",
            "set tracking.drop_rows = '3';",
            "set tracking.drop_rows = 'all';",
        ] {
            for arguments in [&["-1"][..], &["-v", "ON_ERROR_STOP=0"]] {
                let said = Operator::superuser(&database)
                    .psql(&(settings.to_owned() + &v001("rollback")), arguments)
                    .stderr;
                assert!(
                    said.contains("raw.site_tracking_events_r holds 2 events"),
                    "{version:?} {settings}: {said}"
                );
                assert!(
                    said.contains("set tracking.drop_rows = '2';"),
                    "{version:?} {settings}: {said}"
                );
                assert_same(
                    &catalog(&client).await,
                    &before,
                    &format!("{version:?} {settings} {arguments:?}"),
                );
                assert_eq!(count(&client, "raw.site_tracking_events_r").await, 2);
            }
        }
        let (code, ..) = refusal(client.batch_execute(&v001("rollback")).await);
        assert_eq!(code, "TR012");
        let told = "set tracking.drop_rows = '2';".to_owned() + &v001("rollback");
        assert!(Operator::superuser(&database).psql(&told, &[]).succeeded);
        assert_eq!(
            ledger(&client, "rollback_log", "rows_dropped").await.as_deref(),
            Some("2"),
            "{version:?}"
        );
        assert_eq!(
            ledger(&client, "rollback_log", "status").await.as_deref(),
            Some("ROLLED_BACK"),
            "{version:?}"
        );
    }
}

/// `tracking.on_delete`, events there, and what the ledger says then; each in the order of a stack's life.
#[tokio::test]
async fn the_mode_decides_what_stays_and_a_retained_layer_is_taken_up_again() {
    let cases = [
        ("leave", 1, "LEFT", 1, true),
        ("retain", 0, "RETAINED", 0, false),
        ("retain", 1, "RETAINED", 1, false),
        ("drop_if_empty", 1, "RETAINED", 1, false),
        ("drop_if_empty", 0, "ROLLED_BACK", 0, false),
        ("drop", 1, "ROLLED_BACK", 0, false),
    ];
    for version in Version::ALL {
        let cluster = alone(version).await;
        let database = Database::empty(&cluster).await;
        let client = database.superuser().await;
        client.batch_execute("create schema auth; create table auth.tenant_h (tenant_hk bytea primary key); insert into auth.tenant_h values ('x')").await.unwrap();
        let empty = catalog(&client).await;
        for (mode, events, status, stay, ingest) in cases {
            let label = format!("{version:?} {mode} with {events} events");
            client.batch_execute(&v001("create")).await.unwrap();
            let made = catalog(&client).await;
            client
                .batch_execute(&EVENT.repeat(events).replace(")insert", ");insert"))
                .await
                .unwrap();
            client.batch_execute("insert into raw.site_tracking_keys_r (api_key_hk, tenant_hk) values (sha256('k'), 'x') on conflict do nothing").await.unwrap();
            client
                .batch_execute(&format!("begin; set local tracking.on_delete = '{mode}'"))
                .await
                .unwrap();
            client.batch_execute(&v001("rollback")).await.unwrap();
            client.batch_execute("commit").await.unwrap();
            assert_eq!(
                ledger(&client, "rollback_log", "status").await.as_deref(),
                Some(status),
                "{label}"
            );
            if status == "ROLLED_BACK" {
                assert_same(&catalog(&client).await, &empty, &label);
                continue;
            }
            assert_eq!(
                count(&client, "raw.site_tracking_events_r").await,
                stay,
                "{label}"
            );
            assert_eq!(count(&client, "raw.site_tracking_keys_r").await, 1, "{label}");
            assert_eq!(
                catalog(&client).await.contains("ingest_tracking_beacon"),
                ingest,
                "{label}"
            );
            assert_eq!(
                catalog(&client).await.contains("tenant_exists"),
                ingest,
                "{label}: foreign key"
            );
            let processor = "select has_table_privilege('tracking_processor_role', 'raw.site_tracking_events_r', 'select')
                and has_table_privilege('tracking_processor_role', 'raw.site_tracking_pending_v', 'select')
                and has_function_privilege('tracking_processor_role', 'raw.quarantined_bytes(bigint)', 'execute')";
            assert!(
                client.query_one(processor, &[]).await.unwrap().get::<_, bool>(0),
                "{label}: the processor's rights"
            );
            client.batch_execute(&v001("create")).await.unwrap();
            client.batch_execute(&v001("verify")).await.unwrap();
            assert_same(
                &catalog(&client).await,
                &made,
                &format!("{label}: taken up again"),
            );
            client
                .batch_execute("delete from raw.site_tracking_events_r")
                .await
                .unwrap();
        }
        let (code, ..) = refusal(
            client
                .batch_execute(&format!("set tracking.on_delete = 'purge';{}", v001("rollback")))
                .await,
        );
        assert_eq!(code, "TR015");
    }
}

#[tokio::test]
async fn an_event_that_arrives_between_the_check_and_the_drop_is_not_lost() {
    for version in Version::ALL {
        let cluster = alone(version).await;
        for (settings, outcome) in [
            ("", Err("TR012")),
            ("set tracking.on_delete = drop_if_empty", Ok("RETAINED")),
        ] {
            let database = layered(&cluster).await;
            let client = database.superuser().await;
            client.batch_execute(settings).await.unwrap();
            let (mut found, label) = (Ok("RETAINED"), format!("{version:?} {settings}"));
            for step in steps("rollback") {
                let done = client.batch_execute(&step.sql).await;
                if step.name == "preflight" {
                    done.unwrap();
                    database.superuser().await.batch_execute(EVENT).await.unwrap();
                } else if step.name == "tables" && outcome.is_err() {
                    found = Err("TR012");
                    assert_eq!(refusal(done).0, "TR012", "{label}");
                    break;
                }
            }
            assert_eq!(found, outcome, "{label}");
            assert_eq!(count(&client, "raw.site_tracking_events_r").await, 1, "{label}");
        }
    }
}

#[tokio::test]
async fn what_others_keep_in_schema_raw_survives_and_so_does_the_schema() {
    const OTHERS: &str = "create table raw.somebodys_r (id int primary key, payload jsonb);
        create function raw.somebodys() returns int language sql as 'select 1';
        create role analyst; grant usage on schema raw to analyst; insert into raw.somebodys_r values (1, '{}')";
    for version in Version::ALL {
        let cluster = alone(version).await;
        for (earlier, schema) in [(true, "made by others"), (false, "made by V001")] {
            let database = Database::empty(&cluster).await;
            let client = database.superuser().await;
            let operator = Operator::superuser(&database);
            if earlier {
                client
                    .batch_execute(&format!("create schema raw; {OTHERS}"))
                    .await
                    .unwrap();
            }
            let before = catalog(&client).await;
            operator.must("create", &[]);
            if !earlier {
                client
                    .batch_execute(&OTHERS.replace("create role analyst;", ""))
                    .await
                    .unwrap();
            }
            let said = operator.must("rollback", &[]).stderr;
            assert_eq!(
                count(&client, "raw.somebodys_r").await,
                1,
                "{version:?}, {schema}"
            );
            if earlier {
                assert_same(
                    &catalog(&client).await,
                    &before,
                    &format!("{version:?}, {schema}"),
                );
                client.batch_execute("drop schema raw cascade").await.unwrap();
                operator.must("create", &[]);
                operator.must("rollback", &[]);
                assert!(
                    !catalog(&client).await.contains("schema raw"),
                    "{version:?}: made by V001 the second time"
                );
            } else {
                assert!(
                    said.contains("schema raw stays: it holds objects that are not V001's"),
                    "{version:?}: {said}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_dependent_of_somebody_else_stops_the_rollback_with_its_name() {
    for version in [Version::Oldest, Version::Newest] {
        let cluster = alone(version).await;
        let database = layered(&cluster).await;
        let client = database.superuser().await;
        client
            .batch_execute("create view public.report as select raw_payload from raw.site_tracking_events_r")
            .await
            .unwrap();
        let before = catalog(&client).await;
        let said = Operator::superuser(&database).file("rollback", &["-1"]);
        for part in [
            "report depends on table raw.site_tracking_events_r",
            "drop or change what depends on it",
        ] {
            assert!(said.stderr.contains(part), "{version:?}: {}", said.stderr);
        }
        assert_same(&catalog(&client).await, &before, &format!("{version:?}"));
    }
}

#[tokio::test]
async fn a_role_that_something_needs_stays_and_is_reported() {
    for version in Version::ALL {
        let cluster = alone(version).await;
        let here = layered(&cluster).await;
        let there = layered(&cluster).await;
        let login = here.login("tracking_ingest_role").await;
        let said = Operator::superuser(&here).must("rollback", &["-1"]).stderr;
        assert!(
            said.contains(&format!(
                "role tracking_ingest_role stays: it has members ({login})"
            )),
            "{version:?}: {said}"
        );
        assert!(
            said.contains("role tracking_processor_role stays: "),
            "{version:?}: {said}"
        );
        Operator::superuser(&there).must("verify", &[]);
    }
}
