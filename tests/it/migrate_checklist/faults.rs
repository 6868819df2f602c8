//! A line of the checklist, and what makes it fail: statements for a superuser, in a transaction.

pub const FAULTS: &[(&str, &str)] = &[
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
