//! A stack with our custom resource in it: sends the events that CloudFormation sends, takes the answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{json, Value};
use site_tracking::site_key::SiteKey;
use tokio_postgres::Client;

use crate::support::database::Database;
use crate::support::function::Function;
use crate::support::gateway::{Request, Shape};
use crate::support::postgres::{Cluster, Version, SUPERUSER, SUPERUSER_PASSWORD};
use crate::support::response_url::{ResponseUrl, SIGNATURE};
use crate::support::runtime_api::Outcome;
use crate::support::tools;

pub const BINARY: &str = env!("CARGO_BIN_EXE_migrate");

/// What template.yaml gives the function.
pub const REMAINING: Duration = Duration::from_secs(330);

pub struct Stack<'c> {
    pub database: Database<'c>,
    pub function: Function,
    pub url: ResponseUrl,
    pub id: String,
    pub physical_id: Option<String>,
    pub properties: Value,
}

impl<'c> Stack<'c> {
    /// With a database of its own, in which nothing is.
    pub async fn new(cluster: &'c Cluster) -> Self {
        Self::on(Database::empty(cluster).await, "one").await
    }

    /// The stack `name`, on a database that is there.
    pub async fn on(database: Database<'c>, name: &str) -> Self {
        let function = Function::start(BINARY, &secrets()).await;
        let mut event = fixture("create");
        let mut properties = event["ResourceProperties"].take();
        for (property, value) in [
            ("DatabaseHost", "127.0.0.1".to_owned()),
            ("DatabasePort", database.cluster.port.to_string()),
            ("DatabaseName", database.name.clone()),
            (
                "DatabaseCa",
                database.cluster.authority_pem().display().to_string(),
            ),
            ("MigratorUser", SUPERUSER.to_owned()),
            ("IngestUser", format!("ingest_{}", database.name)),
        ] {
            properties[property] = json!(value);
        }
        Self {
            database,
            function,
            url: ResponseUrl::start().await,
            id: format!("arn:aws:cloudformation:eu-west-1:123456789012:stack/{name}/1"),
            physical_id: None,
            properties,
        }
    }

    /// Another stack on the same database.
    pub async fn sibling(&self, name: &str) -> Self {
        let database = Database {
            cluster: self.database.cluster,
            name: self.database.name.clone(),
        };
        Self::on(database, name).await
    }

    pub fn set(&mut self, property: &str, value: impl Into<Value>) {
        self.properties[property] = value.into();
    }

    /// The event as CloudFormation would send it now.
    pub fn event(&self, request_type: &str) -> Value {
        let mut event = fixture("create");
        event["RequestType"] = json!(request_type);
        event["ResponseURL"] = json!(self.url.url);
        event["StackId"] = json!(self.id);
        event["ResourceProperties"] = self.properties.clone();
        if let Some(id) = &self.physical_id {
            event["PhysicalResourceId"] = json!(id);
        }
        event
    }

    pub async fn create(&mut self) -> Value {
        let answer = self.send(self.event("Create")).await;
        self.physical_id = Some(answer["PhysicalResourceId"].as_str().unwrap().to_owned());
        answer
    }

    pub async fn update(&mut self) -> Value {
        let mut event = self.event("Update");
        event["OldResourceProperties"] = self.properties.clone();
        self.send(event).await
    }

    pub async fn delete(&mut self) -> Value {
        self.send(self.event("Delete")).await
    }

    /// One event, and the answer that came to the response URL.
    pub async fn send(&mut self, event: Value) -> Value {
        self.send_within(event, REMAINING).await
    }

    /// The same where Lambda leaves only so much time.
    pub async fn send_within(&mut self, event: Value, remaining: Duration) -> Value {
        let started = Instant::now();
        let outcome = self.function.outcome(event.to_string(), remaining).await;
        assert!(matches!(outcome, Outcome::Response(_)), "{outcome:?}");
        let put = self
            .url
            .put_now()
            .expect("the answer is sent before the function ends");
        println!("{} {:?}", event["RequestType"], started.elapsed());
        assert!(started.elapsed() + Duration::from_secs(5) < remaining.max(Duration::from_secs(6)));
        assert!(put.body.len() <= 4096, "{} bytes", put.body.len());
        let content_type = put.headers.iter().find(|(name, _)| name == "content-type");
        assert_eq!(content_type.map(|(_, value)| value.as_str()), Some(""));
        assert!(put.path_and_query.ends_with(SIGNATURE), "{}", put.path_and_query);
        assert!(self.url.put_now().is_none(), "answered twice");
        self.assert_discreet();
        let answer = put.json();
        for name in ["StackId", "RequestId", "LogicalResourceId"] {
            assert_eq!(answer[name], event[name], "{name}");
        }
        answer
    }

