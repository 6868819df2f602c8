//! Lines on what was there before the apply, and on what the apply did.

use super::{line, Line, Section, Source};

/// What is in schema raw: its tables and functions, by name.
pub(super) const SNAPSHOT: &str = "
select format('%s tables, %s functions in schema raw', count(*) filter (where s.name ~ '^table '),
    count(*) filter (where s.name ~ '^function ')) || coalesce(': ' || string_agg(s.name, ', ' order by s.name), '')
from (select 'table ' || c.relname as name from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace where n.nspname = 'raw' and c.relkind in ('r', 'p')
  union select 'function ' || p.proname from pg_catalog.pg_proc p
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace where n.nspname = 'raw') as s";

const BEFORE: &str = "
select s.before <> '',
  (select string_agg(gone.name || ' is gone', ', ') from (
    select unnest(string_to_array(split_part(s.before, ': ', 2), ', ')) as name
    except select 'table ' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'raw' and c.relkind in ('r', 'p')
    except select 'function ' || p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where n.nspname = 'raw') as gone where gone.name <> ''),
  coalesce('before: ' || nullif(s.before, ''), 'nothing was applied now')
from (select coalesce(current_setting('checklist.before', true), '') as before) as s";

const MADE: &str = "
with made as (select distinct o as name from migrations.migration_log l, unnest(l.created_objects) as o
  where l.version = 'V001' and l.status in ('APPLIED', 'SHARED')
    and l.applied_at > coalesce((select max(r.rolled_back_at) from migrations.rollback_log r
      where r.version = 'V001' and r.status in ('ROLLED_BACK', 'RETAINED')), '-infinity')),
there as (
  select 'schema ' || nspname as name from pg_namespace
  union select 'role ' || rolname from pg_roles
  union select format('table %s.%s', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'raw'
  union select format('function %s.%s', n.nspname, p.proname) from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'raw')
select exists (select from made),
  (select string_agg(m.name || ' is gone', ', ' order by m.name) from made m
   where m.name ~ '^(schema|role|table|function) ' and m.name not in (select name from there)),
  format('made and still there: %s', (select string_agg(name, ', ' order by name) from made))";

const HALF_DONE: &str = "
select true,
  string_agg(format('attempt %s of %s was never ended', l.migration_id, l.applied_at), '; ')
    filter (where l.status = 'STARTED'),
  format('%s attempts, %s of them failed', count(*), count(*) filter (where l.status = 'FAILED'))
from migrations.migration_log l where l.version = 'V001'";

pub(super) const LINES: &[Line] = &[
    line(
        "SNP-01",
        Section::PreMigrationSnapshot,
        "tables and functions in schema raw were counted before, and none of them is gone",
        Source::Catalog(BEFORE),
        "see who drops objects in schema raw",
    ),
    line(
        "SNP-02",
        Section::PreMigrationSnapshot,
        "a backup is there and has been restored once",
        Source::Person(|says| says.backup_reference.as_deref()),
        "",
    ),
    line(
        "APP-01",
        Section::Apply,
        "what the ledger says was made is there",
        Source::Ledger(MADE),
        "apply V001 again, which makes what is missing",
    ),
    line(
        "APP-02",
        Section::Apply,
        "no attempt was left half done",
        Source::Ledger(HALF_DONE),
        "run the create file or the rollback file again, then set that row's status to FAILED",
    ),
];
