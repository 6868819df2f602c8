-- V001, rollback: takes away what V001 made. Run by migrate in one transaction, or by hand:
-- psql -1 -v ON_ERROR_STOP=1 -f (without -1 a failure is repaired by running this file or the create file again).
-- By hand it refuses to drop events unless told their exact count: set tracking.drop_rows = '<count>'.
-- Settings: tracking.on_delete = retain (tables stay), drop_if_empty (they stay if there is an event), drop,
-- leave (only the ledger is told that an owner left), restore (functions that gave way come back, and no more);
-- tracking.reason. The ledger, and what is not V001's, stays. No row of an adopted table is dropped, whatever is set.

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
  v_mode text := coalesce(nullif(current_setting('tracking.on_delete', true), ''), 'by_hand');
  v_missing text;
begin
  if current_setting('tracking.done') <> 'preflight 1' then
    return;
  end if;
  perform set_config('tracking.done', 'preflight 2', false);
  if v_mode not in ('by_hand', 'retain', 'drop_if_empty', 'drop', 'leave', 'restore') then
    raise exception 'tracking.on_delete is "%"', v_mode
      using errcode = 'TR015', hint = 'set it to retain, drop_if_empty, drop, leave or restore, or reset it';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('site_tracking_raw_layer', 0));
  select string_agg(remedy, '; ' order by remedy) into v_missing
  from (
    select format('alter table raw.%I owner to %I', c.relname, current_user) as remedy
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'raw' and c.relname in ('site_tracking_events_r', 'site_tracking_keys_r')
      and v_mode <> 'leave' and not pg_has_role(c.relowner, 'USAGE')
    union
    select format('alter view raw.%I owner to %I', c.relname, current_user)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'raw' and c.relkind = 'v' and c.relname ~ '^site_tracking_(event_rate|event_lag|pending|quarantined|volume|growth)_v$'
      and v_mode <> 'leave' and not pg_has_role(c.relowner, 'USAGE')
    union
    select format('alter function %s owner to %I', p.oid::regprocedure, current_user)
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'raw' and p.proname in ('ingest_tracking_event', 'ingest_tracking_beacon',
        'audit_tracking_events', 'origin_is_allowed', 'quarantined_bytes', 'requeue_quarantined')
      and v_mode <> 'leave' and not pg_has_role(p.proowner, 'USAGE')
    union
    select format('grant usage on schema migrations to %I', current_user)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'migrations' and c.relname in ('migration_log', 'rollback_log')
      and not has_schema_privilege(n.oid, 'USAGE')
    union
    select format('grant select, insert, update on migrations.%I to %I', c.relname, current_user)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'migrations' and c.relname in ('migration_log', 'rollback_log')
      and exists (select from pg_attribute a
        where a.attrelid = c.oid and a.attname = 'stack_id' and not a.attisdropped)
      and not (has_table_privilege(c.oid, 'SELECT') and has_table_privilege(c.oid, 'INSERT')
        and has_table_privilege(c.oid, 'UPDATE'))
  ) as remedies;
  if v_missing is not null then
    raise exception 'role % may not roll back the site tracking raw layer in database %', current_user, current_database()
      using errcode = 'TR013', hint = v_missing;
  end if;
  perform set_config('tracking.mode', v_mode, false);
  perform set_config('tracking.notes', '', false);
end
$$;

-- What is there, and what of it V001 made: all but what its first attempt found. Without a ledger only tables, views
-- and functions are known to be V001's, by their names.
do $$
declare
  v_before text[];
  v_adopted text[];
  v_replaced jsonb;
