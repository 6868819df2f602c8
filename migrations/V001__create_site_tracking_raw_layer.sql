-- V001: the universal site tracking raw layer: schema raw, its two tables, the functions that write to them,
-- the views that watch them. Run by migrate in one transaction, or by hand: psql -1 -v ON_ERROR_STOP=1 -f (without -1 a failure is repaired by
-- running this file or the rollback file again). Needs PostgreSQL 12 and CREATE on the database; no extension.
-- Running it twice changes nothing. tracking.foreign_key = none or not_valid leaves the foreign key to whoever says so.
-- Undone by V001__rollback_site_tracking_raw_layer.sql; whether all is as it
-- should be says V001__verify_site_tracking_raw_layer.sql.

-- step: preflight
-- Names below mean the system's own; the last step restores the search path. Each statement notes in tracking.done that
-- it succeeded, and does nothing unless the one before it did: where psql goes on after an error (ON_ERROR_STOP off)
-- nothing more happens, and the last step says which step failed.
do $$
begin
  if coalesce(pg_catalog.current_setting('tracking.saved', true), '') operator(pg_catalog.=) '' then
    perform pg_catalog.set_config('tracking.search_path', pg_catalog.current_setting('search_path'), false);
    perform pg_catalog.set_config('tracking.saved', 'yes', false);
  end if;
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', false);
  perform pg_catalog.set_config('tracking.done', 'preflight 1', false);
end
$$;

do $$
declare
  v_missing text;
begin
  if current_setting('tracking.done') <> 'preflight 1' then
    return;
  end if;
  perform set_config('tracking.done', 'preflight 2', false);
  if current_setting('server_version_num')::integer < 120000 then
    raise exception 'PostgreSQL 12 or newer is needed, this server is %', current_setting('server_version')
      using errcode = 'TR014', hint = 'upgrade the server, or choose another database';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('site_tracking_raw_layer', 0));

  select string_agg(remedy, '; ' order by remedy) into v_missing
  from (
    select format('grant create on database %I to %I', current_database(), current_user) as remedy
    from (values ('raw'), ('migrations')) as wanted(name)
    where not exists (select from pg_namespace n where n.nspname = wanted.name)
      and not has_database_privilege(current_database(), 'CREATE')
    union
    select format('grant usage, create on schema %I to %I', n.nspname, current_user)
    from pg_namespace n
    where n.nspname in ('raw', 'migrations')
      and not (has_schema_privilege(n.oid, 'USAGE') and has_schema_privilege(n.oid, 'CREATE'))
    union
    select format('alter table raw.%I owner to %I', c.relname, current_user)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'raw' and c.relname in ('site_tracking_events_r', 'site_tracking_keys_r')
      and not pg_has_role(c.relowner, 'USAGE')
    union
    select format('alter view raw.%I owner to %I', c.relname, current_user)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'raw' and c.relkind = 'v' and c.relname ~ '^site_tracking_(event_rate|event_lag|pending|quarantined|volume|growth)_v$'
      and not pg_has_role(c.relowner, 'USAGE')
    union
    select format('alter function %s owner to %I', p.oid::regprocedure, current_user)
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'raw'
      and p.proname in ('ingest_tracking_event', 'ingest_tracking_beacon', 'audit_tracking_events',
        'origin_is_allowed', 'quarantined_bytes', 'requeue_quarantined')
      and not pg_has_role(p.proowner, 'USAGE')
    union
    select format('grant select, insert, update on migrations.%I to %I', c.relname, current_user)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'migrations' and c.relname in ('migration_log', 'rollback_log')
      and exists (select from pg_attribute a
        where a.attrelid = c.oid and a.attname = 'stack_id' and not a.attisdropped)
      and not (has_table_privilege(c.oid, 'SELECT') and has_table_privilege(c.oid, 'INSERT')
        and has_table_privilege(c.oid, 'UPDATE'))
    union
    select format('grant usage on schema auth to %I', current_user)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'auth' and c.relname = 'tenant_h' and c.relkind in ('r', 'p')
      and not has_schema_privilege(n.oid, 'USAGE')
    union
    select format('grant references (tenant_hk) on auth.tenant_h to %I', current_user)
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_hk' and not a.attisdropped
    where n.nspname = 'auth' and c.relname = 'tenant_h' and c.relkind in ('r', 'p')
      and not has_column_privilege(c.oid, a.attnum, 'REFERENCES')
  ) as remedies;
  if v_missing is not null then
    raise exception 'role % may not make the site tracking raw layer in database %', current_user, current_database()
      using errcode = 'TR013', hint = v_missing;
  end if;
end
$$;

-- What is there under our names and is not what V001 makes needs adoption, which only migrate does.
do $$
declare
  v_differs text;
begin
  if current_setting('tracking.done') <> 'preflight 2' then
    return;
  end if;
  perform set_config('tracking.done', 'preflight', false);
  select string_agg(difference, '; ' order by difference) into v_differs
  from (
    select format('raw.%s is no table', c.relname) as difference
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'raw' and c.relname in ('site_tracking_events_r', 'site_tracking_keys_r') and c.relkind <> 'r'
    union all
    select format('raw.%s is no view of V001''s', c.relname)
    from (values
      ('event_rate', 'minute, events, tenants, errors'),
      ('event_lag', 'oldest_pending_id, oldest_pending_received, lag_seconds'),
      ('pending', 'tenant_hk, events, oldest_received, newest_received'),
      ('quarantined', 'reason, tenant_hk, events, first_event_id, last_event_id, newest_received'),
      ('volume', 'tenant_hk, events, payload_bytes, errors, newest_received'),
      ('growth', 'rows_estimated, table_bytes, index_bytes, newest_event_id, since, events_per_day')
    ) as wanted(name, columns)
    join pg_namespace n on n.nspname = 'raw'
    join pg_class c on c.relnamespace = n.oid and c.relname = format('site_tracking_%s_v', wanted.name)
    where c.relkind <> 'v' or wanted.columns is distinct from (select string_agg(a.attname, ', ' order by a.attnum)
      from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)
    union all
    select format('raw.%s.%s is %s, not %s', wanted.tab, wanted.col,
      coalesce(format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end,
        'missing'),
      wanted.type || case when wanted.needed then ' not null' else '' end)
    from (values
      ('site_tracking_events_r', 'raw_event_id', 'bigint', true),
      ('site_tracking_events_r', 'tenant_hk', 'bytea', true),
      ('site_tracking_events_r', 'api_key_hk', 'bytea', false),
      ('site_tracking_events_r', 'received_timestamp', 'timestamp with time zone', true),
      ('site_tracking_events_r', 'client_ip', 'inet', false),
      ('site_tracking_events_r', 'user_agent', 'text', false),
      ('site_tracking_events_r', 'raw_payload', 'jsonb', true),
      ('site_tracking_events_r', 'batch_id', 'character varying(100)', false),
      ('site_tracking_events_r', 'processing_status', 'character varying(20)', true),
      ('site_tracking_events_r', 'error_message', 'text', false),
      ('site_tracking_events_r', 'retry_count', 'integer', true),
      ('site_tracking_events_r', 'record_source', 'character varying(100)', true),
      ('site_tracking_events_r', 'event_key', 'uuid', false),
      ('site_tracking_events_r', 'request', 'jsonb', false),
      ('site_tracking_keys_r', 'api_key_hk', 'bytea', true),
      ('site_tracking_keys_r', 'tenant_hk', 'bytea', true),
      ('site_tracking_keys_r', 'tenant_bk', 'character varying(255)', false),
      ('site_tracking_keys_r', 'allowed_origins', 'text[]', false),
      ('site_tracking_keys_r', 'label', 'text', false),
      ('site_tracking_keys_r', 'is_active', 'boolean', true),
      ('site_tracking_keys_r', 'created_at', 'timestamp with time zone', true),
      ('site_tracking_keys_r', 'revoked_at', 'timestamp with time zone', false)
    ) as wanted(tab, col, type, needed)
    join pg_namespace n on n.nspname = 'raw'
    join pg_class c on c.relnamespace = n.oid and c.relname = wanted.tab and c.relkind = 'r'
    left join pg_attribute a on a.attrelid = c.oid and a.attname = wanted.col and not a.attisdropped
    where (format_type(a.atttypid, a.atttypmod), a.attnotnull) is distinct from (wanted.type, wanted.needed)
    union all
    select format('raw.%s(%s) returning %s is another function of that name', p.proname,
      oidvectortypes(p.proargtypes), pg_get_function_result(p.oid))
    from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace and n.nspname = 'raw'
    join (values
      ('origin_is_allowed', 'text, text[]', 'boolean'),
      ('audit_tracking_events', 'bytea, bigint[], character varying', 'text'),
      ('ingest_tracking_event', 'bytea, bytea, inet, text, jsonb, uuid, character varying, timestamp with time zone, '
        'jsonb, character varying, text, boolean', 'bigint'),
      ('ingest_tracking_beacon', 'bytea, text, inet, text, jsonb[], uuid[], character varying, '
        'timestamp with time zone, jsonb, character varying[], text[], boolean', 'TABLE(verdict text, '
        'event_index integer, raw_event_id bigint, first_batch_id character varying, audit_error text)'),
      ('quarantined_bytes', 'bigint', 'bytea'),
      ('requeue_quarantined', 'bigint, jsonb', 'bigint')
    ) as wanted(name, arguments, result) on wanted.name = p.proname
    where (oidvectortypes(p.proargtypes), pg_get_function_result(p.oid))
      is distinct from (wanted.arguments, wanted.result)
  ) as differences;
  if v_differs is not null and current_setting('tracking.adopt', true) is distinct from 'yes' then
    raise exception 'the raw layer that is there is not V001''s: %', v_differs
      using errcode = 'TR010', hint = 'deploy it with migrate, which adopts what is compatible; nothing was changed';
  end if;
  perform set_config('tracking.notes', '', false);
  perform set_config('tracking.log_id', '', false);
