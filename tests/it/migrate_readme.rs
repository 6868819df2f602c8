//! The README's blocks of SQL give the migrator's login what it needs: they are run as they stand, then a stack comes and
//! goes with that login. So is the emergency procedure.

use std::time::Duration;

use serde_json::{json, Value};

use crate::migrate_actions::Operator;
use crate::migrate_stack::{catalog, roles, secrets, Stack, BINARY};
use crate::support::database::Database;
use crate::support::function::Function;
use crate::support::postgres::{Cluster, Version};
use crate::support::runtime_api::Outcome;
use crate::support::tools;

/// What the README's database has beside ours.
const NEIGHBOURS: &str = "create role rds_iam nologin; create schema util; create schema auth;
    create function util.hash_binary(text) returns bytea language sql
      as 'select pg_catalog.sha256(pg_catalog.convert_to($1, ''UTF8''))';
    create table auth.tenant_h (tenant_hk bytea primary key, tenant_bk varchar(255), load_date timestamptz,
      record_source varchar(100)); insert into auth.tenant_h values ('\\x0a', 'shop')";

/// The SQL of the section on deploying: the login, what it needs of others, the roles that it may not make.
fn blocks() -> [String; 3] {
    let readme = std::fs::read_to_string(tools::project().join("README.md")).unwrap();
    let (_, deploy) = readme.split_once("\n## Deploy\n").unwrap();
    let mut blocks = deploy.split("```sql\n").skip(1);
    [(); 3].map(|()| blocks.next().unwrap().split("```").next().unwrap().to_owned())
}

#[tokio::test]
async fn the_readmes_least_privileges_are_enough_for_a_deploy_and_a_delete() {
    let [login, neighbours, made_by_others] = blocks();
    for version in [Version::Oldest, Version::Newest] {
        let cluster = Cluster::own(version);
        let name = "mydb".to_owned();
        let other = Database::empty(&cluster).await;
        other
            .superuser()
            .await
            .batch_execute("create database mydb")
            .await
            .unwrap();
        let mut stack = Stack::on(
            Database {
                cluster: &cluster,
                name,
            },
            "one",
        )
        .await;
        let client = stack.client().await;
        for sql in [
            NEIGHBOURS,
            &login,
            &neighbours,
            "alter role tracking_migrator password 'm'",
        ] {
            client.batch_execute(sql).await.unwrap();
        }
        let mut environment = secrets();
        environment.retain(|(name, _)| *name != "DB_MIGRATOR_PASSWORD");
        environment.push(("DB_MIGRATOR_PASSWORD", "m".to_owned()));
        stack.function = Function::start(BINARY, &environment).await;
        stack.set("MigratorUser", "tracking_migrator");
        stack.set("IngestUser", "tracking_ingest");
        stack.set("IngestConnectionLimit", "80");
        let before = (catalog(&client).await, roles(&client).await);
        comes_and_goes(&mut stack, version).await;
        assert_eq!(
            (catalog(&client).await, roles(&client).await),
            before,
            "{version:?}"
        );

        client
            .batch_execute("alter role tracking_migrator nocreaterole")
            .await
            .unwrap();
        client.batch_execute(&made_by_others).await.unwrap();
        let before = (catalog(&client).await, roles(&client).await);
        comes_and_goes(&mut stack, version).await;
        assert_eq!(
            (catalog(&client).await, roles(&client).await),
            before,
            "{version:?}"
        );
    }
}

/// Nothing is left to be done by a person, but for a password.
async fn comes_and_goes(stack: &mut Stack<'_>, version: Version) {
    let created = stack.create().await;
    assert_eq!(created["Status"], "SUCCESS", "{version:?}: {created}");
    let reason = created["Reason"].as_str().unwrap();
    assert!(
        !reason.contains("grant") && !reason.contains("missing"),
        "{version:?}: {reason}"
    );
    let migrator = stack.database.client("tracking_migrator", "m").await;
    let tenant = "select tenant_hk from auth.tenant_h where tenant_bk = 'shop'";
    assert_eq!(migrator.query(tenant, &[]).await.unwrap().len(), 1);
    is_watched(&stack.database, version).await;
    let deleted = stack.delete().await;
    assert_eq!(
        deleted["Data"]["Outcome"], "rolled_back",
        "{version:?}: {deleted}"
    );
}

/// The least privileges are enough to be looked at, too.
async fn is_watched(database: &Database<'_>, version: Version) {
    let mut environment = database.environment("nobody", "none");
    environment.retain(|(name, _)| !name.starts_with("DB_MIGRATOR"));
    environment.push(("DB_MIGRATOR_USER", "tracking_migrator".to_owned()));
    environment.push(("DB_MIGRATOR_PASSWORD", "m".to_owned()));
    let function = Function::start(BINARY, &environment).await;
    let whole = Duration::from_secs(330);
    let Outcome::Response(page) = function.outcome(r#"{"action":"doctor"}"#, whole).await else {
        panic!("{}", function.output());
    };
    assert_eq!(page["failed"], json!([]), "{version:?}: {page}");
    let figures = function.invoke(r#"{"action":"measure"}"#).await;
    assert_eq!(
        (&figures["notes"], &figures["ConnectionsUsedPercent"]),
        (&json!([]), &json!(0.0)),
        "{version:?}: {figures}"
    );
}

/// What stands between backticks in the section on what to do when a deploy fails.
fn emergency() -> Vec<String> {
    let readme = std::fs::read_to_string(tools::project().join("README.md")).unwrap();
    let (_, section) = readme.split_once("\n### When a deploy fails\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let quoted = section.split('`').skip(1).step_by(2);
    quoted
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[tokio::test]
async fn the_readmes_emergency_procedure_runs_as_it_stands() {
    let operator = Operator::on_an_empty_database().await;
    let client = operator.database.superuser().await;
    operator.gets(serde_json::json!({"action": "apply"})).await;
    let (mut asked, mut is_gone) = (Vec::new(), false);
    for text in emergency() {
        if text.starts_with("select ") {
            assert!(!client.query(&text, &[]).await.unwrap().is_empty(), "{text}");
        }
        let Ok(event @ Value::Object(_)) = serde_json::from_str(&text) else {
            continue;
        };
        let answer = operator.asks(event.clone()).await;
        is_gone |= event["action"] == "rollback";
        let expected = event["expect"] != "absent" || is_gone;
        assert_eq!(answer["ok"], expected, "{event}: {answer}");
        asked.push(event["action"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        asked,
        ["status", "verify", "verify", "plan", "plan", "rollback", "verify"]
    );
    let newest = "select status from migrations.rollback_log order by rollback_id desc limit 1";
    let status: String = client.query_one(newest, &[]).await.unwrap().get(0);
    assert_eq!(status, "ROLLED_BACK");
}
