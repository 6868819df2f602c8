//! V001's verify file: silent over what the create file makes, and every departure from it is named.

use crate::support::database::{v001, Database};
use crate::support::postgres::{Cluster, Version};
use crate::support::v001::{alone, layered, refusal, Operator};

/// What somebody changed, and what verify says of it.
const CHANGES: [(&str, &str); 60] = [
    ("drop table raw.site_tracking_keys_r", "table raw.site_tracking_keys_r is missing"),
    ("drop table migrations.rollback_log", "table migrations.rollback_log is missing"),
    ("alter table migrations.migration_log drop column environment", "migrations.migration_log has not the columns"),
    ("alter table migrations.rollback_log alter notes type varchar", "migrations.rollback_log has not the columns"),
    ("alter table raw.site_tracking_events_r set unlogged", "is not logged: a crash empties it"),
    ("alter table raw.site_tracking_events_r force row level security", "hides rows from its owner"),
    ("alter table raw.site_tracking_keys_r owner to tracking_processor_role", "raw.site_tracking_keys_r belongs to"),
    ("alter table raw.site_tracking_events_r reset (autovacuum_vacuum_scale_factor)", "lacks the setting autovacuum_vacuum_scale"),
    ("comment on table raw.site_tracking_events_r is null", "raw.site_tracking_events_r has no comment"),
    ("comment on column raw.site_tracking_events_r.batch_id is null", "site_tracking_events_r.batch_id has no comment"),
    ("alter table raw.site_tracking_events_r drop column user_agent", "user_agent is missing, not text"),
    ("alter table raw.site_tracking_events_r alter raw_event_id drop identity", "raw_event_id is bigint not null, not"),
    ("alter table raw.site_tracking_events_r alter raw_event_id set generated always", "always as identity, not"),
    ("alter table raw.site_tracking_events_r alter tenant_hk drop not null", "tenant_hk is bytea, not bytea not null"),
    ("alter table raw.site_tracking_events_r alter received_timestamp drop default", "not null default CURRENT_TIMESTAMP"),
    ("alter table raw.site_tracking_events_r alter processing_status set default 'ERROR'", "'ERROR'::character varying, not"),
    ("alter table raw.site_tracking_events_r alter batch_id type varchar(99)", "character varying(99), not character varying(100)"),
    ("alter table raw.site_tracking_events_r alter retry_count type bigint", "retry_count is bigint"),
    ("alter table raw.site_tracking_events_r add region text not null", "region is not V001's and refuses rows without it"),
    ("alter table raw.site_tracking_keys_r alter is_active drop default", "site_tracking_keys_r.is_active is"),
    ("alter table raw.site_tracking_keys_r rename allowed_origins to origins", "allowed_origins is missing"),
    ("alter table raw.site_tracking_events_r drop constraint site_tracking_events_r_known_status", "known_status is missing"),
    (
        "alter table raw.site_tracking_events_r drop constraint site_tracking_events_r_retry_count_not_negative,
           add constraint site_tracking_events_r_retry_count_not_negative check (retry_count >= -1)",
        "CHECK ((retry_count >= '-1'::integer)), not",
    ),
    ("alter table raw.site_tracking_keys_r drop constraint site_tracking_keys_r_is_a_sha256", "is_a_sha256 is missing"),
    ("alter table raw.site_tracking_events_r drop constraint site_tracking_events_r_pkey", "site_tracking_events_r_pkey is missing"),
    ("drop index raw.site_tracking_events_r_pending", "index site_tracking_events_r_pending is missing"),
    (
        "drop index raw.site_tracking_events_r_event_once; create index site_tracking_events_r_event_once
           on raw.site_tracking_events_r (event_key, tenant_hk) where event_key is not null",
        "index site_tracking_events_r_event_once is CREATE INDEX",
    ),
    (
        "drop index raw.site_tracking_events_r_received; create index site_tracking_events_r_received
           on raw.site_tracking_events_r (received_timestamp)",
        "index site_tracking_events_r_received is CREATE INDEX site_tracking_events_r_received ON raw.site_tracking_events_r USING btree",
    ),
    (
        "update pg_index set indisvalid = false where indexrelid = 'raw.site_tracking_events_r_event_once'::regclass",
        "(event_key IS NOT NULL) (invalid), not",
    ),
    ("drop view raw.site_tracking_pending_v", "view raw.site_tracking_pending_v is missing"),
    (
        "drop view raw.site_tracking_growth_v; create table raw.site_tracking_growth_v ()",
        "raw.site_tracking_growth_v is no view",
    ),
    ("alter view raw.site_tracking_volume_v owner to tracking_processor_role", "view raw.site_tracking_volume_v belongs to"),
    ("comment on view raw.site_tracking_volume_v is null", "view raw.site_tracking_volume_v has no comment"),
    (
        "drop view raw.site_tracking_pending_v; create view raw.site_tracking_pending_v as select 1 as more;
           comment on view raw.site_tracking_pending_v is 'waits'",
        "view raw.site_tracking_pending_v shows",
    ),
    (
        "create or replace view raw.site_tracking_event_lag_v as select null::bigint as oldest_pending_id,
           null::timestamptz as oldest_pending_received, 0::bigint as lag_seconds",
        "view raw.site_tracking_event_lag_v has another body",
    ),
    ("grant select on raw.site_tracking_volume_v to public", "PUBLIC has SELECT on raw.site_tracking_volume_v"),
    ("revoke select on raw.site_tracking_volume_v from tracking_processor_role", "tracking_processor_role lacks SELECT on raw.site_tracking_volume_v"),
    ("drop function raw.requeue_quarantined", "function raw.requeue_quarantined is missing"),
    ("alter function raw.ingest_tracking_event security invoker", "function raw.ingest_tracking_event is plpgsql v (p_tenant_hk"),
    ("alter function raw.ingest_tracking_beacon reset search_path", "function raw.ingest_tracking_beacon is plpgsql v security"),
    ("alter function raw.ingest_tracking_beacon set search_path = public", "search_path=public, not"),
    ("alter function raw.origin_is_allowed volatile", "function raw.origin_is_allowed is plpgsql v"),
    ("alter function raw.quarantined_bytes owner to tracking_processor_role", "raw.quarantined_bytes belongs to"),
    ("comment on function raw.ingest_tracking_beacon is null", "raw.ingest_tracking_beacon has no comment"),
    (
        "create or replace function raw.origin_is_allowed(p_origin text, p_allowed text[]) returns boolean language plpgsql
           immutable parallel safe set search_path = pg_catalog, pg_temp as 'begin return true; end'",
        "function raw.origin_is_allowed has another body",
    ),
    ("grant execute on function raw.ingest_tracking_event to public", "PUBLIC has EXECUTE on function raw.ingest_tracking_event"),
    ("grant execute on function raw.ingest_tracking_event to tracking_ingest_role", "tracking_ingest_role has EXECUTE on function raw.ingest_tracking_event"),
    ("grant insert on raw.site_tracking_events_r to tracking_ingest_role", "tracking_ingest_role has INSERT on raw.site_tracking_events_r"),
    ("grant select on raw.site_tracking_keys_r to public", "PUBLIC has SELECT on raw.site_tracking_keys_r"),
    ("grant update (raw_payload) on raw.site_tracking_events_r to tracking_processor_role", "has UPDATE on raw.site_tracking_events_r.raw_payload"),
    ("grant usage on sequence raw.site_tracking_events_r_raw_event_id_seq to tracking_ingest_role", "has USAGE on raw.site_tracking_events_r_raw_event_id_seq"),
    ("grant create on schema raw to tracking_ingest_role", "tracking_ingest_role has CREATE on schema raw"),
    (
        "grant select on raw.site_tracking_events_r to tracking_processor_role with grant option",
        "tracking_processor_role has SELECT with grant option on raw.site_tracking_events_r",
    ),
    ("revoke execute on function raw.ingest_tracking_beacon from tracking_ingest_role", "tracking_ingest_role lacks EXECUTE"),
    ("revoke select on raw.site_tracking_events_r from tracking_processor_role", "tracking_processor_role lacks SELECT"),
    ("revoke usage on schema raw from tracking_ingest_role", "tracking_ingest_role lacks USAGE on schema raw"),
    ("alter role tracking_ingest_role bypassrls", "role tracking_ingest_role may do more than ingest"),
    ("alter role tracking_processor_role rename to somebody", "role tracking_processor_role is missing"),
    (
        "create schema auth; create table auth.tenant_h (tenant_hk bytea primary key)",
        "site_tracking_events_r_tenant_exists is missing, not FOREIGN KEY (tenant_hk)",
    ),
    (
        "create schema util; create function util.hash_binary(text) returns bytea language sql as 'select sha256($1::bytea || ''x'')'",
        "util.hash_binary gives another hash",
    ),
];

