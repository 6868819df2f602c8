//! What goes wrong on the way: each ends in an answer that says what and what to do, and leaves nothing behind.

use std::time::Duration;

use serde_json::{json, Value};

use crate::migrate_stack::{catalog, fixture, number, secrets, shared, Stack, BINARY};
use crate::support::authority::Authority;
use crate::support::database::Database;
use crate::support::function::Function;
use crate::support::postgres::free_port;
use crate::support::wait;

/// Long enough for a few attempts, short enough for a test: the function keeps 19 s of it for its answer.
const SHORT: Duration = Duration::from_secs(23);

#[track_caller]
fn assert_failed(answer: &Value, says: &str) {
    assert_eq!(answer["Status"], "FAILED", "{answer}");
    let reason = answer["Reason"].as_str().unwrap();
    assert!(reason.contains(says), "{says:?} is not in {reason:?}");
}

#[tokio::test]
async fn a_property_that_is_missing_or_wrong_is_named() {
    let mut stack = Stack::new(shared().await).await;
    let properties = stack.properties.clone();
    for (property, value, says) in [
        ("DatabaseHost", Value::Null, "property DatabaseHost is not set"),
        ("DatabaseName", Value::Null, "property DatabaseName is not set"),
        ("MigratorUser", Value::Null, "property MigratorUser is not set"),
        (
            "DatabasePort",
            json!("65536"),
            "property DatabasePort must be a number from 1 to 65535",
        ),
        (
            "DatabasePort",
            json!("true"),
            "property DatabasePort must be a number from 1 to 65535",
        ),
        (
            "DatabaseAuth",
            json!("trust"),
            "property DatabaseAuth must be iam, password or secret",
        ),
        ("DatabaseAuth", Value::Null, "AWS_REGION is not set"),
        (
            "DatabaseCa",
            json!("mine"),
            "property DatabaseCa must be rds, system or the path",
        ),
        (
            "OnDelete",
            json!("true"),
            "OnDelete must be Retain, DropIfEmpty or Drop",
        ),
        (
            "Environment",
            json!("PROD"),
            "Environment must be DEV, TEST, STAGING or PRODUCTION",
        ),
        (
            "IngestUser",
            json!(""),
            "IngestUser must be a name of 1 to 63 bytes",
        ),
        (
            "IngestConnectionLimit",
            json!("many"),
            "IngestConnectionLimit must be a number",
        ),
    ] {
        stack.properties = properties.clone();
        stack.set(property, value);
        let answer = stack.create().await;
        assert_failed(&answer, says);
        let id = answer["PhysicalResourceId"].as_str().unwrap();
        assert!(id.ends_with("/not-created"), "{property}: {id}");
    }
}

#[tokio::test]
async fn properties_may_be_strings_numbers_or_truth_values() {
    let mut stack = Stack::new(shared().await).await;
    let port: u16 = stack.database.cluster.port;
    stack.set("DatabasePort", port);
    stack.set("IngestConnectionLimit", 7);
    stack.set("Verbose", "true");
    stack.set("Quiet", false);
    assert_eq!(stack.create().await["Status"], "SUCCESS");
}

