//! `status` tells an operator what is there, who owns it, and what waits, at a bounded cost.

use serde_json::{json, Value};

use crate::migrate_actions::Operator;
use crate::migrate_stack::{shared, Stack};
use crate::support::database::Database;

#[tokio::test]
async fn status_tells_owners_and_attempts() {
    let mut stack = Stack::new(shared().await).await;
    stack.create().await;
    let database = Database {
        cluster: stack.database.cluster,
        name: stack.database.name.clone(),
    };
    let operator = Operator::on(database).await;
    let status = operator.gets(json!({"action": "status"})).await;
    assert_eq!(status["installed"], true);
    assert_eq!(status["version"], "V001");
    assert_eq!(status["owners"][0]["stack_id"], stack.event("Create")["StackId"]);
    assert_eq!(status["made_by_hand"], false);
    assert_eq!(status["differences"], Value::Null);
    assert_eq!(status["checksum"], status["checksum_of_this_function"]);
    assert_eq!(status["events"]["any"], false);
    assert_eq!(status["last_attempts"][0]["status"], "APPLIED");

    assert_eq!(status["drift"], false);

    let empty = Operator::on_an_empty_database().await;
    let status = empty.gets(json!({"action": "status"})).await;
    assert_eq!(
        (&status["installed"], &status["owners"]),
        (&json!(false), &json!([]))
    );
}

#[tokio::test]
async fn health_tells_that_the_database_answers_and_takes_writes_or_why_not() {
    let operator = Operator::on_an_empty_database().await;
    let well = operator.gets(json!({"action": "health"})).await;
    let client = operator.database.superuser().await;
    let version: String = client.query_one("show server_version", &[]).await.unwrap().get(0);
    assert_eq!(well["server_version"], json!(version));
    assert!(well["answer_ms"].is_u64(), "{well}");
    let name = &operator.database.name;
    let read_only = format!("alter database {name} set default_transaction_read_only = on");
    client.batch_execute(&read_only).await.unwrap();
    let ill = operator.asks(json!({"action": "health"})).await;
    assert_eq!(ill["ok"], false, "{ill}");
    assert_eq!(
        ill["error"]["message"],
        "the database takes no writes: transactions are read-only here"
    );
    assert!(ill["error"]["remedy"]
        .as_str()
        .unwrap()
        .contains("default_transaction_read_only"));
}

#[tokio::test]
async fn status_counts_what_waits_and_what_is_quarantined_and_tells_when_the_ids_run_out() {
    let operator = Operator::with_v001().await;
    let client = operator.database.superuser().await;
    let empty = operator.gets(json!({"action": "status"})).await;
    assert_eq!(empty["pending"], json!({"count": 0, "more": false}));
    assert_eq!(empty["quarantined"], json!({"count": 0, "of_newest": 0}));
    assert_eq!(empty["oldest_pending"], Value::Null);
    assert_eq!(empty["ids"]["left"], json!(i64::MAX));
    assert_eq!(empty["ids"]["days_left"], Value::Null);

    // One event a minute for two hours, the last a minute ago.
    client
        .batch_execute(
            "insert into raw.site_tracking_events_r (tenant_hk, raw_payload, received_timestamp, processing_status)
             select 'x', case when n % 12 = 0 then '{\"_quarantine\": {}}' else '{\"a\": 1}' end::jsonb,
               now() - make_interval(mins => 121 - n),
               case when n % 6 = 0 then 'ERROR' when n % 3 = 0 then 'PENDING' else 'PROCESSED' end
             from generate_series(1, 120) as n",
        )
        .await
        .unwrap();
    let status = operator.gets(json!({"action": "status"})).await;
    assert_eq!(status["pending"], json!({"count": 20, "more": false}));
    assert_eq!(status["quarantined"], json!({"count": 10, "of_newest": 120}));
    assert_eq!(status["oldest_pending"]["raw_event_id"], 3);
    let age = status["oldest_pending"]["age_seconds"].as_i64().unwrap();
    assert!((118 * 60..119 * 60).contains(&age), "{age}");
    assert_eq!(
        (&status["ids"]["last"], &status["ids"]["left"]),
        (&json!(120), &json!(i64::MAX - 120))
    );
    let per_day = status["ids"]["per_day"].as_i64().unwrap();
    assert!((1400..=1440).contains(&per_day), "{per_day}");
    assert!(status["ids"]["days_left"].as_i64().unwrap() > 1_000_000_000_000_000);
    assert_eq!(status["notes"], json!([]));

    // As many as would fit into a 32-bit column.
    client
        .batch_execute("alter sequence raw.site_tracking_events_r_raw_event_id_seq maxvalue 2147483647")
        .await
        .unwrap();
    let narrow = operator.asks(json!({"action": "status"})).await;
    assert_eq!(narrow["ids"]["left"], json!(i64::from(i32::MAX) - 120));
    let days = narrow["ids"]["days_left"].as_i64().unwrap();
    let expected = i64::from(i32::MAX) / per_day;
    assert!((days - expected).abs() < expected / 100, "{days}, not {expected}");
}

#[tokio::test]
async fn a_status_counts_a_hundred_thousand_events_and_says_that_there_are_more() {
    let operator = Operator::with_v001().await;
    let client = operator.database.superuser().await;
    client
        .batch_execute(
            "insert into raw.site_tracking_events_r (tenant_hk, raw_payload) select 'x', '{\"a\": 1}'
             from generate_series(1, 100003)",
        )
        .await
        .unwrap();
    let status = operator.gets(json!({"action": "status"})).await;
    assert_eq!(status["pending"], json!({"count": 100_000, "more": true}));
    assert_eq!(status["quarantined"]["of_newest"], 100_000);
}
