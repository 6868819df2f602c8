//! What operators ask for by invoking the function directly.

use serde_json::{json, Value};

use crate::migrate_stack::{catalog, number, shared, Stack, BINARY};
use crate::support::database::Database;
use crate::support::function::Function;
use crate::support::postgres::{SUPERUSER, SUPERUSER_PASSWORD};

pub struct Operator<'c> {
    pub database: Database<'c>,
    function: Function,
}

impl Operator<'_> {
    pub async fn on_an_empty_database() -> Operator<'static> {
        Operator::on(Database::empty(shared().await).await).await
    }

    pub async fn with_v001() -> Operator<'static> {
        Operator::on(Database::with_v001(shared().await).await).await
    }

    pub async fn on(database: Database<'_>) -> Operator<'_> {
        let environment = database.environment("nobody", "none");
        let function = Function::start(BINARY, &environment).await;
        Operator { database, function }
    }

    /// The answer; what it holds beside `key` must be safe to log.
    pub async fn asks(&self, event: Value) -> Value {
        let answer = self.function.invoke(event.to_string()).await;
        let output = self.function.output();
        assert!(
            !output.contains("stk_") && !output.contains(SUPERUSER_PASSWORD),
            "{output}"
        );
        assert_eq!(answer["action"], event["action"], "{answer}");
        answer
    }

    pub async fn gets(&self, event: Value) -> Value {
        let answer = self.asks(event).await;
        assert_eq!(answer["ok"], true, "{answer}");
        answer
    }

    /// Everything that it wrote.
    pub async fn stop(self) -> String {
        self.function.stop().await
    }

    async fn is_refused(&self, event: Value, says: &str) -> Value {
        let answer = self.asks(event).await;
        assert_eq!(answer["ok"], false, "{answer}");
        assert!(answer["error"].to_string().contains(says), "{says:?}: {answer}");
        answer
    }
}

#[tokio::test]
async fn what_apply_makes_rollback_takes_away_and_verify_sees_both() {
    let operator = Operator::on_an_empty_database().await;
    let client = operator.database.superuser().await;
    let before = catalog(&client).await;
    operator
        .gets(json!({"action": "verify", "expect": "absent"}))
        .await;
    let absent = operator.asks(json!({"action": "verify"})).await;
    assert_eq!(absent["ok"], false);
    assert!(!absent["differences"].as_array().unwrap().is_empty());

    let applied = operator.gets(json!({"action": "apply"})).await;
    assert_eq!(applied["outcome"], "applied");
    assert_eq!(
        operator.gets(json!({"action": "apply"})).await["outcome"],
        "unchanged"
    );
    operator.gets(json!({"action": "verify"})).await;
    let present = operator
        .asks(json!({"action": "verify", "expect": "absent"}))
        .await;
    assert_eq!(present["ok"], false, "{present}");

    let gone = operator
        .gets(json!({"action": "rollback", "version": "V001"}))
        .await;
    assert_eq!(gone["outcome"], "rolled_back");
    assert_eq!(catalog(&client).await, before);
    operator
        .gets(json!({"action": "verify", "expect": "absent"}))
        .await;
    let again = operator
        .gets(json!({"action": "rollback", "version": "V001"}))
        .await;
    assert_eq!(again["outcome"], "unchanged");
}

#[tokio::test]
async fn verify_names_what_was_changed() {
    let operator = Operator::with_v001().await;
    let client = operator.database.superuser().await;
    client
        .batch_execute("drop index raw.site_tracking_events_r_received")
        .await
        .unwrap();
    let answer = operator.asks(json!({"action": "verify"})).await;
    assert_eq!(answer["ok"], false);
    assert!(
        answer["differences"]
            .to_string()
            .contains("site_tracking_events_r_received"),
        "{answer}"
    );
}

