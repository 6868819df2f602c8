//! Lines on who may do what, by the rights that really hold, memberships included.

use super::{line, Line, Section, Source};

const OWNER: &str = "
select r.oid is not null,
  case when r.rolsuper and current_setting('checklist.environment', true) = 'PRODUCTION'
    then format('the owner %s is a superuser', r.rolname) end,
  format('owner %s%s', coalesce(r.rolname, 'none'), case when r.rolsuper then ', a superuser' else '' end)
from (values (1)) as one(row)
left join (select c.relowner from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'raw' and c.relname = 'site_tracking_events_r') as c on true
left join pg_roles r on r.oid = c.relowner";

const EVERYBODY: &str = "
select true,
  string_agg(format('PUBLIC has %s on %s', held.privilege, held.object), '; ' order by held.object, held.privilege),
  'PUBLIC has nothing in schema raw that is ours'
from (
  select acl.privilege_type as privilege, objects.object from (
    select 'raw.' || c.relname as object, c.relacl as acl from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'raw' and c.relkind in ('r', 'S', 'v')
      and c.relname ~ '^site_tracking_((events|keys)_r|(event_rate|event_lag|pending|quarantined|volume|growth)_v$)'
    union all
    select 'raw.' || p.proname, coalesce(p.proacl, acldefault('f', p.proowner)) from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'raw' and p.proname in ('ingest_tracking_event', 'ingest_tracking_beacon',
      'audit_tracking_events', 'origin_is_allowed', 'quarantined_bytes', 'requeue_quarantined')
  ) as objects cross join lateral aclexplode(objects.acl) as acl where acl.grantee = 0) as held";

const INGEST_ROLE: &str = "
select r.oid is not null,
  (select string_agg(what, '; ') from (
    select format('it has %s on raw.%s', p.name, c.relname) as what
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) as p(name)
    where n.nspname = 'raw' and c.relname in ('site_tracking_events_r', 'site_tracking_keys_r')
      and has_table_privilege(r.oid, c.oid, p.name)
    union all
    select case when f.proname = 'ingest_tracking_beacon' then 'it may not call raw.ingest_tracking_beacon'
      else format('it may call raw.%s', f.proname) end
    from pg_proc f join pg_namespace n on n.oid = f.pronamespace
    where n.nspname = 'raw' and f.proname in ('ingest_tracking_event', 'ingest_tracking_beacon',
      'audit_tracking_events', 'origin_is_allowed', 'quarantined_bytes', 'requeue_quarantined')
      and has_function_privilege(r.oid, f.oid, 'EXECUTE') <> (f.proname = 'ingest_tracking_beacon')
  ) as faults),
  coalesce(format('%s may call raw.ingest_tracking_beacon and nothing else', r.rolname), 'there is no tracking_ingest_role')
from (values (1)) as one(row) left join pg_roles r on r.rolname = 'tracking_ingest_role'";

const PROCESSOR_ROLE: &str = "
select r.oid is not null,
  (select string_agg(what, '; ') from (
    select format('it has %s on raw.%s', p.name, c.relname) as what
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) as p(name)
    where n.nspname = 'raw' and c.relname in ('site_tracking_events_r', 'site_tracking_keys_r')
      and (c.relname, p.name) <> ('site_tracking_events_r', 'SELECT') and has_table_privilege(r.oid, c.oid, p.name)
    union all
    select 'it may not read raw.site_tracking_events_r'
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'raw' and c.relname = 'site_tracking_events_r'
      and not has_table_privilege(r.oid, c.oid, 'SELECT')
  ) as faults),
  coalesce(format('%s reads events and marks them', r.rolname), 'there is no tracking_processor_role')
from (values (1)) as one(row) left join pg_roles r on r.rolname = 'tracking_processor_role'";

const SEARCH_PATH: &str = "
select count(p.oid) > 0,
  string_agg(format('raw.%s runs as its owner under whatever search_path is set', p.proname), '; ')
    filter (where not coalesce('search_path=pg_catalog, pg_temp' = any (p.proconfig), false)),
  format('%s functions run as their owner, with search_path pg_catalog, pg_temp', count(p.oid))
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname = 'raw' and p.prosecdef";

const LOGINS: &str = "
select count(m.oid) > 0,
  string_agg(format('%s is superuser, or may make roles or databases, replicate, or pass row security', m.rolname), '; ')
    filter (where m.rolsuper or m.rolcreaterole or m.rolcreatedb or m.rolreplication or m.rolbypassrls),
  format('logins that may ingest: %s', coalesce(string_agg(m.rolname, ', ' order by m.rolname), 'none'))
from (values (1)) as one(row)
left join (select r.* from pg_roles r join pg_auth_members a on a.member = r.oid
  join pg_roles g on g.oid = a.roleid where g.rolname = 'tracking_ingest_role' and r.rolcanlogin) as m on true";

pub(super) const LINES: &[Line] = &[
    line(
        "SEC-01",
        Section::Security,
        "in PRODUCTION the owner of the layer is no superuser",
        Source::Catalog(OWNER),
        "alter table and functions of schema raw owner to a role that is none, which deploys from then on",
    ),
    line(
        "SEC-02",
        Section::Security,
        "PUBLIC may do nothing with our tables and functions",
        Source::Catalog(EVERYBODY),
        "apply V001 again, which revokes it",
    ),
    line(
        "SEC-03",
        Section::Security,
        "tracking_ingest_role may store beacons and do nothing else",
        Source::Catalog(INGEST_ROLE),
        "revoke what it has beside that, memberships included; apply V001 again for what it lacks",
    ),
    line(
        "SEC-04",
        Section::Security,
        "tracking_processor_role may read and mark events and do nothing else",
        Source::Catalog(PROCESSOR_ROLE),
        "revoke what it has beside that; apply V001 again for what it lacks",
    ),
    line(
        "SEC-05",
        Section::Security,
        "every function that runs as its owner has a search path of its own",
        Source::Catalog(SEARCH_PATH),
        "alter function … set search_path = pg_catalog, pg_temp",
    ),
    line(
        "SEC-06",
        Section::Security,
        "the logins of ingest are no mighty ones",
        Source::Catalog(LOGINS),
        "alter role … nosuperuser nocreaterole nocreatedb noreplication nobypassrls",
    ),
];
