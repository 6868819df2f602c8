//! The checklist within a deploy: what it refuses, what it tells, and that nobody ever sees what it tries.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use serde_json::{json, Value};

use crate::migrate_stack::{catalog, number, secrets, shared, Stack, BINARY};
use crate::support::database::Database;
use crate::support::function::Function;
use crate::support::response_url::{Mood, ResponseUrl};

fn assert_failed(answer: &Value, pieces: &[&str]) {
    assert_eq!(answer["Status"], "FAILED", "{answer}");
    let reason = answer["Reason"].as_str().unwrap();
    for piece in pieces {
        assert!(reason.contains(piece), "{piece:?}: {reason}");
    }
}

fn assert_done(answer: &Value) {
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
}

async fn asked(database: &Database<'_>, event: Value) -> Value {
    let function = Function::start(BINARY, &database.environment("nobody", "none")).await;
    function.invoke(event.to_string()).await
}

#[tokio::test]
async fn a_deploy_tells_counts_and_failed_ids_and_logs_each_line() {
    let mut stack = Stack::new(shared().await).await;
    stack.set("Alarms", "IngestErrors, QueueAge");
    stack.set("BackupReference", "rds:nightly-7");
    let answer = stack.create().await;
    assert_done(&answer);
    let told = answer["Data"]["Checklist"].as_str().unwrap();
    assert!(told.contains(" passed, 0 failed, "), "{answer}");
    assert_eq!(answer["Data"]["ChecklistFailed"], "");
    let output = stack.function.output_with("\"checklist\"").await;
    let line = output
        .lines()
        .find(|line| line.contains("\"checklist\""))
        .unwrap();
    assert!(line.len() < 64 * 1024, "{} bytes", line.len());
    for id in ["PRE-01", "SNP-01", "FUN-02", "CLN-01"] {
        assert!(line.contains(id), "{id}: {line}");
    }
    let kept = "select count(*) from migrations.migration_log
        where notes ~ 'backup reference: rds:nightly-7' and environment = 'TEST'";
    assert_eq!(number(&stack.client().await, kept).await, 1);
}

#[tokio::test]
async fn the_page_is_kept_in_the_bucket_that_the_stack_names_and_a_deploy_does_not_depend_on_that() {
    let mut bucket = ResponseUrl::start().await;
    let (endpoint, _) = bucket.url.split_once("/answer").unwrap();
    let mut environment = secrets();
    for (name, value) in [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "canary-secret"),
    ] {
        environment.push((name, value.to_owned()));
    }
    let mut stack = Stack::new(shared().await).await;
    stack.function = Function::start(BINARY, &environment).await;
    stack.set("ReportBucket", "reports");
    let created = stack.create().await;
    assert_done(&created);
    let json = bucket.put().await;
    let page = bucket.put().await;
    for (put, ending) in [(&json, ".json"), (&page, ".md")] {
        let path = &put.path_and_query;
        assert!(
            path.starts_with("/reports/V001/test_results_V001_") && path.ends_with(ending),
            "{path}"
        );
        let signed = put
            .headers
            .iter()
            .any(|(name, value)| name == "authorization" && value.contains("/s3/"));
        assert!(signed, "{path}");
    }
    assert_eq!(json.json()["report_version"], 1);
    assert!(String::from_utf8(page.body)
        .unwrap()
        .starts_with("# Deployment checklist"));
    assert!(
        created["Reason"].as_str().unwrap().contains("s3://reports/V001/"),
        "{created}"
    );

    bucket.set(Mood::Status(403));
    let updated = stack.update().await;
    assert_done(&updated);
    let told = updated["Reason"].as_str().unwrap();
    assert!(
        told.contains("not kept in bucket reports: answered 403") && told.contains("s3:PutObject"),
        "{told}"
    );
    assert!(!stack.function.output().contains("canary-secret"));
}

#[tokio::test]
async fn an_environment_stays_what_it_was_at_the_first_apply() {
    let mut stack = Stack::new(shared().await).await;
    assert_done(&stack.create().await);
    let client = stack.client().await;
    let before = catalog(&client).await;
    stack.set("Environment", "DEV");
    assert_failed(
        &stack.update().await,
        &[
            "ENV-01",
            "the ledger has TEST",
            "this deploy says DEV",
            "set Environment",
        ],
    );
    assert_eq!(catalog(&client).await, before);
    stack.set("Environment", "TEST");
    assert_done(&stack.update().await);
    assert_done(&stack.delete().await);
    // What is undone completely begins anew.
    stack.set("Environment", "DEV");
    stack.physical_id = None;
    assert_done(&stack.create().await);
}

#[tokio::test]
async fn production_refuses_to_drop_and_wants_a_backup_to_adopt_or_to_drop_by_hand() {
    let mut stack = Stack::new(shared().await).await;
    stack.set("Environment", "PRODUCTION");
    stack.set("OnDelete", "Drop");
    assert_failed(&stack.create().await, &["ENV-02", "DropIfEmpty or Retain"]);
    stack.set("OnDelete", "DropIfEmpty");
    stack.physical_id = None;
    let created = stack.create().await;
    assert_done(&created);
    assert_eq!(
        created["Data"]["ChecklistFailed"], "SEC-01",
        "the owner is a superuser here"
    );
    stack.land_event().await;
    let client = stack.client().await;
    let events = "select count(*) from raw.site_tracking_events_r";

    stack.set("OnDelete", "Drop");
    assert_failed(&stack.update().await, &["ENV-02"]);
    assert_failed(&stack.delete().await, &["ENV-02", "nothing was deleted"]);
    let mut rollback = json!({"action": "rollback", "version": "V001", "drop_rows": 1, "owners": 1});
    let refused = asked(&stack.database, rollback.clone()).await;
    assert!(
        refused["error"]["message"].to_string().contains("DEP-02"),
        "{refused}"
    );
    assert_eq!(number(&client, events).await, 1);
    rollback["backup_reference"] = json!("rds:nightly-7");
    let dropped = asked(&stack.database, rollback).await;
    assert_eq!(dropped["rows_dropped"], 1, "{dropped}");
}