end
$$;

-- step: ledger
do $$
begin
  if current_setting('tracking.done') <> 'preflight' then
    return;
  end if;
  perform set_config('tracking.done', 'ledger 1', false);
  if not exists (select from pg_namespace where nspname = 'migrations') then
    create schema migrations;
    comment on schema migrations is 'What was migrated in this database, when and by whom; no rollback removes it.';
  end if;
end
$$;

do $step$
begin
  if current_setting('tracking.done') <> 'ledger 1' then
    return;
  end if;
  perform set_config('tracking.done', 'ledger 2', false);
create table if not exists migrations.migration_log (
  migration_id bigint generated by default as identity,
  version text not null,
  script_name text not null,
  description text,
  applied_by text not null default current_user,
  applied_at timestamptz not null default clock_timestamp(),
  completed_at timestamptz,
  status text not null,
  duration_ms bigint,
  checksum text,
  stack_id text,
  logical_resource_id text,
  request_id text,
  environment text,
  created_objects text[],
  adopted_objects text[],
  replaced_objects jsonb,
  retained_objects text[],
  fingerprint_before text,
  fingerprint_after text,
  notes text,
  constraint migration_log_pkey primary key (migration_id),
  constraint migration_log_known_status check (status in ('STARTED', 'APPLIED', 'SHARED', 'FAILED'))
);

create table if not exists migrations.rollback_log (
  rollback_id bigint generated by default as identity,
  version text not null,
  script_name text not null,
  description text,
  reason text,
  rolled_back_by text not null default current_user,
  rolled_back_at timestamptz not null default clock_timestamp(),
  completed_at timestamptz,
  status text not null,
  duration_ms bigint,
  checksum text,
  stack_id text,
  logical_resource_id text,
  request_id text,
  environment text,
  dropped_objects text[],
  retained_objects text[],
  restored_objects jsonb,
  rows_dropped bigint,
  rows_retained bigint,
  fingerprint_before text,
  fingerprint_after text,
  notes text,
  constraint rollback_log_pkey primary key (rollback_id),
  constraint rollback_log_known_status check (status in ('LEFT', 'ROLLED_BACK', 'RETAINED', 'FAILED'))
);
end
$step$;

-- One row per attempt: STARTED now, its outcome in the last step. A table of that name that is not ours is left alone.
do $$
declare
  v_now text[];
  v_first text[];
  v_id bigint;
  v_adopts boolean := coalesce(current_setting('tracking.adopt', true), '') = 'yes';
  v_adoption jsonb := nullif(current_setting('tracking.adoption', true), '')::jsonb;
begin
  if current_setting('tracking.done') <> 'ledger 2' then
    return;
  end if;
  perform set_config('tracking.done', 'ledger', false);
  if (select count(*) from pg_attribute a
      join pg_class c on c.oid = a.attrelid
      join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'migrations' and not a.attisdropped and (
        c.relname = 'migration_log' and a.attname in ('migration_id', 'adopted_objects', 'stack_id', 'notes')
        or c.relname = 'rollback_log' and a.attname in ('rollback_id', 'dropped_objects', 'stack_id', 'notes'))) < 8
  then
    if current_setting('tracking.adopt', true) = 'yes' then
      raise exception 'a predecessor is not adopted without a ledger that says how to put it back'
        using errcode = 'TR010', hint = 'rename migrations.migration_log and migrations.rollback_log, tables of somebody '
          'else';
    end if;
    perform set_config('tracking.notes',
      'no ledger is kept: migrations.migration_log or migrations.rollback_log is a table of somebody else', false);
    return;
  end if;
  -- Where another role made the ledger, its comments are that role's.
  if not exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'migrations' and c.relname in ('migration_log', 'rollback_log')
        and not pg_has_role(c.relowner, 'USAGE'))
  then
    comment on table migrations.migration_log is
      'One row per attempt to apply a migration: APPLIED made objects, SHARED found them made, FAILED changed nothing.';
    comment on column migrations.migration_log.adopted_objects is
      'Found at the first attempt and made by no attempt: a rollback leaves them.';
    comment on column migrations.migration_log.replaced_objects is
      'Of an adopted predecessor: what was added to it, which functions gave way, and how they were.';
    comment on column migrations.migration_log.retained_objects is 'Found, made by an earlier attempt.';
    comment on table migrations.rollback_log is
      'One row per attempt to roll a migration back; ROLLED_BACK ends every ownership that migration_log tells of.';
  end if;

  select coalesce(array_agg(object order by object), '{}') into v_now from (
    select 'schema raw' as object from pg_namespace where nspname = 'raw'
    union all
    select 'role ' || rolname from pg_roles
    where rolname in ('tracking_ingest_role', 'tracking_processor_role')
    union all
    select format('usage on schema raw by %s', r.rolname)
    from pg_namespace n cross join lateral aclexplode(n.nspacl) as acl join pg_roles r on r.oid = acl.grantee
    where n.nspname = 'raw' and r.rolname in ('tracking_ingest_role', 'tracking_processor_role')
    union all
    select 'table raw.' || c.relname
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'raw' and c.relname in ('site_tracking_events_r', 'site_tracking_keys_r')
    union all
    select 'view raw.' || c.relname
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'raw' and c.relkind = 'v'
      and c.relname ~ '^site_tracking_(event_rate|event_lag|pending|quarantined|volume|growth)_v$'
    union all
    select 'function raw.' || p.proname
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'raw'
      and p.proname in ('ingest_tracking_event', 'ingest_tracking_beacon', 'audit_tracking_events',
        'origin_is_allowed', 'quarantined_bytes', 'requeue_quarantined')
  ) as ours;
  select l.adopted_objects into v_first from migrations.migration_log l
  where l.version = 'V001' and l.status in ('STARTED', 'APPLIED', 'SHARED')
    and l.applied_at > coalesce((select max(r.rolled_back_at) from migrations.rollback_log r
      where r.version = 'V001' and r.status = 'ROLLED_BACK'), '-infinity')
  order by l.migration_id limit 1;
  insert into migrations.migration_log (version, script_name, description, status, checksum, stack_id,
    logical_resource_id, request_id, environment, adopted_objects, retained_objects, replaced_objects)
  select 'V001', 'V001__create_site_tracking_raw_layer.sql', 'universal site tracking raw layer', 'STARTED',
    nullif(current_setting('tracking.checksum', true), ''), nullif(current_setting('tracking.stack_id', true), ''),
    nullif(current_setting('tracking.logical_resource_id', true), ''),
    nullif(current_setting('tracking.request_id', true), ''),
    nullif(current_setting('tracking.environment', true), ''),
    array(select unnest(v_now) intersect select unnest(coalesce(v_first, v_now)) order by 1),
    array(select unnest(v_now) except select unnest(coalesce(v_first, v_now)) order by 1),
    case when v_adopts then v_adoption - 'notes' end
  returning migration_id into v_id;
  perform set_config('tracking.log_id', v_id::text, false);
  if v_adopts then
    perform set_config('tracking.notes', v_adoption ->> 'notes', false);
  end if;
