//! A tenant's site: a database with V001, a key, the least-privileged login, and `ingest` in front of it.
//!
//! Everything about a visitor here is a canary: its agent and pages hold the word, its addresses, keys, password and
//! the bodies that it sends are watched. What `ingest` writes is searched for all of them when it is stopped.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Mutex;

use serde_json::Value;
use site_tracking::site_key::SiteKey;
use tokio_postgres::Client;

use super::database::Database;
use super::function::Function;
use super::gateway::{Answer, Request};
use super::postgres::{Cluster, Version};

/// What no log may hold: a word in every page, agent and payload, the visitors' addresses, the password.
pub const CANARY: &str = "canary";
pub const ADDRESSES: [&str; 2] = ["203.0.113.77", "2001:db8::77"];
pub const PASSWORD: &str = "canary-password-of-the-ingest-login";

pub struct Site {
    pub database: Database<'static>,
    pub login: String,
    pub tenant_hk: Vec<u8>,
    pub key: SiteKey,
    pub admin: Client,
}

/// A row as it was stored, all of it as text.
pub type Row = Value;

impl Site {
    pub async fn new() -> Self {
        Self::on(Cluster::shared(Version::Default)).await
    }

    pub async fn on(cluster: &'static Cluster) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let database = Database::with_v001(cluster).await;
        let admin = database.superuser().await;
        let login = format!("ingest_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let sql = format!(
            "create role {login} login password '{PASSWORD}' in role tracking_ingest_role;
             alter role {login} set statement_timeout = '3s'"
        );
        admin.batch_execute(&sql).await.unwrap();
        let mut site = Self {
            database,
            login,
            tenant_hk: b"canary-tenant".to_vec(),
            key: SiteKey::generate().unwrap(),
            admin,
        };
        site.key = site.another_key("canary-tenant", None).await;
        site
    }

    /// A new key of a tenant, for these origins.
    pub async fn another_key(&self, tenant: &str, origins: Option<Vec<&str>>) -> SiteKey {
        let key = SiteKey::generate().unwrap();
        let sql = "insert into raw.site_tracking_keys_r (api_key_hk, tenant_hk, tenant_bk, allowed_origins)
                   values ($1, $2, $3, $4)";
        let hash = key.hash();
        self.admin
            .execute(sql, &[&hash.as_slice(), &tenant.as_bytes(), &tenant, &origins])
            .await
            .unwrap();
        key
    }

    pub fn environment(&self) -> Vec<(&'static str, String)> {
        self.database.environment(&self.login, PASSWORD)
    }

    /// `environment()` with some variables changed.
    pub fn environment_with(&self, changed: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        let mut environment = self.environment();
        environment.retain(|(name, _)| changed.iter().all(|(other, _)| other != name));
        environment.extend(changed.iter().map(|(name, value)| (*name, (*value).to_owned())));
        environment
    }

    /// `ingest` at `path`, watched.
    pub async fn start(&self, path: &str) -> Watched {
        self.start_with(path, &self.environment()).await
    }

    pub async fn start_with(&self, path: &str, environment: &[(&'static str, String)]) -> Watched {
        Watched {
            function: Some(Function::start(path, environment).await),
            bodies: Mutex::new(Vec::new()),
        }
    }

    /// All rows, oldest first.
    pub async fn rows(&self) -> Vec<Row> {
        let sql = "select to_jsonb(e) || jsonb_build_object(
                       'tenant', convert_from(tenant_hk, 'UTF8'), 'api_key_hk', encode(api_key_hk, 'hex'),
                       'received_ms', (extract(epoch from received_timestamp) * 1000)::bigint,
                       'text', raw_payload::text)
                   from raw.site_tracking_events_r e order by raw_event_id";
        let rows = self.admin.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// How many rows there are.
    pub async fn count(&self) -> usize {
        let row = self
            .admin
            .query_one("select count(*) from raw.site_tracking_events_r", &[])
            .await
            .unwrap();
        usize::try_from(row.get::<_, i64>(0)).unwrap()
    }

    /// From now on the database answers an event with the SQLSTATE in its member `bad`.
    pub async fn fail_where_bad(&self) {
        let sql = "create function public.fail() returns trigger language plpgsql as
                     $$ begin raise exception 'no' using errcode = new.raw_payload ->> 'bad'; end $$;
                   create trigger fail before insert on raw.site_tracking_events_r
                     for each row when (new.raw_payload ? 'bad') execute function public.fail()";
        self.admin.batch_execute(sql).await.unwrap();
    }

    /// Ends every session of the ingest login, as a failover would; how many there were.
    pub async fn terminate(&self) -> usize {
        let sql = "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1";
        self.admin.query(sql, &[&self.login]).await.unwrap().len()
    }
}

/// A running function whose output is searched for canaries when it is stopped; it must be stopped.
pub struct Watched {
    function: Option<Function>,
    bodies: Mutex<Vec<String>>,
}

impl Watched {
    /// One request through the gateway.
    pub async fn send(&self, request: &Request) -> Answer {
        self.bodies.lock().unwrap().extend(request.telling_bodies());
        Answer::of(&self.invoke(request.json()).await)
    }

    /// Stops it. It gives what it wrote.
    ///
    /// # Panics
    /// It wrote what no log may hold.
    pub async fn stop(mut self) -> String {
        let output = self.function.take().unwrap().stop().await;
        let unescaped = output.replace("\\\"", "\"");
        let bodies = self.bodies.get_mut().unwrap();
        for secret in bodies
            .iter()
            .map(String::as_str)
            .chain([CANARY, "stk_"])
            .chain(ADDRESSES)
        {
            assert!(!unescaped.contains(secret), "the log holds {secret:?}:\n{output}");
        }
        output
    }
}

impl Deref for Watched {
    type Target = Function;

    fn deref(&self) -> &Function {
        self.function.as_ref().unwrap()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        assert!(
            self.function.is_none() || std::thread::panicking(),
            "a watched function must be stopped, so that its output is searched"
        );
    }
}
