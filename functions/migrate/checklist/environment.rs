//! Lines on where this is: DEV, TEST, STAGING or PRODUCTION, the server, the database.

use super::{line, Line, Section, Source};

const ENVIRONMENT: &str = "
select coalesce(e.named, e.kept) is not null,
  case when e.named <> e.kept then format('the ledger has %s since the first apply, this deploy says %s', e.kept, e.named)
    end,
  coalesce(e.kept, e.named, 'nobody has named one')
from (select nullif(current_setting('checklist.environment_named', true), '') as named,
  nullif(current_setting('checklist.environment_kept', true), '') as kept) as e";

const ON_DELETE: &str = "
select coalesce(e.environment = 'PRODUCTION' and e.on_delete <> '', false),
  case when e.environment = 'PRODUCTION' and e.on_delete = 'Drop'
    then 'OnDelete is Drop in PRODUCTION: deleting the stack would delete every event' end,
  format('OnDelete is %s', coalesce(nullif(e.on_delete, ''), 'nobody''s to say here'))
from (select current_setting('checklist.environment', true) as environment,
  current_setting('checklist.on_delete', true) as on_delete) as e";

const SERVER: &str = "
select true,
  case when pg_is_in_recovery() then 'the server is a standby, which takes no events'
    when current_setting('default_transaction_read_only') = 'on'
    then 'transactions are read only by default, so that no event can be stored' end,
  format('host %s, port %s, PostgreSQL %s, system identifier %s',
    coalesce(nullif(current_setting('checklist.host', true), ''), 'not named'), coalesce(inet_server_port()::text, 'none'),
    current_setting('server_version'),
    case when has_function_privilege('pg_control_system()', 'EXECUTE')
      then (select system_identifier::text from pg_control_system()) else 'not readable' end)";

const DATABASE: &str = "
select true,
  case when d.datistemplate then format('%s is a template: whatever is made from it would have a raw layer', d.datname)
    when not d.datallowconn then format('%s allows no connections', d.datname) end,
  format('database %s of %s, encoding %s, collation %s', d.datname, pg_get_userbyid(d.datdba),
    pg_encoding_to_char(d.encoding), d.datcollate)
from pg_database d where d.datname = current_database()";

pub(super) const LINES: &[Line] = &[
    line(
        "ENV-01",
        Section::Environment,
        "the environment is that of the first apply",
        Source::Catalog(ENVIRONMENT),
        "deploy to the database of that environment, or set Environment to what the ledger has",
    ),
    line(
        "ENV-02",
        Section::Environment,
        "in PRODUCTION deleting the stack does not delete events",
        Source::Catalog(ON_DELETE),
        "set OnDelete to DropIfEmpty or Retain",
    ),
    line(
        "ENV-03",
        Section::Environment,
        "the server is known and takes writes",
        Source::Catalog(SERVER),
        "name the primary as host; alter database … reset default_transaction_read_only",
    ),
    line(
        "ENV-04",
        Section::Environment,
        "the database is known and is one for data",
        Source::Catalog(DATABASE),
        "deploy to the database of the application",
    ),
];
