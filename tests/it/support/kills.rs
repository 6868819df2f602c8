//! Ends the database session of a deploy or a delete at its n-th DDL command, n counted up until one has committed.
//!
//! An event trigger ends its own backend. It counts with a sequence, which no rollback takes back. What is run is one
//! attempt of the library, without the process around it and without its retries.

use std::time::Duration;

use site_tracking::config::{self, Environment, Function};
use site_tracking::migrate::checklist::says::Says;
use site_tracking::migrate::failure::Failure;
use site_tracking::migrate::fingerprint::{self, Fingerprint};
use site_tracking::migrate::plan::Wish;
use site_tracking::migrate::run::{self, Ending, Order, Pace};
use tokio::time::Instant;
use tokio_postgres::Client;

use super::database::Database;
use super::postgres::{Cluster, Version};
use super::{tools, wait};

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

/// So many places before the end are tried whatever the stride: there the commit is, and what comes behind it.
const LAST: i64 = 8;

/// How often a whole run is begun.
const ATTEMPTS: u32 = 10;

/// What is longer than the work of a killed attempt.
const LIMIT: Duration = Duration::from_secs(60);

/// How many places were tried, and how often something was left of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub places: usize,
    pub leftovers: usize,
    /// Of them ended behind a step that is to last: the next deploy takes it up, the next delete takes it away.
    pub resumed: usize,
}

/// Kills up and down, at each `stride`-th place and at the last ones.
pub async fn everywhere(version: Version, stride: i64) -> Tally {
    let cluster = Cluster::own(version);
    let database = Database::empty(&cluster).await;
    let client = database.superuser().await;
    client.batch_execute(TENANTS).await.unwrap();
    client.batch_execute(TRAP).await.unwrap();
    let trap = Trap {
        database: &database,
        client: &client,
        pace: Pace::InOneGo,
    };
    let orders = [order(Wish::Have(None)), order(GONE)];
    let mut tally = Tally::default();
    let whole = [trap.whole(&orders[0]).await, trap.whole(&orders[1]).await];
    for (order, places) in orders.iter().zip(whole) {
        let is_tried = |place: &i64| place % stride == 0 || places - place < LAST;
        trap.kill(order, (1..=places).filter(is_tried), &mut tally).await;
    }
    tally
}

/// The same of the adoption of a predecessor, and of its delete.
pub async fn of_an_adoption(version: Version, fixture: &str, pace: Pace, stride: i64) -> Tally {
    let cluster = Cluster::own(version);
    let database = Database::empty(&cluster).await;
    let client = database.superuser().await;
    let path = tools::project().join(format!("tests/events/predecessors/{fixture}.sql"));
    let sql = std::fs::read_to_string(path)
        .unwrap()
        .replace("{db}", &database.name);
    client.batch_execute(&sql).await.unwrap();
    client.batch_execute(TRAP).await.unwrap();
    let trap = Trap {
        database: &database,
        client: &client,
        pace,
    };
    let before = taken(&client).await;
    let (up, down) = (
        trap.whole(&order(Wish::Have(None))).await,
        trap.whole(&order(GONE)).await,
    );
    let step = usize::try_from(stride).unwrap();
    let mut tally = Tally::default();
    tally.leftovers += usize::from(taken(&client).await != before);
    trap.kill_adoption((stride..=up).step_by(step), &mut tally).await;
    trap.kill_return((stride..=down).step_by(step), &mut tally).await;
    tally
}

const GONE: Wish = Wish::Gone {
    rows: None,
    owners: None,
};

fn order(wish: Wish) -> Order {
    Order {
        wish,
        login: None,
        environment: None,
        says: Says::default(),
        request_id: "kill".to_owned(),
        ending: Ending::Commit,
    }
}

struct Trap<'a> {
    database: &'a Database<'a>,
    client: &'a Client,
    pace: Pace,
}

impl Trap<'_> {
    /// Sets the trap at a place and runs into it; whether it came through.
    async fn run(&self, order: &Order, place: i64) -> bool {
        self.once(order, place).await.is_ok()
    }

    async fn once(&self, order: &Order, place: i64) -> Result<(), Failure> {
        let set = format!("update trap.target set n = {place}; select setval('trap.commands', 1, false)");
        self.client.batch_execute(&set).await.unwrap();
        let end = Instant::now() + LIMIT;
        let ended = run::once(&configuration(self.database), order, self.pace, end).await;
        alone(self.client).await;
        ended.map(|_| ())
    }

    /// Does it without a kill; on a machine with other things to do an attempt may be given back.
    async fn does(&self, order: &Order) {
        let mut ended = self.once(order, 0).await;
        for _ in 1..ATTEMPTS {
            if ended.is_ok() {
                return;
            }
            ended = self.once(order, 0).await;
        }
        ended.unwrap_or_else(|failure| panic!("{failure}"));
    }

    /// Does it without a kill; the places that there were.
    async fn whole(&self, order: &Order) -> i64 {
        self.does(order).await;
        let last = "select last_value from trap.commands";
        self.client.query_one(last, &[]).await.unwrap().get(0)
    }

    async fn kill(&self, order: &Order, places: impl Iterator<Item = i64>, tally: &mut Tally) {
        let start = taken(self.client).await;
        for place in places {
            tally.places += 1;
            if self.run(order, place).await {
                break;
            }
            self.compare(&start, place, tally).await;
        }
        self.does(order).await;
        let unvalidated = "select count(*) from pg_constraint where not convalidated";
        let count: i64 = self.client.query_one(unvalidated, &[]).await.unwrap().get(0);
        let is_done = count == 0 && taken(self.client).await != start;
        tally.leftovers += usize::from(!is_done);
    }

    /// Whatever an adoption's step has left is taken up by the next or not, and undone by the delete.
    async fn kill_adoption(&self, places: impl Iterator<Item = i64>, tally: &mut Tally) {
        let (have, gone) = (order(Wish::Have(None)), order(GONE));
        let before = taken(self.client).await;
        for place in places {
            tally.places += 1;
            let came_through = self.run(&have, place).await;
            if taken(self.client).await != before {
                tally.resumed += 1;
                if !came_through && tally.resumed.is_multiple_of(2) {
                    self.does(&have).await;
                }
                self.does(&gone).await;
            }
            self.compare(&before, place, tally).await;
        }
    }

    /// What a delete's first step has left is taken up by the next.
    async fn kill_return(&self, places: impl Iterator<Item = i64>, tally: &mut Tally) {
        let (have, gone) = (order(Wish::Have(None)), order(GONE));
        let before = taken(self.client).await;
        self.does(&have).await;
        let adopted = taken(self.client).await;
        for place in places {
            tally.places += 1;
            self.run(&gone, place).await;
            if taken(self.client).await != adopted {
                tally.resumed += 1;
                self.does(&gone).await;
                self.compare(&before, place, tally).await;
                self.does(&have).await;
                self.compare(&adopted, place, tally).await;
            }
        }
        self.does(&gone).await;
        self.compare(&before, 0, tally).await;
    }

    async fn compare(&self, expected: &Fingerprint, place: i64, tally: &mut Tally) {
        let left = expected.difference(&taken(self.client).await);
        if let Some(first) = left.first() {
            println!("killed at {place}: {first:?}");
            tally.leftovers += 1;
        }
    }
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
