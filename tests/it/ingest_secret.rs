//! A password in AWS Secrets Manager: both functions log in with it, a rotation costs no event, and nobody reads it in
//! a log.

use serde_json::json;
use site_tracking::aws::Service;

use crate::support::database::Database;
use crate::support::function::Function;
use crate::support::gateway::{Request, Shape};
use crate::support::moto::Moto;
use crate::support::postgres::{SUPERUSER, SUPERUSER_PASSWORD};
use crate::support::site::{Site, PASSWORD};
use crate::INGEST;

const MIGRATE: &str = env!("CARGO_BIN_EXE_migrate");

fn environment(site: &Site, moto: &Moto, arn: &str) -> Vec<(&'static str, String)> {
    let mut environment = site.environment_with(&[("DB_AUTH", "secret"), ("DB_USER", "nobody")]);
    environment.retain(|(name, _)| !name.ends_with("_PASSWORD"));
    environment.extend(moto.environment());
    environment.push(("DB_SECRET_ARN", arn.to_owned()));
    environment.push(("DB_MIGRATOR_SECRET_ARN", arn.to_owned()));
    environment
}

/// As RDS makes it.
fn secret(user: &str, password: &str) -> String {
    json!({ "engine": "postgres", "username": user, "password": password }).to_string()
}

async fn made(moto: &Moto, name: &str, text: &str) -> String {
    let body = json!({ "Name": name, "SecretString": text });
    let answer = moto
        .ask(Service::SecretsManager, "secretsmanager.CreateSecret", body)
        .await;
    answer["ARN"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_secret_is_fetched_and_fetched_again_when_it_was_rotated() {
    let (site, moto) = (Site::new().await, Moto::start());
    let arn = made(&moto, "ingest", &secret(&site.login, PASSWORD)).await;
    let ingest = site.start_with(INGEST, &environment(&site, &moto, &arn)).await;
    let event = Request::post(Shape::V2, site.key.expose(), r#"{"a":1}"#);
    for rotation in 0..3 {
        let answer = ingest.send(&event).await;
        assert_eq!(answer.status, 200, "rotation {rotation}: {answer:?}");
        let next = format!("canary-{rotation}");
        let sql = format!("alter role {} password '{next}'", site.login);
        site.admin.batch_execute(&sql).await.unwrap();
        let body = json!({ "SecretId": arn, "SecretString": secret(&site.login, &next) });
        let action = "secretsmanager.PutSecretValue";
        moto.ask(Service::SecretsManager, action, body).await;
        assert_eq!(site.terminate().await, 1);
    }
    assert_eq!(ingest.send(&event).await.status, 200);
    assert_eq!(site.count().await, 4);
    ingest.stop().await;
}

#[tokio::test]
async fn a_secret_that_cannot_be_had_is_named_to_the_operator_alone() {
    let (site, moto) = (Site::new().await, Moto::start());
    let empty = made(&moto, "empty", r#"{"username":"canary"}"#).await;
    let wrong = made(&moto, "wrong", &secret(&site.login, "canary-wrong")).await;
    for (arn, says) in [
        ("no-such-secret", "ResourceNotFoundException: check its ARN"),
        (&empty, "neither a text nor JSON with a member password"),
        (&wrong, "28P01"),
    ] {
        let ingest = site.start_with(INGEST, &environment(&site, &moto, arn)).await;
        let event = Request::post(Shape::V2, site.key.expose(), r#"{"a":1}"#);
        let answer = ingest.send(&event).await;
        assert_eq!((answer.status, answer.tag()), (503, "unavailable"), "{says}");
        let log = ingest.stop().await;
        assert!(log.contains(says), "{says}: {log}");
    }
    assert_eq!(site.count().await, 0);
}

#[tokio::test]
async fn migrate_logs_in_with_a_secret() {
    let (site, moto) = (Site::new().await, Moto::start());
    let bare = made(&moto, "bare", SUPERUSER_PASSWORD).await;
    let named = made(&moto, "named", &secret(SUPERUSER, SUPERUSER_PASSWORD)).await;
    for arn in [bare, named] {
        let migrate = Function::start(MIGRATE, &environment(&site, &moto, &arn)).await;
        let answer = migrate.invoke(r#"{"action":"status"}"#).await;
        assert_eq!(answer["ok"], true, "{answer}");
        let log = migrate.stop().await;
        assert!(!log.contains(SUPERUSER_PASSWORD), "{log}");
    }
}

#[tokio::test]
async fn a_stack_names_the_migrators_secret_by_a_property() {
    let moto = Moto::start();
    let cluster = crate::migrate_stack::shared().await;
    let database = Database::empty(cluster).await;
    let arn = made(&moto, "migrator", &secret(SUPERUSER, SUPERUSER_PASSWORD)).await;
    let mut stack = crate::migrate_stack::Stack::on(database, "secret").await;
    stack.function = Function::start(MIGRATE, &moto.environment()).await;
    stack.properties["DatabaseAuth"] = json!("secret");
    stack.properties["MigratorSecretArn"] = json!(arn);
    let answer = stack.create().await;
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
}
