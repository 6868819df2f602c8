//! A fresh database per test, copied from one that holds V001 already, and the ways into it.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use native_tls::{Certificate, TlsConnector};
use postgres_native_tls::MakeTlsConnector;
use tokio::sync::Mutex;
use tokio_postgres::Client;

use super::postgres::{Cluster, SUPERUSER, SUPERUSER_PASSWORD};
use super::tools;

/// One database of a cluster.
pub struct Database<'c> {
    pub cluster: &'c Cluster,
    pub name: String,
}

/// PostgreSQL copies a template only while nobody is in it, and roles are made once for a whole cluster.
static MAKING: Mutex<()> = Mutex::const_new(());

impl<'c> Database<'c> {
    /// Empty.
    pub async fn empty(cluster: &'c Cluster) -> Self {
        Self::copy_of(cluster, "template0").await
    }

    /// A copy of the database `template`, in which nobody may be connected.
    pub async fn copy_of(cluster: &'c Cluster, template: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let maintenance = connect(cluster, "postgres", SUPERUSER, SUPERUSER_PASSWORD).await;
        maintenance
            .batch_execute(&format!("create database {name} template {template}"))
            .await
            .unwrap();
        Self { cluster, name }
    }

    /// With V001 in it, as the superuser's `create` file makes it.
    pub async fn with_v001(cluster: &'c Cluster) -> Self {
        const TEMPLATE: &str = "template_v001";
        let making = MAKING.lock().await;
        let maintenance = connect(cluster, "postgres", SUPERUSER, SUPERUSER_PASSWORD).await;
        let known = maintenance
            .query("select from pg_database where datname = $1", &[&TEMPLATE])
            .await
            .unwrap();
        if known.is_empty() {
            maintenance
                .batch_execute(&format!("create database {TEMPLATE}"))
                .await
                .unwrap();
            let client = connect(cluster, TEMPLATE, SUPERUSER, SUPERUSER_PASSWORD).await;
            client.batch_execute(&v001("create")).await.unwrap();
            let pid: i32 = client
                .query_one("select pg_backend_pid()", &[])
                .await
                .unwrap()
                .get(0);
            drop(client);
            gone(&maintenance, pid).await;
        }
        drop(making);
        Self::copy_of(cluster, TEMPLATE).await
    }

    /// As the superuser.
    pub async fn superuser(&self) -> Client {
        self.client(SUPERUSER, SUPERUSER_PASSWORD).await
    }

    /// As `user`.
    pub async fn client(&self, user: &str, password: &str) -> Client {
        connect(self.cluster, &self.name, user, password).await
    }

    /// A login of one's own that is a member of `roles` (comma separated; may be empty); gives its name. Its
    /// password is its name.
    pub async fn login(&self, roles: &str) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let user = format!("login_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let member = if roles.is_empty() {
            String::new()
        } else {
            format!("in role {roles}")
        };
        let sql = format!("create role {user} login password '{user}' {member}");
        self.superuser().await.batch_execute(&sql).await.unwrap();
        user
    }

    /// The functions' variables for this database, for both functions, as the superuser or another login.
    pub fn environment(&self, user: &str, password: &str) -> Vec<(&'static str, String)> {
        vec![
            ("DB_HOST", "127.0.0.1".to_owned()),
            ("DB_PORT", self.cluster.port.to_string()),
            ("DB_NAME", self.name.clone()),
            ("DB_AUTH", "password".to_owned()),
            ("DB_CA", self.cluster.authority_pem().display().to_string()),
            ("DB_USER", user.to_owned()),
            ("DB_PASSWORD", password.to_owned()),
            ("DB_MIGRATOR_USER", SUPERUSER.to_owned()),
            ("DB_MIGRATOR_PASSWORD", SUPERUSER_PASSWORD.to_owned()),
            ("LOG_LEVEL", "debug".to_owned()),
        ]
    }

    /// `psql` as `user`, stopping at the first error, reading nobody's start-up file.
    pub fn psql(&self, user: &str, password: &str) -> Command {
        let mut command = Command::new(tools::path("PSQL"));
        command
            .args(["-X", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p"])
            .arg(self.cluster.port.to_string());
        command
            .args(["-U", user, "-d", &self.name])
            .env("PGPASSWORD", password);
        command
            .env("PGSSLMODE", "verify-full")
            .env("PGSSLROOTCERT", self.cluster.authority_pem());
        command
    }
}

/// The text of a V001 file: `create`, `verify` or `rollback`.
pub fn v001(verb: &str) -> String {
    let name = format!("migrations/V001__{verb}_site_tracking_raw_layer.sql");
    std::fs::read_to_string(tools::project().join(&name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

async fn connect(cluster: &Cluster, database: &str, user: &str, password: &str) -> Client {
    let mut config = tokio_postgres::Config::new();
    config
        .host("127.0.0.1")
        .port(cluster.port)
        .dbname(database)
        .user(user)
        .password(password);
    config.ssl_mode(tokio_postgres::config::SslMode::Require);
    let (client, connection) = config.connect(tls(&cluster.authority_pem())).await.unwrap();
    tokio::spawn(connection);
    client
}

fn tls(authority: &Path) -> MakeTlsConnector {
    let root = Certificate::from_pem(&std::fs::read(authority).unwrap()).unwrap();
    let connector = TlsConnector::builder()
        .disable_built_in_roots(true)
        .add_root_certificate(root)
        .build();
    MakeTlsConnector::new(connector.unwrap())
}

async fn gone(client: &Client, pid: i32) {
    super::wait::until_async("a session's end", std::time::Duration::from_secs(10), || async {
        client
            .query("select from pg_stat_activity where pid = $1", &[&pid])
            .await
            .unwrap()
            .is_empty()
            .then_some(())
    })
    .await;
}
