//! Lines on the way back, on who would notice a fault, on what the checklist left behind, and on who stands for it.

use super::{line, Line, Section, Source, NOTHING_SAID};

const MAY_DROP: &str = "
select count(*) > 0,
  string_agg(distinct format('grant %I to %I', pg_get_userbyid(o.owner), current_user), '; ')
    filter (where not pg_has_role(o.owner, 'USAGE')),
  format('%s owns %s objects and may drop them', current_user, count(*))
from (select c.relowner as owner from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'raw' and (c.relname in ('site_tracking_events_r', 'site_tracking_keys_r')
    or c.relkind = 'v' and c.relname ~ '^site_tracking_(event_rate|event_lag|pending|quarantined|volume|growth)_v$')
  union all select p.proowner from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where n.nspname = 'raw' and p.proname in ('ingest_tracking_event', 'ingest_tracking_beacon', 'audit_tracking_events',
    'origin_is_allowed', 'quarantined_bytes', 'requeue_quarantined')) as o";

const IN_THE_WAY: &str = r"
with ours as (select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'raw' and c.relname in ('site_tracking_events_r', 'site_tracking_keys_r')
    and not 'table raw.' || c.relname = any (coalesce((select l.adopted_objects from migrations.migration_log l
      where l.version = 'V001' and l.status in ('APPLIED', 'SHARED') order by l.migration_id desc limit 1), '{}')))
select exists (select from ours),
  (select string_agg(name, '; ' order by name) from (
    select distinct format('view %s', v.oid::regclass) as name
    from pg_depend d join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
    join pg_class v on v.oid = r.ev_class and v.relkind in ('v', 'm')
      and v.oid::regclass::text !~ '^raw\.site_tracking_(event_rate|event_lag|pending|quarantined|volume|growth)_v$'
    where d.refclassid = 'pg_class'::regclass and d.refobjid in (select oid from ours)
    union
    select format('foreign key %s of %s', k.conname, k.conrelid::regclass) from pg_constraint k
    where k.contype = 'f' and k.confrelid in (select oid from ours) and k.conrelid not in (select oid from ours)) as d),
  'nothing of others stands on the tables; a rollback that is not told to drop rows keeps them'";

const VACUUM: &str = "
select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'raw' and c.relname = 'site_tracking_events_r'),
  case when current_setting('autovacuum') <> 'on' or current_setting('track_counts') <> 'on'
    then 'autovacuum or track_counts is off on this server'
    else (select string_agg(format('autovacuum is off for raw.%s', c.relname), '; ')
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'raw' and c.relname in ('site_tracking_events_r', 'site_tracking_keys_r')
        and c.reloptions::text ~ 'autovacuum_enabled=(false|off|0|no)') end,
  'autovacuum keeps both tables'";

const CLEAN_UP: &str = r#"
select true,
  nullif(concat_ws('; ',
    case when exists (select from raw.site_tracking_events_r e where e.event_key in
      ('c4ec1157-0000-8000-8000-000000000001', 'c4ec1157-0000-8000-8000-000000000002')
      and e.raw_payload = '{"event": "checklist"}')
      then 'a test event is in raw.site_tracking_events_r' end,
    case when exists (select from raw.site_tracking_keys_r k where k.api_key_hk = sha256('checklist'))
      then 'a test key is in raw.site_tracking_keys_r' end), ''),
  format('no test row is left; identity values used: %s; dead rows left: %s',
    (select q.last_value from pg_sequences q where format('%I.%I', q.schemaname, q.sequencename)
      = pg_get_serial_sequence('raw.site_tracking_events_r', 'raw_event_id'))
      - nullif(current_setting('checklist.ids_before', true), '')::bigint,
    (select sum(pg_stat_get_xact_tuples_inserted(c.oid)) from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where (n.nspname, c.relname) in (('raw', 'site_tracking_events_r'), ('raw', 'site_tracking_keys_r'),
        ('auth', 'tenant_h'))))"#;

pub(super) const LINES: &[Line] = &[
    line(
        "RBK-01",
        Section::RollbackReadiness,
        "who asks may drop what V001 made",
        Source::Catalog(MAY_DROP),
        "have an administrator run the statement, or ask as the owner",
    ),
    line(
        "RBK-02",
        Section::RollbackReadiness,
        "nothing of others stands on the tables that a rollback drops",
        Source::Ledger(IN_THE_WAY),
        "drop them before a rollback, which refuses else (TR016)",
    ),
    line(
        "RBK-03",
        Section::RollbackReadiness,
        "who decides to go back is known, and gives the reason (set tracking.reason = '…')",
        NOTHING_SAID,
        "",
    ),
    line(
        "MON-01",
        Section::Monitoring,
        "the alarms are wired",
        Source::Person(|says| says.alarms.as_deref()),
        "",
    ),
    line(
        "MON-02",
        Section::Monitoring,
        "the thresholds of the alarms are right",
        Source::Person(|says| says.alarm_thresholds.as_deref()),
        "",
    ),
    line(
        "MON-03",
        Section::Monitoring,
        "autovacuum keeps the tables",
        Source::Catalog(VACUUM),
        "alter table … reset (autovacuum_enabled); alter system set autovacuum = on",
    ),
    line(
        "CLN-01",
        Section::PostDeploymentAndCleanUp,
        "no test row is left; identity values used and dead rows left are told",
        Source::Aftermath(CLEAN_UP),
        "delete the test rows; somebody ran the snippets without rolling them back",
    ),
    line(
        "CLN-02",
        Section::PostDeploymentAndCleanUp,
        "a site key was made and a first event arrived",
        NOTHING_SAID,
        "",
    ),
    line(
        "CLN-03",
        Section::PostDeploymentAndCleanUp,
        "the team was told",
        NOTHING_SAID,
        "",
    ),
    line(
        "SGN-01",
        Section::SignOff,
        "the database's administrator stands for it",
        NOTHING_SAID,
        "",
    ),
    line(
        "SGN-02",
        Section::SignOff,
        "the application's owner stands for it",
        NOTHING_SAID,
        "",
    ),
];
