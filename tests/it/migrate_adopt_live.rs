//! Adoption beside live traffic: no insert fails or is held up, also where the table is big or the deploy is killed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinHandle;

use crate::migrate_predecessor::{assert_succeeded, predecessor, rows, state, told, COMPATIBLE};
use crate::migrate_stack::{number, Stack, BINARY, REMAINING};
use crate::support::function::Function;
use crate::support::postgres::{Cluster, Version};
use crate::support::wait;

/// The server writes a line for each wait for a lock that is longer than a call may wait: its word counts, since what
/// else the machine does makes calls slow too.
const SETTINGS: [&str; 5] = [
    "fsync = off",
    "full_page_writes = off",
    // An autovacuum of the grown table would keep our locks away as long as it lasts.
    "autovacuum = off",
    "log_lock_waits = on",
    "deadlock_timeout = 500ms",
];

#[track_caller]
fn assert_nobody_waited(cluster: &Cluster, label: &str) {
    let log = cluster.log();
    let waits: Vec<_> = log
        .lines()
        .filter(|line| line.contains("still waiting for") && line.contains("on relation"))
        .collect();
    assert!(waits.is_empty(), "{label}: {waits:?}");
}

const WRITES: [&str; 2] = [
    "select raw.ingest_tracking_event('\\x01', null, null, null, '{\"live\": 1}')",
    "insert into raw.site_tracking_events_r (tenant_hk, raw_payload, record_source) values ('\\x02', '{}', 'live')",
];

/// Two who write all the time, each on a connection of its own.
struct Traffic {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Result<(i64, Duration), String>>>,
}

impl Traffic {
    async fn start(stack: &Stack<'_>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = Vec::new();
        for sql in WRITES {
            let (client, stop) = (stack.client().await, stop.clone());
            writers.push(tokio::spawn(async move {
                let (mut written, mut longest) = (0, Duration::ZERO);
                while !stop.load(Ordering::Relaxed) {
                    let started = Instant::now();
                    client
                        .batch_execute(sql)
                        .await
                        .map_err(|error| format!("{sql}: {error:?}"))?;
                    longest = longest.max(started.elapsed());
                    written += 1;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Ok((written, longest))
            }));
        }
        Self { stop, writers }
    }

    /// How many rows were written, and the longest wait of one.
    async fn stop(self) -> (i64, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut rows, mut longest) = (0, Duration::ZERO);
        for writer in self.writers {
            let (written, waited) = writer
                .await
                .unwrap()
                .unwrap_or_else(|error| panic!("a write failed: {error}"));
            rows += written;
            longest = longest.max(waited);
        }
        (rows, longest)
    }
}

const COUNT: &str = "select count(*) from raw.site_tracking_events_r";

