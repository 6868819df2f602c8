//! Lines on what is there after the migration, from the system's catalog.

use super::{line, Line, Section, Source};

const TABLES: &str = "
select true,
  (select string_agg(format('table raw.%s is missing', wanted.name), '; ')
   from unnest(array['site_tracking_events_r', 'site_tracking_keys_r']) as wanted(name)
   where not exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'raw' and c.relname = wanted.name and c.relkind = 'r')),
  (select format('%s tables and %s functions in schema raw', (select count(*) from pg_class c
     where c.relnamespace = (select oid from pg_namespace where nspname = 'raw') and c.relkind in ('r', 'p')),
   (select count(*) from pg_proc p where p.pronamespace = (select oid from pg_namespace where nspname = 'raw'))))";

const COLUMNS: &str = "
select true,
  string_agg(format('column %s is missing', wanted.name), '; ') filter (where a.attname is null),
  string_agg(format('%s %s%s', a.attname, format_type(a.atttypid, a.atttypmod),
    case when a.attnotnull then ' not null' else '' end), ', ' order by a.attnum)
from unnest(array['raw_event_id', 'tenant_hk', 'api_key_hk', 'received_timestamp', 'client_ip', 'user_agent',
  'raw_payload', 'batch_id', 'processing_status', 'error_message', 'retry_count', 'record_source', 'event_key', 'request'])
  as wanted(name)
left join (select a.* from pg_attribute a join pg_class c on c.oid = a.attrelid
  join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'raw' and c.relname = 'site_tracking_events_r' and a.attnum > 0 and not a.attisdropped) as a
  on a.attname = wanted.name";

const FUNCTIONS: &str = "
select true,
  (select string_agg(format('raw.%s is there %s times', f.name, f.times), '; ') from (
    select wanted.name, count(p.oid) as times
    from unnest(array['ingest_tracking_event', 'ingest_tracking_beacon', 'audit_tracking_events', 'origin_is_allowed',
      'quarantined_bytes', 'requeue_quarantined']) as wanted(name)
    left join (select p.* from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'raw') as p
      on p.proname = wanted.name
    group by wanted.name) as f where f.times <> 1),
  (select string_agg(p.proname || ' returns ' || format_type(p.prorettype, null), ', ' order by p.proname)
   from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'raw')";

const CONSTRAINTS: &str = "
select count(k.oid) > 0,
  string_agg(format('%s is not validated', k.conname), '; ' order by k.conname) filter (where not k.convalidated),
  string_agg(format('%s %s', k.conname, pg_get_constraintdef(k.oid)), '; ' order by k.conname)
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'raw' and c.relname in ('site_tracking_events_r', 'site_tracking_keys_r')";

const INDEXES: &str = "
select count(i.indexrelid) > 0,
  string_agg(format('%s is not valid', i.indexrelid::regclass), '; ') filter (where not (i.indisvalid and i.indisready)),
  string_agg(pg_get_indexdef(i.indexrelid), '; ' order by i.indexrelid::regclass::text)
from pg_index i join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'raw' and c.relname in ('site_tracking_events_r', 'site_tracking_keys_r')";

const IDS_LEFT: &str = "
select s.last_value is not null or s.max_value is not null,
  case when s.room - coalesce(s.last_value, 0) < s.room / 10
    then format('%s of %s ids are left', s.room - s.last_value, s.room) end,
  coalesce(format('%s of %s ids are used', coalesce(s.last_value, 0), s.room), 'the ids come from nowhere')
from (values (1)) as one(row)
left join (select q.last_value, q.max_value, least(q.max_value, case a.atttypid when 'integer'::regtype
    then 2147483647 else 9223372036854775807 end) as room
  from pg_attribute a join pg_class c on c.oid = a.attrelid and c.relname = 'site_tracking_events_r'
  join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'raw'
  join pg_sequences q on format('%I.%I', q.schemaname, q.sequencename)
    = pg_get_serial_sequence('raw.site_tracking_events_r', 'raw_event_id')
  where a.attname = 'raw_event_id') as s on true";

pub(super) const LINES: &[Line] = &[
    line(
        "VAL-01",
        Section::PostMigrationValidation,
        "the verify file finds no difference",
        Source::Verify,
        "apply V001 again, which binds what came later; what remains somebody else has changed",
    ),
    line(
        "VAL-02",
        Section::PostMigrationValidation,
        "both tables are there",
        Source::Catalog(TABLES),
        "apply V001 again",
    ),
    line(
        "VAL-03",
        Section::PostMigrationValidation,
        "the events have every column that readers rely on",
        Source::Catalog(COLUMNS),
        "apply V001 again; a column of another name is somebody else's change",
    ),
    line(
        "VAL-04",
        Section::PostMigrationValidation,
        "each function is there once, so that no call is ambiguous",
        Source::Catalog(FUNCTIONS),
        "apply V001 again; drop the overload",
    ),
    line(
        "VAL-05",
        Section::PostMigrationValidation,
        "every constraint holds for the rows that are there",
        Source::Catalog(CONSTRAINTS),
        "mend the rows, then alter table … validate constraint …",
    ),
    line(
        "VAL-06",
        Section::PostMigrationValidation,
        "every index is valid",
        Source::Catalog(INDEXES),
        "reindex index concurrently …",
    ),
    line(
        "VAL-07",
        Section::PostMigrationValidation,
        "at least a tenth of the ids is left",
        Source::Catalog(IDS_LEFT),
        "widen raw_event_id to bigint before they run out",
    ),
];
