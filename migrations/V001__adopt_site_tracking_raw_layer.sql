-- V001, adopt: makes a predecessor of the raw layer ready for the create file, which migrate sends after this one.
-- Run by migrate alone, which has compared before that V001 can write to what is there. Every row, column, index,
-- constraint and grant of the predecessor stays; what is missing is added, nullable; functions under our names make room.
-- What was added and replaced is left in tracking.adoption for the ledger; the rollback file puts it back from there.

-- step: adopt_look
-- Whatever reads the rows does so here, before any lock that somebody could wait for.
do $$
declare
  v_checks text[] := '{}';
  v_notes text[] := '{}';
  v_name text;
  v_column text;
  v_breaks text;
  v_found boolean;
  v_left bigint;
  v_rate numeric;
begin
  if current_setting('tracking.adopt', true) is distinct from 'yes' then
    raise exception 'a predecessor is adopted by migrate, not by hand'
      using errcode = 'TR010', hint = 'deploy it with migrate; nothing was changed';
  end if;
  perform set_config('search_path', 'pg_catalog, pg_temp', false);
  for v_name, v_column, v_breaks in values
    ('site_tracking_events_r_known_status', 'processing_status',
      'processing_status::text <> all (array[''PENDING'', ''PROCESSING'', ''PROCESSED'', ''ERROR''])'),
    ('site_tracking_events_r_retry_count_not_negative', 'retry_count', 'retry_count < 0')
  loop
    continue when exists (select from pg_constraint
      where conrelid = 'raw.site_tracking_events_r'::regclass and conname = v_name);
    v_found := false;
    if exists (select from pg_attribute where attrelid = 'raw.site_tracking_events_r'::regclass
        and attname = v_column and not attisdropped)
    then
      execute format('select exists (select from raw.site_tracking_events_r where %s)', v_breaks) into v_found;
    end if;
    if v_found then
      v_notes := v_notes || format('constraint %s is left out: there are rows against it (%s), and whoever wrote them '
        'may write more', v_name, v_breaks);
    else
      v_checks := v_checks || v_name;
    end if;
  end loop;

  if (select atttypid = 'integer'::regtype from pg_attribute
      where attrelid = 'raw.site_tracking_events_r'::regclass and attname = 'raw_event_id')
  then
    execute format('select 2147483647 - case when is_called then last_value else last_value - 1 end from %s',
      pg_get_serial_sequence('raw.site_tracking_events_r', 'raw_event_id')) into v_left;
    if exists (select from pg_attribute where attrelid = 'raw.site_tracking_events_r'::regclass
        and attname = 'received_timestamp' and not attisdropped)
    then
      execute 'select count(*) / nullif(extract(epoch from current_timestamp - min(received_timestamp)), 0) from ('
        'select received_timestamp from raw.site_tracking_events_r order by raw_event_id desc limit 10000) as latest '
        'where received_timestamp <= current_timestamp' into v_rate;
    end if;
    v_notes := v_notes || format('raw_event_id is an integer and stays one: %s ids are left%s', v_left,
      case when v_rate > 0 then format(', at the rate of the latest events they run out in %s days',
        floor(v_left / v_rate / 86400)) end);
  end if;
  v_notes := v_notes || array(
    select format('trigger %s on raw.site_tracking_events_r stays and runs with every event: what it changes or leaves out '
      'is changed and left out', t.tgname) from pg_trigger t
    where t.tgrelid = 'raw.site_tracking_events_r'::regclass and not t.tgisinternal and t.tgenabled <> 'D' order by t.tgname);
  v_notes := v_notes || array(
    select format('rule %s on raw.site_tracking_events_r stays and runs with every event', r.rulename) from pg_rewrite r
    where r.ev_class = 'raw.site_tracking_events_r'::regclass order by r.rulename);
  if (select relrowsecurity from pg_class where oid = 'raw.site_tracking_events_r'::regclass) then
    v_notes := v_notes || 'row security is enabled on raw.site_tracking_events_r: tracking_processor_role sees and marks no '
      'row that no policy shows it'::text;
  end if;
  if exists (select from pg_publication_tables
    where schemaname = 'raw' and tablename = 'site_tracking_events_r')
  then
    v_notes := v_notes || format('raw.site_tracking_events_r is published (%s) and gets columns: a subscriber that has not '
      'all of them stops; add them there too', (select string_agg(pubname, ', ' order by pubname)
        from pg_publication_tables where schemaname = 'raw' and tablename = 'site_tracking_events_r'));
  end if;
  perform set_config('tracking.adoption', jsonb_build_object(
    'columns', (select coalesce(jsonb_agg(wanted.col), '[]')
      from unnest(array['api_key_hk', 'received_timestamp', 'client_ip', 'user_agent', 'batch_id', 'processing_status',
        'error_message', 'retry_count', 'record_source', 'event_key', 'request']) as wanted(col)
      where not exists (select from pg_attribute where attrelid = 'raw.site_tracking_events_r'::regclass
        and attname = wanted.col and not attisdropped)),
    'indexes', (select coalesce(jsonb_agg(wanted.name), '[]')
      from unnest(array['site_tracking_events_r_pending', 'site_tracking_events_r_received',
        'site_tracking_events_r_event_once']) as wanted(name)
      where to_regclass('raw.' || wanted.name) is null),
    'constraints', to_jsonb(v_checks) || (select coalesce(jsonb_agg(wanted.name), '[]')
      from unnest(array['site_tracking_events_r_tenant_exists']) as wanted(name)
      where not exists (select from pg_constraint
        where conrelid = 'raw.site_tracking_events_r'::regclass and conname = wanted.name)),
    'processor', (select coalesce(jsonb_agg(jsonb_build_object('what', held.what, 'grantable', held.is_grantable)), '[]')
      from (
        select g.grantee, g.is_grantable, g.privilege_type as what
        from pg_class c, aclexplode(c.relacl) g where c.oid = 'raw.site_tracking_events_r'::regclass
        union
        select g.grantee, g.is_grantable, format('%s (%I)', g.privilege_type, a.attname) from pg_attribute a,
          aclexplode(a.attacl) g where a.attrelid = 'raw.site_tracking_events_r'::regclass and not a.attisdropped
      ) as held join pg_roles r on r.oid = held.grantee where r.rolname = 'tracking_processor_role'),
    'functions', '[]'::jsonb, 'callers', '[]'::jsonb, 'notes', array_to_string(v_notes, E'\n'))::text, true);
