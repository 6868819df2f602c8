//! A migrator's login that lacks one right, each in turn: it is told which, with the statement to run, and that
//! statement lets it pass; up and down.

use serde_json::{json, Value};
use tokio_postgres::Client;

use crate::migrate_stack::BINARY;
use crate::support::database::{v001, Database};
use crate::support::function::Function;
use crate::support::postgres::{Cluster, Version};

const TENANTS: &str = "create schema auth; create table auth.tenant_h (tenant_hk bytea primary key,
    tenant_bk varchar(255), load_date timestamptz, record_source varchar(100))";

/// Roles that somebody else made.
const ROLES: &str = "create role tracking_ingest_role nologin; create role tracking_processor_role nologin";
/// A right that is missing: how it came about, and what must be told to be run.
struct Lack {
    right: &'static str,
    arrange: String,
    told: &'static str,
}

fn lack(right: &'static str, arrange: impl Into<String>, told: &'static str) -> Lack {
    Lack {
        right,
        arrange: arrange.into(),
        told,
    }
}

/// The database of a login that may do what the README says, and `migrate` as that login.
struct Migrator<'c> {
    database: Database<'c>,
    client: Client,
    function: Function,
}

impl<'c> Migrator<'c> {
    async fn on(database: Database<'c>) -> Self {
        let client = database.superuser().await;
        let login = "create role migrator login createrole password 'm'; create role other nologin;
            grant create on database {db} to migrator";
        client
            .batch_execute(&login.replace("{db}", &database.name))
            .await
            .unwrap();
        let mut environment = database.environment("nobody", "none");
        environment.retain(|(name, _)| !name.starts_with("DB_MIGRATOR"));
        environment.push(("DB_MIGRATOR_USER", "migrator".to_owned()));
        environment.push(("DB_MIGRATOR_PASSWORD", "m".to_owned()));
        Self {
            function: Function::start(BINARY, &environment).await,
            database,
            client,
        }
    }