end
$$;

-- step: schema
do $$
begin
  if current_setting('tracking.done') <> 'ledger' then
    return;
  end if;
  perform set_config('tracking.done', 'schema', false);
  if not exists (select from pg_namespace where nspname = 'raw') then
    create schema raw;
    comment on schema raw is 'Raw layer: what was received, as it was received, until somebody processes it.';
  end if;
end
$$;

-- step: roles
-- Roles belong to the whole server: one that is there is used as it is; one that may not be made is asked for.
do $$
declare
  v_role text;
  v_purpose text;
  v_note text;
begin
  if current_setting('tracking.done') <> 'schema' then
    return;
  end if;
  perform set_config('tracking.done', 'roles', false);
  for v_role, v_purpose in values
    ('tracking_ingest_role', 'May call raw.ingest_tracking_beacon and nothing else.'),
    ('tracking_processor_role', 'Reads and marks raw events, opens and requeues quarantined ones.')
  loop
    continue when exists (select from pg_roles where rolname = v_role);
    begin
      execute format('create role %I nologin', v_role);
      execute format('comment on role %I is %L', v_role, v_purpose);
    exception
      when duplicate_object or unique_violation then
        null;
      when insufficient_privilege then
        v_note := format('role %1$s is missing: have an administrator run "create role %1$s nologin", then run this again',
          v_role);
        raise notice '%', v_note;
        perform set_config('tracking.notes',
          concat_ws(E'\n', nullif(current_setting('tracking.notes', true), ''), v_note), false);
    end;
  end loop;
end
$$;

-- step: events_table
do $step$
begin
  if current_setting('tracking.done') <> 'roles' then
    return;
  end if;
  perform set_config('tracking.done', 'events_table', false);
  -- An adopted table was made ready by the adopt file; its comments and settings are its owner's.
  if current_setting('tracking.adopt', true) = 'yes' then
    return;
  end if;
create table if not exists raw.site_tracking_events_r (
  raw_event_id bigint generated by default as identity,
  tenant_hk bytea not null,
  api_key_hk bytea,
  received_timestamp timestamptz not null default current_timestamp,
  client_ip inet,
  user_agent text,
  raw_payload jsonb not null,
  batch_id varchar(100),
  processing_status varchar(20) not null default 'PENDING',
  error_message text,
  retry_count integer not null default 0,
  record_source varchar(100) not null default 'site_tracker',
  event_key uuid,
  request jsonb,
  constraint site_tracking_events_r_pkey primary key (raw_event_id),
  constraint site_tracking_events_r_known_status
    check (processing_status in ('PENDING', 'PROCESSING', 'PROCESSED', 'ERROR')),
  constraint site_tracking_events_r_retry_count_not_negative check (retry_count >= 0)
)
-- Rows are appended, then marked once: vacuum long before a fifth of the table has changed.
with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
revoke all on table raw.site_tracking_events_r from public;

  if current_setting('server_version_num')::integer >= 130000 then
    execute 'alter table raw.site_tracking_events_r set (autovacuum_vacuum_insert_scale_factor = 0.05)';
  end if;
  if exists (select from pg_settings where name = 'default_toast_compression' and 'lz4' = any (enumvals))
    and not exists (select from pg_attribute a where a.attrelid = 'raw.site_tracking_events_r'::regclass
      and a.attname = 'raw_payload' and to_jsonb(a) ->> 'attcompression' = 'l')
  then
    execute 'alter table raw.site_tracking_events_r alter column raw_payload set compression lz4';
  end if;

comment on table raw.site_tracking_events_r is
  'One row per website tracking event, as received; PENDING until a processor has marked it.';
comment on column raw.site_tracking_events_r.tenant_hk is
  'Hash key of the tenant that the site key names; auth.tenant_h has it where that table exists.';
comment on column raw.site_tracking_events_r.api_key_hk is 'SHA-256 of the site key; NULL when called directly.';
comment on column raw.site_tracking_events_r.received_timestamp is
  'When the gateway received it, also after a replay.';
comment on column raw.site_tracking_events_r.client_ip is
  'Address of the visitor; NULL when it could not be understood or is not to be kept.';
comment on column raw.site_tracking_events_r.raw_payload is
  'The event, without the site key, with _envelope; with _quarantine when its bytes are no JSON document.';
comment on column raw.site_tracking_events_r.batch_id is 'Receipt: UUIDv7 of the beacon that brought the event.';
comment on column raw.site_tracking_events_r.processing_status is
  'PENDING, PROCESSING, PROCESSED or ERROR; ERROR with _quarantine in raw_payload means quarantined.';
comment on column raw.site_tracking_events_r.event_key is
  'Stored once per tenant: the event''s own id where it has one, else one made on receipt.';
comment on column raw.site_tracking_events_r.request is
  'What the body does not tell: method, path, query, content type, origin, referrer, privacy signals, notes.';
end
$step$;

-- step: events_indexes
-- The table is new, or has the indexes already, or is small. An index that is there must not be asked for: that alone
-- would keep writers out until the end.
do $step$
declare
  v_name text;
  v_reader text;
begin
  if current_setting('tracking.done') <> 'events_table' then
    return;
  end if;
  perform set_config('tracking.done', 'events_indexes', false);
  if to_regclass('raw.site_tracking_events_r_pending') is null then
    create index site_tracking_events_r_pending
    on raw.site_tracking_events_r (raw_event_id) where processing_status = 'PENDING';
  end if;
  if to_regclass('raw.site_tracking_events_r_received') is null then
    create index site_tracking_events_r_received
    on raw.site_tracking_events_r using brin (received_timestamp);
  end if;
  if to_regclass('raw.site_tracking_events_r_event_once') is null then
    create unique index site_tracking_events_r_event_once
    on raw.site_tracking_events_r (event_key, tenant_hk) where event_key is not null;
  end if;
  -- A predecessor's own index under one of these names keeps its comment.
  for v_name, v_reader in values
    ('site_tracking_events_r_pending', 'Read by who claims pending events.'),
    ('site_tracking_events_r_received', 'Read by retention and by questions about a time range.'),
    ('site_tracking_events_r_event_once', 'Read by the ingest functions: an event is stored once.')
  loop
    if current_setting('tracking.adopt', true) = 'yes' then
      continue when not exists (select from migrations.migration_log l
        where l.version = 'V001' and l.status in ('STARTED', 'APPLIED', 'SHARED') and l.replaced_objects -> 'indexes' ? v_name
          and l.applied_at > coalesce((select max(r.rolled_back_at) from migrations.rollback_log r
            where r.version = 'V001' and r.status = 'ROLLED_BACK'), '-infinity'));
    end if;
    execute format('comment on index raw.%I is %L', v_name, v_reader);
  end loop;