#[tokio::test]
async fn an_event_that_is_odd_in_any_way_is_answered() {
    let mut stack = Stack::new(shared().await).await;
    for (name, says) in [
        (
            "unknown_request_type",
            "RequestType must be Create, Update or Delete, got 6 characters",
        ),
        (
            "request_type_is_a_list",
            "RequestType must be Create, Update or Delete, got none",
        ),
        ("without_ids", "the event has no StackId"),
        ("properties_are_a_string", "property DatabaseHost is not set"),
        ("half_a_surrogate_pair", "property DatabaseHost is not set"),
    ] {
        let path = crate::support::tools::project().join(format!("tests/events/cloudformation/{name}.json"));
        let event = std::fs::read_to_string(path).unwrap();
        let event = event.replace("https://replaced-by-the-test", &stack.url.url);
        stack
            .function
            .outcome(event, crate::migrate_stack::REMAINING)
            .await;
        assert_failed(&stack.url.put().await.json(), says);
    }
    assert_eq!(stack.create().await["Status"], "SUCCESS");
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_told_with_its_remedy() {
    let mut stack = Stack::new(shared().await).await;
    let properties = stack.properties.clone();
    let stranger = std::env::temp_dir().join(format!("stranger-{}.pem", uuid::Uuid::now_v7()));
    std::fs::write(&stranger, Authority::new().pem()).unwrap();
    for (property, value, says) in [
        ("DatabaseName", json!("absent"), "3D000"),
        ("MigratorUser", json!("absent"), "28P01"),
        (
            "DatabasePort",
            json!(free_port().to_string()),
            "check that the database runs",
        ),
        (
            "DatabaseHost",
            json!("absent.invalid"),
            "check that the database runs",
        ),
        (
            "DatabaseHost",
            json!("localhost.invalid"),
            "check that the database runs",
        ),
        (
            "DatabaseCa",
            json!(stranger.display().to_string()),
            "set DB_CA to its authority",
        ),
    ] {
        stack.properties = properties.clone();
        stack.set(property, value);
        assert_failed(&stack.create().await, says);
    }
    std::fs::remove_file(stranger).unwrap();
}

#[tokio::test]
async fn a_wrong_or_missing_password_is_told_and_not_shown() {
    let cluster = shared().await;
    let mut stack = Stack::new(cluster).await;
    for (password, says) in [
        (
            Some("canary-wrong-password"),
            "28P01 the database refused the connection",
        ),
        (None, "DB_MIGRATOR_PASSWORD is not set"),
        (Some(""), "DB_MIGRATOR_PASSWORD is empty"),
    ] {
        let mut environment = secrets();
        environment.retain(|(name, _)| *name != "DB_MIGRATOR_PASSWORD");
        environment.extend(password.map(|password| ("DB_MIGRATOR_PASSWORD", password.to_owned())));
        stack.function = Function::start(BINARY, &environment).await;
        let answer = stack.create().await;
        assert_failed(&answer, says);
        assert!(!answer.to_string().contains("canary"), "{answer}");
        assert!(!stack.function.output().contains("canary-wrong"));
    }
}

#[tokio::test]
async fn a_delete_whose_database_is_gone_succeeds_and_one_whose_server_is_silent_fails() {
    let mut stack = Stack::new(shared().await).await;
    stack.create().await;
    let name = stack.database.name.clone();
    let other = Database::empty(stack.database.cluster).await;
    let drop = format!("drop database {name}");
    let client = other.superuser().await;
    wait::until_async("the end of the sessions", Duration::from_secs(10), || async {
        client.batch_execute(&drop).await.ok()
    })
    .await;
    let gone = stack.delete().await;
    assert_eq!(gone["Status"], "SUCCESS", "{gone}");
    assert!(
        gone["Reason"].as_str().unwrap().contains("the database is gone"),
        "{gone}"
    );
    stack.set("DatabasePort", free_port().to_string());
    assert_failed(&stack.delete().await, "check that the database runs");
}

#[tokio::test]
async fn a_panic_is_answered_and_the_next_event_is_served() {
    let mut stack = Stack::new(shared().await).await;
    for place in ["while reading", "while working"] {
        stack.set("ProvokePanic", place);
        stack.physical_id = None;
        let answer = stack.create().await;
        assert_failed(&answer, "the function has a defect");
        let id = answer["PhysicalResourceId"].as_str().unwrap();
        assert!(!id.ends_with("/not-created"), "{id}");
        stack.function.output_with(r#""outcome":"panic""#).await;
    }
    stack.properties.as_object_mut().unwrap().remove("ProvokePanic");
    assert_eq!(stack.delete().await["Data"]["Outcome"], "unchanged");
    assert_eq!(stack.create().await["Status"], "SUCCESS");
}

#[test]
fn a_panic_can_be_provoked_in_test_builds_only() {
    let manifest = std::fs::read_to_string(crate::support::tools::project().join("Cargo.toml")).unwrap();
    let (shipped, tested) = manifest.split_once("[dev-dependencies]").unwrap();
    assert!(tested.contains(r#"features = ["provoke-panic"]"#));
    assert!(shipped.contains("provoke-panic = []") && !shipped.contains(r#""provoke-panic""#));
}

#[tokio::test]
async fn a_held_migration_lock_ends_in_an_answer_before_the_deadline() {
    let mut stack = Stack::new(shared().await).await;
    let client = stack.client().await;
    client
        .batch_execute("select pg_advisory_lock(hashtextextended('site_tracking_raw_layer', 0))")
        .await
        .unwrap();
    let event = stack.event("Create");
    let answer = stack.send_within(event, SHORT).await;
    assert_failed(&answer, "another session has held the migration lock");
    assert!(answer["PhysicalResourceId"]
        .as_str()
        .unwrap()
        .ends_with("/not-created"));
    let event = stack.event("Create");
    let answer = stack.send_within(event, Duration::from_secs(10)).await;
    assert_failed(&answer, "set the timeout of the function to");
}

const TENANTS: &str = "create schema auth;
    create table auth.tenant_h (tenant_hk bytea primary key, tenant_bk varchar(255),
      load_date timestamptz, record_source varchar(100))";

#[tokio::test]
async fn a_held_table_lock_is_not_queued_for_and_ends_in_an_answer() {
    let mut stack = Stack::new(shared().await).await;
    let mut client = stack.client().await;
    client.batch_execute(TENANTS).await.unwrap();
    let before = catalog(&client).await;
    let holding = client.transaction().await.unwrap();
    holding
        .batch_execute("lock table auth.tenant_h in access exclusive mode")
        .await
        .unwrap();
    let event = stack.event("Create");
    let answer = stack.send_within(event, SHORT).await;
    assert_failed(&answer, "55P03");
    assert_failed(&answer, "attempts: ");
    assert!(
        !answer["Reason"].as_str().unwrap().ends_with("attempts: 1"),
        "{answer}"
    );
    holding.rollback().await.unwrap();
    assert_eq!(catalog(&client).await, before);
    assert_eq!(stack.create().await["Status"], "SUCCESS");
}

#[tokio::test]
async fn a_lock_that_is_let_go_in_time_costs_attempts_and_not_the_deploy() {
    let stack = Stack::new(shared().await).await;
    let mut client = stack.client().await;
    client.batch_execute(TENANTS).await.unwrap();
    let looking = stack.client().await;
    let holding = client.transaction().await.unwrap();
    holding
        .batch_execute("lock table auth.tenant_h in access exclusive mode")
        .await
        .unwrap();
    let answered = stack
        .function
        .api
        .invoke(stack.event("Create").to_string(), crate::migrate_stack::REMAINING);
    let waiting = "select count(*) from pg_locks where not granted and relation = 'auth.tenant_h'::regclass";
    for wanted in [1, 0, 1] {
        wait::until_async("an attempt and its end", Duration::from_secs(20), || async {
            (number(&looking, waiting).await == wanted).then_some(())
        })
        .await;
    }
    holding.rollback().await.unwrap();
    answered.await.unwrap();
    let mut url = stack.url;
    assert_eq!(url.put().await.json()["Status"], "SUCCESS");
}

#[tokio::test]
async fn what_is_there_and_is_not_ours_is_told_and_not_touched() {
    let mut stack = Stack::new(shared().await).await;
    let client = stack.client().await;
    client
        .batch_execute(
            "create schema raw;
             create table raw.site_tracking_events_r (raw_event_id serial primary key, tenant_hk text,
               raw_payload jsonb default '{}');
             insert into raw.site_tracking_events_r default values",
        )
        .await
        .unwrap();
    let before = catalog(&client).await;
    let answer = stack.create().await;
    assert_failed(&answer, "TR010");
    assert_failed(&answer, "tenant_hk is text");
    assert!(answer["PhysicalResourceId"]
        .as_str()
        .unwrap()
        .ends_with("/not-created"));
    assert_eq!(catalog(&client).await, before);
    assert_eq!(
        number(&client, "select count(*) from raw.site_tracking_events_r").await,
        1
    );
    assert_eq!(stack.delete().await["Status"], "SUCCESS");
    assert_eq!(catalog(&client).await, before);
}

#[tokio::test]
async fn a_failed_attempt_is_in_the_ledger_with_its_reason() {
    let mut stack = Stack::new(shared().await).await;
    stack.create().await;
    let client = stack.client().await;
    client
        .batch_execute("create view public.report as select raw_payload from raw.site_tracking_events_r")
        .await
        .unwrap();
    let before = catalog(&client).await;
    stack.set("OnDelete", "Drop");
    let answer = stack.delete().await;
    assert_failed(&answer, "TR016");
    assert_failed(&answer, "drop or change what depends on it");
    assert_failed(&answer, "view public.report");
    assert_eq!(catalog(&client).await, before);
    let row = client
        .query_one(
            "select status, notes, stack_id, request_id from migrations.rollback_log",
            &[],
        )
        .await
        .unwrap();
    let (status, notes): (String, String) = (row.get(0), row.get(1));
    assert_eq!(status, "FAILED");
    assert!(
        notes.contains("TR016") && notes.contains("view public.report"),
        "{notes}"
    );
    let event = fixture("create");
    assert_eq!(
        (row.get(2), row.get(3)),
        (stack.id.clone(), event["RequestId"].as_str().unwrap().to_owned())
    );
    client.batch_execute("drop view public.report").await.unwrap();
    assert_eq!(stack.delete().await["Data"]["Outcome"], "rolled_back");
}

#[tokio::test]
async fn what_hangs_on_a_function_of_ours_is_named_and_never_dropped() {
    let mut stack = Stack::new(shared().await).await;
    stack.create().await;
    let client = stack.client().await;
    client
        .batch_execute("create view public.bytes as select raw.quarantined_bytes(1)")
        .await
        .unwrap();
    let before = catalog(&client).await;
    let answer = stack.delete().await;
    assert_failed(&answer, "2BP01");
    assert_failed(&answer, "view public.bytes");
    assert_failed(&answer, "drop or change what depends on it");
    assert!(
        !answer["Reason"].as_str().unwrap().contains("CASCADE"),
        "{answer}"
    );
    assert_eq!(catalog(&client).await, before);
}

#[tokio::test]
async fn what_verify_does_not_accept_is_not_committed() {
    let mut stack = Stack::new(shared().await).await;
    let client = stack.client().await;
    client
        .batch_execute("alter default privileges grant insert on tables to tracking_ingest_role")
        .await
        .unwrap();
    let before = catalog(&client).await;
    let answer = stack.create().await;
    assert_failed(&answer, "TR011");
    assert_failed(
        &answer,
        "tracking_ingest_role has INSERT on raw.site_tracking_events_r",
    );
    assert_eq!(catalog(&client).await, before);
}

#[tokio::test]
async fn a_missing_permission_is_named_with_the_grant() {
    let cluster = shared().await;
    let mut stack = Stack::new(cluster).await;
    let login = stack.database.login("").await;
    let mut environment = secrets();
    environment.retain(|(name, _)| *name != "DB_MIGRATOR_PASSWORD");
    environment.push(("DB_MIGRATOR_PASSWORD", login.clone()));
    stack.function = Function::start(BINARY, &environment).await;
    stack.set("MigratorUser", login.as_str());
    let answer = stack.create().await;
    assert_failed(&answer, "TR013");
    let name = stack.database.name.clone();
    assert_failed(&answer, &format!("grant create on database {name} to {login}"));
    let client = stack.client().await;
    client
        .batch_execute(&format!("grant create on database {name} to {login}"))
        .await
        .unwrap();
    let answer = stack.create().await;
    assert_failed(&answer, "42501");
    assert_failed(&answer, "have an administrator run: create role");
}
