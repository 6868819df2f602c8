//! A stack comes, changes and goes: Create, Update and Delete, and what is in the database afterwards.

use serde_json::{json, Value};

use crate::migrate_stack::{catalog, number, roles, secrets, shared, Stack, BINARY};
use crate::support::function::Function;
use crate::support::postgres::{Cluster, Version};

const ROWS: &str = "select count(*) from raw.site_tracking_events_r";

#[track_caller]
fn assert_succeeded(answer: &Value) {
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
}

#[track_caller]
fn assert_failed(answer: &Value, says: &str) {
    assert_eq!(answer["Status"], "FAILED", "{answer}");
    let reason = answer["Reason"].as_str().unwrap();
    assert!(reason.contains(says), "{says:?} is not in {reason:?}");
}

#[tokio::test]
async fn a_stack_comes_and_goes_and_leaves_the_catalog_as_it_was() {
    for version in Version::ALL {
        let cluster = Cluster::own(version);
        let mut stack = Stack::new(&cluster).await;
        let client = stack.client().await;
        let before = (catalog(&client).await, roles(&client).await);

        let created = stack.create().await;
        assert_succeeded(&created);
        assert_eq!(created["Data"]["Outcome"], "applied");
        assert_eq!(created["Data"]["Version"], "V001");
        assert_ne!(catalog(&client).await, before.0);
        assert_ne!(roles(&client).await, before.1);
        assert_eq!(number(&client, ROWS).await, 0);

        let deleted = stack.delete().await;
        assert_succeeded(&deleted);
        assert_eq!(
            deleted["Data"]["Outcome"], "rolled_back",
            "{version:?}: {deleted}"
        );
        assert_eq!(deleted["PhysicalResourceId"], created["PhysicalResourceId"]);
        let after = (catalog(&client).await, roles(&client).await);
        assert_eq!(after, before, "{version:?}");
        assert_eq!(
            stack.ledger().await,
            (vec!["APPLIED".to_owned()], vec!["ROLLED_BACK".to_owned()])
        );
    }
}

#[tokio::test]
async fn the_ledger_says_who_asked_with_what() {
    let mut stack = Stack::new(shared().await).await;
    stack.create().await;
    let row = stack
        .client()
        .await
        .query_one("select to_jsonb(l) from migrations.migration_log l", &[])
        .await
        .unwrap();
    let row: Value = row.get(0);
    let event = stack.event("Create");
    assert_eq!(row["stack_id"], event["StackId"]);
    assert_eq!(row["logical_resource_id"], event["LogicalResourceId"]);
    assert_eq!(row["request_id"], event["RequestId"]);
    assert_eq!(row["environment"], "TEST");
    assert_eq!(row["checksum"].as_str().unwrap().len(), 64);
    assert_eq!(row["applied_by"], "postgres");
    assert!(row["duration_ms"].as_i64().unwrap() > 0, "{row}");
}

#[tokio::test]
async fn a_repeated_create_changes_nothing() {
    let mut stack = Stack::new(shared().await).await;
    let first = stack.create().await;
    let client = stack.client().await;
    let (made, ledger) = (catalog(&client).await, stack.ledger().await);
    let again = stack.create().await;
    assert_succeeded(&again);
    assert_eq!(again["Data"]["Outcome"], "unchanged");
    assert_eq!(again["PhysicalResourceId"], first["PhysicalResourceId"]);
    assert_eq!((catalog(&client).await, stack.ledger().await), (made, ledger));
}

