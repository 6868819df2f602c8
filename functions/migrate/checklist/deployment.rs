//! Lines on who deployed what, when, at which risk and in which time; and on the edition of the files.
//!
//! The risk is LOW where nothing was there, MEDIUM where tables or functions were adopted, HIGH where functions were
//! replaced or rows dropped.

use super::{line, Line, Section, Source, NOTHING_SAID};

const DEPLOYED_BY: &str = "
select true,
  case when l.migration_id is null then 'the ledger has no row of an apply that succeeded' end,
  format('migration_log %s: %s %s by %s%s on %s, made %s objects, adopted %s; notes: %s', l.migration_id, l.version,
    l.status, l.applied_by, coalesce(' for ' || l.stack_id, ' by hand'), l.applied_at,
    coalesce(cardinality(l.created_objects), 0), coalesce(cardinality(l.adopted_objects), 0), coalesce(l.notes, 'none'))
from (values (1)) as one(row)
left join lateral (select * from migrations.migration_log m
  where m.version = 'V001' and m.status in ('APPLIED', 'SHARED') order by m.migration_id desc limit 1) as l on true";

const RISK: &str = "
select l.migration_id is not null,
  case when current_setting('checklist.environment', true) = 'PRODUCTION' and r.risk <> 'LOW'
      and coalesce(current_setting('checklist.backup_reference', true), '') = ''
      and not exists (select from migrations.migration_log b
        where b.version = 'V001' and b.notes ~ 'backup reference: ')
    then format('risk %s in PRODUCTION without a backup reference: %s', r.risk, r.why) end,
  format('%s: %s', r.risk, r.why)
from (values (1)) as one(row)
left join lateral (select * from migrations.migration_log m
  where m.version = 'V001' and m.status in ('APPLIED', 'SHARED') order by m.migration_id desc limit 1) as l on true
cross join lateral (select
  (select string_agg(o, ', ' order by o) from unnest(l.adopted_objects) as o where o ~ '^(table|function) ') as adopted,
  nullif(nullif(l.replaced_objects, '{}'), '[]') as replaced,
  (select sum(b.rows_dropped) from migrations.rollback_log b
    where b.version = 'V001' and b.rolled_back_at > l.applied_at) as dropped) as f
cross join lateral (select
  case when f.replaced is not null or f.dropped > 0 then 'HIGH' when f.adopted is not null then 'MEDIUM'
    else 'LOW' end as risk,
  case when f.dropped > 0 then format('%s rows were dropped', f.dropped)
    when f.replaced is not null then 'objects of others were replaced; their definitions are in the ledger'
    when f.adopted is not null then 'found and adopted: ' || f.adopted
    else 'nothing of it was there before' end as why) as r";

const APPLY_TIME: &str = "
select l.duration_ms is not null,
  case when l.duration_ms > 300000 then format('the last apply took %s ms', l.duration_ms) end,
  format('%s ms; promised: 2 to 5 minutes at most', l.duration_ms)
from (values (1)) as one(row)
left join lateral (select m.duration_ms from migrations.migration_log m
  where m.version = 'V001' and m.status in ('APPLIED', 'SHARED') order by m.migration_id desc limit 1) as l on true";

const ROLLBACK_TIME: &str = "
select l.duration_ms is not null,
  case when l.duration_ms > 120000 then format('the last rollback took %s ms', l.duration_ms) end,
  coalesce(format('%s ms; promised: 1 to 2 minutes at most', l.duration_ms), 'it was never rolled back')
from (values (1)) as one(row)
left join lateral (select m.duration_ms from migrations.rollback_log m
  where m.version = 'V001' and m.status <> 'FAILED' order by m.rollback_id desc limit 1) as l on true";

const CHECKSUM: &str = "
select l.checksum is not null,
  case when l.checksum <> current_setting('checklist.checksum', true) then format(
    'the file that was applied has checksum %s, this function''s has %s', l.checksum,
    current_setting('checklist.checksum', true)) end,
  coalesce('SHA-256 of the create file: ' || l.checksum, 'applied by hand: the ledger has no checksum')
from (values (1)) as one(row)
left join lateral (select m.checksum from migrations.migration_log m
  where m.version = 'V001' and m.status in ('APPLIED', 'SHARED') order by m.migration_id desc limit 1) as l on true";

const NAMED_CHECKSUM: &str = "
select coalesce(n.named, '') <> '',
  case when n.named <> n.own then format('the template names %s, this function has %s', n.named, n.own) end,
  coalesce(nullif(n.named, ''), 'no template names one')
from (select current_setting('checklist.named_checksum', true) as named,
  current_setting('checklist.checksum', true) as own) as n";

pub(super) const LINES: &[Line] = &[
    line(
        "DEP-01",
        Section::DeploymentInformation,
        "who deployed, when, for which stack and with which notes stands in the ledger",
        Source::Ledger(DEPLOYED_BY),
        "apply V001 with migrate or by hand, so that the ledger knows of it",
    ),
    line(
        "DEP-02",
        Section::DeploymentInformation,
        "the risk is known, and one above LOW in PRODUCTION names a backup",
        Source::Ledger(RISK),
        "set BackupReference (backup_reference of an action) to the backup that would be restored",
    ),
    line(
        "DEP-03",
        Section::DeploymentInformation,
        "the last apply took no longer than 5 minutes",
        Source::Ledger(APPLY_TIME),
        "see what held its locks, and deploy when there is less traffic",
    ),
    line(
        "DEP-04",
        Section::DeploymentInformation,
        "the last rollback took no longer than 2 minutes",
        Source::Ledger(ROLLBACK_TIME),
        "see what held its locks",
    ),
    line(
        "DEP-05",
        Section::DeploymentInformation,
        "the change is approved",
        NOTHING_SAID,
        "",
    ),
    line(
        "DEP-06",
        Section::DeploymentInformation,
        "the maintenance window is agreed",
        NOTHING_SAID,
        "",
    ),
    line(
        "DEP-07",
        Section::DeploymentInformation,
        "who is called if it fails is known",
        NOTHING_SAID,
        "",
    ),
    line(
        "FIL-01",
        Section::FilesAndChecksums,
        "what was applied is the edition that this function carries",
        Source::Ledger(CHECKSUM),
        "deploy again, which applies this edition",
    ),
    line(
        "FIL-02",
        Section::FilesAndChecksums,
        "the template names the same edition",
        Source::Catalog(NAMED_CHECKSUM),
        "build and deploy template and function together",
    ),
];
