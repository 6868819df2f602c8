//! One round trip while all is well; and whatever happens to the connection, the next request of the same process
//! succeeds with exactly one row, or says 503 in time and nothing was acknowledged.

use std::time::{Duration, Instant};

use serde_json::json;
use site_tracking::db::CONNECTIONS_MAX;
use tokio::net::TcpListener;

use crate::support::event_source::EventSource;
use crate::support::function::REMAINING;
use crate::support::gateway::{Answer, Request, Shape};
use crate::support::metrics;
use crate::support::postgres::{Cluster, Version};
use crate::support::proxy::Proxy;
use crate::support::runtime_api::Outcome;
use crate::support::site::{Site, Watched};
use crate::support::wait;
use crate::INGEST;

/// How long a sender waits for word that the database is away, and for it to be back.
const PROMISED: Duration = Duration::from_secs(5);

fn event(site: &Site) -> Request {
    Request::post(Shape::V2, site.key.expose(), r#"{"event":"canary-payload"}"#)
}

async fn lands(ingest: &Watched, site: &Site, rows: usize, label: &str) {
    let answer = ingest.send(&event(site)).await;
    assert_eq!(
        (answer.status, &answer.body["stored"]),
        (200, &json!(1)),
        "{label}: {answer:?}"
    );
    assert_eq!(site.count().await, rows, "{label}");
}

/// No session of the ingest login is left.
async fn alone(site: &Site) {
    wait::until_async(
        "the end of the function's session",
        Duration::from_secs(10),
        || async {
            let sql = "select from pg_stat_activity where usename = $1";
            site.admin
                .query(sql, &[&site.login])
                .await
                .unwrap()
                .is_empty()
                .then_some(())
        },
    )
    .await;
}

#[tokio::test]
async fn a_warm_beacon_is_one_round_trip() {
    let site = Site::new().await;
    let proxy = Proxy::clear_text(site.database.cluster.port).await;
    let environment = site.environment_with(&[("DB_PORT", &proxy.port.to_string())]);
    let ingest = site.start_with(INGEST, &environment).await;
    lands(&ingest, &site, 1, "first").await;
    proxy.messages();
    let named = r#"{"messageId":"8c4d2a1e-3b5f-4e6a-9d7c-1f2e3d4c5b6a"}"#;
    for (label, body, messages) in [
        ("one event", r#"{"a":1}"#, "PBDES"),
        ("a batch", r#"[{"a":1},{"a":2},{"a":3},{}]"#, "PBDES"),
        ("named", named, "PBDES"),
        ("duplicate", named, "PBDES"),
        ("an empty array", "[]", ""),
        ("no json", "a", "PBDES"),
        (
            "an odd event among others",
            r#"[{"a":"\u0000"},{"a":2}]"#,
            "PBDES",
        ),
    ] {
        ingest
            .send(&Request::post(Shape::V2, site.key.expose(), body))
            .await;
        assert_eq!(proxy.messages(), messages, "{label}");
    }
    let unknown = site_tracking::site_key::SiteKey::generate().unwrap();
    ingest
        .send(&Request::post(Shape::V2, unknown.expose(), "{\"a\":1}"))
        .await;
    assert_eq!(proxy.messages(), "PBDES", "an unknown key");
    ingest.stop().await;
}

#[tokio::test]
async fn a_terminated_session_costs_nothing() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    lands(&ingest, &site, 1, "first").await;
    for round in 2..12 {
        assert_eq!(site.terminate().await, 1);
        if round % 2 == 0 {
            alone(&site).await;
        }
        lands(&ingest, &site, round, &format!("after termination {round}")).await;
    }
    ingest.stop().await;
}

#[tokio::test]
async fn a_reset_connection_costs_nothing() {
    let site = Site::new().await;
    let proxy = Proxy::transparent(site.database.cluster.port).await;
    let environment = site.environment_with(&[("DB_PORT", &proxy.port.to_string())]);
    let ingest = site.start_with(INGEST, &environment).await;
    lands(&ingest, &site, 1, "first").await;
    for round in 2..12 {
        proxy.reset_all();
        lands(&ingest, &site, round, &format!("after reset {round}")).await;
    }
    ingest.stop().await;
}

#[tokio::test]
async fn a_frozen_process_whose_session_ended_lands_its_next_event() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    lands(&ingest, &site, 1, "first").await;
    for round in 2..6 {
        ingest.signal("STOP").await;
        assert_eq!(site.terminate().await, 1);
        alone(&site).await;
        let answer = ingest.api.invoke(event(&site).json(), REMAINING);
        ingest.signal("CONT").await;
        let Ok(Outcome::Response(reply)) = answer.await else {
            panic!("no answer after the thaw:\n{}", ingest.output());
        };
        assert_eq!(Answer::of(&reply).body["stored"], json!(1), "{reply}");
        assert_eq!(site.count().await, round);
    }
    ingest.stop().await;
}

#[tokio::test]
async fn an_answer_that_was_lost_behind_the_commit_is_no_second_row() {
    let site = Site::new().await;
    let sql = "create function public.slow() returns trigger language plpgsql as
                 $$ begin perform pg_sleep(0.5); return new; end $$;
               create trigger slow after insert on raw.site_tracking_events_r
                 for each row execute function public.slow()";
    site.admin.batch_execute(sql).await.unwrap();
    let proxy = Proxy::transparent(site.database.cluster.port).await;
    let environment = site.environment_with(&[("DB_PORT", &proxy.port.to_string())]);
    let ingest = site.start_with(INGEST, &environment).await;
    for (body, count) in [(r#"{"a":1}"#, 1), (r#"[{"a":2},{"a":3}]"#, 2)] {
        let before = site.count().await;
        let request = Request::post(Shape::V2, site.key.expose(), body);
        let answer = ingest.api.invoke(request.json(), REMAINING);
        wait::until_async("the insert under way", Duration::from_secs(10), || async {
            let sql = "select from pg_stat_activity where usename = $1 and wait_event = 'PgSleep'";
            (!site.admin.query(sql, &[&site.login]).await.unwrap().is_empty()).then_some(())
        })
        .await;
        proxy.reset_all();
        let Ok(Outcome::Response(reply)) = answer.await else {
            panic!("no answer:\n{}", ingest.output());
        };
        let answer = Answer::of(&reply);
        assert_eq!(
            (answer.status, &answer.body["stored"]),
            (200, &json!(count)),
            "{answer:?}"
        );
        let rows = site.rows().await;
        assert_eq!(rows.len() - before, count, "{rows:?}");
        assert!(
            rows[before..]
                .iter()
                .all(|row| row["batch_id"] == answer.body["receipt"]),
            "{rows:?}"
        );
    }
    let log = ingest.stop().await;
    assert_eq!(log.matches("\"notes\":[\"reconnected\"]").count(), 2, "{log}");
    let lines = metrics::lines(&log);
    let totals = ["Reconnects", "ColdStarts", "Stored", "Duplicate"].map(|name| metrics::total(&lines, name));
    assert_eq!(totals, [2.0, 1.0, 3.0, 0.0], "{log}");
}

#[tokio::test]
async fn a_database_that_is_away_is_503_in_time_and_is_found_again_in_time() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::own(Version::Default)));
    let site = Site::on(cluster).await;
    let sql = "select count(*) from raw.site_tracking_events_r";
    cluster.stop();
    let ingest = site.start(INGEST).await;
    for _ in 0..2 {
        let began = Instant::now();
        let answer = ingest.send(&event(&site)).await;
        assert_eq!((answer.status, answer.tag()), (503, "unavailable"), "{answer:?}");
        assert!(began.elapsed() < PROMISED, "{:?}", began.elapsed());
        let retry_after: u32 = answer.header("retry-after").parse().unwrap();
        assert!((2..=10).contains(&retry_after), "{retry_after}");
        assert!(
            answer.body.get("receipt").is_none(),
            "nothing is acknowledged: {answer:?}"
        );
    }
    assert_eq!(health(&ingest, "/health").await, 200);
    assert_eq!(health(&ingest, "/health/ready").await, 503);

    cluster.start_again();
    wait::until_async("an event that lands", PROMISED, || async {
        (ingest.send(&event(&site)).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(health(&ingest, "/health/ready").await, 200);
    let admin = site.database.superuser().await;
    assert_eq!(admin.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 1);

    cluster.stop();
    assert_eq!(health(&ingest, "/health/ready").await, 503);
    assert_eq!(ingest.send(&event(&site)).await.status, 503);
    let log = ingest.stop().await;
    assert!(
        log.contains("\"tag\":\"no_connection\"") && log.contains("check that the database runs"),
        "{log}"
    );
}

async fn health(ingest: &Watched, path: &str) -> u64 {
    let request = Request::post(Shape::V2, "", "")
        .method("GET")
        .path(path)
        .no_body();
    let answer = ingest.send(&request).await;
    let members: Vec<_> = answer
        .body
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let is_terse = members
        .iter()
        .all(|m| ["code", "status", "success", "result", "error", "message"].contains(m));
    assert!(
        is_terse,
        "a stranger learns no version, host or count: {answer:?}"
    );
    answer.status
}

#[tokio::test]
async fn a_host_that_takes_connections_and_says_nothing_is_503_in_time() {
    let site = Site::new().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let ingest = site
        .start_with(INGEST, &site.environment_with(&[("DB_PORT", &port)]))
        .await;
    let began = Instant::now();
    assert_eq!(ingest.send(&event(&site)).await.status, 503);
    assert!(began.elapsed() < PROMISED, "{:?}", began.elapsed());
    let log = ingest.stop().await;
    assert!(log.contains("no connection to the database within 2 s"), "{log}");
}

#[tokio::test]
async fn a_session_that_never_answers_is_left_for_a_new_one() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    lands(&ingest, &site, 1, "first").await;
    let sql = "select pid from pg_stat_activity where usename = $1";
    let pid: i32 = site.admin.query_one(sql, &[&site.login]).await.unwrap().get(0);
    signal(pid, "STOP");
    let began = Instant::now();
    let answer = ingest.send(&event(&site)).await;
    assert_eq!(
        (answer.status, answer.tag()),
        (503, "outcome_unknown"),
        "{answer:?}"
    );
    assert!(began.elapsed() < PROMISED, "{:?}", began.elapsed());
    lands(&ingest, &site, 2, "on a new connection").await;
    signal(pid, "CONT");
    let log = ingest.stop().await;
    assert!(log.contains("\"tag\":\"timed_out\""), "{log}");
}

fn signal(pid: i32, name: &str) {
    let sent = std::process::Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status();
    assert!(sent.unwrap().success(), "kill -s {name} {pid}");
}

#[tokio::test]
async fn a_locked_table_is_503_before_the_function_is_out_of_time() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    lands(&ingest, &site, 1, "first").await;
    let mut admin = site.database.superuser().await;
    let lock = admin.transaction().await.unwrap();
    lock.batch_execute("lock table raw.site_tracking_events_r")
        .await
        .unwrap();
    let began = Instant::now();
    let answer = ingest.send(&event(&site)).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(
        began.elapsed() + Duration::from_secs(1) < REMAINING,
        "{:?}",
        began.elapsed()
    );
    lock.rollback().await.unwrap();
    lands(&ingest, &site, 2, "after the lock").await;
    let log = ingest.stop().await;
    assert!(
        log.contains("\"sqlstate\":\"57014\"") && log.contains("look for locks"),
        "{log}"
    );
    assert!(
        !log.contains("\"calls\":2"),
        "a lock is waited for once, and costs no event its audit: {log}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_proven_gets_nothing() {
    let site = Site::new().await;
    let clear: &'static Cluster =
        Box::leak(Box::new(Cluster::start(&Version::Default.bin(), &["ssl = off"])));
    let stranger = Cluster::own(Version::Default);
    let strange_ca = stranger.authority_pem().display().to_string();
    let clear_port = clear.port.to_string();
    // 0.0.0.0 reaches this machine, and is no loopback address.
    for (label, changed, says) in [
        (
            "wrong authority",
            vec![("DB_CA", strange_ca.as_str())],
            "vouched for by nobody",
        ),
        (
            "the public authorities",
            vec![("DB_CA", "system")],
            "vouched for by nobody",
        ),
        ("those of Amazon", vec![("DB_CA", "rds")], "vouched for by nobody"),
        (
            "wrong host",
            vec![("DB_HOST", "0.0.0.0")],
            "certificate is for another host",
        ),
        (
            "clear text",
            vec![("DB_HOST", "0.0.0.0"), ("DB_PORT", &clear_port)],
            "switch ssl on",
        ),
    ] {
        let ingest = site.start_with(INGEST, &site.environment_with(&changed)).await;
        assert_eq!(ingest.send(&event(&site)).await.status, 503, "{label}");
        let log = ingest.stop().await;
        assert!(log.contains(says), "{label}: {log}");
    }
    assert_eq!(site.count().await, 0);
}

#[tokio::test]
async fn requests_at_once_share_a_few_connections_and_each_lands_once() {
    let site = Site::new().await;
    let environment = site.environment_with(&[("AWS_LAMBDA_MAX_CONCURRENCY", "8")]);
    let ingest = site.start_with(INGEST, &environment).await;
    let answers: Vec<_> = (0..40)
        .map(|_| ingest.api.invoke(event(&site).json(), REMAINING))
        .collect();
    for answer in answers {
        let Ok(Outcome::Response(reply)) = answer.await else {
            panic!("no answer:\n{}", ingest.output());
        };
        assert_eq!(Answer::of(&reply).status, 200, "{reply}");
    }
    assert_eq!(site.count().await, 40);
    let connections = site.terminate().await;
    assert!(connections <= CONNECTIONS_MAX, "{connections}");
    ingest.stop().await;
}

/// Calls of `login` that wait in the database, `expected` of them.
async fn hanging(site: &Site, expected: usize) {
    wait::until_async("calls that hang", Duration::from_secs(20), || async {
        let sql = "select from pg_stat_activity where usename = $1 and wait_event = 'advisory'";
        let hanging = site.admin.query(sql, &[&site.login]).await.unwrap();
        (hanging.len() == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_call_that_hangs_holds_up_and_stops_nobody_elses() {
    let site = Site::new().await;
    let source = EventSource::new().await;
    let hang = format!(
        "create function public.hang() returns trigger language plpgsql as
           $$ begin if new.raw_payload ? 'hangs' then perform pg_advisory_xact_lock_shared(6); end if;
              return new; end $$;
         create trigger hang before insert on raw.site_tracking_events_r
           for each row execute function public.hang();
         alter role {} reset statement_timeout;
         select pg_advisory_lock(6)",
        site.login
    );
    site.admin.batch_execute(&hang).await.unwrap();
    let environment = site.environment_with(&[("AWS_LAMBDA_MAX_CONCURRENCY", "8")]);
    let ingest = site.start_with(INGEST, &source.beside(environment)).await;
    let hangs = Request::post(Shape::V2, site.key.expose(), r#"{"hangs":1}"#);
    let hang = || ingest.api.invoke(hangs.json(), REMAINING);
    let mut waiting: Vec<_> = (1..CONNECTIONS_MAX).map(|_| hang()).collect();
    hanging(&site, CONNECTIONS_MAX - 1).await;
    let other = site.another_key("other-tenant", None).await;
    let neighbour = Request::post(Shape::V2, other.expose(), r#"{"a":1}"#);
    assert_eq!(
        ingest.send(&neighbour).await.status,
        200,
        "one connection is left"
    );
    waiting.push(hang());
    hanging(&site, CONNECTIONS_MAX).await;
    assert_eq!(ingest.send(&neighbour).await.status, 202, "none is left");
    for answer in waiting {
        let Ok(Outcome::Response(reply)) = answer.await else {
            panic!("no answer:\n{}", ingest.output());
        };
        assert_eq!(Answer::of(&reply).status, 202, "{reply}");
    }
    hanging(&site, 0).await;
    site.admin
        .batch_execute("select pg_advisory_unlock(6)")
        .await
        .unwrap();
    assert_eq!(
        site.count().await,
        1,
        "what nobody waits for any more was stopped"
    );
    let log = ingest.stop().await;
    assert_eq!(
        log.matches(r#""tag":"timed_out""#).count(),
        CONNECTIONS_MAX,
        "{log}"
    );
    assert_eq!(log.matches(r#""tag":"busy""#).count(), 1, "{log}");
}