#[tokio::test]
async fn an_update_applies_what_differs_and_keeps_the_id() {
    let mut stack = Stack::new(shared().await).await;
    stack.create().await;
    let client = stack.client().await;
    let made = catalog(&client).await;
    assert_eq!(stack.update().await["Data"]["Outcome"], "unchanged");

    client
        .batch_execute("drop index raw.site_tracking_events_r_pending")
        .await
        .unwrap();
    let mended = stack.update().await;
    assert_succeeded(&mended);
    assert_eq!(mended["Data"]["Outcome"], "applied");
    assert!(
        mended["Reason"]
            .as_str()
            .unwrap()
            .contains("site_tracking_events_r_pending"),
        "{mended}"
    );
    assert_eq!(catalog(&client).await, made);

    stack.set("IngestConnectionLimit", "9");
    let limited = stack.update().await;
    assert_eq!(limited["Data"]["Outcome"], "applied", "{limited}");
    let login = stack.properties["IngestUser"].as_str().unwrap().to_owned();
    let limit = format!("select rolconnlimit::bigint from pg_roles where rolname = '{login}'");
    assert_eq!(number(&client, &limit).await, 9);

    client
        .batch_execute("update migrations.migration_log set checksum = 'of another edition'")
        .await
        .unwrap();
    let edited = stack.update().await;
    assert!(
        edited["Reason"].as_str().unwrap().contains("another edition"),
        "{edited}"
    );
    for answer in [mended, limited, edited] {
        assert_eq!(answer["PhysicalResourceId"], json!(stack.physical_id));
    }
}

#[tokio::test]
async fn an_update_onto_another_database_says_what_stays_on_the_former() {
    let mut stack = Stack::new(shared().await).await;
    stack.create().await;
    let former = stack.properties.clone();
    let next = Stack::new(stack.database.cluster).await;
    stack.properties = next.properties.clone();
    let mut event = stack.event("Update");
    event["OldResourceProperties"] = former.clone();
    let answer = stack.send(event).await;
    assert_succeeded(&answer);
    let name = former["DatabaseName"].as_str().unwrap();
    let says = format!("former database {name} on 127.0.0.1 is still there");
    assert!(answer["Reason"].as_str().unwrap().contains(&says), "{answer}");
    assert_eq!(answer["PhysicalResourceId"], json!(stack.physical_id));
    assert_eq!(number(&next.client().await, ROWS).await, 0);
}

#[tokio::test]
async fn rows_go_only_where_the_stack_says_drop() {
    for (on_delete, outcome, rows) in [
        ("Retain", "unchanged", Some(1)),
        ("DropIfEmpty", "retained", Some(1)),
        ("Drop", "rolled_back", None),
    ] {
        let mut stack = Stack::new(shared().await).await;
        stack.set("OnDelete", on_delete);
        stack.create().await;
        stack.land_event().await;
        let answer = stack.delete().await;
        assert_succeeded(&answer);
        assert_eq!(answer["Data"]["Outcome"], outcome, "{on_delete}: {answer}");
        let client = stack.client().await;
        let there = number(
            &client,
            "select count(*) from pg_class where relname = 'site_tracking_events_r'",
        )
        .await;
        assert_eq!(there, i64::from(rows.is_some()), "{on_delete}");
        if let Some(rows) = rows {
            assert_eq!(number(&client, ROWS).await, rows, "{on_delete}");
        }
        if outcome == "retained" {
            assert_eq!(answer["Data"]["RowsRetained"], "1");
        }
    }
}

#[tokio::test]
async fn what_was_retained_is_owned_again_by_the_next_stack() {
    let mut first = Stack::new(shared().await).await;
    first.create().await;
    first.land_event().await;
    assert_eq!(first.delete().await["Data"]["Outcome"], "retained");
    let mut second = first.sibling("two").await;
    assert_succeeded(&second.create().await);
    assert_eq!(number(&second.client().await, ROWS).await, 1);
    second.land_event().await;
    second.set("OnDelete", "Drop");
    assert_eq!(second.delete().await["Data"]["Outcome"], "rolled_back");
}

#[tokio::test]
async fn a_retaining_delete_needs_no_database() {
    let mut stack = Stack::new(shared().await).await;
    stack.create().await;
    stack.set("OnDelete", "Retain");
    stack.set("DatabaseHost", "gone.invalid");
    assert_succeeded(&stack.delete().await);
}

#[tokio::test]
async fn a_second_delete_changes_nothing() {
    let mut stack = Stack::new(shared().await).await;
    stack.create().await;
    stack.delete().await;
    let client = stack.client().await;
    let (gone, ledger) = (catalog(&client).await, stack.ledger().await);
    let again = stack.delete().await;
    assert_succeeded(&again);
    assert!(
        again["Reason"].as_str().unwrap().contains("owns nothing here"),
        "{again}"
    );
    assert_eq!((catalog(&client).await, stack.ledger().await), (gone, ledger));
}

