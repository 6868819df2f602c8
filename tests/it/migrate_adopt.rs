//! A predecessor of the raw layer is adopted by comparing: every row stays, callers go on, and a Delete puts it back.

use serde_json::Value;
use tokio_postgres::Client;

use crate::migrate_predecessor::{
    assert_failed, assert_succeeded, predecessor, rows, state, told, COMPATIBLE, SURPLUS,
};
use crate::migrate_stack::{number, shared};
use crate::support::database::v001;
use crate::support::postgres::{Cluster, Version};
use crate::support::v001::steps;

const CALL: &str = "select raw.ingest_tracking_event('\\x02', null, null, 'agent', '{\"a\": 1}')::bigint";

/// What the trials of three deploys may draw: an id that was given is not given again, and an integer has not many.
const FEW_IDS: i64 = 60;

#[tokio::test]
async fn an_adopted_predecessor_keeps_its_rows_and_is_put_back_as_it_was() {
    for version in [Version::Oldest, Version::Newest] {
        let cluster = Cluster::own(version);
        for fixture in [COMPATIBLE, SURPLUS] {
            let mut stack = predecessor(&cluster, fixture).await;
            let client = stack.client().await;
            let (before, held) = (state(&client).await, rows(&client).await);
            let label = format!("{version:?} {fixture}");

            let created = stack.create().await;
            assert_succeeded(&created);
            assert_eq!(created["Data"]["Outcome"], "applied", "{label}");
            assert_eq!(rows(&client).await, held, "{label}");
            let id = number(&client, CALL).await;
            assert_eq!(stack.create().await["Data"]["Outcome"], "unchanged", "{label}");
            let mut second = stack.sibling("two").await;
            assert_eq!(second.create().await["Data"]["Outcome"], "shared", "{label}");
            assert_eq!(stack.delete().await["Data"]["Outcome"], "left", "{label}");

            let deleted = second.delete().await;
            assert_succeeded(&deleted);
            assert_eq!(deleted["Data"]["Outcome"], "rolled_back", "{label}: {deleted}");
            assert_eq!(state(&client).await, before, "{label}");
            assert_eq!(second.delete().await["Data"]["Outcome"], "unchanged", "{label}");
            let kept = format!(
                "select {id} - 4 - count(*) from raw.site_tracking_events_r where raw_event_id < {id}"
            );
            let drawn = number(&client, &kept).await + 3;
            assert!(
                (3..=FEW_IDS).contains(&drawn),
                "{label}: {drawn} ids were drawn to try what is written"
            );
            assert!(number(&client, CALL).await > id, "{label}");
        }
    }
}