/// The longest wait where nothing is deployed: what the machine itself adds.
async fn control(stack: &Stack<'_>) -> Duration {
    let traffic = Traffic::start(stack).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    traffic.stop().await.1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_insert_fails_or_waits_long_while_a_predecessor_is_adopted_and_given_back() {
    for version in [Version::Oldest, Version::Newest] {
        let cluster = Cluster::start(&version.bin(), &SETTINGS);
        let mut stack = predecessor(&cluster, COMPATIBLE).await;
        let client = stack.client().await;
        let before = state(&client).await;
        let alone = control(&stack).await;
        let held = number(&client, COUNT).await;
        for round in ["Create", "Delete"] {
            let there = number(&client, COUNT).await;
            let traffic = Traffic::start(&stack).await;
            let answer = if round == "Create" {
                stack.create().await
            } else {
                stack.delete().await
            };
            let (written, longest) = traffic.stop().await;
            assert_succeeded(&answer);
            println!(
                "{version:?} {round}: {written} writes, longest {longest:?}, without a deploy {alone:?}"
            );
            assert_nobody_waited(&cluster, &format!("{version:?} {round}"));
            assert_eq!(
                number(&client, COUNT).await,
                there + written,
                "{version:?} {round}"
            );
        }
        assert!(number(&client, COUNT).await > held);
        assert_eq!(state(&client).await, before, "{version:?}");
    }
}

/// Asked at each deploy, for two seconds at most: longer than anybody may wait behind a lock.
const SLOW: &str = "create schema util; create function util.hash_binary(text) returns bytea language sql
    as 'select pg_sleep(30); select sha256(convert_to($1, ''UTF8''))'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adoption_that_would_keep_writers_waiting_goes_in_steps() {
    let cluster = Cluster::start(&Version::Newest.bin(), &SETTINGS);
    let mut stack = predecessor(&cluster, COMPATIBLE).await;
    let client = stack.client().await;
    client.batch_execute(SLOW).await.unwrap();
    let (before, there) = (state(&client).await, number(&client, COUNT).await);
    let traffic = Traffic::start(&stack).await;
    let answer = stack.create().await;
    let (written, longest) = traffic.stop().await;
    assert_succeeded(&answer);
    println!("{written} writes, longest {longest:?}");
    assert_nobody_waited(&cluster, "Create");
    assert_eq!(number(&client, COUNT).await, there + written);
    told(&answer, "gives no answer within two seconds");
    let (migrations, _) = stack.ledger().await;
    assert_eq!(migrations, ["APPLIED", "APPLIED"], "the table, then the rest");
    assert_succeeded(&stack.delete().await);
    assert_eq!(state(&client).await, before);
}

const GROWN: &str = "drop index raw.idx_tracking_payload;
    insert into raw.site_tracking_events_r (tenant_hk, raw_payload)
    select '\\x01', jsonb_build_object('n', n, 'text', repeat(md5(n::text), 40)) from generate_series(1, 55000) as n";

const BUILDING: &str = "select count(*) from pg_stat_activity where query ilike 'create%index concurrently%'
    and state = 'active' and wait_event_type = 'Lock' and datname = current_database()";

/// A dry run of it builds nothing, since it would keep writers out, and tells what would come.
async fn plan_of_steps(stack: &Stack<'_>) {
    let environment = stack.database.environment("nobody", "none");
    let function = Function::start(BINARY, &environment).await;
    let plan = function.invoke(json!({"action": "plan"}).to_string()).await;
    assert_eq!(plan["ok"], true, "{plan}");
    let comes = plan["appears"].as_array().unwrap();
    for wanted in [
        "column raw.site_tracking_events_r.request",
        "index raw.site_tracking_events_r_event_once",
    ] {
        assert!(comes.contains(&json!(wanted)), "{plan}");
    }
    assert!(
        plan["vanishes"]
            .to_string()
            .contains("function raw.ingest_tracking_event(bytea"),
        "{plan}"
    );
    assert!(
        plan["notes"].to_string().contains("a dry run does not try that"),
        "{plan}"
    );
    assert_eq!(plan["steps"], json!([]), "{plan}");
}

const INVALID: &str = "select count(*) from pg_index where not indisvalid";

/// Begins a deploy and kills it while an index is being built: somebody's old snapshot keeps the build from its end.
async fn killed_while_building(stack: &mut Stack<'_>) {
    let (client, old) = (stack.client().await, stack.client().await);
    old.batch_execute("begin isolation level repeatable read; select count(*) from pg_class")
        .await
        .unwrap();
    let _unanswered = stack
        .function
        .api
        .invoke(stack.event("Create").to_string(), REMAINING);
    wait::until_async(
        "an index that is being built",
        Duration::from_secs(60),
        || async { (number(&client, BUILDING).await == 1).then_some(()) },
    )
    .await;
    stack.function.signal("KILL").await;
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'create%index concurrently%'
        and pid <> pg_backend_pid()";
    client.batch_execute(cut).await.unwrap();
    old.batch_execute("rollback").await.unwrap();
    wait::until_async("the end of the build", Duration::from_secs(10), || async {
        (number(&client, BUILDING).await == 0).then_some(())
    })
    .await;
    assert_eq!(number(&client, INVALID).await, 1);
    let again = stack.sibling("one").await;
    stack.function = again.function;
    stack.url = again.url;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_big_table_gets_its_indexes_while_others_write_and_a_killed_deploy_is_taken_up() {
    for version in [Version::Oldest, Version::Newest] {
        let cluster = Cluster::start(&version.bin(), &SETTINGS);
        let mut stack = predecessor(&cluster, COMPATIBLE).await;
        let client = stack.client().await;
        client.batch_execute(GROWN).await.unwrap();
        let (before, held) = (state(&client).await, rows(&client).await);
        plan_of_steps(&stack).await;
        assert_eq!(state(&client).await, before, "{version:?}: a plan");

        killed_while_building(&mut stack).await;
        assert_succeeded(&stack.delete().await);
        assert_eq!(
            state(&client).await,
            before,
            "{version:?}: a killed deploy, deleted"
        );

        killed_while_building(&mut stack).await;
        assert_eq!(rows(&client).await, held);
        let (alone, there) = (control(&stack).await, number(&client, COUNT).await);
        let mut second = stack.sibling("two").await;
        for round in ["Create", "Delete"] {
            let there = number(&client, COUNT).await;
            let traffic = Traffic::start(&stack).await;
            // Two at once: who waits for the migration lock must not keep the other's indexes from their end.
            let answers = if round == "Create" {
                let (one, another) = tokio::join!(stack.create(), second.create());
                [one, another]
            } else {
                [second.delete().await, stack.delete().await]
            };
            let (written, longest) = traffic.stop().await;
            answers.iter().for_each(assert_succeeded);
            println!(
                "{version:?} {round}, big: {written} writes, longest {longest:?}, without a deploy {alone:?}"
            );
            assert_nobody_waited(&cluster, &format!("{version:?} {round}"));
            assert_eq!(number(&client, COUNT).await, there + written);
            assert_eq!(number(&client, INVALID).await, 0);
        }
        assert!(number(&client, COUNT).await > there);
        let after = state(&client).await;
        assert!(before.iter().all(|line| after.contains(line)), "{version:?}");
        // Looking through so many rows once more takes longer on a busy machine than writers may wait.
        let more: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
        let is_told = |line: &&String| {
            ["event_key", "request"].iter().any(|name| {
                let stays =
                    format!("column raw.site_tracking_events_r.{name} stays: looking through all rows again");
                line.starts_with(&format!("column raw.site_tracking_events_r.{name} "))
                    && stack.function.output().contains(&stays)
            })
        };
        assert!(more.iter().all(is_told), "{version:?}: {more:?}");
    }
}