#[tokio::test]
async fn rollback_wants_the_version_and_the_exact_count_of_rows() {
    let operator = Operator::with_v001().await;
    let client = operator.database.superuser().await;
    client
        .batch_execute("select raw.ingest_tracking_event('\\x01', null, null, null, '{\"a\": 1}') from generate_series(1, 3)")
        .await
        .unwrap();
    let before = catalog(&client).await;
    for (event, says) in [
        (json!({"action": "rollback"}), "version must be"),
        (json!({"action": "rollback", "version": "V1"}), "version must be"),
        (json!({"action": "rollback", "version": "V001"}), "TR012"),
        (
            json!({"action": "rollback", "version": "V001", "drop_rows": 2}),
            "TR012",
        ),
        (
            json!({"action": "rollback", "version": "V001", "drop_rows": 0}),
            "TR012",
        ),
    ] {
        operator.is_refused(event, says).await;
        assert_eq!(catalog(&client).await, before);
    }
    let gone = operator
        .gets(json!({"action": "rollback", "version": "V001", "drop_rows": 3}))
        .await;
    assert_eq!(
        (&gone["outcome"], &gone["rows_dropped"]),
        (&json!("rolled_back"), &json!(3))
    );
}

#[tokio::test]
async fn rollback_wants_the_exact_count_of_owners_and_tells_the_keys_that_went() {
    let mut stack = Stack::new(shared().await).await;
    stack.create().await;
    let database = Database {
        cluster: stack.database.cluster,
        name: stack.database.name.clone(),
    };
    let operator = Operator::on(database).await;
    operator
        .gets(json!({"action": "create_key", "tenant_bk": "shop"}))
        .await;
    let client = operator.database.superuser().await;
    let before = catalog(&client).await;
    for owners in [Value::Null, json!(0), json!(2)] {
        let event = json!({"action": "rollback", "version": "V001", "owners": owners});
        let answer = operator.is_refused(event, "add \\\"owners\\\": 1").await;
        assert!(answer.to_string().contains(&stack.id), "{answer}");
        assert_eq!(catalog(&client).await, before);
    }
    let gone = operator
        .gets(json!({"action": "rollback", "version": "V001", "owners": 1}))
        .await;
    assert_eq!(
        (&gone["outcome"], &gone["keys_dropped"]),
        (&json!("rolled_back"), &json!(1))
    );
}

#[tokio::test]
async fn a_key_is_shown_once_and_lands_events_until_it_is_revoked() {
    let operator = Operator::with_v001().await;
    let client = operator.database.superuser().await;
    let made = operator
        .gets(json!({
            "action": "create_key", "tenant_bk": "shop", "label": "the shop's page",
            "allowed_origins": ["https://Shop.example"]
        }))
        .await;
    let key = made["key"].as_str().unwrap();
    let verdict = |hash: String, origin: &str| {
        format!(
            "select verdict from raw.ingest_tracking_beacon(decode('{hash}', 'hex'), '{origin}', null, null,
               array['{{\"a\":1}}'::jsonb], array[null::uuid], 'receipt', now(), null, array['PENDING'],
               array[null::text])"
        )
    };
    let hash = made["api_key_hk"].as_str().unwrap().to_owned();
    let ask = |sql: String| async {
        let sql = sql;
        client.query_one(&sql, &[]).await.unwrap().get::<_, String>(0)
    };
    assert_eq!(ask(verdict(hash.clone(), "https://shop.example")).await, "ok");
    assert_eq!(
        ask(verdict(hash.clone(), "https://other.example")).await,
        "origin"
    );
    let tenant = "select count(*) from raw.site_tracking_events_r where tenant_hk = sha256('shop')";
    assert_eq!(number(&client, tenant).await, 1);

    let other = operator
        .gets(json!({"action": "create_key", "tenant_bk": "other"}))
        .await;
    let list = operator.gets(json!({"action": "list_keys"})).await;
    assert_eq!(list["keys"].as_array().unwrap().len(), 2);
    assert!(!list.to_string().contains("stk_"), "{list}");
    let list = operator
        .gets(json!({"action": "list_keys", "tenant_bk": "shop"}))
        .await;
    assert_eq!(list["keys"][0]["api_key_hk"], made["api_key_hk"]);
    assert_eq!(
        list["keys"][0]["allowed_origins"],
        json!(["https://shop.example"])
    );

    for (event, changed) in [
        (json!({"action": "revoke_key", "key": key}), true),
        (json!({"action": "revoke_key", "api_key_hk": hash.clone()}), false),
        (
            json!({"action": "revoke_key", "api_key_hk": other["api_key_hk"]}),
            true,
        ),
    ] {
        let revoked = operator.gets(event).await;
        assert_eq!(revoked["changed"], changed, "{revoked}");
        assert!(revoked["revoked_at"].is_string(), "{revoked}");
    }
    assert_eq!(ask(verdict(hash, "https://shop.example")).await, "revoked");
    let stored = number(
        &client,
        "select count(*) from raw.site_tracking_keys_r k where k::text like '%stk%'",
    )
    .await;
    assert_eq!(stored, 0);
}