#[tokio::test]
async fn the_ledger_says_what_was_adopted_replaced_and_restored() {
    let mut stack = predecessor(shared().await, COMPATIBLE).await;
    let client = stack.client().await;
    stack.create().await;
    let row = json(&client, "select to_jsonb(l) from migrations.migration_log l").await;
    let adopted = row["adopted_objects"].to_string();
    assert!(adopted.contains("table raw.site_tracking_events_r"), "{adopted}");
    assert!(!adopted.contains("ingest_tracking_event"), "{adopted}");
    let replaced = &row["replaced_objects"];
    assert_eq!(replaced["columns"].to_string(), r#"["event_key","request"]"#);
    let function = &replaced["functions"][0];
    assert_eq!(
        (&function["owner"], &function["comment"]),
        (&"postgres".into(), &"the old door".into())
    );
    assert!(
        function["definition"]
            .as_str()
            .unwrap()
            .contains("RETURNS integer"),
        "{function}"
    );
    stack.delete().await;
    let row = json(&client, "select to_jsonb(l) from migrations.rollback_log l").await;
    assert_eq!(&row["restored_objects"][0], function);
    assert_eq!(row["rows_dropped"], 0);
}

#[tokio::test]
async fn the_answer_says_how_many_ids_are_left_and_when_they_run_out() {
    let mut stack = predecessor(shared().await, COMPATIBLE).await;
    stack.create().await;
    let output = stack.function.output();
    assert!(
        output.contains("2147483447 ids are left, at the rate of the latest events they run out in"),
        "{output}"
    );
}

#[tokio::test]
async fn whoever_could_call_the_function_can_call_the_one_in_its_place() {
    let mut stack = predecessor(shared().await, SURPLUS).await;
    let client = stack.client().await;
    stack.create().await;
    let app = format!("set role {}_app", stack.database.name);
    client.batch_execute(&app).await.unwrap();
    let called = "select public.call_it('{\"from\": \"a caller\"}')::bigint";
    let first = number(&client, called).await;
    client.batch_execute("reset role").await.unwrap();
    assert_eq!(
        number(
            &client,
            "select count(*) from public.annotations where note = 'called'"
        )
        .await,
        1
    );
    client
        .batch_execute("revoke all on function raw.ingest_tracking_event from public")
        .await
        .unwrap();
    let revoke = format!(
        "revoke execute on function raw.ingest_tracking_event from {}_app",
        stack.database.name
    );
    client.batch_execute(&revoke).await.unwrap();
    let mended = stack.update().await;
    told(&mended, "lacks EXECUTE on function raw.ingest_tracking_event");
    client.batch_execute(&app).await.unwrap();
    assert!(number(&client, called).await > first);
}

#[tokio::test]
async fn no_row_of_an_adopted_table_is_dropped_whatever_is_said() {
    let mut stack = predecessor(shared().await, SURPLUS).await;
    let client = stack.client().await;
    let (before, held) = (state(&client).await, rows(&client).await);
    stack.set("OnDelete", "Drop");
    stack.create().await;
    assert_eq!(stack.delete().await["Data"]["Outcome"], "rolled_back");
    assert_eq!((state(&client).await, rows(&client).await), (before, held));
}

/// The rollback file step by step, with what others do before it locks anything, and before it looks at the rows again.
async fn undo(client: &Client, before_the_lock: &str, other: &Client, before_the_look: &str) {
    client
        .batch_execute("begin; set local tracking.on_delete = 'drop_if_empty'")
        .await
        .unwrap();
    for step in steps("rollback") {
        if step.name == "tables" {
            other.batch_execute(before_the_lock).await.unwrap();
        }
        if step.name == "adopted" {
            client.batch_execute(before_the_look).await.unwrap();
        }
        client.batch_execute(&step.sql).await.unwrap();
    }
    client.batch_execute("commit").await.unwrap();
}

const COLUMNS: &str = "select string_agg(attname, ' ' order by attname) from pg_attribute
    where attrelid = 'raw.site_tracking_events_r'::regclass and attname in ('event_key', 'request') and not attisdropped";

#[tokio::test]
async fn a_value_that_arrives_between_the_look_at_the_rows_and_the_lock_is_not_lost() {
    let mut stack = predecessor(shared().await, COMPATIBLE).await;
    let (client, other) = (stack.client().await, stack.client().await);
    let own: Option<String> = client.query_one(COLUMNS, &[]).await.unwrap().get(0);
    assert_eq!(own, None);
    for late in [
        "insert into raw.site_tracking_events_r (tenant_hk, raw_payload, request) values ('\\x01', '{}', '{\"late\": 1}')",
        "insert into raw.site_tracking_events_r (raw_event_id, tenant_hk, raw_payload, request)
           values (-1, '\\x01', '{}', '{\"late\": 1}')",
        "update raw.site_tracking_events_r set request = '{\"late\": 1}' where raw_event_id = 1",
    ] {
        stack.create().await;
        undo(&client, late, &other, "select").await;
        let kept = "select count(*) from raw.site_tracking_events_r where request = '{\"late\": 1}'";
        assert_eq!(number(&client, kept).await, 1, "{late}");
        let columns: String = client.query_one(COLUMNS, &[]).await.unwrap().get(0);
        assert_eq!(columns, "request", "{late}");
        client
            .batch_execute("alter table raw.site_tracking_events_r drop column request")
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_column_stays_where_looking_through_the_rows_again_would_keep_others_waiting() {
    let mut stack = predecessor(shared().await, COMPATIBLE).await;
    let (client, other) = (stack.client().await, stack.client().await);
    stack.create().await;
    undo(&client, "select", &other, "set local tracking.look = 'no more'").await;
    let columns: String = client.query_one(COLUMNS, &[]).await.unwrap().get(0);
    assert_eq!(columns, "event_key request");
    let notes: String = client
        .query_one(
            "select notes from migrations.rollback_log where status = 'ROLLED_BACK'",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    assert!(
        notes.contains("request stays: looking through all rows again would have kept others"),
        "{notes}"
    );
    let indexes = "select count(*) from pg_class where relname ~ '^site_tracking_events_r_(pending|received|event_once)$'
        and relnamespace = 'raw'::regnamespace";
    assert_eq!(number(&client, indexes).await, 0);
}

#[tokio::test]
async fn an_added_column_stays_where_a_row_has_a_value_in_it() {
    let mut stack = predecessor(shared().await, COMPATIBLE).await;
    let client = stack.client().await;
    let before = state(&client).await;
    stack.create().await;
    let land = "select raw.ingest_tracking_event('\\x01', null, null, null, '{\"a\": 1}', \
                '00000000-0000-7000-8000-000000000001')::bigint";
    let id = number(&client, land).await;
    let deleted = stack.delete().await;
    assert_succeeded(&deleted);
    let output = stack.function.output();
    assert!(
        output.contains("column raw.site_tracking_events_r.event_key stays"),
        "{output}"
    );
    assert!(
        !output.contains("site_tracking_events_r.request stays"),
        "{output}"
    );
    let kept = format!(
        "select count(*) from raw.site_tracking_events_r where event_key is not null and raw_event_id = {id}"
    );
    assert_eq!(number(&client, &kept).await, 1);
    let after = state(&client).await;
    let more: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
    assert_eq!(more.len(), 1, "{more:?}");
    assert_eq!(before.len() + 1, after.len());
    assert_succeeded(&stack.create().await);
    assert_succeeded(&stack.delete().await);
    assert_eq!(state(&client).await, after);
}

#[tokio::test]
async fn drift_of_an_adopted_layer_is_found_and_mended() {
    let mut stack = predecessor(shared().await, COMPATIBLE).await;
    let client = stack.client().await;
    stack.create().await;
    let made = state(&client).await;
    for (drift, says) in [
        (
            "drop index raw.site_tracking_events_r_event_once",
            "index site_tracking_events_r_event_once is missing",
        ),
        (
            "alter table raw.site_tracking_events_r drop column request",
            "request is missing, to which V001 cannot",
        ),
        (
            "alter table raw.site_tracking_events_r drop constraint site_tracking_events_r_known_status",
            "constraint site_tracking_events_r_known_status is missing",
        ),
        (
            "drop function raw.ingest_tracking_event",
            "function raw.ingest_tracking_event is missing",
        ),
        (
            "grant execute on function raw.ingest_tracking_event to public",
            "PUBLIC has EXECUTE",
        ),
    ] {
        client.batch_execute(drift).await.unwrap();
        let mended = stack.update().await;
        assert_succeeded(&mended);
        told(&mended, says);
        assert_eq!(state(&client).await, made, "{drift}");
    }
    assert_eq!(stack.update().await["Data"]["Outcome"], "unchanged");
}

#[tokio::test]
async fn by_hand_a_predecessor_is_refused_with_the_name_of_migrate() {
    let stack = predecessor(shared().await, COMPATIBLE).await;
    let client = stack.client().await;
    let before = state(&client).await;
    let refused = client.batch_execute(&v001("create")).await.unwrap_err();
    let refused = refused.as_db_error().unwrap();
    assert_eq!(refused.code().code(), "TR010");
    assert!(refused.hint().unwrap().contains("migrate"), "{refused:?}");
    client.batch_execute("rollback").await.unwrap();
    let refused = client.batch_execute(&v001("adopt")).await.unwrap_err();
    assert_eq!(refused.as_db_error().unwrap().code().code(), "TR010");
    client.batch_execute("rollback").await.unwrap();
    assert_eq!(state(&client).await, before);
}

#[tokio::test]
async fn the_rollback_file_puts_a_predecessor_back_by_hand_too() {
    let mut stack = predecessor(shared().await, SURPLUS).await;
    let client = stack.client().await;
    let (before, held) = (state(&client).await, rows(&client).await);
    stack.create().await;
    client.batch_execute(&v001("rollback")).await.unwrap();
    assert_eq!((state(&client).await, rows(&client).await), (before, held));
}

#[tokio::test]
async fn what_cannot_be_adopted_is_named_and_not_touched() {
    const OLD: &str = "raw.ingest_tracking_event('\\x01', null, null, null, '{}')";
    let view = format!("create view public.v as select {OLD}");
    let default = format!("create table public.d (a integer default {OLD})");
    let body = format!("create function public.b() returns integer begin atomic select {OLD}; end");
    let cluster = Cluster::own(Version::Newest);
    for (change, says) in [
        (view.as_str(), "view v"),
        (&default, "default value for column a of table d"),
        (&body, "function b()"),
        ("alter table raw.site_tracking_events_r alter column user_agent type varchar(50)", "user_agent is character varying(50)"),
        ("alter table raw.site_tracking_events_r add column s integer not null default 1;
             alter table raw.site_tracking_events_r alter column s drop default", "raw.site_tracking_events_r.s is not null without a default"),
        ("alter table raw.site_tracking_events_r add constraint old check (processing_status in ('PENDING', 'PROCESSED'))", "violates check constraint"),
        ("create function public.no() returns trigger language plpgsql as 'begin raise ''not here''; end';
          create trigger no before insert on raw.site_tracking_events_r for each row execute function public.no()", "not here"),
        ("create index site_tracking_events_r_pending on raw.site_tracking_events_r (tenant_hk)", "raw.site_tracking_events_r_pending is something else"),
        ("create schema migrations; create table migrations.migration_log (theirs text)", "without a ledger"),
    ] {
        let mut stack = predecessor(&cluster, COMPATIBLE).await;
        let client = stack.client().await;
        client.batch_execute(change).await.unwrap();
        refused_untouched(&mut stack, &client, says).await;
    }
    let mut stack = predecessor(&cluster, "incompatible").await;
    let client = stack.client().await;
    refused_untouched(
        &mut stack,
        &client,
        "tenant_hk is text, to which V001 cannot write bytea",
    )
    .await;
}

async fn refused_untouched(stack: &mut crate::migrate_stack::Stack<'_>, client: &Client, says: &str) {
    let before = (state(client).await, rows(client).await);
    let answer = stack.create().await;
    assert_failed(&answer, "TR010");
    assert_failed(&answer, says);
    assert!(
        answer["PhysicalResourceId"]
            .as_str()
            .unwrap()
            .ends_with("/not-created"),
        "{answer}"
    );
    assert_eq!((state(client).await, rows(client).await), before, "{says}");
    assert_succeeded(&stack.delete().await);
    assert_eq!((state(client).await, rows(client).await), before, "{says}");
}

async fn json(client: &Client, query: &str) -> Value {
    client.query_one(query, &[]).await.unwrap().get(0)
}
