//! V001 by hand: the files run under `psql` as they are, more than once, after a failure, with few privileges.

use crate::support::database::{v001, Database};
use crate::support::postgres::Version;
use crate::support::v001::{alone, assert_same, catalog, steps, Operator, Step};
use tokio_postgres::Client;

#[tokio::test]
async fn each_file_runs_twice_with_and_without_a_transaction_and_the_undo_is_complete() {
    for version in Version::ALL {
        let cluster = alone(version).await;
        for limited in [false, true] {
            let database = Database::empty(&cluster).await;
            let operator = match limited {
                true => Operator::limited(&database).await,
                false => Operator::superuser(&database),
            };
            let client = operator.client().await;
            let ways: [&[&str]; 2] = [&["-1"], &[]];
            for arguments in &ways[..if limited { 1 } else { 2 }] {
                each_file_twice(
                    &operator,
                    &client,
                    arguments,
                    &format!("{version:?} {arguments:?}"),
                )
                .await;
            }
        }
    }
}

async fn each_file_twice(operator: &Operator<'_>, client: &Client, arguments: &[&str], label: &str) {
    let label = format!("{label} as {}", operator.user);
    let before = catalog(client).await;
    let made = notice(&operator.must("create", arguments).stderr);
    assert!(made.contains("V001 is applied, made: "), "{label}: {made}");
    assert!(made.contains("next: run V001__verify"), "{label}: {made}");
    let after = catalog(client).await;
    let again = notice(&operator.must("create", arguments).stderr);
    assert!(again.contains("nothing was made"), "{label}: {again}");
    assert_same(
        &catalog(client).await,
        &after,
        &format!("{label}: a second create changed something"),
    );
    let said = operator.must("verify", arguments);
    assert_eq!(said.stdout + &said.stderr, "", "{label}: verify is not silent");
    let gone = notice(&operator.must("rollback", arguments).stderr);
    assert!(gone.contains("V001 is rolled back"), "{label}: {gone}");
    assert_same(
        &catalog(client).await,
        &before,
        &format!("{label}: the undo is not complete"),
    );
    let again = notice(&operator.must("rollback", arguments).stderr);
    assert!(again.contains("dropped: nothing"), "{label}: {again}");
    assert_same(
        &catalog(client).await,
        &before,
        &format!("{label}: a second rollback changed something"),
    );
}

/// The notice at the end.
fn notice(stderr: &str) -> String {
    let mut said = stderr.lines().filter(|line| line.contains("NOTICE"));
    said.next_back().expect("a file ends with a notice").to_owned()
}

/// How the first, failing attempt is made; the repair is made by a session that has seen other failures before.
#[derive(Clone, Copy)]
enum By {
    Psql,
    /// Each step a transaction of its own, in the same session as the repair.
    Steps,
}

#[tokio::test]
async fn a_failure_after_any_step_is_repaired_by_create_and_by_rollback_under_psql() {
    failures_are_repaired(Version::Default, By::Psql).await;
}

#[tokio::test]
async fn a_failure_after_any_step_is_repaired_by_create_and_by_rollback_on_the_oldest() {
    failures_are_repaired(Version::Oldest, By::Steps).await;
}

#[tokio::test]
async fn a_failure_after_any_step_is_repaired_by_create_and_by_rollback_on_the_newest() {
    failures_are_repaired(Version::Newest, By::Steps).await;
}

async fn failures_are_repaired(version: Version, by: By) {
    let cluster = alone(version).await;
    let database = Database::empty(&cluster).await;
    let client = database.superuser().await;
    client.batch_execute(TENANTS).await.unwrap();
    let before = catalog(&client).await;
    let (create, verify, rollback) = (v001("create"), v001("verify"), v001("rollback"));
    for verb in ["create", "rollback"] {
        let steps = steps(verb);
        for done in 1..steps.len() {
            let label = format!("{version:?}: {verb} failed after {}", steps[done - 1].name);
            let repairs = match by {
                By::Psql if done % 2 == 0 => &["create"][..],
                By::Psql => &["rollback"],
                By::Steps => &["create", "rollback"],
            };
            for repair in repairs {
                if verb == "rollback" {
                    client.batch_execute(&create).await.unwrap();
                }
                fail(&client, &database, &steps[..done], by).await;
                client.batch_execute(&v001(repair)).await.unwrap();
                if *repair == "create" {
                    client.batch_execute(&verify).await.unwrap();
                    client.batch_execute(&rollback).await.unwrap();
                }
                assert_same(
                    &catalog(&client).await,
                    &before,
                    &format!("{label}, repaired by {repair}"),
                );
            }
        }
    }
}

