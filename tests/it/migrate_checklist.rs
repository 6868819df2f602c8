//! The deployment checklist: each of the machine's lines can pass and can fail, in one database that has everything.

mod faults;

use std::collections::BTreeSet;
use std::time::Duration;

use site_tracking::migrate::catalogue::V001;
use site_tracking::migrate::checklist::filled::{Answer, Filled, Verdict};
use site_tracking::migrate::checklist::inspect::{inspect, Extent, Known};
use site_tracking::migrate::checklist::lines;
use site_tracking::migrate::checklist::says::Says;
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::support::database::{v001, Database};
use crate::support::postgres::{Cluster, Version};
use crate::support::v001::alone;

const PATIENCE: Duration = Duration::from_secs(60);

/// What a deploy to production says.
fn production() -> Says {
    let text = |text: &str| Some(text.to_owned());
    Says {
        environment: text("PRODUCTION"),
        on_delete: text("DropIfEmpty"),
        checksum: Some(V001.checksum()),
        ..Says::default()
    }
}

const BEFORE: &str = "1 tables, 0 functions in schema raw: table site_tracking_events_r";

/// A role that owns the layer and is no superuser, tenants, both optional functions, a rollback in the past, a login
/// of ingest. Gives a superuser's session.
async fn with_everything(database: &Database<'_>) -> Client {
    let client = database.superuser().await;
    let ground = format!(
        "create role layer_owner createrole;
         grant create, temporary on database {} to layer_owner;
         create schema auth; create schema util;
         create table auth.tenant_h (tenant_hk bytea primary key, tenant_bk varchar(255), load_date timestamptz,
           record_source varchar(100));
         create function util.hash_binary(p text) returns bytea language sql as 'select sha256(convert_to(p, ''UTF8''))';
         create function util.log_audit_event(text, text, text, text, jsonb) returns jsonb language sql
           as 'select ''{{}}''::jsonb';
         grant usage on schema auth, util to layer_owner;
         grant select, insert, references on auth.tenant_h to layer_owner;
         create role layer_ingest login;
         set role layer_owner;
         select set_config('tracking.environment', 'PRODUCTION', false), set_config('tracking.checksum', '{}', false)",
        database.name,
        V001.checksum()
    );
    client.batch_execute(&ground).await.unwrap();
    for verb in ["create", "rollback", "create"] {
        client.batch_execute(&v001(verb)).await.unwrap();
    }
    client
        .batch_execute("reset role; grant tracking_ingest_role to layer_ingest")
        .await
        .unwrap();
    client
}

/// The page, with `fault` in place, as the owner of the layer; everything is as before afterwards.
async fn page(client: &Client, fault: &str, says: &Says, before: &str) -> Filled {
    let planted = format!("begin; {fault}; set local role layer_owner");
    client
        .batch_execute(&planted)
        .await
        .unwrap_or_else(|error| panic!("{fault}: {error:?}"));
    let known = Known {
        says,
        host: "db.example",
        before: Some(before),
        line_limit: None,
    };
    let filled = inspect(client, known, Extent::Page, Instant::now() + PATIENCE).await;
    client.batch_execute("rollback").await.unwrap();
    filled.unwrap_or_else(|failure| panic!("{fault}: {failure}"))
}

fn answer<'f>(filled: &'f Filled, id: &str) -> &'f Answer {
    let found = filled.lines.iter().find(|(line, _)| line.id == id);
    &found.unwrap_or_else(|| panic!("no line {id}")).1
}

fn machine_ids() -> BTreeSet<&'static str> {
    let machine = lines().filter(|line| !line.is_a_persons());
    machine.map(|line| line.id).collect()
}

