//! Behind PgBouncer in transaction mode all is as it is without: no session state, no named statement, no start-up
//! option.

use serde_json::json;

use crate::support::gateway::{Request, Shape};
use crate::support::pgbouncer::PgBouncer;
use crate::support::site::{Site, Watched, PASSWORD};
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
