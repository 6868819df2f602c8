//! Deploys and deletes beside live traffic: whoever waits behind their locks waits for moments.
//!
//! What is judged is the server's own word: with `log_lock_waits` it writes a line for each wait for a lock that is
//! longer than `deadlock_timeout`. A call's time says more of this machine's load than of locks, and is printed.

use std::time::Duration;

use serde_json::Value;

use crate::migrate_stack::{catalog, number, shared, Stack, REMAINING};
use crate::support::postgres::{Cluster, Version};
use crate::support::traffic::Traffic;
use crate::support::wait;
use crate::INGEST;

const TENANTS: &str = "create schema auth; create table auth.tenant_h (tenant_hk bytea primary key,
    tenant_bk varchar(255), load_date timestamptz, record_source varchar(100));
    insert into auth.tenant_h (tenant_hk, tenant_bk) values ('tenant', 'tenant')";

/// On a machine with other things to do, a process may stand still for longer than a lock is held: one quiet round
/// shows that no lock is held too long, and one that is would be in all of them.
const ROUNDS: usize = 3;

/// 50 beacons a second.
const BEAT: Duration = Duration::from_millis(20);

#[tokio::test]
async fn nobody_waits_longer_than_half_a_second_behind_a_deploy_or_a_delete() {
    let settings = ["fsync = off", "log_lock_waits = on", "deadlock_timeout = 500ms"];
    let cluster = Cluster::start(&Version::Default.bin(), &settings);
    let mut waits = 0;
    for round in 1..=ROUNDS {
        let before = cluster.log().matches("still waiting for").count();
        one_round(&cluster, &format!("round {round}")).await;
        waits = cluster.log().matches("still waiting for").count() - before;
        if waits == 0 {
            return;
        }
    }
    panic!("{waits} waits of more than 500 ms: {}", cluster.log());
}

async fn one_round(cluster: &Cluster, label: &str) {
    let mut one = Stack::new(cluster).await;
    let client = one.client().await;
    client.batch_execute(TENANTS).await.unwrap();
    let start = catalog(&client).await;
    let reads = Traffic::of_statements(one.client().await, "select count(*) from auth.tenant_h", BEAT / 4);
    let update = "update auth.tenant_h set load_date = now() where tenant_hk = 'tenant'";
    let writes = Traffic::of_statements(one.client().await, update, BEAT / 4);
    let succeeded = |answer: &Value| assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    succeeded(&one.create().await);
    println!(
        "{label}: create: reads {:?}, writes {:?}",
        reads.so_far(),
        writes.so_far()
    );
    let (ingest, event) = one.ingest(INGEST).await;
    let beacons = Traffic::of_events(ingest, event, BEAT);
    let mut two = one.sibling("two").await;
    succeeded(&two.create().await);
    println!("{label}: second create: beacons {:?}", beacons.so_far());
    succeeded(&two.delete().await);
    println!("{label}: second delete: beacons {:?}", beacons.so_far());
    one.set("OnDelete", "Drop");
    let deleted = one.delete().await;
    assert_eq!(deleted["Data"]["Outcome"], "rolled_back", "{deleted}");
    println!(
        "{label}: delete: reads {:?}, writes {:?}, beacons {:?}",
        reads.so_far(),
        writes.so_far(),
        beacons.so_far()
    );
    for traffic in [reads, writes, beacons] {
        traffic.stop().await;
    }
    assert_eq!(catalog(&client).await, start);
}

/// So that there are a few seconds for the work.
const SHORT: Duration = Duration::from_secs(23);

#[tokio::test]
async fn a_delete_behind_a_held_lock_ends_in_an_answer_and_takes_nothing() {
    let cluster = Cluster::shared(Version::Default);
    crate::support::database::Database::with_v001(cluster).await;
    let mut stack = Stack::new(cluster).await;
    stack.create().await;
    let mut client = stack.client().await;
    let made = catalog(&client).await;
    let holding = client.transaction().await.unwrap();
    holding
        .batch_execute("lock table raw.site_tracking_events_r in access share mode")
        .await
        .unwrap();
    let event = stack.event("Delete");
    let answer = stack.send_within(event, SHORT).await;
    assert_eq!(answer["Status"], "FAILED", "{answer}");
    assert!(
        answer["Reason"].as_str().unwrap().starts_with("55P03"),
        "{answer}"
    );
    holding.rollback().await.unwrap();
    assert_eq!(catalog(&client).await, made);
    assert_eq!(stack.delete().await["Data"]["Outcome"], "rolled_back");
}