#[tokio::test]
async fn a_create_that_failed_is_deleted_without_a_database() {
    let mut stack = Stack::new(shared().await).await;
    stack.set("DatabaseName", "no_such_database");
    let failed = stack.create().await;
    assert_failed(&failed, "no_such_database");
    let id = failed["PhysicalResourceId"].as_str().unwrap();
    assert!(id.ends_with("/not-created"), "{id}");
    stack.set("DatabaseHost", "gone.invalid");
    stack.set("OnDelete", "nonsense");
    let deleted = stack.delete().await;
    assert_succeeded(&deleted);
    assert_eq!(deleted["PhysicalResourceId"], id);
}

#[tokio::test]
async fn an_id_that_cloudformation_made_up_means_what_the_ledger_says() {
    let mut stack = Stack::new(shared().await).await;
    let client = stack.client().await;
    let before = catalog(&client).await;
    stack.physical_id = Some("site-tracking-RawLayer-1QJ2X3Y4Z5".to_owned());
    let nothing = stack.delete().await;
    assert_succeeded(&nothing);
    assert_eq!(nothing["Data"]["Outcome"], "unchanged");
    stack.create().await;
    stack.physical_id = Some("site-tracking-RawLayer-1QJ2X3Y4Z5".to_owned());
    let deleted = stack.delete().await;
    assert_eq!(deleted["Data"]["Outcome"], "rolled_back");
    assert_eq!(deleted["PhysicalResourceId"], "site-tracking-RawLayer-1QJ2X3Y4Z5");
    assert_eq!(catalog(&client).await, before);
}

#[tokio::test]
async fn of_two_stacks_that_share_the_last_to_leave_takes_the_layer_with_it() {
    for last in ["one", "two"] {
        let mut one = Stack::new(shared().await).await;
        let client = one.client().await;
        let before = catalog(&client).await;
        one.create().await;
        let mut two = one.sibling("two").await;
        let joined = two.create().await;
        assert_eq!(joined["Data"]["Outcome"], "shared", "{joined}");
        let both = catalog(&client).await;
        let (first, second) = if last == "two" {
            (&mut one, &mut two)
        } else {
            (&mut two, &mut one)
        };
        first.set("OnDelete", "Drop");
        let left = first.delete().await;
        assert_eq!(left["Data"]["Outcome"], "left", "{left}");
        assert_eq!(catalog(&client).await, both);
        assert_eq!(first.delete().await["Data"]["Outcome"], "unchanged");
        let gone = second.delete().await;
        assert_eq!(gone["Data"]["Outcome"], "rolled_back", "{gone}");
        assert_eq!(catalog(&client).await, before);
    }
}

#[tokio::test]
async fn the_failure_of_another_stack_is_not_read_as_ones_own() {
    let mut one = Stack::new(shared().await).await;
    one.create().await;
    one.client()
        .await
        .batch_execute(
            "insert into migrations.migration_log (migration_id, version, script_name, status, notes)
             values (1000, 'V001', 'a file', 'FAILED', 'of another stack');
             insert into migrations.rollback_log (rollback_id, version, script_name, status, notes)
             values (1000, 'V001', 'a file', 'FAILED', 'of another stack')",
        )
        .await
        .unwrap();
    let mut two = one.sibling("two").await;
    for (answer, outcome) in [(two.create().await, "shared"), (two.delete().await, "left")] {
        assert_eq!(answer["Data"]["Outcome"], outcome, "{answer}");
        assert_ne!(answer["Data"]["LedgerId"], "1000");
        assert!(!answer.to_string().contains("of another stack"), "{answer}");
    }
}

#[tokio::test]
async fn who_owns_nothing_changes_nothing() {
    let mut owner = Stack::new(shared().await).await;
    owner.create().await;
    let client = owner.client().await;
    let (made, ledger) = (catalog(&client).await, owner.ledger().await);
    let mut stranger = owner.sibling("stranger").await;
    stranger.set("OnDelete", "Drop");
    stranger.physical_id = owner.physical_id.clone();
    assert_succeeded(&stranger.delete().await);
    assert_eq!((catalog(&client).await, owner.ledger().await), (made, ledger));
}