#[tokio::test]
async fn what_is_adopted_in_production_names_a_backup_first() {
    let database = Database::with_v001(shared().await).await;
    let mut stack = Stack::on(database, "adopting").await;
    let client = stack.client().await;
    client
        .batch_execute("drop schema migrations cascade")
        .await
        .unwrap();
    let before = catalog(&client).await;
    stack.set("Environment", "PRODUCTION");
    assert_failed(
        &stack.create().await,
        &["DEP-02", "without a backup reference", "set BackupReference"],
    );
    assert_eq!(catalog(&client).await, before);
    stack.set("BackupReference", "rds:nightly-7");
    stack.physical_id = None;
    assert_done(&stack.create().await);
    // Once named it is known.
    stack
        .properties
        .as_object_mut()
        .unwrap()
        .remove("BackupReference");
    assert_done(&stack.update().await);
}

#[tokio::test]
async fn a_failed_line_of_the_closed_list_fails_the_deploy_with_evidence_and_remedy() {
    let mut stack = Stack::new(shared().await).await;
    assert_done(&stack.create().await);
    let client = stack.client().await;
    let meddling = "create function public.meddle() returns trigger language plpgsql as
          $$ begin raise exception 'no more than this'; end $$;
        create trigger meddling before insert on raw.site_tracking_events_r for each row execute function public.meddle()";
    client.batch_execute(meddling).await.unwrap();
    let before = catalog(&client).await;
    let failed = stack.update().await;
    assert_failed(
        &failed,
        &[
            "FUN-01",
            "no more than this",
            "give every further column a default",
        ],
    );
    assert_eq!(catalog(&client).await, before);
    let (migrations, _) = stack.ledger().await;
    assert_eq!(migrations, ["APPLIED", "FAILED"]);

    // What somebody has put off to the commit is asked for before it.
    let deferred = "drop trigger meddling on raw.site_tracking_events_r;
        create constraint trigger meddling after insert on raw.site_tracking_events_r deferrable initially deferred
          for each row execute function public.meddle()";
    client.batch_execute(deferred).await.unwrap();
    assert_failed(&stack.update().await, &["FUN-01", "no more than this"]);

    // What is not on the list is told, and the deploy goes on.
    client
        .batch_execute("drop function public.meddle() cascade; create view public.v as select 1 from raw.site_tracking_keys_r")
        .await
        .unwrap();
    let told = stack.update().await;
    assert_done(&told);
    assert_eq!(told["Data"]["ChecklistFailed"], "RBK-02");
}

#[tokio::test]
async fn verify_answers_with_the_page_and_changes_nothing() {
    let database = Database::with_v001(shared().await).await;
    let client = database.superuser().await;
    let before = catalog(&client).await;
    let answer = asked(&database, json!({"action": "verify"})).await;
    assert_eq!(answer["ok"], true, "{}", answer["failed"]);
    assert_eq!(
        (&answer["expect"], &answer["differences"]),
        (&json!("present"), &json!([]))
    );
    assert_eq!(answer["report"]["report_version"], 1);
    let lines = answer["report"]["lines"].as_array().unwrap();
    assert!(lines
        .iter()
        .all(|line| line["verdict"].is_string() && line["evidence"].is_string()));
    let page = answer["markdown"].as_str().unwrap();
    assert!(
        page.contains("| FUN-02 | the call with five arguments stores what it is given | machine | passed |"),
        "{page}"
    );
    assert_eq!(catalog(&client).await, before);
    let rows = "select (select count(*) from raw.site_tracking_events_r) + (select count(*) from raw.site_tracking_keys_r)";
    assert_eq!(number(&client, rows).await, 0);
    let wrong = asked(&database, json!({"action": "verify", "environment": "nowhere"})).await;
    assert!(
        wrong["error"]
            .to_string()
            .contains("DEV, TEST, STAGING or PRODUCTION"),
        "{wrong}"
    );
}

#[tokio::test]
async fn no_other_session_sees_a_test_row_at_any_time() {
    let mut stack = Stack::new(shared().await).await;
    let client = stack.client().await;
    client
        .batch_execute("create schema auth; create table auth.tenant_h (tenant_hk bytea primary key, tenant_bk varchar(255))")
        .await
        .unwrap();
    assert_done(&stack.create().await);
    let over = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn(watch(stack.client().await, over.clone()));
    for _ in 0..3 {
        assert_done(&stack.update().await);
        let answer = asked(&stack.database, json!({"action": "verify"})).await;
        assert_eq!(answer["ok"], true, "{}", answer["failed"]);
    }
    over.store(true, Ordering::Relaxed);
    let looked = watching.await.unwrap();
    println!("looked {looked} times");
    assert!(looked > 50, "{looked} looks prove little");
}

/// Looks into all tables until it is over; how often it looked.
async fn watch(client: tokio_postgres::Client, over: Arc<AtomicBool>) -> u32 {
    let rows = "select (select count(*) from raw.site_tracking_events_r) + (select count(*) from raw.site_tracking_keys_r)
        + (select count(*) from auth.tenant_h)
        + (select count(*) from pg_class where relname ~ '^checklist_')";
    let mut looked = 0;
    while !over.load(Ordering::Relaxed) {
        assert_eq!(number(&client, rows).await, 0);
        looked += 1;
    }
    looked
}