/// Whatever locks the tenants or drops the events takes two seconds.
const SLOW: &str = "create function public.linger() returns event_trigger language plpgsql as $$
    begin
      if tg_event = 'sql_drop' and exists (select from pg_event_trigger_dropped_objects()
          where object_identity = 'raw.site_tracking_events_r')
        or tg_event = 'ddl_command_end' and exists (select from pg_constraint
          where conname = 'site_tracking_events_r_tenant_exists')
      then
        perform pg_sleep(2);
      end if;
    end $$;
    create event trigger linger_drop on sql_drop execute function public.linger();
    create event trigger linger_end on ddl_command_end when tag in ('ALTER TABLE') execute function public.linger();";

#[tokio::test]
async fn a_deploy_or_a_delete_that_would_keep_others_waiting_is_given_up_and_changes_nothing() {
    let settings = ["fsync = off", "log_lock_waits = on", "deadlock_timeout = 500ms"];
    let cluster = Cluster::start(&Version::Newest.bin(), &settings);
    let mut stack = Stack::new(&cluster).await;
    let client = stack.client().await;
    client.batch_execute(TENANTS).await.unwrap();
    let update = "update auth.tenant_h set load_date = now() where tenant_hk = 'tenant'";
    let writes = Traffic::of_statements(stack.client().await, update, BEAT);
    for request in ["Create", "Delete"] {
        if request == "Delete" {
            assert_eq!(stack.create().await["Status"], "SUCCESS");
        }
        client.batch_execute(SLOW).await.unwrap();
        let start = catalog(&client).await;
        let event = stack.event(request);
        let answer = stack.send_within(event, SHORT).await;
        let reason = answer["Reason"].as_str().unwrap();
        assert_eq!(answer["Status"], "FAILED", "{answer}");
        assert!(
            reason.starts_with("TR019") && reason.contains("it was given back"),
            "{reason}"
        );
        assert_eq!(catalog(&client).await, start);
        let quick =
            "drop event trigger linger_drop; drop event trigger linger_end; drop function public.linger()";
        client.batch_execute(quick).await.unwrap();
    }
    assert_eq!(stack.delete().await["Data"]["Outcome"], "rolled_back");
    println!("writes {:?}", writes.so_far());
    writes.stop().await;
    assert!(!cluster.log().contains("still waiting for"), "{}", cluster.log());
}

const LINGERS: &str = "create function public.linger() returns event_trigger language plpgsql as $$
    begin
      if exists (select from pg_constraint where conname = 'site_tracking_events_r_tenant_exists') then
        perform pg_sleep(0.3);
      end if;
    end $$;
    create event trigger linger on ddl_command_end when tag in ('ALTER TABLE') execute function public.linger();";

#[tokio::test]
async fn a_process_that_stands_still_keeps_its_locks_for_moments_and_the_deploy_goes_on() {
    let stack = Stack::new(shared().await).await;
    let client = stack.client().await;
    client.batch_execute(TENANTS).await.unwrap();
    client.batch_execute(LINGERS).await.unwrap();
    let answered = stack
        .function
        .api
        .invoke(stack.event("Create").to_string(), REMAINING);
    let sleeping = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event = 'PgSleep'";
    let locked = "select count(*) from pg_locks
        where relation = 'auth.tenant_h'::regclass and mode = 'ShareRowExclusiveLock' and granted";
    wait::until_async("the foreign key", SHORT, || async {
        (number(&client, sleeping).await == 1).then_some(())
    })
    .await;
    stack.function.signal("STOP").await;
    assert_eq!(number(&client, locked).await, 1);
    // Without a limit of its own it would be fifteen seconds.
    wait::until_async("the lock's end", Duration::from_secs(8), || async {
        (number(&client, locked).await == 0).then_some(())
    })
    .await;
    stack.function.signal("CONT").await;
    answered.await.unwrap();
    let done = "select count(*) from migrations.migration_log where status = 'APPLIED'";
    assert_eq!(number(&client, done).await, 1, "{}", stack.function.output());
}