end
$step$;

-- step: keys_table
do $step$
begin
  if current_setting('tracking.done') <> 'events_indexes' then
    return;
  end if;
  perform set_config('tracking.done', 'keys_table', false);
create table if not exists raw.site_tracking_keys_r (
  api_key_hk bytea not null,
  tenant_hk bytea not null,
  tenant_bk varchar(255),
  allowed_origins text[],
  label text,
  is_active boolean not null default true,
  created_at timestamptz not null default current_timestamp,
  revoked_at timestamptz,
  constraint site_tracking_keys_r_pkey primary key (api_key_hk),
  constraint site_tracking_keys_r_is_a_sha256 check (octet_length(api_key_hk) = 32)
);
revoke all on table raw.site_tracking_keys_r from public;

comment on table raw.site_tracking_keys_r is 'Site keys, by their SHA-256; the key itself is never stored.';
comment on column raw.site_tracking_keys_r.allowed_origins is
  'Origins that may use the key; NULL: any; https://*.example.com: subdomains; required: no origin, no entry.';
comment on column raw.site_tracking_keys_r.revoked_at is 'From when on the key is refused, judged by the time of receipt.';
end
$step$;

-- step: origin_is_allowed
do $step$
begin
  if current_setting('tracking.done') <> 'keys_table' then
    return;
  end if;
  perform set_config('tracking.done', 'origin_is_allowed', false);
create or replace function raw.origin_is_allowed(p_origin text, p_allowed text[]) returns boolean
language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  v_origin text := lower(nullif(p_origin, '') collate "C");
  v_entry text;
  v_star integer;
  v_middle text;
begin
  if p_allowed is null then
    return true;
  end if;
  if v_origin is null then
    return 'required' <> all (p_allowed);
  end if;
  v_origin := regexp_replace(v_origin, '^(https://.*):443$|^(http://.*):80$', '\1\2');
  foreach v_entry in array p_allowed loop
    v_entry := regexp_replace(lower(v_entry collate "C"), '^(https://.*):443$|^(http://.*):80$', '\1\2');
    if v_entry = v_origin and v_entry <> 'required' then
      return true;
    end if;
    v_star := strpos(v_entry, '://*.');
    if v_star > 0 and length(v_origin) > length(v_entry) - 1
      and starts_with(v_origin, left(v_entry, v_star + 2))
      and right(v_origin, length(v_entry) - v_star - 3) = substr(v_entry, v_star + 4)
    then
      v_middle := substr(v_origin, v_star + 3, length(v_origin) - length(v_entry) + 1);
      if v_middle ~ '^[a-z0-9_-]+(\.[a-z0-9_-]+)*$' then
        return true;
      end if;
    end if;
  end loop;
  return false;
end
$$;
revoke all on function raw.origin_is_allowed(text, text[]) from public;
comment on function raw.origin_is_allowed(text, text[]) is
  'Whether a site key''s list lets this origin in: scheme, host and port equal, or a subdomain of https://*.example.com.';
end
$step$;

-- step: audit_tracking_events
-- Whether there is an audit function is decided here, not looked up with each event.
do $create$
begin
  if current_setting('tracking.done') <> 'origin_is_allowed' then
    return;
  end if;
  perform set_config('tracking.done', 'audit_tracking_events', false);
  if exists (select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where n.nspname = 'util' and p.proname = 'log_audit_event'
        and oidvectortypes(p.proargtypes) = 'text, text, text, text, jsonb')
  then
    create or replace function raw.audit_tracking_events(p_tenant_hk bytea, p_event_ids bigint[], p_batch_id varchar)
    returns text
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
    as $$
    begin
      perform util.log_audit_event('RAW_EVENT_INGESTED', 'SITE_TRACKING',
        case when cardinality(p_event_ids) = 1 then p_event_ids[1]::text else p_batch_id end, session_user::text,
        jsonb_build_object('tenant_hk', encode(p_tenant_hk, 'hex'), 'raw_event_ids', p_event_ids,
          'batch_id', p_batch_id));
      return null;
    exception
      -- "others" does not hold a statement timeout: the events must not go because their audit hangs.
      when query_canceled or assert_failure or others then
        raise warning 'events % of receipt % are stored without audit: %', p_event_ids, p_batch_id, sqlerrm
          using errcode = 'TR020', detail = 'SQLSTATE ' || sqlstate,
            hint = 'repair util.log_audit_event; it runs as the owner of this function with search_path pg_catalog, pg_temp';
        return sqlstate;
    end
    $$;
  else
    -- In SQL and without settings it is inlined and costs nothing.
    create or replace function raw.audit_tracking_events(p_tenant_hk bytea, p_event_ids bigint[], p_batch_id varchar)
    returns text
    language sql immutable
    as $$ select null::text $$;
  end if;
  revoke all on function raw.audit_tracking_events(bytea, bigint[], varchar) from public;
  comment on function raw.audit_tracking_events(bytea, bigint[], varchar) is
    'Tells util.log_audit_event which events were stored; NULL, or the SQLSTATE with which that failed. Never raises.';
end
$create$;

-- step: ingest_tracking_event
do $step$
begin
  if current_setting('tracking.done') <> 'audit_tracking_events' then
    return;
  end if;
  perform set_config('tracking.done', 'ingest_tracking_event', false);
create or replace function raw.ingest_tracking_event(
  p_tenant_hk bytea,
  p_api_key_hk bytea,
  p_client_ip inet,
  p_user_agent text,
  p_event_data jsonb,
  p_event_key uuid default null,
  p_batch_id varchar default null,
  p_received_timestamp timestamptz default null,
  p_request jsonb default null,
  p_processing_status varchar default 'PENDING',
  p_error_message text default null,
  p_audit boolean default true
) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_id bigint;
  v_audit_error text;
begin
  if p_tenant_hk is null then
    raise exception 'an event needs a tenant, p_tenant_hk is null'
      using errcode = 'TR001', hint = 'pass the tenant_hk that the site key names; there is no default tenant';
  end if;
  if p_event_data is null or p_event_data = '{}' then
    raise exception 'an event needs content, p_event_data is %', coalesce(p_event_data::text, 'null')
      using errcode = 'TR002', hint = 'pass the event as a jsonb document that is not empty';
  end if;
  insert into raw.site_tracking_events_r as e (tenant_hk, api_key_hk, received_timestamp, client_ip, user_agent,
    raw_payload, batch_id, processing_status, error_message, event_key, request)
  values (p_tenant_hk, p_api_key_hk, coalesce(p_received_timestamp, current_timestamp), p_client_ip, p_user_agent,
    p_event_data, p_batch_id, coalesce(p_processing_status, 'PENDING'), p_error_message, p_event_key, p_request)
  on conflict (event_key, tenant_hk) where event_key is not null do nothing
  returning e.raw_event_id into v_id;
  if found then
    v_audit_error := case when p_audit then raw.audit_tracking_events(p_tenant_hk, array[v_id], p_batch_id) end;
  -- A duplicate is there; what is not has been left out by a trigger of somebody's, and nobody may take it for stored.
  elsif not exists (select from raw.site_tracking_events_r e
      where e.event_key = p_event_key and e.tenant_hk = p_tenant_hk)
  then
    raise exception 'an event was neither stored nor is it there, a trigger on raw.site_tracking_events_r left it out'
      using errcode = 'TR003', schema = 'raw', table = 'site_tracking_events_r',
        hint = 'have the trigger let the row pass, or raise an error of its own';
  end if;
  return v_id;
