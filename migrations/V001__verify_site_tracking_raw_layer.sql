-- V001, verify: silent if the site tracking raw layer is what V001 makes, else error TR011 with every difference.
-- Run by migrate before it commits, or by hand: psql -v ON_ERROR_STOP=1 -f. Writes nothing; needs no privilege.
-- Objects of others, further nullable columns and further grants to other roles are not differences. An adopted table
-- (the ledger says so) need only be one that V001 can write to: its id may be an integer, its columns nullable or wider,
-- its constraints named otherwise; its owner, comments, settings and grants are its own.

-- step: probe
-- util.hash_binary is asked once, for two seconds at most; one that fails is the create file's notice, not a difference.
do $$
begin
  perform pg_catalog.set_config('tracking.hash_differs', '', false);
  perform pg_catalog.set_config('tracking.statement_timeout', pg_catalog.current_setting('statement_timeout'), false);
  perform pg_catalog.set_config('statement_timeout', (select case when s.setting::bigint between 1 and 2000 then s.setting
    else '2000' end from pg_catalog.pg_settings s where s.name = 'statement_timeout'), false);
end
$$;

do $$
declare
  v_started timestamptz := pg_catalog.clock_timestamp();
  v_path text := pg_catalog.current_setting('search_path');
begin
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  if exists (select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where n.nspname = 'util' and p.proname = 'hash_binary' and oidvectortypes(p.proargtypes) = 'text')
  then
    begin
      if util.hash_binary('probe ' || chr(233)) is distinct from sha256(convert_to('probe ' || chr(233), 'UTF8')) then
        raise exception using errcode = 'TR099';
      end if;
      raise exception using errcode = 'TR098';
    exception
      when sqlstate 'TR099' then
        perform set_config('tracking.hash_differs', 'true', false);
      when query_canceled then
        if clock_timestamp() < v_started + interval '1.9 seconds' then
          raise;
        end if;
      when assert_failure or others then
        null;
    end;
  end if;
  perform set_config('search_path', v_path, true);
end
$$;

do $$
begin
  perform pg_catalog.set_config('statement_timeout', pg_catalog.current_setting('tracking.statement_timeout'), false);
end
$$;

-- step: compare
do $$
declare
  v_path text := pg_catalog.current_setting('search_path');
  v_owner oid;
  v_version integer := pg_catalog.current_setting('server_version_num')::integer;
  v_audit boolean;
  v_tenants boolean;
  v_lz4 boolean;
  v_adopted boolean := false;
  v_added jsonb := '[]';
  v_callers jsonb := '[]';
  v_differences text[];
  v_found text[];