begin
  if current_setting('tracking.done') <> 'preflight 2' then
    return;
  end if;
  perform set_config('tracking.done', 'preflight 3', false);
  select coalesce(array_agg(object order by object), '{}') into v_before from (
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
  if (select count(*) from pg_attribute a
      join pg_class c on c.oid = a.attrelid
      join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'migrations' and not a.attisdropped and (
        c.relname = 'migration_log' and a.attname in ('migration_id', 'adopted_objects', 'stack_id', 'notes')
        or c.relname = 'rollback_log' and a.attname in ('rollback_id', 'dropped_objects', 'stack_id', 'notes'))) = 8
  then
    perform set_config('tracking.ledger', 'ours', false);
    select l.adopted_objects into v_adopted from migrations.migration_log l
    where l.version = 'V001' and l.status in ('STARTED', 'APPLIED', 'SHARED')
      and l.applied_at > coalesce((select max(r.rolled_back_at) from migrations.rollback_log r
        where r.version = 'V001' and r.status = 'ROLLED_BACK'), '-infinity')
    order by l.migration_id limit 1;
    -- Of an adopted predecessor: all that was added to it, and each function as it was when it first gave way.
    with attempts as (
      select l.migration_id, l.replaced_objects as replaced from migrations.migration_log l
      where l.replaced_objects is not null and l.version = 'V001' and l.status in ('STARTED', 'APPLIED', 'SHARED')
      and l.applied_at > coalesce((select max(r.rolled_back_at) from migrations.rollback_log r
        where r.version = 'V001' and r.status = 'ROLLED_BACK'), '-infinity')
    )
    select case when exists (select from attempts) then jsonb_build_object(
      'processor', (select a.replaced -> 'processor' from attempts a order by a.migration_id limit 1),
      'columns', (select coalesce(jsonb_agg(distinct c), '[]') from attempts a, jsonb_array_elements(a.replaced -> 'columns') c),
      'indexes', (select coalesce(jsonb_agg(distinct i), '[]') from attempts a, jsonb_array_elements(a.replaced -> 'indexes') i),
      'constraints',
        (select coalesce(jsonb_agg(distinct k), '[]') from attempts a, jsonb_array_elements(a.replaced -> 'constraints') k),
      'functions', (select coalesce(jsonb_agg(first.f order by first.f ->> 'identity'), '[]')
        from (select distinct on (f ->> 'identity') f
          from attempts a, jsonb_array_elements(a.replaced -> 'functions') f
          order by f ->> 'identity', a.migration_id) as first)) end
    into v_replaced;
    v_adopted := array(select object from unnest(v_adopted) as object
      where not exists (select from jsonb_array_elements(v_replaced -> 'functions') f
        where object = 'function raw.' || (f ->> 'name')));
    perform set_config('tracking.replaced', coalesce(v_replaced::text, ''), false);
  else
    perform set_config('tracking.ledger', '', false);
    perform set_config('tracking.replaced', '', false);
  end if;
  if v_adopted is null then
    v_adopted := array(select object from unnest(v_before) as object
      where object not like 'table %' and object not like 'view %' and object not like 'function %');
    if cardinality(v_adopted) > 0 then
      perform set_config('tracking.notes', 'no ledger row says that V001 made: ' || array_to_string(v_adopted, ', '),
        false);
    end if;
  end if;
  if current_setting('tracking.mode') not in ('leave', 'retain') and 'schema raw' <> all (v_adopted) and exists (
    select from pg_namespace where nspname = 'raw' and not pg_has_role(nspowner, 'USAGE'))
  then
    raise exception 'role % may not drop schema raw in database %', current_user, current_database()
      using errcode = 'TR013', hint = format('alter schema raw owner to %I', current_user);
  end if;
  perform set_config('tracking.before', v_before::text, false);
  perform set_config('tracking.made', array(select unnest(v_before) except select unnest(v_adopted))::text, false);
  perform set_config('tracking.started', clock_timestamp()::text, false);
end
$$;

-- Rows are counted before any lock is held; a table of more than a gigabyte is counted only where the count decides.
do $$
declare
  v_mode text := current_setting('tracking.mode', true);
  v_wanted text := nullif(current_setting('tracking.drop_rows', true), '');
  v_rows bigint := 0;
  v_pages bigint;
begin
  if current_setting('tracking.done') <> 'preflight 3' then
    return;
  end if;
  perform set_config('tracking.done', 'preflight 4', false);
  if 'table raw.site_tracking_events_r' = any (current_setting('tracking.made')::text[]) and v_mode <> 'leave' then
    select pg_relation_size(c.oid) / 8192, greatest(c.reltuples, 0)::bigint into v_pages, v_rows
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'raw' and c.relname = 'site_tracking_events_r';
    if v_mode = 'by_hand' or v_wanted is not null or v_pages < 131072 then
      execute 'select count(*) from raw.site_tracking_events_r' into v_rows;
    end if;
    if v_mode = 'by_hand' and v_rows > 0 and v_wanted is null or v_mode in ('by_hand', 'drop') and v_wanted <> v_rows::text
    then
      raise exception 'raw.site_tracking_events_r holds % events, a rollback drops them', v_rows
        using errcode = 'TR012',
          hint = format('to drop them run: set tracking.drop_rows = ''%s''; to keep them: set tracking.on_delete = ''retain''',
            v_rows);
    end if;
  end if;
  perform set_config('tracking.rows', v_rows::text, false);
end
$$;

-- The rows of an adopted table are looked through before any lock that somebody could wait for.
do $$
declare
  v_replaced jsonb := nullif(current_setting('tracking.replaced', true), '')::jsonb;
  v_columns text[] := '{}';
  v_name text;
  v_held boolean;
begin
  if current_setting('tracking.done') <> 'preflight 4' then
    return;
  end if;
  perform set_config('tracking.done', 'preflight', false);
  perform set_config('tracking.seen', '', false);
  if v_replaced is null or current_setting('tracking.mode') in ('leave', 'retain', 'restore')
    or 'table raw.site_tracking_events_r' = any (current_setting('tracking.made')::text[])
    or to_regclass('raw.site_tracking_events_r') is null
  then
    return;
  end if;
  for v_name in select c from jsonb_array_elements_text(v_replaced -> 'columns') c
    where exists (select from pg_attribute
      where attrelid = 'raw.site_tracking_events_r'::regclass and attname = c and not attisdropped)
  loop
    execute format('select exists (select from raw.site_tracking_events_r where %I is not null)', v_name) into v_held;
    if v_held then
      perform set_config('tracking.notes', concat_ws(E'\n', nullif(current_setting('tracking.notes', true), ''),
        format('column raw.site_tracking_events_r.%s stays: there are rows with a value in it', v_name)), false);
    else
      v_columns := v_columns || v_name;
    end if;
  end loop;
  perform set_config('tracking.seen', 'once', false);
  perform set_config('tracking.looked_to', '', false);
  perform set_config('tracking.empty_columns', v_columns::text, false);
end
$$;

-- step: tables
-- One statement judges and drops, so that no event can arrive in between.
do $$
declare
  v_mode text := current_setting('tracking.mode', true);
  v_made text[] := nullif(current_setting('tracking.made', true), '')::text[];
  v_events boolean := 'table raw.site_tracking_events_r' = any (v_made);
  v_view text;
  v_found boolean;
  v_rows bigint;
  v_dependents text;
begin
  if current_setting('tracking.done') <> 'preflight' then
    return;
  end if;
  perform set_config('tracking.done', 'tables', false);
  if v_mode in ('leave', 'restore') then
    return;
  end if;
  -- Whoever waits behind these locks waits two seconds at most.
  if current_setting('lock_timeout') in ('0', '0ms') then
    perform set_config('lock_timeout', '2s', true);
  end if;
  -- An adopted table first: the ingest functions take its lock before that of the keys, and would wait for us as we for
  -- them.
  if current_setting('tracking.seen') <> '' then
    lock table raw.site_tracking_events_r in access exclusive mode;
  end if;
  if v_mode = 'drop_if_empty' and v_events then
    execute 'select exists (select from raw.site_tracking_events_r)' into v_found;
    if not v_found then
      execute 'lock table raw.site_tracking_events_r in access exclusive mode';
      execute 'select exists (select from raw.site_tracking_events_r)' into v_found;
    end if;
    if v_found then
      v_mode := 'retain';
      perform set_config('tracking.mode', v_mode, false);
    end if;
  end if;
  if v_mode = 'by_hand' and v_events then
    execute 'lock table raw.site_tracking_events_r in access exclusive mode';
    execute 'select count(*) from raw.site_tracking_events_r' into v_rows;
    if v_rows::text <> current_setting('tracking.rows') then
      raise exception 'raw.site_tracking_events_r holds % events now, a moment ago it held %', v_rows,
        current_setting('tracking.rows')
        using errcode = 'TR012', hint = format('stop what writes there, then run: set tracking.drop_rows = ''%s''', v_rows);
    end if;
  end if;
  if v_mode = 'retain' or not v_events and current_setting('tracking.replaced') = '' then
    if exists (select from pg_constraint k join pg_class c on c.oid = k.conrelid
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'raw' and c.relname = 'site_tracking_events_r'
          and k.conname = 'site_tracking_events_r_tenant_exists')
    then
      execute 'alter table raw.site_tracking_events_r drop constraint site_tracking_events_r_tenant_exists restrict';
    end if;
  end if;
  if v_mode <> 'retain' then
    for v_view in select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'raw' and c.relkind = 'v' and 'view raw.' || c.relname = any (v_made)
    loop
      execute format('drop view raw.%I restrict', v_view);
    end loop;
    if v_events then
      execute 'drop table raw.site_tracking_events_r restrict';
    end if;
    if 'table raw.site_tracking_keys_r' = any (v_made) then
      execute 'drop table raw.site_tracking_keys_r restrict';
    end if;
  end if;
exception
  when dependent_objects_still_exist then
    get stacked diagnostics v_dependents = pg_exception_detail;
    raise exception '%', sqlerrm
      using errcode = 'TR016', detail = v_dependents,
        hint = 'drop or change what depends on it, then run this again; no event was dropped';
end
$$;

-- step: functions
-- Where the tables stay, the views and the processor's two functions stay with them. What gave way comes back as it was; the
-- function in its place goes in the same moment.
do $$
declare
  v_function text;
  v_mode text := current_setting('tracking.mode', true);
  v_replaced jsonb := coalesce(nullif(current_setting('tracking.replaced', true), '')::jsonb -> 'functions', '[]');
  v_one jsonb;
  v_grant jsonb;
  v_now jsonb;
begin
  if current_setting('tracking.done') <> 'tables' then
    return;
  end if;
  perform set_config('tracking.done', 'functions', false);
  for v_function in
    select format('raw.%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid))
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'raw' and 'function raw.' || p.proname = any (current_setting('tracking.made')::text[])
      and v_mode <> 'leave'
      and not (v_mode = 'retain' and p.proname in ('quarantined_bytes', 'requeue_quarantined'))
      and (v_mode <> 'restore' or exists (select from jsonb_array_elements(v_replaced) f where f ->> 'name' = p.proname))
      -- What is back already stays, also where somebody has changed it since: V001's have other arguments, or came later.
      and not exists (select from jsonb_array_elements(v_replaced) f
        where to_regprocedure(f ->> 'call') = p.oid and (f ->> 'definition' = pg_get_functiondef(p.oid)
          or p.proname = 'ingest_tracking_event' and p.pronargs = 5))
  loop
    execute format('drop function if exists %s restrict', v_function);
  end loop;
  if v_mode <> 'leave' then
    -- A body is taken as it was: it may name what only its caller's search path finds.
    perform set_config('check_function_bodies', 'off', true);
    for v_one in select f from jsonb_array_elements(v_replaced) f
      where v_mode <> 'retain' or f ->> 'name' not in ('quarantined_bytes', 'requeue_quarantined')
    loop
      if to_regprocedure(v_one ->> 'call') is not null then
        if pg_get_functiondef(to_regprocedure(v_one ->> 'call')) <> v_one ->> 'definition' then
          perform set_config('tracking.notes', concat_ws(E'\n', nullif(current_setting('tracking.notes', true), ''),
            format('%s stays as it is: it is neither V001''s nor what had given way, which is in '
              'migrations.migration_log.replaced_objects', v_one ->> 'identity')), false);
        end if;
        continue;
      end if;
      execute v_one ->> 'definition';
      if v_one ->> 'owner' <> current_user then
        begin
          execute format('alter %s %s owner to %I', v_one ->> 'kind', v_one ->> 'identity', v_one ->> 'owner');
        exception
          when undefined_object then
            raise exception '% cannot be given back to %: %', v_one ->> 'identity', v_one ->> 'owner', sqlerrm
              using errcode = 'TR018', hint = format('create role %1$I nologin; grant create on schema raw to %1$I; grant '
                '%1$I to %2$I; then run this again', v_one ->> 'owner', current_user);
          when insufficient_privilege then
            raise exception '% cannot be given back to %: %', v_one ->> 'identity', v_one ->> 'owner', sqlerrm
              using errcode = 'TR018', hint = format('grant create on schema raw to %1$I; grant %1$I to %2$I; then run this again',
                v_one ->> 'owner', current_user);
        end;
      end if;
      execute format('comment on %s %s is %L', v_one ->> 'kind', v_one ->> 'identity', v_one ->> 'comment');
      for v_grant in
        select jsonb_build_object('to', case when g.grantee <> 0 then quote_ident(pg_get_userbyid(g.grantee)) else 'public' end)
        from pg_proc p cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g
        where p.oid = to_regprocedure(v_one ->> 'call') and not exists (select from jsonb_array_elements(v_one -> 'grants') was
          where was ->> 'to' is not distinct from case when g.grantee <> 0 then pg_get_userbyid(g.grantee) end
            and (was ->> 'grantable')::boolean = g.is_grantable)
      loop
        execute format('revoke all on %s %s from %s', v_one ->> 'kind', v_one ->> 'identity', v_grant ->> 'to');
      end loop;
      for v_grant in select was from jsonb_array_elements(v_one -> 'grants') was
        where was ->> 'to' is null or exists (select from pg_roles where rolname = was ->> 'to')
      loop
        continue when exists (select from pg_proc p
          cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g
          where p.oid = to_regprocedure(v_one ->> 'call')
            and v_grant ->> 'to' is not distinct from case when g.grantee <> 0 then pg_get_userbyid(g.grantee) end
            and (v_grant ->> 'grantable')::boolean = g.is_grantable);
        execute format('grant execute on %s %s to %s%s', v_one ->> 'kind', v_one ->> 'identity',
          case when v_grant ->> 'to' is null then 'public' else quote_ident(v_grant ->> 'to') end,
          case when (v_grant ->> 'grantable')::boolean then ' with grant option' else '' end);
      end loop;
      select jsonb_build_object('definition', pg_get_functiondef(p.oid), 'owner', pg_get_userbyid(p.proowner),
        'comment', obj_description(p.oid, 'pg_proc'),
        'grants', (select jsonb_agg(jsonb_build_object('to', g.name, 'grantable', g.grantable) order by g.name)
          from (select case when grantee <> 0 then pg_get_userbyid(grantee) end as name, bool_or(is_grantable) as grantable
            from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) group by grantee) as g))
      into v_now from pg_proc p where p.oid = to_regprocedure(v_one ->> 'call');
      if v_now is distinct from jsonb_build_object('definition', v_one -> 'definition', 'owner', v_one -> 'owner',
          'comment', v_one -> 'comment', 'grants', (select jsonb_agg(g order by o) from jsonb_array_elements(v_one -> 'grants')
            with ordinality as was(g, o) where g ->> 'to' is null or exists (select from pg_roles where rolname = g ->> 'to')))
      then
        raise exception '% was not put back as it was', v_one ->> 'identity'
          using errcode = 'TR018', detail = format('owner, comment and grants are %s, they were %s', v_now - 'definition',
              jsonb_build_object('owner', v_one -> 'owner', 'comment', v_one -> 'comment', 'grants', v_one -> 'grants')),
            hint = 'see what changes it, an event trigger for one; its definition is in '
              'migrations.migration_log.replaced_objects';
      end if;
    end loop;
  end if;
end
$$;

-- step: adopted
-- An adopted table gets rid of what was added to it; a column in which there is a value stays. Any row may have got one
-- since they were looked through: all are looked through again, behind the lock, piece by piece. By hand that may take
-- two seconds; migrate sends this step with tracking.look = more as long as nobody waits, then with "no more". Where it
-- did not come to the end the columns stay too: they are nullable, and a value that is gone is gone.
do $$
declare
  v_replaced jsonb := nullif(current_setting('tracking.replaced', true), '')::jsonb;
  v_columns text[] := coalesce(nullif(current_setting('tracking.empty_columns', true), '')::text[], '{}');
  v_look text := coalesce(current_setting('tracking.look', true), '');
  v_is_asked_to_look boolean := v_look = 'more';
  v_until timestamptz := clock_timestamp() + case v_look when 'more' then interval '50 ms' else interval '2 s' end;
  v_at bigint := nullif(current_setting('tracking.looked_to', true), '')::bigint;
  v_is_seen boolean := current_setting('tracking.seen', true) = 'all';
  v_piece record;
  v_name text;
begin
  if current_setting('tracking.done') <> 'functions' then
    return;
  end if;
  if not v_is_asked_to_look then
    perform set_config('tracking.done', 'adopted', false);
  end if;
  if current_setting('tracking.seen', true) = '' or current_setting('tracking.mode') = 'retain' then
    perform set_config('tracking.look', 'no more', true);
    return;
  end if;
  if current_setting('lock_timeout') in ('0', '0ms') then
    perform set_config('lock_timeout', '2s', true);
  end if;
  lock table raw.site_tracking_events_r in access exclusive mode;
  begin
    while not v_is_seen and cardinality(v_columns) > 0 and v_look <> 'no more' and clock_timestamp() < v_until loop
      execute (select format('select count(*) as rows, max(raw_event_id) as last, array[%s]::text[] as held from (select * '
        'from raw.site_tracking_events_r where $1 is null or raw_event_id > $1 order by raw_event_id limit 10000) as piece',
        string_agg(format('case when count(%I) > 0 then %L end', c, c), ', ')) from unnest(v_columns) as c)
      into v_piece using v_at;
      for v_name in select c from unnest(v_piece.held) as c where c is not null loop
        v_columns := array_remove(v_columns, v_name);
        perform set_config('tracking.notes', concat_ws(E'\n', nullif(current_setting('tracking.notes', true), ''),
          format('column raw.site_tracking_events_r.%s stays: there are rows with a value in it', v_name)), false);
      end loop;
      v_at := v_piece.last;
      v_is_seen := v_piece.rows < 10000;
    end loop;
  exception
    -- A piece that takes too long: what was found in others stays all the same.
    when query_canceled then
      v_look := 'no more';
      perform set_config('tracking.look', v_look, true);
  end;
  perform set_config('tracking.empty_columns', v_columns::text, false);
  if v_is_asked_to_look then
    perform set_config('tracking.looked_to', v_at::text, false);
    if v_is_seen or cardinality(v_columns) = 0 then
      perform set_config('tracking.seen', 'all', false);
      perform set_config('tracking.look', 'no more', true);
    end if;
    return;
  end if;
  for v_name in select i from jsonb_array_elements_text(v_replaced -> 'indexes') i loop
    execute format('drop index if exists raw.%I restrict', v_name);
  end loop;
  for v_name in select k from jsonb_array_elements_text(v_replaced -> 'constraints') k
    where exists (select from pg_constraint where conrelid = 'raw.site_tracking_events_r'::regclass and conname = k)
  loop
    execute format('alter table raw.site_tracking_events_r drop constraint %I restrict', v_name);
  end loop;
  foreach v_name in array v_columns loop
    begin
      if not v_is_seen then
        raise exception 'looking through all rows again would have kept others waiting' using errcode = 'TR099';
      end if;
      execute format('alter table raw.site_tracking_events_r drop column %I restrict', v_name);
    exception
      when sqlstate 'TR099' or dependent_objects_still_exist then
        perform set_config('tracking.notes', concat_ws(E'\n', nullif(current_setting('tracking.notes', true), ''),
          format('column raw.site_tracking_events_r.%s stays: %s', v_name, sqlerrm)), false);
    end;
  end loop;
end
$$;

-- step: grants
do $$
declare
  v_role text;
  v_grant text;
begin
  if current_setting('tracking.done') <> 'adopted' then
    return;
  end if;
  perform set_config('tracking.done', 'grants', false);
  for v_role in
    select rolname from pg_roles
    where rolname in ('tracking_ingest_role', 'tracking_processor_role')
      and 'usage on schema raw by ' || rolname = any (current_setting('tracking.made')::text[])
      and current_setting('tracking.mode') not in ('leave', 'restore')
      and not (current_setting('tracking.mode') = 'retain' and rolname = 'tracking_processor_role')
  loop
    execute format('revoke usage on schema raw from %I restrict', v_role);
  end loop;
  if current_setting('tracking.mode') not in ('leave', 'retain', 'restore')
    and exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'raw' and c.relname = 'site_tracking_events_r')
    and exists (select from pg_roles where rolname = 'tracking_processor_role')
  then
    execute 'revoke all on table raw.site_tracking_events_r from tracking_processor_role restrict';
    -- What it was allowed on an adopted table before.
    for v_grant in
      select format('grant %s on table raw.site_tracking_events_r to tracking_processor_role%s', held ->> 'what',
        case when (held ->> 'grantable')::boolean then ' with grant option' else '' end)
      from jsonb_array_elements(nullif(current_setting('tracking.replaced', true), '')::jsonb -> 'processor') as held
    loop
      execute v_grant;
    end loop;
  end if;
