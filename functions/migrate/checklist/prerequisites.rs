//! Lines on what the server must have: a version, jsonb, and no extension.

use super::{line, Line, Section, Source};

const VERSION: &str = "
select true,
  case when current_setting('server_version_num')::integer < 120000
    then format('this server is %s', current_setting('server_version')) end,
  format('PostgreSQL %s', current_setting('server_version'))";

// In a database that is not UTF-8 this raises, as it would for an event.
const JSONB: &str = r#"
select true, case when ('{"price": "1 \u20ac"}'::jsonb) ->> 'price' <> '1 ' || chr(8364) then 'jsonb changes it' end,
  format('jsonb keeps %s', ('{"price": "1 \u20ac"}'::jsonb) ->> 'price')"#;

const EXTENSIONS: &str = "
select true,
  (select string_agg(format('%s belongs to extension %s', pg_describe_object(d.classid, d.objid, 0), x.extname), '; ')
   from pg_depend d
   join pg_extension x on d.refclassid = 'pg_extension'::regclass and x.oid = d.refobjid
   where d.deptype in ('e', 'x') and (
     d.classid = 'pg_class'::regclass and d.objid in (select c.oid from pg_class c
       join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'raw' and c.relname ~ '^site_tracking_')
     or d.classid = 'pg_proc'::regclass and d.objid in (select p.oid from pg_proc p
       join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'raw'))),
  format('extensions: none required; here: %s',
    (select string_agg(extname || ' ' || extversion, ', ' order by extname) from pg_extension))";

pub(super) const LINES: &[Line] = &[
    line(
        "PRE-01",
        Section::Prerequisites,
        "PostgreSQL is 12 or newer",
        Source::Catalog(VERSION),
        "upgrade the server, or choose another database",
    ),
    line(
        "PRE-02",
        Section::Prerequisites,
        "jsonb keeps every character that an event may have",
        Source::Catalog(JSONB),
        "use a database whose encoding is UTF8",
    ),
    line(
        "PRE-03",
        Section::Prerequisites,
        "extensions: none required, and none holds an object of ours",
        Source::Catalog(EXTENSIONS),
        "alter extension … drop the object that it holds",
    ),
];