begin
  perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

  select c.relowner into v_owner from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'raw' and c.relname = 'site_tracking_events_r';
  v_audit := exists (select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'util' and p.proname = 'log_audit_event'
      and oidvectortypes(p.proargtypes) = 'text, text, text, text, jsonb');
  v_tenants := coalesce(current_setting('tracking.foreign_key', true), '') <> 'none' and exists (select from pg_class c
    join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'auth'
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_hk' and a.atttypid = 'bytea'::regtype
    join pg_index i on i.indrelid = c.oid and i.indisunique and i.indimmediate and i.indpred is null
      and i.indnkeyatts = 1 and i.indkey[0] = a.attnum
    where c.relname = 'tenant_h' and c.relkind in ('r', 'p'));
  v_lz4 := exists (select from pg_settings where name = 'default_toast_compression' and 'lz4' = any (enumvals));

  if (select count(*) from pg_attribute a
      join pg_class c on c.oid = a.attrelid
      join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'migrations' and not a.attisdropped and has_schema_privilege(n.oid, 'USAGE')
        and has_table_privilege(c.oid, 'SELECT') and (
        c.relname = 'migration_log' and a.attname in ('migration_id', 'adopted_objects', 'stack_id', 'notes')
        or c.relname = 'rollback_log' and a.attname in ('rollback_id', 'dropped_objects', 'stack_id', 'notes'))) = 8
  then
    execute $ledger$
      with attempts as (
        select l.migration_id, l.adopted_objects, l.replaced_objects as replaced from migrations.migration_log l
        where l.version = 'V001' and l.status in ('STARTED', 'APPLIED', 'SHARED')
          and l.applied_at > coalesce((select max(r.rolled_back_at) from migrations.rollback_log r
            where r.version = 'V001' and r.status = 'ROLLED_BACK'), '-infinity')
      )
      select coalesce((select 'table raw.site_tracking_events_r' = any (a.adopted_objects) from attempts a
          order by a.migration_id limit 1), false) and exists (select from attempts a where a.replaced is not null),
        (select coalesce(jsonb_agg(k), '[]') from attempts a, jsonb_array_elements(a.replaced -> 'constraints') k),
        (select coalesce(jsonb_agg(distinct k), '[]') from attempts a, jsonb_array_elements(a.replaced -> 'callers') k)
    $ledger$ into v_adopted, v_added, v_callers;
  end if;
  if v_adopted then
    select c.relowner into v_owner from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'raw' and c.relname = 'site_tracking_keys_r';
  end if;

  -- Tables: kind, durability, settings, owner.
  select array_agg(difference) into v_found from (
    select case
      when c.oid is null then format('table %s.%s is missing', wanted.schema, wanted.name)
      when c.relkind <> 'r' then format('%s.%s is no table', wanted.schema, wanted.name)
      when c.relpersistence <> 'p' then format('table %s.%s is not logged: a crash empties it', wanted.schema, wanted.name)
      when c.relforcerowsecurity then format('table %s.%s hides rows from its owner', wanted.schema, wanted.name)
      when v_adopted and wanted.name = 'site_tracking_events_r' then
        case when not (has_table_privilege(v_owner, c.oid, 'SELECT') and has_table_privilege(v_owner, c.oid, 'INSERT')
            and has_table_privilege(v_owner, c.oid, 'UPDATE'))
          then format('role %s may not read and write table raw.site_tracking_events_r', pg_get_userbyid(v_owner)) end
      when wanted.schema = 'raw' and c.relowner <> v_owner then format('table %s.%s belongs to %s, not to %s',
        wanted.schema, wanted.name, pg_get_userbyid(c.relowner), pg_get_userbyid(v_owner))
      when wanted.schema = 'raw' and obj_description(c.oid, 'pg_class') is null then
        format('table %s.%s has no comment', wanted.schema, wanted.name)
    end as difference
    from (values ('raw', 'site_tracking_events_r'), ('raw', 'site_tracking_keys_r'), ('migrations', 'migration_log'),
      ('migrations', 'rollback_log')) as wanted(schema, name)
    left join pg_namespace n on n.nspname = wanted.schema
    left join pg_class c on c.relnamespace = n.oid and c.relname = wanted.name
    union all
    select format('table raw.site_tracking_events_r lacks the setting %s', wanted.setting)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    cross join unnest(array['autovacuum_vacuum_scale_factor=0.02', 'autovacuum_analyze_scale_factor=0.02']
      || case when v_version >= 130000 then array['autovacuum_vacuum_insert_scale_factor=0.05'] end) as wanted(setting)
    where n.nspname = 'raw' and c.relname = 'site_tracking_events_r' and not v_adopted
      and wanted.setting <> all (coalesce(c.reloptions, '{}'))
  ) as found where difference is not null;
  v_differences := v_differences || v_found;

  -- Columns.
  select array_agg(difference) into v_found from (
    select format('column raw.%s.%s is %s, not %s', wanted.tab, wanted.col, coalesce(found.definition, 'missing'),
      wanted.definition) as difference
    from (values
      ('site_tracking_events_r', 'raw_event_id', 'bigint not null by default as identity'),
      ('site_tracking_events_r', 'tenant_hk', 'bytea not null'),
      ('site_tracking_events_r', 'api_key_hk', 'bytea'),
      ('site_tracking_events_r', 'received_timestamp', 'timestamp with time zone not null default CURRENT_TIMESTAMP'),
      ('site_tracking_events_r', 'client_ip', 'inet'),
      ('site_tracking_events_r', 'user_agent', 'text'),
      ('site_tracking_events_r', 'raw_payload', 'jsonb not null' || case when v_lz4 then ' lz4' else '' end),
      ('site_tracking_events_r', 'batch_id', 'character varying(100)'),
      ('site_tracking_events_r', 'processing_status',
        'character varying(20) not null default ''PENDING''::character varying'),
      ('site_tracking_events_r', 'error_message', 'text'),
      ('site_tracking_events_r', 'retry_count', 'integer not null default 0'),
      ('site_tracking_events_r', 'record_source',
        'character varying(100) not null default ''site_tracker''::character varying'),
      ('site_tracking_events_r', 'event_key', 'uuid'),
      ('site_tracking_events_r', 'request', 'jsonb'),
      ('site_tracking_keys_r', 'api_key_hk', 'bytea not null'),
      ('site_tracking_keys_r', 'tenant_hk', 'bytea not null'),
      ('site_tracking_keys_r', 'tenant_bk', 'character varying(255)'),
      ('site_tracking_keys_r', 'allowed_origins', 'text[]'),
      ('site_tracking_keys_r', 'label', 'text'),
      ('site_tracking_keys_r', 'is_active', 'boolean not null default true'),
      ('site_tracking_keys_r', 'created_at', 'timestamp with time zone not null default CURRENT_TIMESTAMP'),
      ('site_tracking_keys_r', 'revoked_at', 'timestamp with time zone')
    ) as wanted(tab, col, definition)
    join pg_namespace n on n.nspname = 'raw'
    join pg_class c on c.relnamespace = n.oid and c.relname = wanted.tab and c.relkind = 'r'
    left join lateral (
      select format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end
        || case a.attidentity when 'd' then ' by default as identity' when 'a' then ' always as identity' else '' end
        || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
        || case when to_jsonb(a) ->> 'attcompression' = 'l' then ' lz4' else '' end as definition
      from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where a.attrelid = c.oid and a.attname = wanted.col and not a.attisdropped
    ) as found on true
    where found.definition is distinct from wanted.definition and not (v_adopted and wanted.tab = 'site_tracking_events_r')
    union all
    select format('column raw.site_tracking_events_r.%s is %s, to which V001 cannot write', wanted.col,
      coalesce(format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end, 'missing'))
    from (values
      ('raw_event_id', array['bigint', 'integer'], null::integer, false), ('tenant_hk', array['bytea'], null, false),
      ('api_key_hk', array['bytea'], null, true), ('received_timestamp', array['timestamp with time zone'], null, false),
      ('client_ip', array['inet'], null, true), ('user_agent', array['text', 'character varying'], 1024, true),
      ('raw_payload', array['jsonb'], null, false), ('batch_id', array['text', 'character varying'], 36, true),
      ('processing_status', array['text', 'character varying'], 10, false),
      ('error_message', array['text', 'character varying'], 1024, true),
      ('retry_count', array['smallint', 'integer', 'bigint'], null, false),
      ('record_source', array['text', 'character varying'], 12, false), ('event_key', array['uuid'], null, true),
      ('request', array['jsonb'], null, true)
    ) as wanted(col, types, length, nullable)
    join pg_namespace n on n.nspname = 'raw'
    join pg_class c on c.relnamespace = n.oid and c.relname = 'site_tracking_events_r'
    left join pg_attribute a on a.attrelid = c.oid and a.attname = wanted.col and not a.attisdropped
    where v_adopted and (a.attnum is null or format_type(a.atttypid, null) <> all (wanted.types)
      or a.atttypmod - 4 < wanted.length and a.atttypmod <> -1 or a.attnotnull and wanted.nullable
      or a.attgenerated <> '' or a.attidentity = 'a')
    union all
    select 'raw.site_tracking_events_r.raw_event_id has no unique index or no sequence of its own'
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where v_adopted and n.nspname = 'raw' and c.relname = 'site_tracking_events_r'
      and exists (select from pg_attribute where attrelid = c.oid and attname = 'raw_event_id' and not attisdropped)
      and (pg_get_serial_sequence('raw.site_tracking_events_r', 'raw_event_id') is null
        or not exists (select from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
          where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indpred is null and i.indnkeyatts = 1
            and a.attname = 'raw_event_id'))
    union all
    select format('column raw.%s.%s is not V001''s and refuses rows without it', c.relname, a.attname)
    from pg_attribute a
    join pg_class c on c.oid = a.attrelid and c.relname in ('site_tracking_events_r', 'site_tracking_keys_r')
    join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'raw'
    where a.attnum > 0 and not a.attisdropped and a.attnotnull and not a.atthasdef and a.attidentity = ''
      and a.attname not in ('raw_event_id', 'tenant_hk', 'raw_payload', 'api_key_hk')
      and (c.relname, a.attname::text) not in (
        ('site_tracking_events_r', 'received_timestamp'), ('site_tracking_events_r', 'processing_status'),
        ('site_tracking_events_r', 'retry_count'), ('site_tracking_events_r', 'record_source'),
        ('site_tracking_keys_r', 'is_active'), ('site_tracking_keys_r', 'created_at'))
    union all
    select format('column raw.site_tracking_events_r.%s has no comment', wanted.col)
    from unnest(array['tenant_hk', 'api_key_hk', 'received_timestamp', 'client_ip', 'raw_payload', 'batch_id',
      'processing_status', 'event_key', 'request']) as wanted(col)
    join pg_namespace n on n.nspname = 'raw'
    join pg_class c on c.relnamespace = n.oid and c.relname = 'site_tracking_events_r'
    join pg_attribute a on a.attrelid = c.oid and a.attname = wanted.col and not a.attisdropped
    where not v_adopted and col_description(c.oid, a.attnum) is null
    union all
    select format('table migrations.%s has not the columns that V001 makes', c.relname)
    from (values
      ('migration_log', 'migration_id', 'adopted_objects text[], applied_at timestamp with time zone, applied_by text, '
        'checksum text, completed_at timestamp with time zone, created_objects text[], description text, '
        'duration_ms bigint, environment text, fingerprint_after text, fingerprint_before text, '
        'logical_resource_id text, migration_id bigint, notes text, replaced_objects jsonb, request_id text, '
        'retained_objects text[], script_name text, stack_id text, status text, version text'),
      ('rollback_log', 'rollback_id', 'checksum text, completed_at timestamp with time zone, description text, '
        'dropped_objects text[], duration_ms bigint, environment text, fingerprint_after text, '
        'fingerprint_before text, logical_resource_id text, notes text, reason text, request_id text, '
        'restored_objects jsonb, retained_objects text[], rollback_id bigint, rolled_back_at timestamp with time zone, '
        'rolled_back_by text, rows_dropped bigint, rows_retained bigint, script_name text, stack_id text, status text, '
        'version text')
    ) as wanted(tab, key, columns)
    join pg_namespace n on n.nspname = 'migrations'
    join pg_class c on c.relnamespace = n.oid and c.relname = wanted.tab
    join pg_attribute ours on ours.attrelid = c.oid and ours.attname = wanted.key and not ours.attisdropped
    where wanted.columns <> (select string_agg(format('%s %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', '
        order by a.attname collate "C")
      from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)
  ) as found;
  v_differences := v_differences || v_found;

  -- Constraints and indexes.
  select array_agg(difference) into v_found from (
    select format('constraint %s is %s, not %s', wanted.name, coalesce(found.definition, 'missing'), wanted.definition)
      as difference
    from (values
      ('site_tracking_events_r', 'site_tracking_events_r_pkey', 'PRIMARY KEY (raw_event_id)'),
      ('site_tracking_events_r', 'site_tracking_events_r_known_status',
        'CHECK (((processing_status)::text = ANY ((ARRAY[''PENDING''::character varying, ''PROCESSING''::character '
        'varying, ''PROCESSED''::character varying, ''ERROR''::character varying])::text[])))'),
      ('site_tracking_events_r', 'site_tracking_events_r_retry_count_not_negative', 'CHECK ((retry_count >= 0))'),
      ('site_tracking_events_r', 'site_tracking_events_r_tenant_exists',
        case when v_tenants then 'FOREIGN KEY (tenant_hk) REFERENCES auth.tenant_h(tenant_hk)' end),
      ('site_tracking_keys_r', 'site_tracking_keys_r_pkey', 'PRIMARY KEY (api_key_hk)'),
      ('site_tracking_keys_r', 'site_tracking_keys_r_is_a_sha256', 'CHECK ((octet_length(api_key_hk) = 32))')
    ) as wanted(tab, name, definition)
    join pg_namespace n on n.nspname = 'raw'
    join pg_class c on c.relnamespace = n.oid and c.relname = wanted.tab and c.relkind = 'r'
    left join lateral (
      select regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', '') as definition
      from pg_constraint k where k.conrelid = c.oid and k.conname = wanted.name
    ) as found on true
    where found.definition is distinct from wanted.definition
      and not (v_adopted and wanted.tab = 'site_tracking_events_r'
        and (wanted.name = 'site_tracking_events_r_pkey' or not v_added ? wanted.name
          or wanted.name = 'site_tracking_events_r_tenant_exists' and exists (select from pg_constraint k
            where k.conrelid = c.oid and pg_get_constraintdef(k.oid) like wanted.definition || '%')))
    union all
    select format('index %s is %s, not %s', wanted.name, coalesce(found.definition, 'missing'), wanted.definition)
    from (values
      ('site_tracking_events_r_pkey',
        'CREATE UNIQUE INDEX site_tracking_events_r_pkey ON raw.site_tracking_events_r USING btree (raw_event_id)'),
      ('site_tracking_events_r_pending',
        'CREATE INDEX site_tracking_events_r_pending ON raw.site_tracking_events_r USING btree (raw_event_id) '
        'WHERE ((processing_status)::text = ''PENDING''::text)'),
      ('site_tracking_events_r_received',
        'CREATE INDEX site_tracking_events_r_received ON raw.site_tracking_events_r USING brin (received_timestamp)'),
      ('site_tracking_events_r_event_once',
        'CREATE UNIQUE INDEX site_tracking_events_r_event_once ON raw.site_tracking_events_r USING btree '
        '(event_key, tenant_hk) WHERE (event_key IS NOT NULL)'),
      ('site_tracking_keys_r_pkey',
        'CREATE UNIQUE INDEX site_tracking_keys_r_pkey ON raw.site_tracking_keys_r USING btree (api_key_hk)')
    ) as wanted(name, definition)
    join pg_namespace n on n.nspname = 'raw'
    left join lateral (
      select pg_get_indexdef(i.indexrelid) || case when i.indisvalid and i.indisready then '' else ' (invalid)' end
        as definition
      from pg_index i join pg_class c on c.oid = i.indexrelid
      where c.relnamespace = n.oid and c.relname = wanted.name
    ) as found on true
    where found.definition is distinct from wanted.definition
      and not (v_adopted and wanted.name = 'site_tracking_events_r_pkey')
  ) as found;
  v_differences := v_differences || v_found;

  -- Views: what they show, the owner, the body without the qualifiers that versions of PostgreSQL write differently.
  select array_agg(difference) into v_found from (
    select case
      when c.oid is null then format('view raw.%s is missing', wanted.name)
      when c.relkind <> 'v' then format('raw.%s is no view', wanted.name)
      when c.relowner <> v_owner then format('view raw.%s belongs to %s, not to %s', wanted.name,
        pg_get_userbyid(c.relowner), pg_get_userbyid(v_owner))
      when obj_description(c.oid, 'pg_class') is null then format('view raw.%s has no comment', wanted.name)
      when shown.columns <> wanted.columns then
        format('view raw.%s shows %s, not %s', wanted.name, shown.columns, wanted.columns)
      when not v_adopted and shown.body <> wanted.body then
        format('view raw.%s has another body (md5 %s, not %s)', wanted.name, shown.body, wanted.body)
    end as difference
    from (values
      ('site_tracking_event_rate_v', 'c00556f4c7013d872a6931fd73ac0745', 'minute timestamp with time zone, events bigint, tenants bigint, '
        'errors bigint'),
      ('site_tracking_event_lag_v', '48c8dba0570fc2290d2b6f3036d79c51', 'oldest_pending_id bigint, oldest_pending_received timestamp with '
        'time zone, lag_seconds bigint'),
      ('site_tracking_pending_v', 'b0033066b9f1a6435fdad2fcf08848b7', 'tenant_hk bytea, events bigint, oldest_received timestamp with time '
        'zone, newest_received timestamp with time zone'),
      ('site_tracking_quarantined_v', 'e227333d12d3c50d1b99a22b78141d21', 'reason text, tenant_hk bytea, events bigint, first_event_id '
        'bigint, last_event_id bigint, newest_received timestamp with time zone'),
      ('site_tracking_volume_v', '2f8ea179ec795b7fa4b71c8acf95d374', 'tenant_hk bytea, events bigint, payload_bytes bigint, errors bigint, '
        'newest_received timestamp with time zone'),
      ('site_tracking_growth_v', '87c8bd76cfe3bfdd054c026eaff27c38', 'rows_estimated bigint, table_bytes bigint, index_bytes bigint, '
        'newest_event_id bigint, since timestamp with time zone, events_per_day numeric')
    ) as wanted(name, body, columns)
    join pg_namespace n on n.nspname = 'raw'
    left join pg_class c on c.relnamespace = n.oid and c.relname = wanted.name
    left join lateral (
      select string_agg(format('%s %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by a.attnum) as columns,
        case when c.relkind = 'v' then md5(regexp_replace(pg_get_viewdef(c.oid), '\s+|\m[a-z_]+\.', '', 'g')) end as body
      from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ) as shown on true
  ) as found where difference is not null;
  v_differences := v_differences || v_found;

  -- Functions: the whole header, the owner, the body by its MD5.
  select array_agg(difference) into v_found from (
    select case
      when p.oid is null then format('function raw.%s is missing', wanted.name)
      when p.proowner <> v_owner then format('function raw.%s belongs to %s, not to %s', wanted.name,
        pg_get_userbyid(p.proowner), pg_get_userbyid(v_owner))
      when obj_description(p.oid, 'pg_proc') is null then format('function raw.%s has no comment', wanted.name)
      when header.found <> wanted.header then
        format('function raw.%s is %s, not %s', wanted.name, header.found, wanted.header)
      when md5(replace(p.prosrc, E'\r', '')) <> wanted.body then
        format('function raw.%s has another body (md5 %s, not %s)', wanted.name, md5(replace(p.prosrc, E'\r', '')),
          wanted.body)
    end as difference
    from (values
      ('origin_is_allowed', 'a0dd12a22618a92b617314e9fd0b0134',
        'plpgsql i (p_origin text, p_allowed text[]) boolean search_path=pg_catalog, pg_temp'),
      ('audit_tracking_events', case when v_audit then 'dc8489f9ff4fd3508c6a7e1e0923becc' else '0a0bc8f88c0c0e112efae7eb69c5f83f' end,
        case when v_audit then 'plpgsql v security definer' else 'sql i' end
        || ' (p_tenant_hk bytea, p_event_ids bigint[], p_batch_id character varying) text'
        || case when v_audit then ' search_path=pg_catalog, pg_temp' else '' end),
      ('ingest_tracking_event', 'f510c0e21aba86e5ab65510ed518ee8b',
        'plpgsql v security definer (p_tenant_hk bytea, p_api_key_hk bytea, p_client_ip inet, p_user_agent text, '
        'p_event_data jsonb, p_event_key uuid DEFAULT NULL::uuid, p_batch_id character varying DEFAULT '
        'NULL::character varying, p_received_timestamp timestamp with time zone DEFAULT NULL::timestamp with time '
        'zone, p_request jsonb DEFAULT NULL::jsonb, p_processing_status character varying DEFAULT '
        '''PENDING''::character varying, p_error_message text DEFAULT NULL::text, p_audit boolean DEFAULT true) '
        'bigint search_path=pg_catalog, pg_temp'),
      ('ingest_tracking_beacon', 'f08ad9e245df087f97697264b6791340',
        'plpgsql v security definer (p_api_key_hk bytea, p_origin text, p_client_ip inet, p_user_agent text, '
        'p_events jsonb[], p_event_keys uuid[], p_batch_id character varying, p_received_timestamp timestamp with '
        'time zone, p_request jsonb, p_statuses character varying[], p_errors text[], p_audit boolean DEFAULT true) '
        'TABLE(verdict text, event_index integer, raw_event_id bigint, first_batch_id character varying, '
        'audit_error text) search_path=pg_catalog, pg_temp'),
      ('quarantined_bytes', '7dd1817470bff025fd517d38ce1e0691',
        'plpgsql s security definer (p_raw_event_id bigint) bytea search_path=pg_catalog, pg_temp'),
      ('requeue_quarantined', 'c7f181f01f45452f5176df7a0cc4b016',
        'plpgsql v security definer (p_raw_event_id bigint, p_event_data jsonb) bigint '
        'search_path=pg_catalog, pg_temp')
    ) as wanted(name, body, header)
    join pg_namespace n on n.nspname = 'raw'
    left join pg_proc p on p.pronamespace = n.oid and p.proname = wanted.name
    left join lateral (
      select concat_ws(' ', l.lanname, p.provolatile, case when p.prosecdef then 'security definer' end,
        '(' || pg_get_function_arguments(p.oid) || ')', pg_get_function_result(p.oid),
        array_to_string(p.proconfig, ' ')) as found
      from pg_language l where l.oid = p.prolang
    ) as header on true
  ) as found where difference is not null;
  v_differences := v_differences || v_found;

  -- Roles, and what PUBLIC and our two roles may do with our objects. A missing role is excused if the owner may make none.
  select array_agg(difference) into v_found from (
    select format('role %s is missing', wanted.name) as difference
    from unnest(array['tracking_ingest_role', 'tracking_processor_role']) as wanted(name)
    where not exists (select from pg_roles where rolname = wanted.name)
      and exists (select from pg_roles where oid = v_owner and (rolsuper or rolcreaterole))
    union all
    select format('role %s may do more than ingest: it is superuser, or may make roles or databases, replicate, or '
      'pass row security', rolname)
    from pg_roles
    where rolname = 'tracking_ingest_role' and (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)
    union all
    select case when held.grantee is null
      then format('%s lacks %s on %s', wanted.grantee, wanted.privilege, wanted.object)
      else format('%s has %s on %s', held.grantee, held.privilege, held.object) end
    from (
      select given.grantee, given.privilege, given.object
      from (values
        ('tracking_ingest_role', 'USAGE', 'schema raw'),
        ('tracking_ingest_role', 'EXECUTE', 'function raw.ingest_tracking_beacon'),
        ('tracking_processor_role', 'USAGE', 'schema raw'),
        ('tracking_processor_role', 'SELECT', 'raw.site_tracking_events_r'),
        ('tracking_processor_role', 'SELECT', 'raw.site_tracking_event_rate_v'),
        ('tracking_processor_role', 'SELECT', 'raw.site_tracking_event_lag_v'),
        ('tracking_processor_role', 'SELECT', 'raw.site_tracking_pending_v'),
        ('tracking_processor_role', 'SELECT', 'raw.site_tracking_quarantined_v'),
        ('tracking_processor_role', 'SELECT', 'raw.site_tracking_volume_v'),
        ('tracking_processor_role', 'SELECT', 'raw.site_tracking_growth_v'),
        ('tracking_processor_role', 'UPDATE', 'raw.site_tracking_events_r.processing_status'),
        ('tracking_processor_role', 'UPDATE', 'raw.site_tracking_events_r.error_message'),
        ('tracking_processor_role', 'UPDATE', 'raw.site_tracking_events_r.retry_count'),
        ('tracking_processor_role', 'EXECUTE', 'function raw.quarantined_bytes'),
        ('tracking_processor_role', 'EXECUTE', 'function raw.requeue_quarantined')
      ) as given(grantee, privilege, object)
      join pg_roles r on r.rolname = given.grantee
      where v_owner is not null
    ) as wanted
    full join (
      select coalesce(r.rolname::text, 'PUBLIC') as grantee,
        acl.privilege_type || case when acl.is_grantable then ' with grant option' else '' end as privilege, object
      from (
        select 'schema raw' as object, n.nspacl as acl from pg_namespace n where n.nspname = 'raw'
        union all
        select 'raw.' || c.relname, c.relacl from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'raw' and (c.relname in ('site_tracking_events_r', 'site_tracking_keys_r',
          'site_tracking_events_r_raw_event_id_seq')
          or c.relname ~ '^site_tracking_(event_rate|event_lag|pending|quarantined|volume|growth)_v$')
        union all
        select format('raw.%s.%s', c.relname, a.attname), a.attacl
        from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'raw' and c.relname in ('site_tracking_events_r', 'site_tracking_keys_r')
        union all
        select 'function raw.' || p.proname, coalesce(p.proacl, acldefault('f', p.proowner))
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname = 'raw' and p.proname in ('ingest_tracking_event', 'ingest_tracking_beacon',
          'audit_tracking_events', 'origin_is_allowed', 'quarantined_bytes', 'requeue_quarantined')
      ) as objects
      cross join lateral aclexplode(objects.acl) as acl
      left join pg_roles r on r.oid = acl.grantee
      where acl.grantee = 0 and object <> 'schema raw' and not (v_adopted and object like 'raw.site_tracking_events_r%')
        or r.rolname in ('tracking_ingest_role', 'tracking_processor_role') and r.oid <> v_owner
    ) as held on held.grantee = wanted.grantee and held.privilege = wanted.privilege and held.object = wanted.object
    where held.grantee is null or wanted.grantee is null
    union all
    select format('%s lacks EXECUTE on function raw.ingest_tracking_event, which it had before', r.rolname)
    from jsonb_array_elements_text(v_callers) as caller(name)
    join pg_roles r on r.rolname = caller.name
    join pg_namespace n on n.nspname = 'raw'
    join pg_proc p on p.pronamespace = n.oid and p.proname = 'ingest_tracking_event'
    where not has_function_privilege(r.oid, p.oid, 'EXECUTE')
    union all
    select 'util.hash_binary gives another hash than SHA-256 of the UTF-8 text'
    where current_setting('tracking.hash_differs', true) = 'true'
  ) as found;
  v_differences := v_differences || v_found;

  perform set_config('search_path', v_path, true);
  if cardinality(v_differences) > 0 then
    raise exception 'the site tracking raw layer differs from V001: %', array_to_string(v_differences, '; ')
      using errcode = 'TR011',
        hint = 'apply V001 again, which binds what came later; what remains somebody else has changed';
  end if;
end
$$;