end
$$;
revoke all on function raw.ingest_tracking_event(bytea, bytea, inet, text, jsonb, uuid, varchar, timestamptz, jsonb,
  varchar, text, boolean) from public;
comment on function raw.ingest_tracking_event(bytea, bytea, inet, text, jsonb, uuid, varchar, timestamptz, jsonb,
  varchar, text, boolean) is
  'Stores one event for trusted SQL callers: its id, or NULL if the tenant has that event key already.';
end
$step$;

-- step: ingest_tracking_beacon
do $step$
begin
  if current_setting('tracking.done') <> 'ingest_tracking_event' then
    return;
  end if;
  perform set_config('tracking.done', 'ingest_tracking_beacon', false);
create or replace function raw.ingest_tracking_beacon(
  p_api_key_hk bytea,
  p_origin text,
  p_client_ip inet,
  p_user_agent text,
  p_events jsonb[],
  p_event_keys uuid[],
  p_batch_id varchar,
  p_received_timestamp timestamptz,
  p_request jsonb,
  p_statuses varchar[],
  p_errors text[],
  p_audit boolean default true
) returns table (verdict text, event_index integer, raw_event_id bigint, first_batch_id varchar, audit_error text)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_tenant_hk bytea;
  v_allowed text[];
  v_active boolean;
  v_revoked timestamptz;
  v_received timestamptz;
  v_sequence regclass;
  v_ids bigint[];
  v_stored bigint;
begin
  -- One event, a good key, nothing stored twice: one statement. Each further expression here costs a microsecond or two.
  if cardinality(p_events) = 1 then
    insert into raw.site_tracking_events_r as e (tenant_hk, api_key_hk, received_timestamp, client_ip, user_agent,
      raw_payload, batch_id, processing_status, error_message, event_key, request)
    select k.tenant_hk, k.api_key_hk, coalesce(p_received_timestamp, current_timestamp), p_client_ip, p_user_agent,
      p_events[1], p_batch_id, coalesce(p_statuses[1], 'PENDING'), p_errors[1], p_event_keys[1], p_request
    from raw.site_tracking_keys_r k
    where k.api_key_hk = p_api_key_hk and k.is_active and k.revoked_at is null
      and (k.allowed_origins is null or raw.origin_is_allowed(p_origin, k.allowed_origins))
      and p_events[1] <> '{}'
    on conflict (event_key, tenant_hk) where event_key is not null do nothing
    returning 'ok', 0, e.raw_event_id, e.tenant_hk into verdict, event_index, raw_event_id, v_tenant_hk;
    if found then
      audit_error := case when p_audit
        then raw.audit_tracking_events(v_tenant_hk, array[raw_event_id], p_batch_id) end;
      return next;
      return;
    end if;
  end if;

  v_received := coalesce(p_received_timestamp, current_timestamp);
  select k.tenant_hk, k.allowed_origins, k.is_active, k.revoked_at
  into v_tenant_hk, v_allowed, v_active, v_revoked
  from raw.site_tracking_keys_r k where k.api_key_hk = p_api_key_hk;
  verdict := case
    when not found then 'unknown'
    when v_revoked <= v_received or not v_active and v_revoked is null then 'revoked'
    when v_allowed is not null and not raw.origin_is_allowed(p_origin, v_allowed) then 'origin'
    else 'ok'
  end;
  if verdict <> 'ok' or coalesce(cardinality(p_events), 0) = 0 then
    return next;
    return;
  end if;
  if '{}' = any (p_events) or array_position(p_events, null) is not null
    or cardinality(p_events) < greatest(cardinality(p_event_keys), cardinality(p_statuses), cardinality(p_errors))
  then
    raise exception 'each of the % events needs content, and no array may be longer than p_events',
      cardinality(p_events) using errcode = 'TR002', hint = 'leave empty events out of p_events';
  end if;
  v_sequence := pg_get_serial_sequence('raw.site_tracking_events_r', 'raw_event_id');
  -- Ids in the order of the events; rows in the order of their keys, so that concurrent retries cannot deadlock.
  with numbered as materialized (
    select b.n, b.event, b.key, b.status, b.error, nextval(v_sequence) as id
    from unnest(p_events, p_event_keys, p_statuses, p_errors) with ordinality as b(event, key, status, error, n)
  ), stored as (
    insert into raw.site_tracking_events_r as e (raw_event_id, tenant_hk, api_key_hk, received_timestamp, client_ip,
      user_agent, raw_payload, batch_id, processing_status, error_message, event_key, request)
    select m.id, v_tenant_hk, p_api_key_hk, v_received, p_client_ip, p_user_agent, m.event, p_batch_id,
      coalesce(m.status, 'PENDING'), m.error, m.key, p_request
    from numbered m order by m.key, m.n
    on conflict (event_key, tenant_hk) where event_key is not null do nothing
    returning e.raw_event_id
  )
  select array_agg(s.raw_event_id order by m.n), count(s.raw_event_id)
  into v_ids, v_stored
  from numbered m left join stored s on s.raw_event_id = m.id;
  if p_audit and v_stored > 0 then
    audit_error := raw.audit_tracking_events(v_tenant_hk, array_remove(v_ids, null), p_batch_id);
  end if;
  -- Statements of their own: they see what a concurrent beacon committed while the insert waited for it.
  if v_stored < cardinality(p_events) and exists (select from unnest(v_ids, p_event_keys) as b(id, key)
      where b.id is null and not exists (select from raw.site_tracking_events_r e
        where e.event_key = b.key and e.tenant_hk = v_tenant_hk))
  then
    raise exception 'an event was neither stored nor is it there, a trigger on raw.site_tracking_events_r left it out'
      using errcode = 'TR003', schema = 'raw', table = 'site_tracking_events_r',
        hint = 'have the trigger let the row pass, or raise an error of its own';
  end if;
  -- A duplicate always names a receipt: an empty one where a direct caller gave none.
  return query
    select 'ok', (b.n - 1)::integer, b.id,
      case when b.id is null then (select coalesce(e.batch_id, '') from raw.site_tracking_events_r e
        where e.event_key = b.key and e.tenant_hk = v_tenant_hk) end,
      case when b.id is not null then audit_error end
    from unnest(v_ids, p_event_keys) with ordinality as b(id, key, n);
end
$$;
revoke all on function raw.ingest_tracking_beacon(bytea, text, inet, text, jsonb[], uuid[], varchar, timestamptz,
  jsonb, varchar[], text[], boolean) from public;
comment on function raw.ingest_tracking_beacon(bytea, text, inet, text, jsonb[], uuid[], varchar, timestamptz,
  jsonb, varchar[], text[], boolean) is
  'Stores the events of one beacon under its site key: one row per event, or one that says why none was stored.';
end
$step$;

-- step: quarantine
do $step$
begin
  if current_setting('tracking.done') <> 'ingest_tracking_beacon' then
    return;
  end if;
  perform set_config('tracking.done', 'quarantine', false);
create or replace function raw.quarantined_bytes(p_raw_event_id bigint) returns bytea
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_quarantine jsonb;
begin
  -- A sender's own event may have a member of that name.
  select case when e.processing_status = 'ERROR' and e.raw_payload #>> '{_quarantine,encoding}' = 'base64'
    then e.raw_payload -> '_quarantine' else e.request -> '_quarantine' end
  into v_quarantine
  from raw.site_tracking_events_r e where e.raw_event_id = p_raw_event_id;
  return case when v_quarantine ->> 'encoding' = 'base64' then decode(v_quarantine ->> 'bytes', 'base64') end;
exception
  when invalid_parameter_value then
    return null;
end
$$;
revoke all on function raw.quarantined_bytes(bigint) from public;
comment on function raw.quarantined_bytes(bigint) is
  'The exact bytes of a quarantined event, also after it was requeued; NULL for every other.';

