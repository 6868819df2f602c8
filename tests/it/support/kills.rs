//! Ends the database session of a deploy or a delete at its n-th DDL command, n counted up until one comes through.
//!
//! An event trigger ends its own backend. It counts with a sequence, which no rollback takes back. What is run is one
//! attempt of the library, without the process around it and without its retries.

use std::time::Duration;

use site_tracking::config::{self, Environment, Function};
use site_tracking::migrate::fingerprint::{self, Fingerprint};
use site_tracking::migrate::plan::Wish;
use site_tracking::migrate::run::{self, Order};
use tokio::time::Instant;
use tokio_postgres::Client;

use super::database::Database;
use super::postgres::{Cluster, Version};
use super::wait;

/// Before and behind each command; `alter table … validate` behind the commit is one of them.
const TRAP: &str = "create schema trap; create sequence trap.commands; create table trap.target (n bigint);
    insert into trap.target values (0);
    create function trap.end() returns event_trigger language plpgsql as $$
    begin
      if nextval('trap.commands') = (select n from trap.target) then
        perform pg_terminate_backend(pg_backend_pid());
      end if;
    end $$;
    create event trigger trap_behind on ddl_command_end execute function trap.end();
    create event trigger trap_before on ddl_command_start execute function trap.end();";

const TENANTS: &str = "create schema auth; create table auth.tenant_h (tenant_hk bytea primary key,
    tenant_bk varchar(255), load_date timestamptz, record_source varchar(100))";

/// What is longer than the work of a killed attempt.
const LIMIT: Duration = Duration::from_secs(60);

/// How many places were tried, and how often something was left of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub places: usize,
    pub leftovers: usize,
}

/// Kills up and down, at each `stride`-th place.
pub async fn everywhere(version: Version, stride: i64) -> Tally {
    let cluster = Cluster::own(version);
    let database = Database::empty(&cluster).await;
    let client = database.superuser().await;
    client.batch_execute(TENANTS).await.unwrap();
    client.batch_execute(TRAP).await.unwrap();
    let mut tally = Tally::default();
    for wish in [
        Wish::Have(None),
        Wish::Gone {
            rows: None,
            owners: None,
        },
    ] {
        let order = Order {
            wish,
            login: None,
            environment: None,
            request_id: "kill".to_owned(),
        };
        kill(&database, &client, &order, stride, &mut tally).await;
    }
    tally
}

async fn kill(database: &Database<'_>, client: &Client, order: &Order, stride: i64, tally: &mut Tally) {
    let start = taken(client).await;
    let mut place = 1;
    loop {
        let set = format!("update trap.target set n = {place}; select setval('trap.commands', 1, false)");
        client.batch_execute(&set).await.unwrap();
        let ended = run::once(&configuration(database), order, Instant::now() + LIMIT).await;
        alone(client).await;
        if ended.is_ok() {
            break;
        }
        let left = start.difference(&taken(client).await);
        if !left.is_empty() {
            println!("killed at {place}: {left:?}");
        }
        tally.leftovers += usize::from(!left.is_empty());
        tally.places += 1;
        place += stride;
    }
    client
        .batch_execute("update trap.target set n = 0")
        .await
        .unwrap();
    let again = run::once(&configuration(database), order, Instant::now() + LIMIT).await;
    again.unwrap_or_else(|failure| panic!("what was killed behind its commit is not repaired: {failure}"));
    let unvalidated = "select count(*) from pg_constraint where not convalidated";
    let count: i64 = client.query_one(unvalidated, &[]).await.unwrap().get(0);
    tally.leftovers += usize::from(count > 0 || start.difference(&taken(client).await).is_empty());
}

/// A backend that was told to end has given everything back when it is gone.
async fn alone(client: &Client) {
    wait::until_async("the end of the session", LIMIT, || async {
        let others = "select count(*) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";
        let count: i64 = client.query_one(others, &[]).await.unwrap().get(0);
        (count == 0).then_some(())
    })
    .await;
}

async fn taken(client: &Client) -> Fingerprint {
    client.batch_execute("begin").await.unwrap();
    let taken = fingerprint::read(client).await.unwrap();
    client.batch_execute("rollback").await.unwrap();
    taken
}

fn configuration(database: &Database<'_>) -> config::Database {
    let values = database.environment("nobody", "none");
    let values = values.into_iter().map(|(name, value)| (name, Some(value)));
    let environment = Environment::of_process().replaced(values);
    environment.database(Function::Migrate).unwrap()
}