async fn fail(client: &Client, database: &Database<'_>, steps: &[Step], by: By) {
    match by {
        By::Psql => {
            let half: String = steps.iter().map(|step| step.sql.as_str()).collect();
            let failed = Operator::superuser(database).psql(&format!("{half}\nselect 1 / 0;"), &[]);
            assert!(failed.stderr.contains("division by zero"), "{}", failed.stderr);
        }
        By::Steps => {
            for step in steps {
                client.batch_execute(&step.sql).await.unwrap();
            }
        }
    }
}

const TENANTS: &str = "create schema auth; create table auth.tenant_h (tenant_hk bytea primary key,
    tenant_bk varchar(255), load_date timestamptz, record_source varchar(100))";

const GOES_ON: [&str; 2] = ["-v", "ON_ERROR_STOP=0"];

/// The outcome that the ledger tells of last: none if no attempt ended.
async fn outcome(client: &Client) -> Option<String> {
    const LAST: &str = "select status from (
          select status, applied_at as at from migrations.migration_log where status <> 'STARTED'
          union all select status, rolled_back_at from migrations.rollback_log
        ) as ended order by at desc limit 1";
    let row = client.query_opt(LAST, &[]).await.unwrap();
    row.map(|row| row.get(0))
}

#[tokio::test]
async fn a_rollback_that_waits_in_vain_for_a_lock_says_so_and_changes_nothing_where_psql_goes_on() {
    for version in Version::ALL {
        let cluster = alone(version).await;
        let database = Database::empty(&cluster).await;
        let operator = Operator::superuser(&database);
        let client = database.superuser().await;
        let empty = catalog(&client).await;
        operator.must("create", &[]);
        let made = catalog(&client).await;
        let key = "insert into raw.site_tracking_keys_r (api_key_hk, tenant_hk) values (sha256('k'), 'x');
            insert into raw.site_tracking_events_r (tenant_hk, raw_payload) values ('x', '[1]')";
        client.batch_execute(key).await.unwrap();
        let holder = database.superuser().await;
        let held = "begin; select from raw.site_tracking_events_r for update";
        holder.batch_execute(held).await.unwrap();
        let rollback = format!("set tracking.drop_rows = '1';\n{}", v001("rollback"));
        let said = operator.psql(&rollback, &GOES_ON).stderr;
        assert!(
            said.contains("V001 is not rolled back: step tables failed"),
            "{version:?}: {said}"
        );
        assert!(!said.contains("V001 is rolled back"), "{version:?}: {said}");
        assert_same(&catalog(&client).await, &made, &format!("{version:?}"));
        assert_eq!(outcome(&client).await.as_deref(), Some("APPLIED"), "{version:?}");
        holder.batch_execute("rollback").await.unwrap();
        let said = operator.psql(&rollback, &GOES_ON).stderr;
        assert!(said.contains("V001 is rolled back"), "{version:?}: {said}");
        assert_eq!(
            outcome(&client).await.as_deref(),
            Some("ROLLED_BACK"),
            "{version:?}"
        );
        assert_same(&catalog(&client).await, &empty, &format!("{version:?}: repaired"));
    }
}