end
$$;

-- step: schema
do $$
begin
  if current_setting('tracking.done') <> 'grants' then
    return;
  end if;
  perform set_config('tracking.done', 'schema', false);
  begin
    if current_setting('tracking.mode') in ('leave', 'retain', 'restore')
      or 'schema raw' <> all (current_setting('tracking.made')::text[])
    then
      return;
    end if;
    execute 'drop schema raw restrict';
  exception
    when dependent_objects_still_exist then
      perform set_config('tracking.notes', concat_ws(E'\n', nullif(current_setting('tracking.notes', true), ''),
        'schema raw stays: it holds objects that are not V001''s'), false);
  end;
end
$$;

-- step: roles
-- Roles belong to the whole server: one that has members, or rights in another place, stays.
do $$
declare
  v_role text;
  v_members text;
  v_note text;
begin
  if current_setting('tracking.done') <> 'schema' then
    return;
  end if;
  perform set_config('tracking.done', 'roles', false);
  for v_role in
    select rolname from pg_roles
    where rolname in ('tracking_ingest_role', 'tracking_processor_role')
      and 'role ' || rolname = any (current_setting('tracking.made')::text[])
      and current_setting('tracking.mode') not in ('leave', 'restore')
      and not (current_setting('tracking.mode') = 'retain' and rolname = 'tracking_processor_role')
    order by rolname
  loop
    v_note := null;
    select string_agg(distinct pg_get_userbyid(m.member)::text, ', ') into v_members
    from pg_auth_members m join pg_roles r on r.oid = m.roleid
    where r.rolname = v_role and pg_get_userbyid(m.member) <> current_user;
    if v_members is not null then
      v_note := format('role %s stays: it has members (%s)', v_role, v_members);
    else
      begin
        execute format('drop role %I', v_role);
      exception
        when dependent_objects_still_exist or insufficient_privilege or object_in_use then
          v_note := format('role %s stays: %s', v_role, sqlerrm);
      end;
    end if;
    if v_note is not null then
      perform set_config('tracking.notes',
        concat_ws(E'\n', nullif(current_setting('tracking.notes', true), ''), v_note), false);
    end if;
  end loop;