#[tokio::test]
async fn a_tenant_is_looked_up_where_there_are_tenants_and_never_made() {
    let operator = Operator::on_an_empty_database().await;
    let client = operator.database.superuser().await;
    client
        .batch_execute(
            "create schema auth;
             create table auth.tenant_h (tenant_hk bytea primary key, tenant_bk varchar(255),
               load_date timestamptz, record_source varchar(100));
             insert into auth.tenant_h values ('\\x0a', 'shop'), ('\\x0b', 'twin'), ('\\x0c', 'twin')",
        )
        .await
        .unwrap();
    operator.gets(json!({"action": "apply"})).await;
    let made = operator
        .gets(json!({"action": "create_key", "tenant_bk": "shop"}))
        .await;
    assert_eq!(made["tenant_hk"], "0a");
    for (tenant, says) in [("nobody", "has no tenant"), ("twin", "more than one tenant")] {
        let event = json!({"action": "create_key", "tenant_bk": tenant});
        operator.is_refused(event, says).await;
    }
    assert_eq!(number(&client, "select count(*) from auth.tenant_h").await, 3);
    assert_eq!(
        number(&client, "select count(*) from raw.site_tracking_keys_r").await,
        1
    );
}

#[tokio::test]
async fn what_cannot_be_done_is_said_with_its_remedy() {
    let operator = Operator::on_an_empty_database().await;
    for (event, says) in [
        (
            json!({"action": "create_key", "tenant_bk": "shop"}),
            "apply V001 first",
        ),
        (json!({"action": "list_keys"}), "apply V001 first"),
        (
            json!({"action": "revoke_key", "api_key_hk": "00".repeat(32)}),
            "apply V001 first",
        ),
        (
            json!({"action": "revoke_key", "key": "stk_mistyped"}),
            "its form or its checksum is wrong",
        ),
        (
            json!({"action": "apply", "ingest_user": SUPERUSER}),
            "is a superuser",
        ),
    ] {
        operator.is_refused(event, says).await;
    }
    operator.gets(json!({"action": "apply"})).await;
    let unknown = json!({"action": "revoke_key", "api_key_hk": "00".repeat(32)});
    operator.is_refused(unknown, "there is no key").await;
    let answer = operator.function.invoke("{}").await;
    assert_eq!(
        (&answer["ok"], &answer["error"]["code"]),
        (&json!(false), &json!("request"))
    );
    let panicked = operator
        .is_refused(json!({"action": "panic"}), "has a defect")
        .await;
    assert_eq!(panicked["error"]["code"], "panic");
    operator.gets(json!({"action": "status"})).await;
}

#[tokio::test]
async fn what_is_no_action_is_answered_and_neither_repeated_nor_logged() {
    let operator = Operator::on_an_empty_database().await;
    let secret = format!("stk_{}", "canary".repeat(5));
    for event in [
        json!({ "action": secret }),
        json!({ "action": [secret] }),
        json!({}),
    ] {
        let answer = operator.function.invoke(event.to_string()).await;
        assert_eq!(
            (&answer["ok"], &answer["action"], &answer["error"]["code"]),
            (&json!(false), &Value::Null, &json!("request"))
        );
        let said = format!("{answer} {}", operator.function.output());
        let actions = "plan, apply, rollback, verify, status, measure, recent, doctor, health, create_key, revoke_key, list_keys";
        assert!(said.contains(actions) && !said.contains("canary"), "{said}");
    }
}

