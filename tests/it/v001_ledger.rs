//! V001's ledger: one row per attempt, who made what; a table of somebody else under its name is left alone.

use tokio_postgres::Client;

use crate::support::database::{v001, Database};
use crate::support::postgres::Version;
use crate::support::v001::{alone, Operator};

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
async fn a_ledger_of_somebody_else_is_left_alone_and_said_so() {
    for version in [Version::Oldest, Version::Newest] {
        let cluster = alone(version).await;
        let database = Database::empty(&cluster).await;
        let client = database.superuser().await;
        client.batch_execute("create schema migrations; create table migrations.migration_log (id int); insert into migrations.migration_log values (7)").await.unwrap();
        let operator = Operator::superuser(&database);
        for verb in ["create", "create"] {
            let said = operator.must(verb, &["-1"]).stderr;
            assert!(
                said.contains("no ledger is kept: migrations.migration_log"),
                "{version:?}: {said}"
            );
        }
        operator.must("verify", &[]);
        let said = operator.must("rollback", &["-1"]).stderr;
        assert!(
            said.contains("no ledger row says that V001 made: role tracking_ingest_role"),
            "{version:?}: {said}"
        );
        assert_eq!(count(&client, "migrations.migration_log").await, 1, "{version:?}");
    }
}

#[tokio::test]
async fn the_ledger_says_who_made_what_and_an_attempt_is_one_row() {
    let cluster = alone(Version::Default).await;
    let database = Database::empty(&cluster).await;
    let client = database.superuser().await;
    client.batch_execute("create schema raw; set tracking.stack_id = 'stack'; set tracking.logical_resource_id = 'Layer';
        set tracking.request_id = 'request'; set tracking.checksum = 'sum'; set tracking.environment = 'TEST'").await.unwrap();
    for (attempt, status) in [(1, "APPLIED"), (2, "SHARED")] {
        client.batch_execute(&v001("create")).await.unwrap();
        assert_eq!(count(&client, "migrations.migration_log").await, attempt);
        let who = "concat_ws(' ', version, status, applied_by, stack_id, logical_resource_id, request_id, checksum, environment, completed_at is not null, duration_ms >= 0)";
        let expected = format!("V001 {status} postgres stack Layer request sum TEST t t");
        assert_eq!(ledger(&client, "migration_log", who).await, Some(expected));
        assert_eq!(
            ledger(&client, "migration_log", "adopted_objects")
                .await
                .as_deref(),
            Some("{\"schema raw\"}")
        );
    }
    let made = "(select created_objects from migrations.migration_log where status = 'APPLIED')";
    let made = ledger(&client, "migration_log", made).await.unwrap();
    for object in [
        "table raw.site_tracking_events_r",
        "function raw.ingest_tracking_beacon",
        "role tracking_ingest_role",
        "usage on schema raw by tracking_ingest_role",
    ] {
        assert!(made.contains(object), "{made}");
    }
    assert!(!made.contains("schema raw\""), "{made}");
    client
        .batch_execute(&format!("set tracking.reason = 'a test'; {}", v001("rollback")))
        .await
        .unwrap();
    assert_eq!(
        ledger(&client, "rollback_log", "reason").await.as_deref(),
        Some("a test")
    );
    assert_eq!(
        ledger(&client, "rollback_log", "retained_objects")
            .await
            .as_deref(),
        Some("{\"schema raw\"}")
    );
}