    /// No secret is in the output, and every line of it is JSON.
    pub fn assert_discreet(&self) {
        let output = self.function.output();
        for canary in [SIGNATURE, SUPERUSER_PASSWORD, "stk_", &self.url.url] {
            assert!(!output.contains(canary), "{canary:?} is in {output}");
        }
        for line in output.lines() {
            serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("no JSON line: {line}"));
        }
    }

    pub async fn client(&self) -> Client {
        self.database.superuser().await
    }

    /// Lands an event as a trusted caller.
    pub async fn land_event(&self) {
        self.client()
            .await
            .batch_execute("select raw.ingest_tracking_event('\\x01', null, null, null, '{\"a\": 1}')")
            .await
            .unwrap();
    }

    /// The real `ingest`, logged in as the stack's own login, and a beacon of the tenant `tenant` for it.
    pub async fn ingest(&self, binary: &str) -> (Arc<Function>, String) {
        let login = self.properties["IngestUser"].as_str().unwrap();
        let client = self.client().await;
        let password = format!("alter role {login} password 'of the ingest login'");
        client.batch_execute(&password).await.unwrap();
        let key = SiteKey::generate().unwrap();
        let insert = "insert into raw.site_tracking_keys_r (api_key_hk, tenant_hk) values ($1, 'tenant')";
        client.execute(insert, &[&key.hash().as_slice()]).await.unwrap();
        let environment = self.database.environment(login, "of the ingest login");
        let function = Function::start(binary, &environment).await;
        let beacon = Request::post(Shape::V2, key.expose(), "{\"event\": \"page_view\"}").json();
        let answer = function.invoke(beacon.clone()).await.to_string();
        assert!(answer.contains("receipt"), "{answer}");
        (Arc::new(function), beacon)
    }

    /// `status` of both ledger tables, in order.
    pub async fn ledger(&self) -> (Vec<String>, Vec<String>) {
        let client = self.client().await;
        let mut both = Vec::new();
        for query in [
            "select status from migrations.migration_log order by migration_id",
            "select status from migrations.rollback_log order by rollback_id",
        ] {
            let rows = client.query(query, &[]).await.unwrap();
            both.push(rows.iter().map(|row| row.get(0)).collect());
        }
        (both.remove(0), both.remove(0))
    }
}

/// The server that most of these tests share. Another database of it has V001 already, so that the roles stay
/// whatever a test rolls back; a test about roles and logins takes a [`Cluster::own`].
pub async fn shared() -> &'static Cluster {
    let cluster = Cluster::shared(Version::Default);
    Database::with_v001(cluster).await;
    cluster
}

/// The function's environment where the database comes from the properties.
pub fn secrets() -> Vec<(&'static str, String)> {
    vec![
        ("DB_MIGRATOR_PASSWORD", SUPERUSER_PASSWORD.to_owned()),
        ("DB_HOST", "the.environment.must.not.count.invalid".to_owned()),
        ("DB_NAME", "nor_this".to_owned()),
        ("LOG_LEVEL", "debug".to_owned()),
    ]
}

/// A recorded event.
pub fn fixture(name: &str) -> Value {
    let path = tools::project().join(format!("tests/events/cloudformation/{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The roles of the server, a line each.
pub async fn roles(client: &Client) -> Vec<String> {
    lines(
        client,
        "select format('role %s %s %s', rolname, rolcanlogin, rolconnlimit) from pg_roles where rolname !~ '^pg_'
         order by 1",
    )
    .await
}

/// Everything that is in a database but for the ledger, a line each.
pub async fn catalog(client: &Client) -> Vec<String> {
    lines(
        client,
            "select line from (
               select format('schema %s %s %s', nspname, nspowner::regrole, nspacl) as line from pg_namespace
               where nspname !~ '^pg_' and nspname not in ('migrations', 'information_schema')
               union all
               select format('relation %s.%s %s %s %s', n.nspname, c.relname, c.relkind, c.relacl, c.reloptions)
               from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where n.nspname !~ '^pg_' and n.nspname not in ('migrations', 'information_schema')
               union all
               select format('column %s.%s %s %s', a.attrelid::regclass, a.attname, a.atttypid::regtype, a.attacl)
               from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
               where n.nspname !~ '^pg_' and n.nspname not in ('migrations', 'information_schema') and a.attnum > 0
               union all
               select format('constraint %s %s', conname, pg_get_constraintdef(k.oid))
               from pg_constraint k join pg_namespace n on n.oid = k.connamespace
               where n.nspname !~ '^pg_' and n.nspname not in ('migrations', 'information_schema')
               union all
               select format('function %s %s %s', p.oid::regprocedure, md5(p.prosrc), p.proacl)
               from pg_proc p join pg_namespace n on n.oid = p.pronamespace
               where n.nspname !~ '^pg_' and n.nspname not in ('migrations', 'information_schema')
             ) as lines order by line",
    )
    .await
}

async fn lines(client: &Client, query: &str) -> Vec<String> {
    let rows = client.query(query, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Rows of a query that gives one number.
pub async fn number(client: &Client, query: &str) -> i64 {
    client.query_one(query, &[]).await.unwrap().get(0)
}
