//! The deployment checklist: each of the machine's lines can pass and can fail, in one database that has everything.

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

/// A line, and what makes it fail.
const FAULTS: &[(&str, &str)] = &[
    ("DEP-01", "delete from migrations.migration_log"),
    ("DEP-02", "update migrations.migration_log set adopted_objects = '{table raw.site_tracking_events_r}'"),
    ("DEP-03", "update migrations.migration_log set duration_ms = 300001"),
    ("DEP-04", "update migrations.rollback_log set duration_ms = 120001"),
    ("FIL-01", "update migrations.migration_log set checksum = 'of another file'"),
    ("ENV-03", "set local default_transaction_read_only = on"),
    ("ENV-04", "update pg_database set datistemplate = true where datname = current_database()"),
    ("PRE-03", "alter extension plpgsql add function raw.quarantined_bytes(bigint)"),
    ("PER-01", "do $$ begin execute format('revoke create on database %I from layer_owner', current_database()); end $$"),
    (
        "PER-02",
        "alter role layer_owner nocreaterole; alter role tracking_processor_role rename to somebody_else",
    ),
    ("PER-03", "revoke references on auth.tenant_h from layer_owner"),
    ("PER-04", "revoke create on schema raw from layer_owner"),
    ("PER-05", "revoke insert on migrations.migration_log from layer_owner"),
    ("PER-06", "revoke usage on schema util from layer_owner"),
    (
        "DPN-01",
        "alter table raw.site_tracking_events_r drop constraint site_tracking_events_r_tenant_exists",
    ),
    (
        "DPN-02",
        "create or replace function util.hash_binary(p text) returns bytea language sql as 'select sha256(''x'')'",
    ),
    (
        "DPN-03",
        "create or replace function util.log_audit_event(text, text, text, text, jsonb) returns jsonb language sql \
         as 'select (1/0)::text::jsonb'",
    ),
    (
        "DPN-04",
        "create function public.meddle() returns trigger language plpgsql as 'begin return new; end'; \
         create trigger meddling before insert on raw.site_tracking_events_r for each row execute function public.meddle()",
    ),
    ("APP-01", "drop function raw.quarantined_bytes(bigint)"),
    (
        "APP-02",
        "insert into migrations.migration_log (version, script_name, status) values ('V001', 'x', 'STARTED')",
    ),
    ("VAL-01", "drop index raw.site_tracking_events_r_received"),
    ("VAL-02", "drop table raw.site_tracking_keys_r"),
    ("VAL-03", "alter table raw.site_tracking_events_r drop column request"),
    (
        "VAL-04",
        "create function raw.quarantined_bytes(integer) returns bytea language sql as 'select null::bytea'",
    ),
    (
        "VAL-05",
        "alter table raw.site_tracking_events_r add constraint later check (retry_count < 9) not valid",
    ),
    (
        "VAL-06",
        "update pg_index set indisvalid = false where indexrelid = 'raw.site_tracking_events_r_received'::regclass",
    ),
    (
        "VAL-07",
        "alter sequence raw.site_tracking_events_r_raw_event_id_seq maxvalue 100 restart 93; \
         select nextval('raw.site_tracking_events_r_raw_event_id_seq')",
    ),
    ("FUN-01", "alter table raw.site_tracking_events_r add column must text not null"),
    (
        "FUN-02",
        "create function raw.ingest_tracking_event(bytea, bytea, inet, text, jsonb) returns integer language sql \
         as 'select 1'",
    ),
    (
        "FUN-03",
        "do $$ begin execute replace(pg_get_functiondef('raw.ingest_tracking_event'::regproc), \
         'if p_tenant_hk is null', 'if false'); end $$",
    ),
    (
        "FUN-04",
        "do $$ begin execute replace(pg_get_functiondef('raw.ingest_tracking_event'::regproc), \
         'p_event_data = ''{}''', 'false'); end $$",
    ),
    (
        "FUN-05",
        "alter table raw.site_tracking_events_r drop constraint site_tracking_events_r_retry_count_not_negative",
    ),
    ("FUN-06", "alter table raw.site_tracking_events_r disable trigger all"),
    ("FUN-07", "drop index raw.site_tracking_events_r_event_once"),
    (
        "FUN-08",
        "create or replace function raw.origin_is_allowed(p_origin text, p_allowed text[]) returns boolean language sql \
         immutable as 'select true'",
    ),
    ("SEC-01", "alter table raw.site_tracking_events_r owner to postgres"),
    ("SEC-02", "grant select on raw.site_tracking_events_r to public"),
    ("SEC-03", "grant insert on raw.site_tracking_events_r to tracking_ingest_role"),
    ("SEC-04", "grant delete on raw.site_tracking_events_r to tracking_processor_role"),
    ("SEC-05", "alter function raw.quarantined_bytes(bigint) reset search_path"),
    ("SEC-06", "alter role layer_ingest createdb"),
    ("PRF-01", "drop index raw.site_tracking_events_r_pending"),
    ("PRF-02", "drop index raw.site_tracking_events_r_event_once"),
    ("PRF-03", "drop index raw.site_tracking_events_r_received"),
    (
        "PRF-04",
        "set local enable_indexscan = off; set local enable_indexonlyscan = off; set local enable_bitmapscan = off",
    ),
    (
        "PRF-05",
        "alter table raw.site_tracking_keys_r drop constraint site_tracking_keys_r_pkey",
    ),
    ("PRF-06", "revoke select on raw.site_tracking_events_r from layer_owner"),
    ("RBK-01", "alter function raw.quarantined_bytes(bigint) owner to postgres"),
    ("RBK-02", "create view public.pending as select raw_event_id from raw.site_tracking_events_r"),
    ("MON-03", "alter table raw.site_tracking_events_r set (autovacuum_enabled = false)"),
    (
        "CLN-01",
        "insert into auth.tenant_h values ('\\x01'); \
         insert into raw.site_tracking_events_r (tenant_hk, raw_payload, event_key) \
         values ('\\x01', '{\"event\": \"checklist\"}', 'c4ec1157-0000-8000-8000-000000000001')",
    ),
];

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
    for (id, fault) in FAULTS {
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
