//! The undo is proven before anything lasts, and a delete takes nothing that V001 did not make.

use serde_json::Value;

use crate::migrate_stack::{catalog, number, shared, Stack};
use crate::support::postgres::{Cluster, Version};

const TENANTS: &str = "create schema auth; create table auth.tenant_h (tenant_hk bytea primary key,
    tenant_bk varchar(255), load_date timestamptz, record_source varchar(100))";

fn reason(answer: &Value) -> &str {
    answer["Reason"].as_str().unwrap()
}

/// An event trigger that does something whenever a command of this tag has been done.
fn whenever(tag: &str, does: &str) -> String {
    format!(
        "create function public.meddle() returns event_trigger language plpgsql as $$ begin {does}; end $$;
         create event trigger meddle on ddl_command_end when tag in ('{tag}') execute function public.meddle();"
    )
}

#[tokio::test]
async fn a_deploy_whose_undo_would_leave_something_of_ours_fails_and_changes_nothing() {
    let mut stack = Stack::new(shared().await).await;
    let client = stack.client().await;
    let meddling = whenever(
        "DROP FUNCTION",
        "create table if not exists raw.site_tracking_keys_r (a integer)",
    );
    client.batch_execute(&meddling).await.unwrap();
    let before = catalog(&client).await;
    let answer = stack.create().await;
    assert_eq!(answer["Status"], "FAILED", "{answer}");
    assert!(
        reason(&answer).starts_with("TR018 the rollback file does not give back"),
        "{answer}"
    );
    assert!(
        reason(&answer).contains("new: table raw.site_tracking_keys_r"),
        "{answer}"
    );
    assert_eq!(catalog(&client).await, before);
}

#[tokio::test]
async fn what_others_change_meanwhile_is_told_and_fails_nothing() {
    // Logins of other tests would fill the answer's room with notes.
    let cluster = Cluster::own(Version::Default);
    let mut stack = Stack::new(&cluster).await;
    let client = stack.client().await;
    let meddling = whenever(
        "DROP FUNCTION",
        "create table if not exists public.souvenir (a integer)",
    );
    client.batch_execute(&meddling).await.unwrap();
    let answer = stack.create().await;
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    assert!(
        reason(&answer).contains("changed by somebody else meanwhile: new: "),
        "{answer}"
    );
    assert!(reason(&answer).contains("public.souvenir"), "{answer}");
    let deleted = stack.delete().await;
    assert_eq!(deleted["Data"]["Outcome"], "rolled_back", "{deleted}");
    assert!(
        reason(&deleted).contains("changed by somebody else meanwhile: new: "),
        "{deleted}"
    );
}

#[tokio::test]
async fn a_delete_that_would_take_what_others_made_takes_nothing_and_names_it() {
    let mut stack = Stack::new(shared().await).await;
    stack.create().await;
    let client = stack.client().await;
    client
        .batch_execute("alter default privileges in schema raw grant select on tables to public")
        .await
        .unwrap();
    let made = catalog(&client).await;
    let kept = stack.delete().await;
    assert_eq!(kept["Status"], "FAILED", "{kept}");
    assert!(
        reason(&kept).starts_with("TR018 with V001 would go what it did not make"),
        "{kept}"
    );
    assert!(
        reason(&kept).contains("default privileges of postgres in raw"),
        "{kept}"
    );
    assert_eq!(catalog(&client).await, made);
    client
        .batch_execute("alter default privileges in schema raw revoke select on tables from public")
        .await
        .unwrap();
    assert_eq!(stack.delete().await["Data"]["Outcome"], "rolled_back");
}

#[tokio::test]
async fn the_ledger_has_the_fingerprints_and_the_last_is_that_before_the_first() {
    for version in [Version::Oldest, Version::Newest] {
        let cluster = Cluster::own(version);
        let mut stack = Stack::new(&cluster).await;
        let client = stack.client().await;
        client.batch_execute(TENANTS).await.unwrap();
        let created = stack.create().await;
        assert!(
            reason(&created).contains("auth.tenant_h was locked in SHARE ROW EXCLUSIVE mode for"),
            "{created}"
        );
        assert!(!reason(&created).contains("ACCESS EXCLUSIVE"), "{created}");
        let deleted = stack.delete().await;
        assert!(
            reason(&deleted).contains("auth.tenant_h was locked in ACCESS EXCLUSIVE mode for"),
            "{deleted}"
        );
        let proven = "select count(*) from migrations.migration_log m join migrations.rollback_log r
            on m.fingerprint_before = r.fingerprint_after and m.fingerprint_after <> r.fingerprint_after
            and length(r.fingerprint_before) = 64";
        assert_eq!(number(&client, proven).await, 1, "{version:?}");
    }
}

#[tokio::test]
async fn a_foreign_key_that_a_killed_deploy_left_unvalidated_is_validated_by_the_next() {
    let mut stack = Stack::new(shared().await).await;
    let client = stack.client().await;
    client.batch_execute(TENANTS).await.unwrap();
    stack.create().await;
    let unvalidated = "select count(*) from pg_constraint where not convalidated";
    assert_eq!(number(&client, unvalidated).await, 0);
    let as_left =
        "alter table raw.site_tracking_events_r drop constraint site_tracking_events_r_tenant_exists;
        alter table raw.site_tracking_events_r add constraint site_tracking_events_r_tenant_exists
        foreign key (tenant_hk) references auth.tenant_h (tenant_hk) not valid";
    client.batch_execute(as_left).await.unwrap();
    let repaired = stack.update().await;
    assert!(reason(&repaired).contains("not validated yet"), "{repaired}");
    assert_eq!(number(&client, unvalidated).await, 0);
    assert_eq!(stack.update().await["Data"]["Outcome"], "unchanged");
}

#[tokio::test]
async fn tenants_that_come_later_are_bound_by_the_next_update() {
    let mut stack = Stack::new(shared().await).await;
    stack.create().await;
    let client = stack.client().await;
    stack.land_event().await;
    client.batch_execute(TENANTS).await.unwrap();
    let bound = stack.update().await;
    assert_eq!(bound["Data"]["Outcome"], "applied", "{bound}");
    assert!(
        reason(&bound).contains("events are there whose tenant auth.tenant_h does not know"),
        "{bound}"
    );
    let known = "insert into auth.tenant_h (tenant_hk) values ('\\x01')";
    client.batch_execute(known).await.unwrap();
    stack.update().await;
    assert_eq!(
        number(
            &client,
            "select count(*) from pg_constraint where not convalidated"
        )
        .await,
        0
    );
}