#[tokio::test]
async fn a_broken_environment_is_told_and_does_not_stop_the_function() {
    let cluster = shared().await;
    let database = Database::empty(cluster).await;
    for (name, value, says) in [
        ("LOG_LEVEL", Some("verbose"), "LOG_LEVEL must be info or debug"),
        ("DB_HOST", None, "DB_HOST is not set"),
        ("DB_NAME", Some(""), "DB_NAME is empty"),
        ("DB_MIGRATOR_USER", None, "DB_MIGRATOR_USER is not set"),
        ("DB_MIGRATOR_PASSWORD", None, "DB_MIGRATOR_PASSWORD is not set"),
        ("DB_PORT", Some("none"), "DB_PORT must be a number"),
        (
            "DB_AUTH",
            Some("trust"),
            "DB_AUTH must be iam, password or secret",
        ),
        ("DB_AUTH", Some("iam"), "AWS_REGION is not set"),
        (
            "DB_CA",
            Some("/no/such.pem"),
            "certificates of DB_CA cannot be used",
        ),
        ("DB_NAME", Some("no_such_database"), "3D000"),
        ("DB_MIGRATOR_PASSWORD", Some("canary-wrong-password"), "28P01"),
    ] {
        let mut environment = database.environment("nobody", "none");
        environment.retain(|(known, _)| *known != name);
        environment.extend(value.map(|value| (name, value.to_owned())));
        let function = Function::start(BINARY, &environment).await;
        let answer = function.invoke(json!({"action": "status"}).to_string()).await;
        assert_eq!(answer["ok"], false, "{name}={value:?}: {answer}");
        assert!(
            answer["error"].to_string().contains(says),
            "{name}={value:?}: {answer}"
        );
        assert!(!function.output().contains("canary-wrong-password"));
    }
}

#[tokio::test]
async fn a_secret_in_any_field_of_an_action_is_neither_repeated_nor_logged() {
    let operator = Operator::with_v001().await;
    let client = operator.database.superuser().await;
    let tenants =
        "create schema auth; create table auth.tenant_h (tenant_hk bytea primary key, tenant_bk text);
        insert into auth.tenant_h values ('x', 't');
        alter table raw.site_tracking_keys_r add constraint label_fits check (label not like 'canary%')";
    client.batch_execute(tenants).await.unwrap();
    let secret = "canary-of-a-secret";
    let long = secret.repeat(20);
    for (event, says) in [
        (json!({"action": "verify", "expect": secret}), "got 18 characters"),
        (
            json!({"action": "rollback", "version": secret}),
            "got 18 characters",
        ),
        (
            json!({"action": "rollback", "version": "V001", "drop_rows": secret}),
            "got 18 characters",
        ),
        (
            json!({"action": "rollback", "version": "V001", "owners": secret}),
            "got 18 characters",
        ),
        (
            json!({"action": "apply", "environment": secret}),
            "got 18 characters",
        ),
        (
            json!({"action": "apply", "ingest_user": long}),
            "got 360 characters",
        ),
        (
            json!({"action": "apply", "ingest_user": "x", "ingest_connection_limit": secret}),
            "got 18 characters",
        ),
        (
            json!({"action": "create_key", "tenant_bk": secret}),
            "no tenant with this tenant_bk of 18 characters",
        ),
        // PostgreSQL's detail is the whole row.
        (
            json!({"action": "create_key", "tenant_bk": "t", "label": secret}),
            "label_fits",
        ),
        (
            json!({"action": "create_key", "tenant_bk": "t", "allowed_origins": [secret]}),
            "an entry of 18 characters",
        ),
        (
            json!({"action": "list_keys", "tenant_bk": format!("{secret}\0")}),
            "a character U+0000 at position 19",
        ),
        (
            json!({"action": "revoke_key", "key": secret}),
            "is not a site key",
        ),
        (
            json!({"action": "revoke_key", "api_key_hk": secret}),
            "64 hexadecimal digits",
        ),
    ] {
        let answer = operator.is_refused(event, says).await;
        assert!(!answer.to_string().contains("canary"), "{answer}");
        assert!(!operator.function.output().contains("canary"), "{answer}");
    }
}