end
$$;

-- step: adopt_table
-- Nullable, and a default for new rows alone: no row is rewritten, no row is said to hold what nobody put there.
do $$
declare
  v_adoption jsonb := current_setting('tracking.adoption')::jsonb;
  v_change text;
begin
  for v_change in
    select format('add column %s', wanted.definition)
    from (values
      (1, 'api_key_hk', 'api_key_hk bytea'), (2, 'received_timestamp', 'received_timestamp timestamptz'),
      (3, 'client_ip', 'client_ip inet'), (4, 'user_agent', 'user_agent text'), (5, 'batch_id', 'batch_id varchar(100)'),
      (6, 'processing_status', 'processing_status varchar(20)'), (7, 'error_message', 'error_message text'),
      (8, 'retry_count', 'retry_count integer'), (9, 'record_source', 'record_source varchar(100)'),
      (10, 'event_key', 'event_key uuid'), (11, 'request', 'request jsonb')
    ) as wanted(place, col, definition)
    where v_adoption -> 'columns' ? wanted.col
    union all
    select format('alter column %s', wanted.definition)
    from (values
      ('received_timestamp', 'received_timestamp set default current_timestamp'),
      ('processing_status', 'processing_status set default ''PENDING'''),
      ('retry_count', 'retry_count set default 0'), ('record_source', 'record_source set default ''site_tracker''')
    ) as wanted(col, definition)
    where v_adoption -> 'columns' ? wanted.col
    union all
    select format('add constraint %s not valid', wanted.definition)
    from (values
      ('site_tracking_events_r_known_status', 'site_tracking_events_r_known_status '
        'check (processing_status in (''PENDING'', ''PROCESSING'', ''PROCESSED'', ''ERROR''))'),
      ('site_tracking_events_r_retry_count_not_negative', 'site_tracking_events_r_retry_count_not_negative '
        'check (retry_count >= 0)')
    ) as wanted(name, definition)
    where v_adoption -> 'constraints' ? wanted.name
  loop
    execute 'alter table raw.site_tracking_events_r ' || v_change;
  end loop;
  for v_change in
    select format('comment on column raw.site_tracking_events_r.%s is %L', wanted.col, wanted.purpose)
    from (values
      ('api_key_hk', 'SHA-256 of the site key; NULL when called directly.'),
      ('received_timestamp', 'When the gateway received it, also after a replay.'),
      ('client_ip', 'Address of the visitor; NULL when it could not be understood or is not to be kept.'),
      ('batch_id', 'Receipt: UUIDv7 of the beacon that brought the event.'),
      ('processing_status',
        'PENDING, PROCESSING, PROCESSED or ERROR; ERROR with _quarantine in raw_payload means quarantined.'),
      ('event_key', 'Stored once per tenant: the event''s own id where it has one, else one made on receipt.'),
      ('request', 'What the body does not tell: method, path, query, content type, origin, referrer, privacy signals, notes.')
    ) as wanted(col, purpose)
    where v_adoption -> 'columns' ? wanted.col
  loop
    execute v_change;
  end loop;
end
$$;

