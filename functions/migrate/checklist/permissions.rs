//! Lines on what the role that deploys must be allowed: the owner of the layer, or who asks where there is none.
//!
//! The fault of a line is the statement that an administrator runs.

use super::{line, Line, Section, Source};

const CREATE_ON_DATABASE: &str = "
select true,
  case when not has_database_privilege(w.role, current_database(), 'CREATE')
    then format('grant create on database %I to %I', current_database(), pg_get_userbyid(w.role)) end,
  format('%s may create schemas in %s', pg_get_userbyid(w.role), current_database())
from (select coalesce((select c.relowner from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'raw' and c.relname = 'site_tracking_events_r'),
  (select oid from pg_roles where rolname = current_user)) as role) as w";

const CREATEROLE: &str = "
select true,
  case when m.missing is not null and not (r.rolsuper or r.rolcreaterole)
    then format('alter role %I createrole; or: %s', r.rolname, m.missing) end,
  case when r.rolsuper or r.rolcreaterole then format('%s may make roles', r.rolname)
    else format('%s may make no roles, which are there', r.rolname) end
from pg_roles r
cross join (select string_agg(format('create role %I nologin', wanted.name), '; ') as missing
  from unnest(array['tracking_ingest_role', 'tracking_processor_role']) as wanted(name)
  where not exists (select from pg_roles where rolname = wanted.name)) as m
where r.oid = coalesce((select c.relowner from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'raw' and c.relname = 'site_tracking_events_r'),
  (select oid from pg_roles where rolname = current_user))";

const REFERENCES: &str = "
select t.oid is not null,
  case when not has_schema_privilege(w.role, t.relnamespace, 'USAGE')
    then format('grant usage on schema auth to %I', pg_get_userbyid(w.role))
    when not has_column_privilege(w.role, t.oid, t.attnum, 'REFERENCES')
    then format('grant references (tenant_hk) on auth.tenant_h to %I', pg_get_userbyid(w.role)) end,
  case when t.oid is null then 'auth.tenant_h is not there'
    else format('%s may refer to auth.tenant_h', pg_get_userbyid(w.role)) end
from (select coalesce((select c.relowner from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'raw' and c.relname = 'site_tracking_events_r'),
  (select oid from pg_roles where rolname = current_user)) as role) as w
left join (select c.oid, c.relnamespace, a.attnum from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_hk' and not a.attisdropped
  where n.nspname = 'auth' and c.relname = 'tenant_h' and c.relkind in ('r', 'p')) as t on true";

const SCHEMAS: &str = "
select count(n.oid) > 0,
  string_agg(format('grant usage, create on schema %I to %I', n.nspname, pg_get_userbyid(w.role)), '; ' order by n.nspname)
    filter (where not (has_schema_privilege(w.role, n.oid, 'USAGE') and has_schema_privilege(w.role, n.oid, 'CREATE'))),
  format('%s may create in %s', pg_get_userbyid(w.role), coalesce(string_agg(n.nspname, ', ' order by n.nspname), 'none'))
from (select coalesce((select c.relowner from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'raw' and c.relname = 'site_tracking_events_r'),
  (select oid from pg_roles where rolname = current_user)) as role) as w
left join pg_namespace n on n.nspname in ('raw', 'migrations')
group by w.role";

const LEDGER: &str = "
select count(c.oid) > 0,
  string_agg(format('grant select, insert, update on migrations.%I to %I', c.relname, pg_get_userbyid(w.role)), '; '
    order by c.relname) filter (where not (has_table_privilege(w.role, c.oid, 'SELECT')
      and has_table_privilege(w.role, c.oid, 'INSERT') and has_table_privilege(w.role, c.oid, 'UPDATE'))),
  format('%s may write %s', pg_get_userbyid(w.role), coalesce(string_agg(c.relname, ', ' order by c.relname), 'no ledger'))
from (select coalesce((select c.relowner from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'raw' and c.relname = 'site_tracking_events_r'),
  (select oid from pg_roles where rolname = current_user)) as role) as w
left join (select c.oid, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'migrations' and c.relname in ('migration_log', 'rollback_log')) as c on true
group by w.role";

const OPTIONAL_FUNCTIONS: &str = "
select count(p.oid) > 0,
  string_agg(case when not has_schema_privilege(w.role, p.pronamespace, 'USAGE')
    then format('grant usage on schema util to %I', pg_get_userbyid(w.role))
    when not has_function_privilege(w.role, p.oid, 'EXECUTE')
    then format('grant execute on function %s to %I', p.oid::regprocedure, pg_get_userbyid(w.role)) end, '; '),
  case when count(p.oid) = 0 then 'util.hash_binary and util.log_audit_event are not there'
    else format('%s may call %s', pg_get_userbyid(w.role), string_agg('util.' || p.proname, ', ')) end
from (select coalesce((select c.relowner from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'raw' and c.relname = 'site_tracking_events_r'),
  (select oid from pg_roles where rolname = current_user)) as role) as w
left join (select p.* from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where n.nspname = 'util' and p.proname || '(' || oidvectortypes(p.proargtypes) || ')'
    in ('hash_binary(text)', 'log_audit_event(text, text, text, text, jsonb)')) as p on true
group by w.role";

pub(super) const LINES: &[Line] = &[
    line(
        "PER-01",
        Section::Permissions,
        "who deploys may create schemas in the database",
        Source::Catalog(CREATE_ON_DATABASE),
        "have an administrator run the statement",
    ),
    line(
        "PER-02",
        Section::Permissions,
        "who deploys may make roles (CREATEROLE), or both are there",
        Source::Catalog(CREATEROLE),
        "have an administrator run the statement, then deploy again",
    ),
    line(
        "PER-03",
        Section::Permissions,
        "who deploys may refer to auth.tenant_h (REFERENCES)",
        Source::Catalog(REFERENCES),
        "have an administrator run the statement, then deploy again",
    ),
    line(
        "PER-04",
        Section::Permissions,
        "who deploys may create in schemas raw and migrations",
        Source::Catalog(SCHEMAS),
        "have an administrator run the statement",
    ),
    line(
        "PER-05",
        Section::Permissions,
        "who deploys may read and write the ledger",
        Source::Catalog(LEDGER),
        "have an administrator run the statement",
    ),
    line(
        "PER-06",
        Section::Permissions,
        "who deploys may call the optional functions of schema util",
        Source::Catalog(OPTIONAL_FUNCTIONS),
        "have an administrator run the statement",
    ),
];