    async fn arrange(&self, sql: &str) {
        let sql = sql.replace("{db}", &self.database.name);
        self.client
            .batch_execute(&sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The state in which something is lacking: `{layer}` is what an apply makes, `{ledger}` what a superuser's left.
    async fn prepare(&self, arrange: &str, apply: &Value) {
        let mut rest = arrange;
        if let Some(then) = arrange.strip_prefix("{layer};") {
            let made = self.asks(apply).await;
            assert_eq!(made["ok"], true, "{made}");
            rest = then;
        } else if let Some(then) = arrange.strip_prefix("{ledger}") {
            self.client.batch_execute(&v001("create")).await.unwrap();
            self.client.batch_execute(&v001("rollback")).await.unwrap();
            rest = then;
        }
        self.arrange(rest).await;
    }

    async fn asks(&self, event: &Value) -> Value {
        self.function.invoke(event.to_string()).await
    }

    /// Takes the roles away, which are the whole server's; who granted goes last.
    async fn leave(self) {
        let away = "do $$ declare r text; begin
            for r in select rolname from pg_roles where rolname !~ '^(pg_|postgres$)' loop
              execute format('drop owned by %I cascade', r);
            end loop;
            for r in select rolname from pg_roles where rolname !~ '^(pg_|postgres$)'
              order by rolname in ('migrator', 'other'), rolname loop
              execute format('drop role %I', r);
            end loop; end $$";
        self.arrange(away).await;
    }

    /// Is refused for the right, runs what it is told to run, and passes; more than one round where one right hides
    /// another.
    async fn is_told(&self, event: &Value, lack: &Lack, version: Version) {
        let label = format!("{version:?}, {}", lack.right);
        let told = lack.told.replace("{db}", &self.database.name);
        for round in 1..4 {
            let answer = self.asks(event).await;
            if answer["ok"] == true {
                assert!(round > 1, "{label}: it was not refused");
                return;
            }
            let remedy = answer["error"]["remedy"].as_str().unwrap_or_default();
            assert!(
                ["TR013", "42501"]
                    .iter()
                    .any(|code| answer["error"]["sqlstate"] == *code)
                    || answer["error"]["code"] == "refused",
                "{label}: {answer}"
            );
            assert!(round > 1 || remedy.contains(&told), "{label}: {answer}");
            self.arrange(statements(remedy)).await;
        }
        panic!(
            "{label}: what it is told to run does not help: {}",
            self.asks(event).await
        );
    }
}

/// On the oldest server the plan of it is what is refused: the same run, given back, and so the plan's answer is looked at
/// too.
fn told_by(version: Version, event: &Value) -> Value {
    let mut event = event.clone();
    if matches!(version, Version::Oldest) {
        event["of"] = event["action"].take();
        event["action"] = json!("plan");
    }
    event
}

/// The SQL of a remedy.
fn statements(remedy: &str) -> &str {
    let sql = remedy.split_once("run: ").map_or(remedy, |(_, sql)| sql);
    sql.split("; or ")
        .next()
        .unwrap()
        .split("; then ")
        .next()
        .unwrap()
}

#[tokio::test]
async fn a_right_that_an_apply_lacks_is_told_with_the_statement_that_gives_it() {
    let lacks = [
        lack(
            "create on the database",
            "revoke create on database {db} from migrator",
            "grant create on database {db} to migrator",
        ),
        lack(
            "usage and create on schema raw",
            "create schema raw",
            "grant usage, create on schema raw to migrator",
        ),
        lack(
            "usage and create on schema migrations",
            "create schema migrations",
            "grant usage, create on schema migrations to migrator",
        ),
        lack(
            "the ledger",
            "{ledger}",
            "grant select, insert, update on migrations.migration_log to migrator",
        ),
        lack(
            "usage on auth",
            format!("{TENANTS}; grant references on auth.tenant_h to migrator"),
            "grant usage on schema auth to migrator",
        ),
        lack(
            "references on auth.tenant_h",
            format!("{TENANTS}; grant usage on schema auth to migrator"),
            "grant references (tenant_hk) on auth.tenant_h to migrator",
        ),
        lack(
            "createrole, where the roles are missing",
            "alter role migrator nocreaterole",
            "create role tracking_ingest_role nologin",
        ),
        lack(
            "createrole, where the login is missing",
            format!("alter role migrator nocreaterole; {ROLES}"),
            "create role \"web\" login",
        ),
        lack(
            "ownership of a table",
            "{layer}; alter table raw.site_tracking_keys_r owner to other; drop index raw.site_tracking_events_r_received",
            "alter table raw.site_tracking_keys_r owner to migrator",
        ),
        lack(
            "ownership of a function",
            "{layer}; alter function raw.quarantined_bytes(bigint) owner to other;
             drop index raw.site_tracking_events_r_received",
            "alter function raw.quarantined_bytes(bigint) owner to migrator",
        ),
    ];
    let apply = json!({"action": "apply", "ingest_user": "web"});
    for version in [Version::Oldest, Version::Newest] {
        let cluster = Cluster::own(version);
        let event = told_by(version, &apply);
        for lack in &lacks {
            let migrator = Migrator::on(Database::empty(&cluster).await).await;
            migrator.prepare(&lack.arrange, &apply).await;
            migrator.is_told(&event, lack, version).await;
            migrator.leave().await;
        }
    }
}

#[tokio::test]
async fn a_right_that_a_rollback_lacks_is_told_with_the_statement_that_gives_it() {
    let lacks = [
        lack(
            "ownership of a table",
            "{layer}; alter table raw.site_tracking_events_r owner to other",
            "alter table raw.site_tracking_events_r owner to migrator",
        ),
        lack(
            "ownership of a function",
            "{layer}; alter function raw.ingest_tracking_beacon(bytea, text, inet, text, jsonb[], uuid[], varchar,
               timestamptz, jsonb, varchar[], text[], boolean) owner to other",
            "alter function raw.ingest_tracking_beacon(",
        ),
        lack(
            "ownership of schema raw",
            "{layer}; alter schema raw owner to other; grant usage on schema raw to migrator",
            "alter schema raw owner to migrator",
        ),
        lack(
            "usage on schema raw",
            "{layer}; alter schema raw owner to other",
            "grant usage on schema raw to migrator",
        ),
        lack(
            "usage on schema migrations",
            "{layer}; alter schema migrations owner to other",
            "grant usage on schema migrations to migrator",
        ),
        lack(
            "the ledger",
            "{layer}; alter table migrations.rollback_log owner to other",
            "grant select, insert, update on migrations.rollback_log to migrator",
        ),
    ];
    let apply = json!({"action": "apply", "ingest_user": "web"});
    let event = json!({"action": "rollback", "version": "V001"});
    for version in [Version::Oldest, Version::Newest] {
        let cluster = Cluster::own(version);
        let event = told_by(version, &event);
        for lack in &lacks {
            let migrator = Migrator::on(Database::empty(&cluster).await).await;
            migrator.prepare(&lack.arrange, &apply).await;
            migrator.is_told(&event, lack, version).await;
            migrator.leave().await;
        }
    }
}

#[tokio::test]
async fn a_migrator_that_may_not_pass_rds_iam_on_or_look_into_util_is_told_the_statement() {
    for version in [Version::Oldest, Version::Newest] {
        // A token is a password to PostgreSQL: this server takes any.
        let trusting = std::env::temp_dir().join(format!("hba-{}.conf", uuid::Uuid::now_v7()));
        std::fs::write(&trusting, "hostssl all all 127.0.0.1/32 trust\n").unwrap();
        let setting = format!("hba_file = '{}'", trusting.display());
        let cluster = Cluster::start(&version.bin(), &[&setting, "fsync = off"]);
        let mut migrator = Migrator::on(Database::empty(&cluster).await).await;
        migrator
            .arrange(
                "create role rds_iam nologin; grant rds_iam to migrator; create schema util;
                 create function util.hash_binary(text) returns bytea language sql as 'select sha256($1::bytea)'",
            )
            .await;
        let mut environment = migrator.database.environment("nobody", "none");
        environment.retain(|(name, _)| !["DB_AUTH", "DB_MIGRATOR_USER"].contains(name));
        for (name, value) in [
            ("DB_AUTH", "iam"),
            ("DB_MIGRATOR_USER", "migrator"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "canary-of-the-secret-access-key"),
        ] {
            environment.push((name, value.to_owned()));
        }
        migrator.function = Function::start(BINARY, &environment).await;
        let event = json!({"action": "apply", "ingest_user": "web"});
        let pass_on = lack(
            "rds_iam with admin option",
            "",
            "grant rds_iam to \"migrator\" with admin option",
        );
        match version {
            // Before 16 whoever may make roles may pass on every one.
            Version::Oldest => assert_eq!(migrator.asks(&event).await["ok"], true),
            _ => migrator.is_told(&event, &pass_on, version).await,
        }

        // What is only reported does not keep anybody from applying it.
        let note = "select notes from migrations.migration_log order by migration_id desc limit 1";
        let notes: String = migrator.client.query_one(note, &[]).await.unwrap().get(0);
        let grant = "grant usage on schema util to migrator; grant execute on function util.hash_binary(text) to migrator";
        assert!(notes.contains(grant), "{version:?}: {notes}");
        migrator.arrange(grant).await;
        migrator
            .arrange("drop index raw.site_tracking_events_r_received")
            .await;
        let again = migrator.asks(&event).await;
        assert_eq!(
            (&again["outcome"], &again["notes"]),
            (&json!("applied"), &json!([])),
            "{version:?}"
        );
        assert!(!migrator.function.output().contains("canary"));
        std::fs::remove_file(trusting).unwrap();
    }
}