#[tokio::test]
async fn a_create_that_finds_its_names_taken_says_so_and_is_repaired_where_psql_goes_on() {
    let cases = [
        ("sequence", "site_tracking_events_r_pending", "events_indexes"),
        ("view", "site_tracking_events_r_received", "events_indexes"),
        ("sequence", "site_tracking_keys_r_pkey", "keys_table"),
    ];
    for (kind, name, step) in cases {
        let cluster = alone(Version::Default).await;
        let database = Database::empty(&cluster).await;
        let operator = Operator::superuser(&database);
        let client = database.superuser().await;
        let rest = if kind == "view" { "as select 1" } else { "" };
        let taken = format!("create schema raw; create {kind} raw.{name} {rest}");
        client.batch_execute(&taken).await.unwrap();
        let said = operator.file("create", &GOES_ON).stderr;
        let failed = format!("V001 is not applied: step {step} failed");
        assert!(said.contains(&failed), "{name}: {said}");
        assert!(!said.contains("V001 is applied"), "{name}: {said}");
        assert_eq!(outcome(&client).await, None, "{name}");
        let freed = format!("drop {kind} raw.{name}");
        client.batch_execute(&freed).await.unwrap();
        let said = operator.file("create", &GOES_ON).stderr;
        assert!(said.contains("V001 is applied"), "{name}: {said}");
        operator.must("verify", &[]);
        assert_eq!(outcome(&client).await.as_deref(), Some("APPLIED"), "{name}");
    }
}

#[tokio::test]
async fn a_session_without_a_search_path_is_repaired_after_a_refusal() {
    let cluster = alone(Version::Default).await;
    let database = Database::empty(&cluster).await;
    let refused = format!(
        "set search_path = '';\nset tracking.on_delete = 'no';\n{}",
        v001("rollback")
    );
    let session = format!("{refused}\nreset tracking.on_delete;\n{}", v001("create"));
    let said = Operator::superuser(&database).psql(&format!("{session}\nshow search_path;"), &GOES_ON);
    assert!(said.stderr.contains("V001 is applied"), "{}", said.stderr);
    assert!(said.stdout.contains("\"\""), "{}", said.stdout);
}

#[tokio::test]
async fn the_steps_are_sent_one_by_one_inside_one_transaction_and_leave_the_session_as_it_was() {
    const SESSION: &str = "select string_agg(name || '=' || setting, ' ' order by name) from pg_settings
        where name in ('search_path', 'statement_timeout', 'lock_timeout', 'default_transaction_read_only')";
    for version in Version::ALL {
        let cluster = alone(version).await;
        let database = Database::empty(&cluster).await;
        let client = database.superuser().await;
        client
            .batch_execute("set search_path = public, pg_catalog; set statement_timeout = '40s'")
            .await
            .unwrap();
        let before: String = client.query_one(SESSION, &[]).await.unwrap().get(0);
        let empty = catalog(&client).await;
        for end in ["rollback", "commit"] {
            client.batch_execute("begin").await.unwrap();
            for verb in ["create", "verify", "rollback", "create", "verify"] {
                for step in steps(verb) {
                    let done = client.batch_execute(&step.sql).await;
                    done.unwrap_or_else(|error| panic!("{version:?}: {verb} {}: {error:?}", step.name));
                }
            }
            client.batch_execute(end).await.unwrap();
            let after: String = client.query_one(SESSION, &[]).await.unwrap().get(0);
            assert_eq!(after, before, "{version:?} after {end}");
            assert_eq!(
                catalog(&client).await == empty,
                end == "rollback",
                "{version:?} after {end}"
            );
        }
    }
}

#[tokio::test]
async fn the_steps_together_are_the_file() {
    for verb in ["create", "verify", "rollback"] {
        let (file, steps) = (v001(verb), steps(verb));
        let (header, _) = file.split_once("\n-- step: ").unwrap();
        assert!(
            header
                .lines()
                .all(|line| line.is_empty() || line.starts_with("--")),
            "{verb}: SQL before its first step"
        );
        let bytes: usize = steps
            .iter()
            .map(|step| "\n-- step: \n".len() + step.name.len() + step.sql.len())
            .sum();
        assert_eq!(header.len() + bytes, file.len(), "{verb}");
        let mut names: Vec<_> = steps.iter().map(|step| step.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), steps.len(), "{verb}: two steps of one name");
    }
}
