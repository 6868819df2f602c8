select pg_catalog.jsonb_build_object(
  'kind', c.relkind,
  'logged', coalesce(c.relpersistence = 'p', false),
  'hides_rows', coalesce(c.relforcerowsecurity, false),
  'bytes', coalesce(case when c.relkind = 'r' then pg_catalog.pg_table_size(c.oid) end, 0),
  'id_has_sequence', exists (
    select from pg_catalog.pg_depend d
    join pg_catalog.pg_class s on s.oid = d.objid and s.relkind = 'S'
    join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
    where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid = c.oid and d.deptype in ('a', 'i')
      and a.attname = 'raw_event_id'),
  'id_is_unique', exists (
    select from pg_catalog.pg_index i
    join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indpred is null and i.indnkeyatts = 1
      and a.attname = 'raw_event_id' and a.attnotnull),
  'columns', (
    select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
      'name', a.attname,
      'kind', pg_catalog.format_type(a.atttypid, null),
      'length', case when a.atttypid in ('varchar'::pg_catalog.regtype, 'bpchar'::pg_catalog.regtype)
        and a.atttypmod <> -1 then a.atttypmod - 4 end,
      'not_null', a.attnotnull,
      'has_default', a.atthasdef or a.attidentity <> '',
      'fixed', a.attgenerated <> '' or a.attidentity = 'a') order by a.attnum), '[]')
    from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
  'indexes', (
    select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
      'name', o.relname,
      'definition', coalesce(pg_catalog.pg_get_indexdef(i.indexrelid), ''),
      'valid', coalesce(i.indisvalid and i.indisready, false))), '[]')
    from pg_catalog.pg_class o left join pg_catalog.pg_index i on i.indexrelid = o.oid
    where o.relnamespace = n.oid and o.relname in ('site_tracking_events_r_pending', 'site_tracking_events_r_received',
      'site_tracking_events_r_event_once')),
  'functions', (
    select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
      'name', pg_catalog.format('raw.%s(%s) returning %s', p.proname, pg_catalog.oidvectortypes(p.proargtypes),
        coalesce(pg_catalog.pg_get_function_result(p.oid), 'nothing')),
      'can_return', p.prokind in ('f', 'p') and not exists (select from pg_catalog.pg_depend e
        where e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and e.objid = p.oid and e.deptype = 'e'),
      'dependents', (
        select coalesce(pg_catalog.jsonb_agg(distinct pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)), '[]')
        from pg_catalog.pg_depend d
        where d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.refobjid = p.oid
          and d.deptype in ('n', 'a', 'i')))
      order by p.proname, pg_catalog.oidvectortypes(p.proargtypes)), '[]')
    from pg_catalog.pg_proc p
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
    where p.pronamespace = n.oid and (pg_catalog.oidvectortypes(p.proargtypes), pg_catalog.pg_get_function_result(p.oid))
      is distinct from (wanted.arguments, wanted.result)),
  'keys_differ', (
    select 'raw.site_tracking_keys_r is not the table of site keys that V001 makes: rename it'
    from pg_catalog.pg_class k
    where k.relnamespace = n.oid and k.relname = 'site_tracking_keys_r' and (k.relkind <> 'r' or (
      select coalesce(pg_catalog.string_agg(pg_catalog.concat_ws(' ', a.attname,
        pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull), ', ' order by a.attname collate "C"), '')
      from pg_catalog.pg_attribute a
      where a.attrelid = k.oid and a.attnum > 0 and not a.attisdropped and a.attname in ('api_key_hk', 'tenant_hk',
        'tenant_bk', 'allowed_origins', 'label', 'is_active', 'created_at', 'revoked_at')
    ) <> 'allowed_origins text[] f, api_key_hk bytea t, created_at timestamp with time zone t, is_active boolean t, '
      'label text f, revoked_at timestamp with time zone f, tenant_bk character varying(255) f, tenant_hk bytea t')),
  'callers_that_break', (
    select coalesce(pg_catalog.jsonb_agg(pg_catalog.format('%I.%I', m.nspname, p.proname)), '[]')
    from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace m on m.oid = p.pronamespace
    join pg_catalog.pg_language l on l.oid = p.prolang and l.lanname = 'sql'
    where pg_catalog.current_setting('server_version_num')::integer < 130000 and p.prosrc ~ '\mingest_tracking_event\M'
      and not (m.oid = n.oid and p.proname = 'ingest_tracking_event') and p.prorettype = 'integer'::pg_catalog.regtype
      and exists (select from pg_catalog.pg_proc o where o.pronamespace = n.oid and o.proname = 'ingest_tracking_event'
        and o.prorettype = 'integer'::pg_catalog.regtype))