/// What is none of verify's business.
const FOREIGN: [&str; 6] = [
    "create table raw.somebodys (); create index on raw.site_tracking_events_r (tenant_hk)",
    "alter table raw.site_tracking_events_r add region text, add colour text not null default 'red'",
    "create role analyst; grant usage on schema raw to analyst; grant select on raw.site_tracking_events_r to analyst",
    "create schema util; create function util.hash_binary(text) returns bytea language sql as 'select sha256(convert_to($1, ''UTF8''))'",
    "create schema util; create function util.hash_binary(text) returns bytea language plpgsql as 'begin raise ''no''; end'",
    "create schema auth; create table auth.tenant_h (tenant_hk text primary key)",
];

#[tokio::test]
async fn every_departure_from_v001_is_named_and_nothing_else() {
    for version in Version::ALL {
        let cluster = alone(version).await;
        let database = layered(&cluster).await;
        let client = database.superuser().await;
        let verify = v001("verify");
        for (change, says) in CHANGES {
            client.batch_execute(&format!("begin; {change}")).await.unwrap();
            let (code, message, hint) = refusal(client.batch_execute(&verify).await);
            client.batch_execute("rollback").await.unwrap();
            assert_eq!(code, "TR011", "{version:?} {change}: {message}");
            assert!(message.contains(says), "{version:?} {change}: {message}");
            assert!(hint.contains("apply V001 again"), "{hint}");
        }
        for change in FOREIGN {
            client.batch_execute(&format!("begin; {change}")).await.unwrap();
            let silent = client.batch_execute(&verify).await;
            silent.unwrap_or_else(|error| panic!("{version:?} {change}: {error:?}"));
            client.batch_execute("rollback").await.unwrap();
        }
    }
}

