//! The second pass, after the database refused an event in which nothing was found: all of the beacon or nothing of
//! it, whatever happens half-way, and nobody else's beacon is drawn into it.

use std::time::{Duration, Instant};

use serde_json::{json, Value};

use crate::support::function::REMAINING;
use crate::support::gateway::{Answer, Request, Shape};
use crate::support::proxy::Proxy;
use crate::support::runtime_api::Outcome;
use crate::support::site::Site;
use crate::support::wait;
use crate::INGEST;

/// What an event called slow waits for.
const HALF_A_SECOND: &str = "pg_sleep(0.5)";
const LOCK: &str = "pg_advisory_xact_lock(1)";

/// Refuses events called poison, after `poison_s`; one called slow waits for `slow`.
async fn with_trigger(poison_s: f32, slow: &str) -> Site {
    let site = Site::new().await;
    let sql = format!(
        "create function public.judge() returns trigger language plpgsql as $$ begin
           if new.raw_payload ? 'poison' then
             perform pg_sleep({poison_s}); raise exception 'canary' using errcode = '22003';
           end if;
           if new.raw_payload ? 'slow' then perform {slow}; end if;
           return new; end $$;
         create trigger judge before insert on raw.site_tracking_events_r
           for each row execute function public.judge()"
    );
    site.admin.batch_execute(&sql).await.unwrap();
    site
}

/// The fourth of twenty is poison, the last but two is slow: by then most of the others have been taken.
fn batch(site: &Site) -> Request {
    let event = |n: usize| match n {
        3 => r#"{"poison":1}"#.to_owned(),
        17 => r#"{"slow":1}"#.to_owned(),
        _ => format!(r#"{{"n":{n}}}"#),
    };
    let events: Vec<String> = (0..20).map(event).collect();
    Request::post(Shape::V2, site.key.expose(), &format!("[{}]", events.join(",")))
}

/// Waits for a session of ingest that stands at the slow event and is none of `known`.
async fn another_sleeper(site: &Site, known: &mut Vec<i32>) {
    let sql = "select pid from pg_stat_activity where usename = $1 and wait_event in ('PgSleep', 'advisory')
               and not pid = any ($2)";
    let found = wait::until_async("a pass under way", Duration::from_secs(10), || async {
        let rows = site.admin.query(sql, &[&site.login, &*known]).await.unwrap();
        rows.first().map(|row| row.get(0))
    });
    let pid = found.await;
    known.push(pid);
}

fn answer_of(outcome: Outcome) -> Answer {
    match outcome {
        Outcome::Response(reply) => Answer::of(&reply),
        Outcome::Error(error) => panic!("{}", Value::to_string(&error)),
    }
}

#[tokio::test]
async fn a_pass_that_is_cut_half_way_leaves_all_of_the_beacon_or_nothing() {
    for (cuts, status, rows) in [(1, 200, 20), (2, 503, 0)] {
        let site = with_trigger(0.0, HALF_A_SECOND).await;
        let proxy = Proxy::transparent(site.database.cluster.port).await;
        let environment = site.environment_with(&[("DB_PORT", &proxy.port.to_string())]);
        let ingest = site.start_with(INGEST, &environment).await;
        let mut known = Vec::new();
        let waiting = ingest.api.invoke(batch(&site).json(), REMAINING);
        for _ in 0..cuts {
            another_sleeper(&site, &mut known).await;
            proxy.reset_all();
        }
        let answer = answer_of(waiting.await.unwrap());
        assert_eq!(answer.status, status, "{cuts} cuts: {answer:?}");
        assert_eq!(site.count().await, rows, "{cuts} cuts");
        if status == 503 {
            let again = ingest.send(&batch(&site)).await;
            assert_eq!(again.status, 200, "{again:?}");
            assert_eq!(again.body["quarantined"], json!(1), "{again:?}");
            assert_eq!(site.count().await, 20, "sent again, no event is there twice");
        }
        let log = ingest.stop().await;
        assert!(log.contains("\"isolated\",\"reconnected\""), "{log}");
    }
}

#[tokio::test]
async fn a_beacon_that_comes_meanwhile_is_committed_by_itself() {
    let site = with_trigger(0.0, LOCK).await;
    let environment = site.environment_with(&[("AWS_LAMBDA_MAX_CONCURRENCY", "8")]);
    let ingest = site.start_with(INGEST, &environment).await;
    let single = Request::post(Shape::V2, site.key.expose(), r#"{"n":"canary"}"#);
    assert_eq!(ingest.send(&single).await.status, 200);
    let lock = |sql: &'static str| site.admin.batch_execute(sql);
    lock("select pg_advisory_lock(1)").await.unwrap();
    let waiting = ingest.api.invoke(batch(&site).json(), REMAINING);
    another_sleeper(&site, &mut Vec::new()).await;
    assert_eq!(ingest.send(&single).await.status, 200);
    assert_eq!(site.count().await, 2, "nothing of the pass is there yet");
    lock("select pg_advisory_unlock(1)").await.unwrap();
    let answer = answer_of(waiting.await.unwrap());
    assert_eq!((answer.status, &answer.body["stored"]), (200, &json!(19)));
    assert_eq!(site.count().await, 22);
    ingest.stop().await;
}

#[tokio::test]
async fn a_pass_that_takes_too_long_quarantines_what_is_left_in_time() {
    let site = with_trigger(0.1, HALF_A_SECOND).await;
    let ingest = site.start(INGEST).await;
    let events: Vec<String> = (0..400).map(|n| format!(r#"{{"poison":{n}}}"#)).collect();
    let body = format!("[{}]", events.join(","));
    let began = Instant::now();
    let answer = ingest
        .send(&Request::post(Shape::V2, site.key.expose(), &body))
        .await;
    assert!(began.elapsed() < REMAINING, "{:?}", began.elapsed());
    assert_eq!(
        (answer.status, &answer.body["quarantined"]),
        (200, &json!(400)),
        "{answer:?}"
    );
    assert_eq!(site.count().await, 400);
    ingest.stop().await;
}

#[tokio::test]
async fn an_audit_that_hangs_costs_one_statement_timeout_also_in_a_second_pass() {
    let site = with_trigger(0.0, HALF_A_SECOND).await;
    let sql = format!(
        "create or replace function raw.audit_tracking_events(p_tenant_hk bytea, p_event_ids bigint[], p_batch_id varchar)
         returns text language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
         begin perform pg_sleep(60); return null; exception when query_canceled then return sqlstate; end $$;
         alter role {} set statement_timeout = '1s'",
        site.login
    );
    site.admin.batch_execute(&sql).await.unwrap();
    let ingest = site.start(INGEST).await;
    let began = Instant::now();
    let answer = ingest.send(&batch(&site)).await;
    assert_eq!(
        (answer.status, &answer.body["stored"]),
        (200, &json!(19)),
        "{answer:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let log = ingest.stop().await;
    assert!(log.contains("\"audit_sqlstate\":\"57014\""), "{log}");
}