#[tokio::test]
async fn each_line_of_the_machine_passes_where_all_is_well() {
    for version in [Version::Oldest, Version::Default, Version::Newest] {
        let cluster = alone(version).await;
        let database = Database::empty(&cluster).await;
        let client = with_everything(&database).await;
        let filled = page(&client, "select", &production(), BEFORE).await;
        for (line, answer) in &filled.lines {
            let expected = if line.is_a_persons() {
                Verdict::NeedsAPerson
            } else {
                Verdict::Passed
            };
            assert_eq!(
                answer.verdict, expected,
                "{version:?} {}: {}",
                line.id, answer.evidence
            );
            assert!(!answer.evidence.is_empty(), "{}", line.id);
            println!("{}: {}", line.id, answer.evidence);
        }
        println!("{version:?}: the checklist took {} ms", filled.ms);
    }
}

#[tokio::test]
async fn a_line_of_the_closed_list_that_was_not_asked_fails_the_deploy_and_the_page_leaves_it_to_a_person() {
    let database = Database::with_v001(Cluster::shared(Version::Default)).await;
    let client = database.superuser().await;
    let says = production();
    let known = Known {
        says: &says,
        host: "here",
        before: None,
        line_limit: None,
    };
    client.batch_execute("begin").await.unwrap();
    for (extent, verdict) in [
        (Extent::ClosedList, Verdict::Failed),
        (Extent::Page, Verdict::NeedsAPerson),
    ] {
        let filled = inspect(&client, known, extent, Instant::now()).await.unwrap();
        assert_eq!(answer(&filled, "FUN-01").verdict, verdict, "{extent:?}");
        let failure = filled.failure().map(|failure| failure.to_string());
        assert_eq!(failure.is_some(), verdict == Verdict::Failed, "{failure:?}");
        assert!(
            failure.is_none_or(|failure| failure.contains("not asked, the time")),
            "{extent:?}"
        );
    }
    client.batch_execute("rollback").await.unwrap();
}

#[tokio::test]
async fn each_line_of_the_machine_fails_where_its_fault_is_and_no_transaction_is_lost() {
    let cluster = alone(Version::Default).await;
    let database = Database::empty(&cluster).await;
    let client = with_everything(&database).await;
    let mut tried = BTreeSet::new();
    let mut failed = |filled: &Filled, id: &'static str| {
        let answer = answer(filled, id);
        assert_eq!(answer.verdict, Verdict::Failed, "{id}: {}", answer.evidence);
        assert!(!answer.evidence.is_empty(), "{id}");
        tried.insert(id);
    };
    for (id, fault) in faults::FAULTS {
        let filled = page(&client, fault, &production(), BEFORE).await;
        failed(&filled, id);
        // One that fails costs no other.
        assert_eq!(answer(&filled, "PRE-01").verdict, Verdict::Passed, "{id}");
    }
    let text = |text: &str| Some(text.to_owned());
    for (id, says) in [
        (
            "ENV-01",
            Says {
                environment: text("DEV"),
                ..production()
            },
        ),
        (
            "ENV-02",
            Says {
                on_delete: text("Drop"),
                ..production()
            },
        ),
        (
            "FIL-02",
            Says {
                checksum: text("of another file"),
                ..production()
            },
        ),
    ] {
        failed(&page(&client, "select", &says, BEFORE).await, id);
    }
    let vanished = format!("{BEFORE}, table somebody_elses");
    failed(&page(&client, "select", &production(), &vanished).await, "SNP-01");
    failed(&in_latin_1(&cluster).await, "PRE-02");
    // No server here is too old: the line's own question, with a version that none has.
    let version = lines().find(|line| line.id == "PRE-01").unwrap().sql().unwrap();
    let question = version.replace("120000", "9990000");
    assert_ne!(question, version);
    let row = client.query_one(&question, &[]).await.unwrap();
    assert!(row.get::<_, Option<String>>(1).is_some());
    tried.insert("PRE-01");
    assert_eq!(tried, machine_ids());
}

/// In a database that cannot hold every character.
async fn in_latin_1(cluster: &Cluster) -> Filled {
    let database = Database::empty(cluster).await;
    let latin = format!("{}_latin", database.name);
    let create =
        format!("create database {latin} encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0");
    database.superuser().await.batch_execute(&create).await.unwrap();
    let client = Database { cluster, name: latin }.superuser().await;
    page(&client, "select", &Says::default(), "").await
}