,
  'at_first', (select coalesce(pg_catalog.jsonb_agg(obstacle order by obstacle), '[]') from (
    select pg_catalog.format('raw.site_tracking_events_r is a %s of %I.%I, and what is added to it could not be given back: '
      'alter table %2$I.%3$I %s', case when c.relispartition then 'partition' else 'child' end, home.nspname, o.relname,
      case when c.relispartition then 'detach partition raw.site_tracking_events_r' else 'and its children apart first' end)
      as obstacle
    from pg_catalog.pg_inherits i join pg_catalog.pg_class o on o.oid = i.inhparent
    join pg_catalog.pg_namespace home on home.oid = o.relnamespace where i.inhrelid = c.oid
    union all
    select pg_catalog.format('%I.%I inherits from raw.site_tracking_events_r and would get what is added to it: alter table '
      '%1$I.%2$I no inherit raw.site_tracking_events_r', home.nspname, o.relname)
    from pg_catalog.pg_inherits i join pg_catalog.pg_class o on o.oid = i.inhrelid
    join pg_catalog.pg_namespace home on home.oid = o.relnamespace where i.inhparent = c.oid
    union all
    select pg_catalog.format('raw.site_tracking_events_r.%s has no default, and a row that leaves it out would not be seen: '
      'alter table raw.site_tracking_events_r alter column %1$s set default %2$s', wanted.col, wanted.value)
    from (values ('processing_status', '''PENDING'''), ('retry_count', '0'), ('received_timestamp', 'current_timestamp'))
      as wanted(col, value)
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = wanted.col and not a.attisdropped
      and not a.atthasdef
    union all
    select 'raw.site_tracking_events_r.processing_status is text, and V001''s index and check are made for character varying: '
      'alter table raw.site_tracking_events_r alter column processing_status type character varying'
    from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attname = 'processing_status' and not a.attisdropped
      and a.atttypid = 'pg_catalog.text'::pg_catalog.regtype
    union all
    select case when p.pronargs = 5 and p.proname = 'ingest_tracking_event'
      then pg_catalog.format('raw.%s(%s) has defaults, and V001''s has not: have all callers pass five arguments, then make '
        'it anew without', p.proname, pg_catalog.oidvectortypes(p.proargtypes))
      else pg_catalog.format('raw.%s(%s) has the name of a function of V001''s with other arguments, and its callers would not '
        'find it: rename it, or move it to another schema', p.proname, pg_catalog.oidvectortypes(p.proargtypes)) end
    from pg_catalog.pg_proc p
    join (values ('origin_is_allowed', 'text, text[]'), ('audit_tracking_events', 'bytea, bigint[], character varying'),
      ('ingest_tracking_event', 'bytea, bytea, inet, text, jsonb, uuid, character varying, timestamp with time zone, jsonb, '
        'character varying, text, boolean'),
      ('ingest_tracking_beacon', 'bytea, text, inet, text, jsonb[], uuid[], character varying, timestamp with time zone, '
        'jsonb, character varying[], text[], boolean'),
      ('quarantined_bytes', 'bigint'), ('requeue_quarantined', 'bigint, jsonb')) as wanted(name, arguments)
      on wanted.name = p.proname
    where p.pronamespace = n.oid and pg_catalog.oidvectortypes(p.proargtypes) <> wanted.arguments
      -- A call with five arguments finds V001's where these types become its own by themselves.
      and not (p.proname = 'ingest_tracking_event' and p.pronargs = 5 and p.pronargdefaults = 0 and (
        select pg_catalog.bool_and(given.type = v001.type or exists (select from pg_catalog.pg_cast k
          where k.castsource = given.type and k.casttarget = v001.type and k.castcontext = 'i'))
        from unnest(p.proargtypes::pg_catalog.oid[]) with ordinality as given(type, n)
        join unnest(array['bytea', 'bytea', 'inet', 'text', 'jsonb']::pg_catalog.regtype[]::pg_catalog.oid[])
          with ordinality as v001(type, n) on v001.n = given.n))
    union all
    select pg_catalog.format('%s has %s on %s, which V001 does not give it: revoke %2$s on %s from %1$s', r.rolname,
      held.privilege_type, held.object, held.object)
    from (
      select g.grantee, g.privilege_type, g.is_grantable, 'raw.site_tracking_events_r' as object
      from pg_catalog.aclexplode(c.relacl) g
      union all
      select g.grantee, g.privilege_type, g.is_grantable, 'schema raw' from pg_catalog.aclexplode(n.nspacl) g
      union all
      select g.grantee, pg_catalog.format('%s (%I)', g.privilege_type, a.attname), g.is_grantable,
        'raw.site_tracking_events_r'
      from pg_catalog.pg_attribute a, pg_catalog.aclexplode(a.attacl) g where a.attrelid = c.oid and not a.attisdropped
      union all
      select g.grantee, g.privilege_type, g.is_grantable, 'sequence raw.site_tracking_events_r_raw_event_id_seq'
      from pg_catalog.pg_class s, pg_catalog.aclexplode(s.relacl) g
      where s.relnamespace = n.oid and s.relname = 'site_tracking_events_r_raw_event_id_seq'
    ) as held
    join pg_catalog.pg_roles r on r.oid = held.grantee
    where r.rolname = 'tracking_ingest_role' and (held.is_grantable or (held.privilege_type, held.object) <> ('USAGE', 'schema raw'))
      or r.rolname = 'tracking_processor_role' and (held.is_grantable or (held.privilege_type, held.object) not in (
        ('USAGE', 'schema raw'), ('SELECT', 'raw.site_tracking_events_r'),
        ('UPDATE (processing_status)', 'raw.site_tracking_events_r'), ('UPDATE (error_message)', 'raw.site_tracking_events_r'),
        ('UPDATE (retry_count)', 'raw.site_tracking_events_r')))
  ) as obstacles where c.relkind = 'r')
) as shape
from pg_catalog.pg_namespace n
left join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = 'site_tracking_events_r'
where n.nspname = 'raw'
