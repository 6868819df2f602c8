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
    join pg_catalog.pg_namespace m on m.oid = p.pronamespace and m.nspname <> 'raw'
    join pg_catalog.pg_language l on l.oid = p.prolang and l.lanname = 'sql'
    where pg_catalog.current_setting('server_version_num')::integer < 130000 and p.prosrc like '%raw.ingest_tracking_event%'
      and p.prorettype = 'integer'::pg_catalog.regtype
      and exists (select from pg_catalog.pg_proc o where o.pronamespace = n.oid and o.proname = 'ingest_tracking_event'
        and o.prorettype = 'integer'::pg_catalog.regtype))
) as shape
from pg_catalog.pg_namespace n
left join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = 'site_tracking_events_r'
where n.nspname = 'raw'