#[tokio::test]
async fn a_layer_made_by_hand_is_shared_and_never_dropped_by_a_stack() {
    let mut stack = Stack::new(shared().await).await;
    let client = stack.client().await;
    client
        .batch_execute(&crate::support::database::v001("create"))
        .await
        .unwrap();
    let by_hand = catalog(&client).await;
    assert_eq!(stack.create().await["Data"]["Outcome"], "shared");
    stack.set("OnDelete", "Drop");
    assert_eq!(stack.delete().await["Data"]["Outcome"], "left");
    assert_eq!(catalog(&client).await, by_hand);
}

#[tokio::test]
async fn the_ingest_login_may_land_events_and_nothing_else() {
    let mut stack = Stack::new(shared().await).await;
    let created = stack.create().await;
    let login = stack.properties["IngestUser"].as_str().unwrap().to_owned();
    assert!(
        created["Reason"].as_str().unwrap().contains("without a password"),
        "{created}"
    );
    let client = stack.client().await;
    client
        .batch_execute(&format!("alter role \"{login}\" password 'x'"))
        .await
        .unwrap();
    let ingest = stack.database.client(&login, "x").await;
    let row = ingest
        .query_one(
            "select verdict, current_setting('statement_timeout') from raw.ingest_tracking_beacon(
               '\\x00', null, null, null, array['{\"a\":1}'::jsonb], array[null::uuid], 'receipt', now(), null,
               array['PENDING'], array[null::text])",
            &[],
        )
        .await
        .unwrap();
    assert_eq!((row.get(0), row.get(1)), ("unknown", "3s"));
    let refused = ingest.query(ROWS, &[]).await.unwrap_err();
    assert_eq!(
        refused.code(),
        Some(&tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE)
    );
    let limit = format!("select rolconnlimit::bigint from pg_roles where rolname = '{login}'");
    assert_eq!(number(&client, &limit).await, 7);
}

#[tokio::test]
async fn the_login_is_allowed_tokens_where_iam_is_used_and_rds_knows_them() {
    // A token is a password to PostgreSQL: this server takes any.
    let trusting = std::env::temp_dir().join(format!("hba-{}.conf", uuid::Uuid::now_v7()));
    std::fs::write(&trusting, "hostssl all all 127.0.0.1/32 trust\n").unwrap();
    let setting = format!("hba_file = '{}'", trusting.display());
    let cluster = Cluster::start(&Version::Default.bin(), &[&setting, "fsync = off"]);
    let mut stack = Stack::new(&cluster).await;
    let client = stack.client().await;
    client.batch_execute("create role rds_iam nologin").await.unwrap();
    let member = "select count(*) from pg_auth_members where roleid = 'rds_iam'::regrole";
    assert_succeeded(&stack.create().await);
    assert_eq!(number(&client, member).await, 0, "by password");

    let mut environment = secrets();
    environment.extend([
        ("AWS_REGION", "eu-west-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE".to_owned()),
        (
            "AWS_SECRET_ACCESS_KEY",
            "canary-of-the-secret-access-key".to_owned(),
        ),
        ("AWS_SESSION_TOKEN", "canary-of-the-session-token".to_owned()),
    ]);
    stack.function = Function::start(BINARY, &environment).await;
    stack.set("DatabaseAuth", "iam");
    assert_succeeded(&stack.update().await);
    assert_eq!(number(&client, member).await, 1, "by token");
    let output = stack.function.output();
    assert!(!output.contains("canary-of-the"), "{output}");
    std::fs::remove_file(trusting).unwrap();
}