-- step: adopt_functions
-- What stands under our names and no attempt of ours has made gives way; an overload would make the five-argument call
-- ambiguous. Who may call it keeps the right to; PUBLIC's goes to those who could make use of it.
do $$
declare
  v_adoption jsonb := current_setting('tracking.adoption')::jsonb;
  v_made text[] := '{}';
  v_function record;
  v_functions jsonb := '[]';
  v_callers jsonb := '[]';
  v_notes text := v_adoption ->> 'notes';
  v_named text[] := array(
    select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname not in ('pg_catalog', 'information_schema') and p.prosrc ~ '\mingest_tracking_event\M'
      and not (n.nspname = 'raw' and p.proname in ('ingest_tracking_event', 'ingest_tracking_beacon')) order by 1);
begin
  if to_regclass('migrations.rollback_log') is not null then
    execute 'select coalesce(array_agg(distinct object), ''{}'') from migrations.migration_log l, '
      'unnest(l.created_objects) as object where l.version = ''V001'' and l.status in (''APPLIED'', ''SHARED'') '
      'and l.applied_at > coalesce((select max(r.rolled_back_at) from migrations.rollback_log r '
      'where r.version = ''V001'' and r.status = ''ROLLED_BACK''), ''-infinity'')' into v_made;
  end if;
  for v_function in
    select p.oid, p.proname, p.proowner, p.prosecdef, p.proargnames[1:5] as names,
      coalesce(pg_get_function_result(p.oid), 'nothing') as result,
      coalesce(p.proacl, acldefault('f', p.proowner)) as acl,
      format('raw.%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)) as identity,
      case p.prokind when 'p' then 'procedure' else 'function' end as kind
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace and n.nspname = 'raw'
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
    where (oidvectortypes(p.proargtypes), pg_get_function_result(p.oid)) is distinct from (wanted.arguments, wanted.result)
      or 'function raw.' || p.proname <> all (v_made)
    order by identity
  loop
    v_functions := v_functions || jsonb_build_object(
      'name', v_function.proname, 'identity', v_function.identity, 'call', v_function.oid::regprocedure::text, 'kind', v_function.kind,
      'definition', pg_get_functiondef(v_function.oid), 'owner', pg_get_userbyid(v_function.proowner),
      'comment', obj_description(v_function.oid, 'pg_proc'),
      'grants', (select jsonb_agg(jsonb_build_object('to', g.name, 'grantable', g.grantable) order by g.name)
        from (select case when grantee <> 0 then pg_get_userbyid(grantee) end as name, bool_or(is_grantable) as grantable
          from aclexplode(v_function.acl) group by grantee) as g));
    if v_function.proname = 'ingest_tracking_event' then
      v_callers := v_callers || (select coalesce(jsonb_agg(distinct r.rolname), '[]')
        from pg_roles r
        where r.rolname not in ('tracking_ingest_role', 'tracking_processor_role') and r.rolname <> current_user
          and (r.oid = v_function.proowner
            or exists (select from aclexplode(v_function.acl) g where g.grantee = r.oid)
            or exists (select from aclexplode(v_function.acl) g where g.grantee = 0)
              and exists (select from pg_namespace n, aclexplode(n.nspacl) g
                where n.nspname = 'raw' and g.grantee = r.oid and g.privilege_type = 'USAGE')
              and (v_function.prosecdef or has_table_privilege(r.oid, 'raw.site_tracking_events_r', 'INSERT'))));
      if v_function.result <> 'bigint' and exists (select from unnest(v_named)) then
        v_notes := concat_ws(E'\n', nullif(v_notes, ''), format('%s returned %s, V001''s returns bigint: look at who calls '
          'it (%s); a result that is returned by a query or passed on as %2$s needs a cast', v_function.identity,
          v_function.result, array_to_string(v_named, ', ')));
      end if;
      if exists (select from aclexplode(v_function.acl) g where g.grantee = 0) then
        v_notes := concat_ws(E'\n', nullif(v_notes, ''), format('%s was PUBLIC''s to execute, V001''s is not: roles '
          'with a right of their own on schema raw may go on calling it; others need "grant execute on function '
          'raw.ingest_tracking_event to ..."', v_function.identity));
      end if;
      if v_function.names is distinct from
        array['p_tenant_hk', 'p_api_key_hk', 'p_client_ip', 'p_user_agent', 'p_event_data']
      then
        v_notes := concat_ws(E'\n', nullif(v_notes, ''), format('the arguments of %s had other names (%s): who calls it '
          'with named arguments has to change', v_function.identity, coalesce(array_to_string(v_function.names, ', '), 'none')));
      end if;
    end if;
    execute format('drop %s %s restrict', v_function.kind, v_function.identity);
  end loop;
  perform set_config('tracking.adoption', (v_adoption
    || jsonb_build_object('functions', v_functions, 'callers', v_callers, 'notes', v_notes))::text, true);
end
$$;