create or replace function raw.requeue_quarantined(p_raw_event_id bigint, p_event_data jsonb) returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_id bigint;
begin
  if p_event_data is null or p_event_data = '{}' or p_event_data ? '_quarantine' then
    raise exception 'a repaired event needs content, p_event_data is %', coalesce(left(p_event_data::text, 60), 'null')
      using errcode = 'TR002', hint = 'pass the repaired event, not the quarantine document';
  end if;
  update raw.site_tracking_events_r as e
  set raw_payload = p_event_data,
    request = coalesce(e.request, '{}') || jsonb_build_object('_quarantine', (e.raw_payload -> '_quarantine')
      || case when e.raw_payload - '_quarantine'::text = '{}' then '{}'
        else jsonb_build_object('beside', e.raw_payload - '_quarantine'::text) end),
    processing_status = 'PENDING',
    error_message = null
  where e.raw_event_id = p_raw_event_id and e.processing_status = 'ERROR'
    and e.raw_payload #>> '{_quarantine,encoding}' = 'base64'
  returning e.raw_event_id into v_id;
  return v_id;
end
$$;
revoke all on function raw.requeue_quarantined(bigint, jsonb) from public;
comment on function raw.requeue_quarantined(bigint, jsonb) is
  'Puts a repaired event in the place of a quarantined one, as PENDING, and its bytes into request: its id, or NULL if it is not quarantined.';
end
$step$;

-- step: views
-- Each reads what an index gives it, and no more: the newest rows by their time, the pending ones by theirs. An adopted
-- table may have narrower types; what a view shows is the same.
do $step$
begin
  if current_setting('tracking.done') <> 'quarantine' then
    return;
  end if;
  perform set_config('tracking.done', 'views', false);
create or replace view raw.site_tracking_event_rate_v as
select date_trunc('minute', e.received_timestamp) as minute, count(*) as events,
  count(distinct e.tenant_hk) as tenants, count(*) filter (where e.processing_status = 'ERROR') as errors
from raw.site_tracking_events_r e
where e.received_timestamp >= now() - make_interval(hours => 1)
group by date_trunc('minute', e.received_timestamp);
comment on view raw.site_tracking_event_rate_v is
  'Events by the minute in which they were received, of the last hour; a minute without any has no row.';

create or replace view raw.site_tracking_event_lag_v as
select o.raw_event_id::bigint as oldest_pending_id, o.received_timestamp as oldest_pending_received,
  greatest(date_part('epoch', now() - o.received_timestamp), 0)::bigint as lag_seconds
from (values (1)) as always(there)
left join (
  select e.raw_event_id, e.received_timestamp from raw.site_tracking_events_r e
  where e.processing_status = 'PENDING' order by e.raw_event_id limit 1
) as o on true;
comment on view raw.site_tracking_event_lag_v is
  'One row: which pending event is the oldest, and for how long it has waited; 0 if none waits.';

create or replace view raw.site_tracking_pending_v as
select e.tenant_hk, count(*) as events, min(e.received_timestamp) as oldest_received,
  max(e.received_timestamp) as newest_received
from raw.site_tracking_events_r e
where e.processing_status = 'PENDING'
group by e.tenant_hk;
comment on view raw.site_tracking_pending_v is 'What waits to be processed, by tenant; it reads the pending events alone.';

create or replace view raw.site_tracking_quarantined_v as
select e.raw_payload #>> '{_quarantine,tag}' as reason, e.tenant_hk, count(*) as events,
  min(e.raw_event_id)::bigint as first_event_id, max(e.raw_event_id)::bigint as last_event_id,
  max(e.received_timestamp) as newest_received
from raw.site_tracking_events_r e
where e.received_timestamp >= now() - make_interval(days => 7) and e.processing_status = 'ERROR'
  and e.raw_payload #>> '{_quarantine,encoding}' = 'base64'
group by e.raw_payload #>> '{_quarantine,tag}', e.tenant_hk;
comment on view raw.site_tracking_quarantined_v is
  'Events of the last seven days that wait to be repaired or given up, by reason and tenant.';

create or replace view raw.site_tracking_volume_v as
select e.tenant_hk, count(*) as events, sum(pg_column_size(e.raw_payload))::bigint as payload_bytes,
  count(*) filter (where e.processing_status = 'ERROR') as errors, max(e.received_timestamp) as newest_received
from raw.site_tracking_events_r e
where e.received_timestamp >= now() - make_interval(days => 1)
group by e.tenant_hk;
comment on view raw.site_tracking_volume_v is
  'Events of the last 24 hours by tenant, and the bytes that their payloads take on disk.';

create or replace view raw.site_tracking_growth_v as
with newest as (
  select e.raw_event_id::bigint as id from raw.site_tracking_events_r e order by e.raw_event_id desc limit 1
), earlier as (
  (select e.raw_event_id::bigint as id, e.received_timestamp as since from raw.site_tracking_events_r e
    where e.raw_event_id <= (select n.id - 100000 from newest n) order by e.raw_event_id desc limit 1)
  union all
  (select e.raw_event_id::bigint, e.received_timestamp from raw.site_tracking_events_r e order by e.raw_event_id limit 1)
  limit 1
)
select greatest(c.reltuples, 0)::bigint as rows_estimated, pg_table_size(c.oid) as table_bytes,
  pg_indexes_size(c.oid) as index_bytes, n.id as newest_event_id, o.since,
  round(((n.id - o.id) * 86400 / nullif(date_part('epoch', now() - o.since), 0))::numeric) as events_per_day
from pg_class c
left join newest n on true
left join earlier o on true
where c.oid = 'raw.site_tracking_events_r'::regclass;
comment on view raw.site_tracking_growth_v is
  'One row: size of the table of events, and the ids drawn per day, by the newest 100,000 or all; counts no rows.';

revoke all on raw.site_tracking_event_rate_v, raw.site_tracking_event_lag_v, raw.site_tracking_pending_v,
  raw.site_tracking_quarantined_v, raw.site_tracking_volume_v, raw.site_tracking_growth_v from public;
end
$step$;

-- step: adopted
-- A predecessor's own constraints, triggers and rules decide too, those that wait for the commit among them: what V001
-- writes is tried, and undone. That there is no tenant to try it with refuses nothing.
do $$
declare
  v_constraint text;
begin
  if current_setting('tracking.done') <> 'views' then
    return;
  end if;
  perform set_config('tracking.done', 'adopted', false);
  if current_setting('tracking.adopt', true) is distinct from 'yes' then
    return;
  end if;
  begin
    set constraints all immediate;
    perform raw.ingest_tracking_event(
      coalesce((select e.tenant_hk from raw.site_tracking_events_r e where e.tenant_hk is not null limit 1), '\x00'),
      sha256('probe'), '192.0.2.1', repeat('x', 1024), '{"probe": true}', probe.key, repeat('x', 36), current_timestamp,
      '{"probe": true}', probe.status, probe.error, false)
    from (values
      ('00000000-0000-8000-8000-000000000001'::uuid, 'PENDING', null),
      ('00000000-0000-8000-8000-000000000002', 'ERROR', repeat('x', 500)), (null, 'PENDING', null)
    ) as probe(key, status, error);
    raise exception using errcode = 'TR099';
  exception
    when sqlstate 'TR099' then
      null;
    when others then
      get stacked diagnostics v_constraint = constraint_name;
      if sqlstate in ('55P03', '40P01', '40001') then
        raise;
      end if;
      if sqlstate = '23503' and exists (select from pg_constraint k join pg_attribute a on a.attrelid = k.conrelid
        and array[a.attnum] = k.conkey and a.attname = 'tenant_hk'
        where k.conrelid = 'raw.site_tracking_events_r'::regclass and k.conname = v_constraint)
      then
        return;
      end if;
      raise exception 'the raw layer that is there cannot be adopted, it refuses what V001 writes: %', sqlerrm
        using errcode = 'TR010', detail = 'SQLSTATE ' || sqlstate,
          hint = 'change what refuses it (a constraint, trigger or rule of its own), then deploy again';
  end;