#[tokio::test]
async fn a_migrator_that_may_only_make_schemas_and_roles_comes_and_goes_too() {
    for version in Version::ALL {
        let cluster = Cluster::own(version);
        let mut stack = Stack::new(&cluster).await;
        let client = stack.client().await;
        let migrator = "create role migrator login createrole password 'canary-of-the-migrator'";
        let grant = format!("grant create on database {} to migrator", stack.database.name);
        client
            .batch_execute(&format!("{migrator}; {grant}"))
            .await
            .unwrap();
        let before = (catalog(&client).await, roles(&client).await);
        let mut environment = secrets();
        environment.retain(|(name, _)| *name != "DB_MIGRATOR_PASSWORD");
        environment.push(("DB_MIGRATOR_PASSWORD", "canary-of-the-migrator".to_owned()));
        stack.function = Function::start(BINARY, &environment).await;
        stack.set("MigratorUser", "migrator");
        assert_succeeded(&stack.create().await);
        let again = stack.update().await;
        assert_eq!(again["Data"]["Outcome"], "unchanged", "{version:?}: {again}");
        let deleted = stack.delete().await;
        assert_eq!(
            deleted["Data"]["Outcome"], "rolled_back",
            "{version:?}: {deleted}"
        );
        let after = (catalog(&client).await, roles(&client).await);
        assert_eq!(after, before, "{version:?}");
    }
}

#[tokio::test]
async fn a_ledger_of_somebody_else_is_left_alone_and_said_so() {
    let mut stack = Stack::new(shared().await).await;
    let client = stack.client().await;
    client
        .batch_execute("create schema migrations; create table migrations.migration_log (theirs int)")
        .await
        .unwrap();
    let created = stack.create().await;
    assert_succeeded(&created);
    assert!(
        created["Reason"].as_str().unwrap().contains("no ledger is kept"),
        "{created}"
    );
    let made = catalog(&client).await;
    let deleted = stack.delete().await;
    assert_eq!(deleted["Data"]["Outcome"], "unchanged", "{deleted}");
    assert_eq!(catalog(&client).await, made);
    assert_eq!(
        number(&client, "select count(*) from migrations.migration_log").await,
        0
    );
}

#[tokio::test]
async fn a_property_that_a_delete_does_not_need_does_not_keep_a_stack() {
    let mut stack = Stack::new(shared().await).await;
    stack.create().await;
    stack.set("IngestConnectionLimit", "many");
    stack.set("Environment", "nowhere");
    assert_eq!(stack.delete().await["Data"]["Outcome"], "rolled_back");
}

#[tokio::test]
async fn a_login_that_may_do_more_than_ingest_should_is_refused() {
    let mut stack = Stack::new(shared().await).await;
    let before = catalog(&stack.client().await).await;
    stack.set("IngestUser", "postgres");
    assert_failed(&stack.create().await, "is a superuser or the migrator itself");
    assert_eq!(catalog(&stack.client().await).await, before);
}

#[tokio::test]
async fn a_role_of_somebody_else_is_refused_and_left_as_it_was() {
    let mut stack = Stack::new(shared().await).await;
    let client = stack.client().await;
    let role = format!("other_{}", stack.database.name);
    stack.set("IngestUser", role.as_str());
    let name = &stack.database.name;
    let owned = format!("create schema theirs authorization {role}");
    let owner = format!("alter database {name} owner to {role}");
    for (rights, then, says) in [
        ("nologin", "", "nologin, a group of others"),
        ("login createrole", "", "createrole"),
        ("login createdb", "", "createdb"),
        ("login replication", "", "replication"),
        ("login bypassrls", "", "bypassrls"),
        ("login", &owned, "an owner of objects in this database"),
        ("login", &owner, "an owner of objects in this database"),
    ] {
        client
            .batch_execute(&format!("create role {role} {rights}; {then}"))
            .await
            .unwrap();
        let is = format!(
            "select count(*) from pg_roles r where rolname = '{role}' and rolconfig is null
            and rolconnlimit = -1 and not exists (select from pg_auth_members m where m.member = r.oid)"
        );
        assert_failed(
            &stack.create().await,
            &format!("is a role of somebody else: {says}"),
        );
        assert_eq!(number(&client, &is).await, 1, "{rights} {then}");
        let back = format!(
            "reassign owned by {role} to current_user; drop schema if exists theirs; drop role {role}"
        );
        client.batch_execute(&back).await.unwrap();
    }
    client
        .batch_execute(&format!("create role {role} login"))
        .await
        .unwrap();
    assert_succeeded(&stack.create().await);
    client
        .batch_execute(&format!("drop role if exists {role}"))
        .await
        .unwrap();
    assert_succeeded(&stack.delete().await);
}