end
$$;

-- step: finish
do $$
declare
  v_mode text := current_setting('tracking.mode', true);
  v_before text[] := nullif(current_setting('tracking.before', true), '')::text[];
  v_after text[];
  v_dropped text[];
  v_notes text := nullif(current_setting('tracking.notes', true), '');
  v_started timestamptz := coalesce(nullif(current_setting('tracking.started_at', true), ''),
    nullif(current_setting('tracking.started', true), ''))::timestamptz;
  v_rows bigint := nullif(current_setting('tracking.rows', true), '')::bigint;
begin
  if current_setting('tracking.done') <> 'roles' then
    return;
  end if;
  perform set_config('tracking.done', 'finish', false);
  select coalesce(array_agg(object order by object), '{}') into v_after from (
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
  v_dropped := array(select unnest(v_before) except select unnest(v_after) order by 1);
  -- "restore" is the first half of a rollback that is told when it is whole.
  if current_setting('tracking.ledger') = 'ours' and v_mode <> 'restore' then
    insert into migrations.rollback_log (version, script_name, description, reason, completed_at, status, duration_ms,
      checksum, stack_id, logical_resource_id, request_id, environment, dropped_objects, retained_objects,
      restored_objects, rows_dropped, rows_retained, fingerprint_before, fingerprint_after, notes)
    values ('V001', 'V001__rollback_site_tracking_raw_layer.sql', 'universal site tracking raw layer',
      coalesce(nullif(current_setting('tracking.reason', true), ''),
        case when v_mode = 'by_hand' then 'by hand' else 'the owner leaves' end),
      clock_timestamp(),
      case v_mode when 'leave' then 'LEFT' when 'retain' then 'RETAINED' else 'ROLLED_BACK' end,
      greatest(0, extract(epoch from clock_timestamp() - v_started) * 1000)::bigint,
      nullif(current_setting('tracking.checksum', true), ''), nullif(current_setting('tracking.stack_id', true), ''),
      nullif(current_setting('tracking.logical_resource_id', true), ''),
      nullif(current_setting('tracking.request_id', true), ''),
      nullif(current_setting('tracking.environment', true), ''), v_dropped, v_after,
      case when v_mode <> 'leave' then nullif(current_setting('tracking.replaced', true), '')::jsonb -> 'functions' end,
      case when 'table raw.site_tracking_events_r' = any (v_dropped) then v_rows else 0 end,
      case when 'table raw.site_tracking_events_r' = any (v_after) then v_rows else 0 end,
      nullif(current_setting('tracking.fingerprint_before', true), ''),
      nullif(current_setting('tracking.fingerprint_after', true), ''), v_notes);
  end if;
  perform set_config('tracking.drop_rows', '', false);
  perform set_config('tracking.said', format('V001 %s, dropped: %s; stays: %s; the create file makes it again%s',
    case v_mode when 'leave' then 'has one owner less' when 'retain' then 'is retained'
      when 'restore' then 'gives back what gave way to it' else 'is rolled back' end,
    coalesce(nullif(array_to_string(v_dropped, ', '), ''), 'nothing'),
    coalesce(nullif(array_to_string(v_after, ', '), ''), 'nothing but the ledger in schema migrations'),
    coalesce(E'; notes:\n' || v_notes, '')), false);
end
$$;

-- A statement of its own: what raises restores nothing.
do $$
declare
  v_steps text[] := array[
    'preflight 1', 'preflight 2', 'preflight 3', 'preflight 4', 'preflight', 'tables', 'functions', 'adopted', 'grants', 'schema',
    'roles', 'finish'];
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
    raise exception 'V001 is not rolled back: step % failed, its error is the first one above',
      pg_catalog.current_setting('tracking.failed')
      using errcode = 'TR017', hint = 'remove its cause, then run this file again, or the create file';
  end if;
  raise notice '%', pg_catalog.current_setting('tracking.said');
end
$$;
