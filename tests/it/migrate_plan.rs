//! `plan` says what `apply` or `rollback` would do now, and writes nothing anywhere.

use serde_json::{json, Value};
use tokio_postgres::Client;

use crate::migrate_stack::{catalog, roles, shared, BINARY};
use crate::support::database::Database;
use crate::support::function::Function;
use crate::support::postgres::{Cluster, Version};

const TENANTS: &str = "create schema auth;
    create table auth.tenant_h (tenant_hk bytea primary key, tenant_bk varchar(255),
      load_date timestamptz, record_source varchar(100))";

/// Catalog, roles, the rows of every table, the next number of every sequence.
async fn everything(client: &Client) -> Vec<String> {
    let mut all = catalog(client).await;
    // Logins of stacks and sites of other tests come and go on a server that is shared; here it is `web`.
    let of_others = |line: &String| line.starts_with("role ingest_");
    all.extend(roles(client).await.into_iter().filter(|line| !of_others(line)));
    let queries = "select case relkind
          when 'S' then format('select format(''%%s %%s %s'', last_value, is_called) from %s', oid::regclass, oid::regclass)
          else format('select format(''%%s %s'', count(*)) from %s', oid::regclass, oid::regclass) end
        from pg_class where relkind in ('r', 'S') and relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
        order by oid::regclass::text";
    for row in client.query(queries, &[]).await.unwrap() {
        let query: String = row.get(0);
        all.push(client.query_one(&query, &[]).await.unwrap().get(0));
    }
    all
}

struct Planner<'c> {
    function: Function,
    client: Client,
    _database: Database<'c>,
}

impl<'c> Planner<'c> {
    async fn on(database: Database<'c>) -> Self {
        let environment = database.environment("nobody", "none");
        Self {
            function: Function::start(BINARY, &environment).await,
            client: database.superuser().await,
            _database: database,
        }
    }

    /// The answer to a plan, which must have written nothing.
    async fn plans(&self, of: Value) -> Value {
        let before = everything(&self.client).await;
        let answer = self.asks("plan", of).await;
        assert_eq!(everything(&self.client).await, before, "{answer}");
        if answer["ok"] == true {
            assert_eq!(
                (&answer["committed"], &answer["ledger_id"]),
                (&json!(false), &Value::Null)
            );
        }
        answer
    }

    async fn asks(&self, action: &str, mut fields: Value) -> Value {
        fields["action"] = json!(action);
        let answer = self.function.invoke(fields.to_string()).await;
        assert_eq!(answer["action"], action);
        answer
    }
}

fn has(list: &Value, piece: &str) -> bool {
    list.as_array().unwrap().iter().any(|entry| entry == piece)
}

#[tokio::test]
async fn a_plan_tells_what_the_real_run_then_does_and_writes_nothing() {
    for version in [Version::Oldest, Version::Newest] {
        let cluster = Cluster::own(version);
        let planner = Planner::on(Database::empty(&cluster).await).await;
        planner.client.batch_execute(TENANTS).await.unwrap();
        for round in ["without a ledger", "with one"] {
            let up = planner.plans(json!({"ingest_user": "web"})).await;
            assert_eq!(up["outcome"], "applied", "{version:?} {round}: {up}");
            assert!(has(&up["appears"], "table raw.site_tracking_events_r"), "{up}");
            assert!(has(&up["appears"], "role web"), "{up}");
            assert_eq!(
                (&up["vanishes"], &up["changes"]),
                (&json!([]), &json!([])),
                "{up}"
            );
            let locks = up["locks"].as_array().unwrap();
            let tenants = locks.iter().find(|lock| lock["mode"] == "ShareRowExclusiveLock");
            let tenants = tenants.unwrap_or_else(|| panic!("{up}"));
            assert_eq!(tenants["relation"], "auth.tenant_h", "{up}");
            assert!(tenants["held_ms"].is_u64() && tenants["step"].is_string(), "{up}");

            let before = catalog(&planner.client).await;
            let real = planner.asks("apply", json!({"ingest_user": "web"})).await;
            assert_eq!(
                (&real["outcome"], &real["reason"]),
                (&up["outcome"], &up["reason"])
            );
            assert!(real.get("committed").is_none(), "{real}");
            let step = |answer: &Value| answer["steps"].as_array().unwrap().len();
            assert_eq!(step(&real), step(&up), "{real}");

            let down = planner.plans(json!({"of": "rollback", "version": "V001"})).await;
            assert_eq!(down["vanishes"], up["appears"], "{version:?} {round}");
            assert_eq!(
                (&down["appears"], &down["outcome"]),
                (&json!([]), &json!("rolled_back"))
            );
            let dropped = json!("raw.site_tracking_events_r");
            let locks = down["locks"].as_array().unwrap();
            assert!(
                locks
                    .iter()
                    .any(|l| l["relation"] == dropped && l["mode"] == "AccessExclusiveLock"),
                "{down}"
            );
            let real = planner.asks("rollback", json!({"version": "V001"})).await;
            assert_eq!(
                (&real["ok"], &real["reason"]),
                (&json!(true), &down["reason"]),
                "{real}"
            );
            assert_eq!(catalog(&planner.client).await, before);
        }
    }
}

#[tokio::test]
async fn a_plan_of_a_rollback_drops_no_row_and_refuses_as_the_rollback_would() {
    let planner = Planner::on(Database::with_v001(shared().await).await).await;
    planner
        .client
        .batch_execute("select raw.ingest_tracking_event('\\x01', null, null, null, '{\"a\": 1}')")
        .await
        .unwrap();
    for (fields, says) in [
        (json!({"of": "rollback", "version": "V001"}), "TR012"),
        (
            json!({"of": "rollback", "version": "V001", "drop_rows": 2}),
            "TR012",
        ),
        (json!({"of": "rollback"}), "version must be"),
    ] {
        let refused = planner.plans(fields).await;
        assert_eq!(refused["ok"], false, "{refused}");
        assert!(refused["error"].to_string().contains(says), "{refused}");
    }
    let fine = planner
        .plans(json!({"of": "rollback", "version": "V001", "drop_rows": 1}))
        .await;
    assert_eq!(fine["rows_dropped"], 1, "{fine}");
    assert!(
        has(&fine["vanishes"], "table raw.site_tracking_events_r"),
        "{fine}"
    );
}

#[tokio::test]
async fn a_plan_tells_nothing_where_nothing_would_be_done_and_drift_where_there_is_some() {
    let planner = Planner::on(Database::empty(shared().await).await).await;
    planner.asks("apply", json!({})).await;
    let same = planner.plans(json!({})).await;
    assert_eq!(same["outcome"], "unchanged", "{same}");
    assert_eq!(
        (
            &same["appears"],
            &same["vanishes"],
            &same["changes"],
            &same["steps"]
        ),
        (&json!([]), &json!([]), &json!([]), &json!([]))
    );
    planner
        .client
        .batch_execute(
            "drop index raw.site_tracking_events_r_received;
             alter function raw.origin_is_allowed(text, text[]) cost 7 stable security definer set work_mem = '4MB'",
        )
        .await
        .unwrap();
    let drifted = planner.plans(json!({})).await;
    assert_eq!(
        drifted["appears"],
        json!(["index raw.site_tracking_events_r_received"]),
        "{drifted}"
    );
    assert_eq!(
        drifted["changes"],
        json!(["function raw.origin_is_allowed(text, text[])"]),
        "{drifted}"
    );
}
