//! Behind PgBouncer in transaction mode all is as it is without: no session state, no named statement, no start-up
//! option.

use std::time::Duration;

use serde_json::json;

use crate::support::function::REMAINING;
use crate::support::gateway::{Answer, Request, Shape};
use crate::support::pgbouncer::PgBouncer;
use crate::support::proxy::Proxy;
use crate::support::runtime_api::Outcome;
use crate::support::site::{Site, Watched, PASSWORD};
use crate::support::wait;
use crate::INGEST;

async fn start(site: &Site, pooler: &PgBouncer) -> Watched {
    let port = pooler.port.to_string();
    site.start_with(INGEST, &site.environment_with(&[("DB_PORT", &port)]))
        .await
}

async fn stored(ingest: &Watched, site: &Site, body: &str) -> (u64, serde_json::Value) {
    let answer = ingest
        .send(&Request::post(Shape::V2, site.key.expose(), body))
        .await;
    (answer.status, answer.body["stored"].clone())
}

#[tokio::test]
async fn functions_share_one_connection_of_a_pooler() {
    let site = Site::new().await;
    let refusing = "create function public.refuse() returns trigger language plpgsql as
                      $$ begin if new.raw_payload ? 'bad' then raise exception 'no'; end if; return new; end $$;
                    create trigger refuse before insert on raw.site_tracking_events_r
                      for each row execute function public.refuse()";
    site.admin.batch_execute(refusing).await.unwrap();
    let pooler = PgBouncer::start(site.database.cluster, &site.login, PASSWORD, 1);
    let functions = [start(&site, &pooler).await, start(&site, &pooler).await];
    for _ in 0..3 {
        for ingest in &functions {
            assert_eq!(stored(ingest, &site, r#"{"a":1}"#).await, (200, json!(1)));
            assert_eq!(
                stored(ingest, &site, r#"[{"a":1},{"a":2},{"a":3}]"#).await,
                (200, json!(3))
            );
            let isolated = stored(ingest, &site, r#"[{"a":1},{"bad":2},{"a":3}]"#).await;
            assert_eq!(isolated, (200, json!(2)));
            let ready = Request::post(Shape::V2, "", "")
                .method("GET")
                .path("/health/ready");
            assert_eq!(ingest.send(&ready.no_body()).await.status, 200);
        }
    }
    assert_eq!(site.terminate().await, 1, "one connection for all");
    for ingest in &functions {
        assert_eq!(
            stored(ingest, &site, r#"{"a":1}"#).await,
            (200, json!(1)),
            "after a failover"
        );
    }
    for ingest in functions {
        ingest.stop().await;
    }
}

/// Its server hangs up on the pooler, which answers that in the server's place, while the server goes on and commits.
#[tokio::test]
async fn an_answer_that_the_pooler_lost_is_not_taken_for_a_no() {
    let site = Site::new().await;
    let waiting = "create function public.wait() returns trigger language plpgsql as
                     $$ begin perform pg_advisory_xact_lock_shared(5); return new; end $$;
                   create trigger wait before insert on raw.site_tracking_events_r
                     for each row execute function public.wait()";
    site.admin.batch_execute(waiting).await.unwrap();
    let way = Proxy::transparent(site.database.cluster.port).await;
    let pooler = PgBouncer::before(way.port, site.database.cluster, &site.login, PASSWORD, 1);
    let ingest = start(&site, &pooler).await;
    for (again, expected) in [
        ("is there, and finds the events", (200, "")),
        ("is refused", (503, "outcome_unknown")),
    ] {
        let before = site.count().await;
        site.admin
            .batch_execute("select pg_advisory_lock(5)")
            .await
            .unwrap();
        let post = Request::post(Shape::V2, site.key.expose(), r#"{"a":1}"#);
        let answer = ingest.api.invoke(post.json(), REMAINING);
        wait::until_async("an insert that waits", Duration::from_secs(20), || async {
            let sql = "select from pg_stat_activity where usename = $1 and wait_event = 'advisory'";
            let waiting = site.admin.query(sql, &[&site.login]).await.unwrap();
            (!waiting.is_empty()).then_some(())
        })
        .await;
        if expected.0 == 503 {
            let revoke = "revoke usage on schema raw from tracking_ingest_role";
            site.admin.batch_execute(revoke).await.unwrap();
        }
        way.reset_all();
        let release = "select pg_advisory_unlock(5)";
        if expected.0 == 200 {
            site.admin.batch_execute(release).await.unwrap();
        }
        let Ok(Outcome::Response(reply)) = answer.await else {
            panic!("the call that {again} has no answer");
        };
        let answer = Answer::of(&reply);
        site.admin.batch_execute(release).await.unwrap();
        assert_eq!((answer.status, answer.tag()), expected, "{again}: {answer:?}");
        wait::until_async("the first call's commit", Duration::from_secs(20), || async {
            (site.count().await > before).then_some(())
        })
        .await;
        assert_eq!(site.count().await, before + 1, "{again}");
    }
    let log = ingest.stop().await;
    assert_eq!(log.matches(r#""notes":["reconnected"]"#).count(), 2, "{log}");
}