end
$$;

-- step: grants
do $$
declare
  v_role text;
begin
  if current_setting('tracking.done') <> 'adopted' then
    return;
  end if;
  perform set_config('tracking.done', 'grants', false);
  -- Who could call the function that gave way can call the one in its place.
  if coalesce(current_setting('tracking.log_id', true), '') <> '' then
    for v_role in
      select distinct r.rolname
      from migrations.migration_log l
      cross join jsonb_array_elements_text(l.replaced_objects -> 'callers') as caller(name)
      join pg_roles r on r.rolname = caller.name
      where l.version = 'V001' and l.status in ('STARTED', 'APPLIED', 'SHARED')
        and l.applied_at > coalesce((select max(b.rolled_back_at) from migrations.rollback_log b
          where b.version = 'V001' and b.status = 'ROLLED_BACK'), '-infinity')
    loop
      execute format('grant execute on function raw.ingest_tracking_event(bytea, bytea, inet, text, jsonb, uuid, varchar, '
        'timestamptz, jsonb, varchar, text, boolean) to %I', v_role);
    end loop;
  end if;
  for v_role in select rolname from pg_roles
    where rolname in ('tracking_ingest_role', 'tracking_processor_role')
  loop
    execute format('grant usage on schema raw to %I', v_role);
    if not has_schema_privilege(v_role, 'raw', 'USAGE') then
      raise exception 'role % may not grant usage on schema raw to %', current_user, v_role
        using errcode = 'TR013', hint = format('grant usage on schema raw to %I with grant option', current_user);
    end if;
  end loop;
  if exists (select from pg_roles where rolname = 'tracking_ingest_role') then
    grant execute on function raw.ingest_tracking_beacon(bytea, text, inet, text, jsonb[], uuid[], varchar, timestamptz,
      jsonb, varchar[], text[], boolean) to tracking_ingest_role;
  end if;
  if exists (select from pg_roles where rolname = 'tracking_processor_role') then
    grant select, update (processing_status, error_message, retry_count) on table raw.site_tracking_events_r
      to tracking_processor_role;
    grant execute on function raw.quarantined_bytes(bigint), raw.requeue_quarantined(bigint, jsonb)
      to tracking_processor_role;
    grant select on raw.site_tracking_event_rate_v, raw.site_tracking_event_lag_v, raw.site_tracking_pending_v,
      raw.site_tracking_quarantined_v, raw.site_tracking_volume_v, raw.site_tracking_growth_v
      to tracking_processor_role;
  end if;
end
$$;

-- step: probes
-- Each optional function is called once as our functions would call it, for two seconds at most. What it wrote is undone.
do $$
begin
  if current_setting('tracking.done') <> 'grants' then
    return;
  end if;
  perform set_config('tracking.done', 'probes 1', false);
  if coalesce(current_setting('tracking.probe_timeout', true), '') = '' then
    perform set_config('tracking.probe_timeout', current_setting('statement_timeout'), false);
  end if;
  perform set_config('statement_timeout', (select case when setting::bigint between 1 and 2000 then setting else '2000' end
    from pg_settings where name = 'statement_timeout'), false);
end
$$;

do $$
declare
  v_started timestamptz := clock_timestamp();
  v_path text := current_setting('tracking.search_path', true);
  v_fault text;
  v_state text;
  v_remedy text;
begin
  if current_setting('tracking.done') <> 'probes 1' then
    return;
  end if;
  perform set_config('tracking.done', 'probes 2', false);
  if not exists (select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where n.nspname = 'util' and p.proname = 'log_audit_event'
        and oidvectortypes(p.proargtypes) = 'text, text, text, text, jsonb')
  then
    return;
  end if;
  begin
    perform util.log_audit_event('RAW_EVENT_INGESTED', 'SITE_TRACKING', 'probe', session_user::text, '{"probe": true}');
    raise exception using errcode = 'TR099';
  exception
    when sqlstate 'TR099' then
      return;
    when query_canceled then
      if clock_timestamp() < v_started + interval '1.9 seconds' then
        raise;
      end if;
      v_fault := 'gives no answer within two seconds';
      v_remedy := 'repair it: each beacon waits for it until the statement timeout';
    when assert_failure or others then
      v_fault := 'fails with search_path pg_catalog, pg_temp: ' || sqlerrm;
      v_state := sqlstate;
      v_remedy := 'repair it: events are stored without audit';
  end;
  if v_state = '42501' then
    v_remedy := format('grant usage on schema util to %1$I; grant execute on function '
      'util.log_audit_event(text, text, text, text, jsonb) to %1$I', current_user);
  elsif v_state is not null then
    begin
      perform set_config('search_path', v_path, true);
      perform util.log_audit_event('RAW_EVENT_INGESTED', 'SITE_TRACKING', 'probe', session_user::text, '{"probe": true}');
      raise exception using errcode = 'TR099';
    exception
      when sqlstate 'TR099' then
        v_remedy := format('alter function util.log_audit_event(text, text, text, text, jsonb) set search_path = %s', v_path);
      when query_canceled or assert_failure or others then
        null;
    end;
  end if;
  raise notice 'util.log_audit_event %', v_fault using hint = v_remedy;
  perform set_config('tracking.notes', concat_ws(E'\n', nullif(current_setting('tracking.notes', true), ''),
    format('util.log_audit_event %s; %s', v_fault, v_remedy)), false);
end
$$;

do $$
declare
  v_started timestamptz := clock_timestamp();
  v_path text := current_setting('tracking.search_path', true);
  v_expected bytea := sha256(convert_to('probe ' || chr(233), 'UTF8'));
  v_found bytea;
  v_fault text;
  v_state text;
  v_remedy text := 'repair it: a tenant_hk that it makes would not be ours, which is SHA-256 of the UTF-8 text';
begin
  if current_setting('tracking.done') <> 'probes 2' then
    return;
  end if;
  perform set_config('tracking.done', 'probes', false);
  if not exists (select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where n.nspname = 'util' and p.proname = 'hash_binary' and oidvectortypes(p.proargtypes) = 'text')
  then
    return;
  end if;
  begin
    v_found := util.hash_binary('probe ' || chr(233));
    raise exception using errcode = 'TR099';
  exception
    when sqlstate 'TR099' then
      if v_found = v_expected then
        return;
      end if;
      v_fault := 'gives another hash than SHA-256 of the UTF-8 text';
    when query_canceled then
      if clock_timestamp() < v_started + interval '1.9 seconds' then
        raise;
      end if;
      v_fault := 'gives no answer within two seconds';
    when assert_failure or others then
      v_fault := 'fails with search_path pg_catalog, pg_temp: ' || sqlerrm;
      v_state := sqlstate;
  end;
  if v_state = '42501' then
    v_remedy := format('grant usage on schema util to %1$I; grant execute on function util.hash_binary(text) to %1$I',
      current_user);
  elsif v_state is not null then
    begin
      perform set_config('search_path', v_path, true);
      perform util.hash_binary('probe ' || chr(233));
      raise exception using errcode = 'TR099';
    exception
      when sqlstate 'TR099' then
        v_remedy := format('alter function util.hash_binary(text) set search_path = %s', v_path);
      when query_canceled or assert_failure or others then
        null;
    end;
  end if;
  raise notice 'util.hash_binary %', v_fault using hint = v_remedy;
  perform set_config('tracking.notes', concat_ws(E'\n', nullif(current_setting('tracking.notes', true), ''),
    format('util.hash_binary %s; %s', v_fault, v_remedy)), false);
end
$$;

