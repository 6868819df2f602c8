//! What a connection lives through: a failover, a certificate that ran out, a call that nobody waits for any more.

use std::time::Duration;

use serde_json::json;

use crate::support::gateway::{Request, Shape};
use crate::support::postgres::{Cluster, Version};
use crate::support::site::Site;
use crate::support::wait;
use crate::INGEST;

/// Sessions of the ingest login that are in the state `state`.
async fn sessions(site: &Site, state: &str) -> usize {
    let sql = "select from pg_stat_activity where usename = $1 and state = $2";
    site.admin.query(sql, &[&site.login, &state]).await.unwrap().len()
}

fn event(site: &Site) -> Request {
    Request::post(Shape::V2, site.key.expose(), r#"{"a":1}"#)
}

#[tokio::test]
async fn a_server_that_became_a_standby_is_left_for_the_primary() {
    let site = Site::new().await;
    let read_only = |value: &str| {
        let login = &site.login;
        format!("alter role {login} set default_transaction_read_only = {value}")
    };
    site.admin.batch_execute(&read_only("on")).await.unwrap();
    let ingest = site.start(INGEST).await;
    wait::until_async("the connection ahead", Duration::from_secs(10), || async {
        (sessions(&site, "idle").await == 1).then_some(())
    })
    .await;
    // That session stays as it is: a standby that the host's name no longer leads to.
    site.admin.batch_execute(&read_only("off")).await.unwrap();
    let answer = ingest.send(&event(&site)).await;
    assert_eq!(
        (answer.status, &answer.body["stored"]),
        (200, &json!(1)),
        "{answer:?}"
    );
    assert_eq!(site.count().await, 1);
    let log = ingest.stop().await;
    assert!(log.contains("\"notes\":[\"reconnected\"]"), "{log}");
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_does_not_run_on() {
    let site = Site::new().await;
    let endless = format!("alter role {} set statement_timeout = 0", site.login);
    site.admin.batch_execute(&endless).await.unwrap();
    let ingest = site.start(INGEST).await;
    assert_eq!(ingest.send(&event(&site)).await.status, 200);
    let mut admin = site.database.superuser().await;
    let lock = admin.transaction().await.unwrap();
    let sql = "lock table raw.site_tracking_events_r";
    lock.batch_execute(sql).await.unwrap();
    let answer = ingest.send(&event(&site)).await;
    assert_eq!(
        (answer.status, answer.tag()),
        (503, "outcome_unknown"),
        "{answer:?}"
    );
    wait::until_async(
        "the end of the call on the server",
        Duration::from_secs(2),
        || async { (sessions(&site, "active").await == 0).then_some(()) },
    )
    .await;
    lock.rollback().await.unwrap();
    assert_eq!(
        site.count().await,
        1,
        "what was said to be not stored is not stored"
    );
    let log = ingest.stop().await;
    assert!(log.contains("\"tag\":\"timed_out\""), "{log}");
}

#[tokio::test]
async fn a_certificate_that_ran_out_proves_nothing() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::own(Version::Default)));
    let site = Site::on(cluster).await;
    cluster.let_certificate_expire();
    let ingest = site.start(INGEST).await;
    assert_eq!(ingest.send(&event(&site)).await.status, 503);
    let log = ingest.stop().await;
    assert!(
        log.contains("the server's certificate has expired; renew it"),
        "{log}"
    );
}
