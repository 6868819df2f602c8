//! Lines on what others have that ours uses, and on what of others uses ours.

use super::{line, Line, Section, Source};

const TENANTS: &str = "
select t.oid is not null,
  case when k.oid is null then 'auth.tenant_h is there, and no foreign key of the events refers to it'
    when not k.convalidated then format('%s is not validated: events are there whose tenant is not', k.conname) end,
  coalesce(format('%s %s', k.conname, pg_get_constraintdef(k.oid)), 'auth.tenant_h is not there')
from (values (1)) as one(row)
left join (select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'auth' and c.relname = 'tenant_h' and c.relkind in ('r', 'p')) as t on true
left join (select k.* from pg_constraint k
  join pg_class c on c.oid = k.conrelid and c.relname = 'site_tracking_events_r'
  join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'raw') as k
  on k.contype = 'f' and k.confrelid = t.oid";

const HASH: &str = "
do $$
declare
  v_found bytea;
begin
  if not exists (select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where n.nspname = 'util' and p.proname = 'hash_binary' and oidvectortypes(p.proargtypes) = 'text')
  then
    perform set_config('checklist.not_applicable', 'util.hash_binary is not there', true);
    return;
  end if;
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
  execute 'select util.hash_binary($1)' into v_found using 'checklist ' || chr(233);
  if v_found is distinct from sha256(convert_to('checklist ' || chr(233), 'UTF8')) then
    raise exception 'util.hash_binary gives another hash than SHA-256 of the UTF-8 text';
  end if;
  perform set_config('checklist.evidence', 'util.hash_binary agrees with SHA-256 of the UTF-8 text', true);
end
$$";

const AUDIT: &str = r#"
do $$
declare
  v_state text;
begin
  if not exists (select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where n.nspname = 'util' and p.proname = 'log_audit_event'
        and oidvectortypes(p.proargtypes) = 'text, text, text, text, jsonb')
  then
    perform set_config('checklist.not_applicable', 'util.log_audit_event is not there', true);
    return;
  end if;
  if not exists (select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where n.nspname = 'raw' and p.proname = 'audit_tracking_events' and p.prosrc ~ 'util\.log_audit_event')
  then
    raise exception 'util.log_audit_event is there and no event is told to it: it came later than V001';
  end if;
  v_state := raw.audit_tracking_events('\x636865636b6c6973', array[0]::bigint[], 'checklist');
  if v_state is not null then
    raise exception 'util.log_audit_event fails with SQLSTATE %', v_state;
  end if;
  perform set_config('checklist.evidence', 'util.log_audit_event is bound and answers', true);
end
$$"#;

const DEPENDENTS: &str = r"
with ours as (select c.oid, c.relname, c.relrowsecurity from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'raw' and c.relname in ('site_tracking_events_r', 'site_tracking_keys_r')),
outside as (
  select distinct format('%s %s', case v.relkind when 'm' then 'materialized view' else 'view' end, v.oid::regclass) as name
  from pg_depend d join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
  join pg_class v on v.oid = r.ev_class and v.relkind in ('v', 'm')
    and v.oid::regclass::text !~ '^raw\.site_tracking_(event_rate|event_lag|pending|quarantined|volume|growth)_v$'
  where d.refclassid = 'pg_class'::regclass and d.refobjid in (select oid from ours)
  union
  select format('foreign key %s of %s', k.conname, k.conrelid::regclass) from pg_constraint k
  where k.contype = 'f' and k.confrelid in (select oid from ours) and k.conrelid not in (select oid from ours)
  union
  select format('function %s', p.oid::regprocedure) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where n.nspname not in ('pg_catalog', 'information_schema')
    and p.prosrc ~ 'raw\.(site_tracking_|ingest_tracking_|quarantined_bytes|requeue_quarantined)'
    and not (n.nspname = 'raw' and p.proname in ('ingest_tracking_event', 'ingest_tracking_beacon',
      'audit_tracking_events', 'origin_is_allowed', 'quarantined_bytes', 'requeue_quarantined'))),
meddling as (
  select format('trigger %s on %s', t.tgname, t.tgrelid::regclass) as name from pg_trigger t
  where t.tgrelid in (select oid from ours) and not t.tgisinternal
  union
  select format('rule %s on %s', r.rulename, r.ev_class::regclass) from pg_rewrite r
  where r.ev_class in (select oid from ours)
  union
  select format('row security on raw.%s', o.relname) from ours o where o.relrowsecurity)
select exists (select from ours),
  (select string_agg(name, '; ' order by name) from meddling),
  'outside of V001: ' || coalesce((select string_agg(name, '; ' order by name) from outside), 'nothing')";

pub(super) const LINES: &[Line] = &[
    line(
        "DPN-01",
        Section::Dependencies,
        "auth.tenant_h, where it is, is what tenants are checked against",
        Source::Catalog(TENANTS),
        "apply V001 again, which binds it; insert the tenants that are missing, then alter table \
         raw.site_tracking_events_r validate constraint site_tracking_events_r_tenant_exists",
    ),
    line(
        "DPN-02",
        Section::Dependencies,
        "util.hash_binary, where it is, agrees with SHA-256",
        Source::Trial(HASH),
        "repair it, or alter function util.hash_binary(text) set search_path to where its extension is",
    ),
    line(
        "DPN-03",
        Section::Dependencies,
        "util.log_audit_event, where it is, is told of each event",
        Source::Trial(AUDIT),
        "repair it; it runs as the owner of the layer with search_path pg_catalog, pg_temp; then apply V001 again",
    ),
    line(
        "DPN-04",
        Section::Dependencies,
        "what depends on ours from outside is named, and nothing of others changes what is stored",
        Source::Catalog(DEPENDENTS),
        "drop the trigger, rule or row security: it runs with every event",
    ),
];