do $$
begin
  if current_setting('tracking.probe_timeout', true) <> '' then
    perform set_config('statement_timeout', current_setting('tracking.probe_timeout'), false);
    perform set_config('tracking.probe_timeout', '', false);
  end if;
end
$$;

-- step: foreign_key
-- The last that is made, so that its lock on a table that is not ours is held for moments.
do $$
begin
  if current_setting('tracking.done') <> 'probes' then
    return;
  end if;
  perform set_config('tracking.done', 'foreign_key', false);
  begin
    if current_setting('tracking.foreign_key', true) = 'none' or exists (select from pg_constraint
        where conrelid = 'raw.site_tracking_events_r'::regclass and conname = 'site_tracking_events_r_tenant_exists')
      or not exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'auth' and c.relname = 'tenant_h' and c.relkind in ('r', 'p'))
      -- An adopted table may have the same foreign key under a name of its own.
      or current_setting('tracking.adopt', true) = 'yes' and exists (select from pg_constraint
        where conrelid = 'raw.site_tracking_events_r'::regclass
          and pg_get_constraintdef(oid) like 'FOREIGN KEY (tenant_hk) REFERENCES auth.tenant_h(tenant_hk)%')
    then
      return;
    end if;
    -- auth.tenant_h is not ours: whoever waits behind this lock waits two seconds at most.
    if current_setting('lock_timeout') in ('0', '0ms') then
      perform set_config('lock_timeout', '2s', true);
    end if;
    alter table raw.site_tracking_events_r add constraint site_tracking_events_r_tenant_exists
      foreign key (tenant_hk) references auth.tenant_h (tenant_hk) not valid;
  exception
    when invalid_foreign_key or datatype_mismatch or undefined_column then
      raise notice 'tenants are not checked against auth.tenant_h: %', sqlerrm;
      perform set_config('tracking.notes', concat_ws(E'\n', nullif(current_setting('tracking.notes', true), ''),
        format('tenants are not checked against auth.tenant_h, which needs a unique tenant_hk bytea: %s', sqlerrm)), false);
  end;
end
$$;

-- step: foreign_key_validated
do $$
begin
  if current_setting('tracking.done') <> 'foreign_key' then
    return;
  end if;
  perform set_config('tracking.done', 'foreign_key_validated', false);
  begin
    if coalesce(current_setting('tracking.foreign_key', true), '') = ''
      and exists (select from pg_constraint where conrelid = 'raw.site_tracking_events_r'::regclass
        and conname = 'site_tracking_events_r_tenant_exists' and not convalidated)
    then
      alter table raw.site_tracking_events_r validate constraint site_tracking_events_r_tenant_exists;
    end if;
  exception
    when foreign_key_violation then
      raise notice 'events of tenants that auth.tenant_h does not know stay as they are; new ones are refused';
      perform set_config('tracking.notes', concat_ws(E'\n', nullif(current_setting('tracking.notes', true), ''),
        'events are there whose tenant auth.tenant_h does not know; insert the tenants, then "alter table '
        'raw.site_tracking_events_r validate constraint site_tracking_events_r_tenant_exists"'), false);
  end;
end
$$;

-- step: finish
do $$
declare
  v_made text[];
  v_notes text := nullif(current_setting('tracking.notes', true), '');
  v_id bigint := nullif(current_setting('tracking.log_id', true), '')::bigint;
  v_started timestamptz := nullif(current_setting('tracking.started_at', true), '')::timestamptz;
begin
  if current_setting('tracking.done') <> 'foreign_key_validated' then
    return;
  end if;
  perform set_config('tracking.done', 'finish', false);
  if v_id is not null then
    update migrations.migration_log as l
    set completed_at = clock_timestamp(),
      created_objects = made.objects,
      status = case when cardinality(made.objects) > 0 then 'APPLIED' else 'SHARED' end,
      duration_ms = greatest(0, extract(epoch from clock_timestamp() - coalesce(v_started, l.applied_at)) * 1000)::bigint,
      fingerprint_before = nullif(current_setting('tracking.fingerprint_before', true), ''),
      fingerprint_after = nullif(current_setting('tracking.fingerprint_after', true), ''),
      notes = v_notes
    from (
      select array(
        select object from (
          select 'schema raw' as object
          union all
          select 'role ' || rolname from pg_roles
          where rolname in ('tracking_ingest_role', 'tracking_processor_role')
          union all
          select format('usage on schema raw by %s', r.rolname)
          from pg_namespace n cross join lateral aclexplode(n.nspacl) as acl join pg_roles r on r.oid = acl.grantee
          where n.nspname = 'raw' and r.rolname in ('tracking_ingest_role', 'tracking_processor_role')
          union all
          select 'table raw.' || c.relname
          from pg_class c join pg_namespace n on n.oid = c.relnamespace
          where n.nspname = 'raw' and c.relname in ('site_tracking_events_r', 'site_tracking_keys_r')
          union all
          select 'view raw.' || c.relname
          from pg_class c join pg_namespace n on n.oid = c.relnamespace
          where n.nspname = 'raw' and c.relkind = 'v'
            and c.relname ~ '^site_tracking_(event_rate|event_lag|pending|quarantined|volume|growth)_v$'
          union all
          select 'function raw.' || p.proname
          from pg_proc p join pg_namespace n on n.oid = p.pronamespace
          where n.nspname = 'raw'
            and p.proname in ('ingest_tracking_event', 'ingest_tracking_beacon', 'audit_tracking_events',
              'origin_is_allowed', 'quarantined_bytes', 'requeue_quarantined')
        ) as ours
        where object <> all (b.adopted_objects) and object <> all (b.retained_objects)
        order by object) as objects
      from migrations.migration_log b where b.migration_id = v_id
    ) as made
    where l.migration_id = v_id
    returning l.created_objects into v_made;
  end if;
  perform set_config('tracking.log_id', '', false);
  perform set_config('tracking.notes', '', false);
  perform set_config('tracking.said', format('V001 %s; next: run V001__verify_site_tracking_raw_layer.sql, then make a '
    'site key with migrate (create_key)%s',
    case
      when v_id is null then 'is applied, without a ledger row'
      when cardinality(v_made) = 0 then 'was there already, nothing was made'
      else 'is applied, made: ' || array_to_string(v_made, ', ')
    end,
    coalesce(E'; to do:\n' || v_notes, '')), false);
end
$$;

-- A statement of its own: what raises restores nothing.
do $$
declare
  v_steps text[] := array[
    'preflight 1', 'preflight 2', 'preflight', 'ledger 1', 'ledger 2', 'ledger', 'schema', 'roles',
    'events_table', 'events_indexes', 'keys_table', 'origin_is_allowed', 'audit_tracking_events',
    'ingest_tracking_event', 'ingest_tracking_beacon', 'quarantine', 'views', 'adopted', 'grants', 'probes 1',
    'probes 2', 'probes', 'foreign_key', 'foreign_key_validated', 'finish'];
  v_failed text := v_steps[coalesce(array_position(v_steps, current_setting('tracking.done', true)), 0) + 1];
begin
  perform set_config('tracking.failed', coalesce(regexp_replace(v_failed, ' [0-9]$', ''), ''), false);
  if current_setting('tracking.saved', true) = 'yes' then
    perform set_config('search_path', current_setting('tracking.search_path'), false);
    perform set_config('tracking.saved', '', false);
  end if;
end
$$;

do $$
begin
  if pg_catalog.length(pg_catalog.current_setting('tracking.failed')) operator(pg_catalog.>) 0 then
    raise exception 'V001 is not applied: step % failed, its error is the first one above',
      pg_catalog.current_setting('tracking.failed')
      using errcode = 'TR017', hint = 'remove its cause, then run this file again, or the rollback file';
  end if;
  raise notice '%', pg_catalog.current_setting('tracking.said');
end
$$;