#[tokio::test]
async fn all_differences_are_told_at_once() {
    let cluster = alone(Version::Default).await;
    let database = layered(&cluster).await;
    let client = database.superuser().await;
    let breakage = "drop index raw.site_tracking_events_r_pending; drop function raw.quarantined_bytes;
        alter table raw.site_tracking_events_r alter tenant_hk drop not null";
    client.batch_execute(breakage).await.unwrap();
    let (_, message, _) = refusal(client.batch_execute(&v001("verify")).await);
    for part in [
        "site_tracking_events_r_pending",
        "quarantined_bytes is missing",
        "tenant_hk is bytea",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn on_an_empty_database_verify_names_what_is_missing() {
    let cluster = alone(Version::Default).await;
    let database = Database::empty(&cluster).await;
    let (code, message, _) = refusal(database.superuser().await.batch_execute(&v001("verify")).await);
    assert_eq!(code, "TR011");
    for part in [
        "table raw.site_tracking_events_r is missing",
        "table migrations.migration_log is missing",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn verify_needs_no_privilege() {
    for version in [Version::Oldest, Version::Newest] {
        let database = Database::with_v001(Cluster::shared(version)).await;
        let stranger = database.login("").await;
        let operator = Operator {
            database: &database,
            password: stranger.clone(),
            user: stranger,
        };
        let said = operator.must("verify", &[]);
        assert_eq!(said.stdout + &said.stderr, "");
    }
}
