//! Lines on whether each index serves its own reader, on a scratch copy; and on what the real table says.
//!
//! The copy is temporary and undone: 20,000 events of which one in a hundred is pending, 2,000 keys, under whatever
//! settings a session has here by default.

use super::{line, Line, Section, Source};

/// Makes the copy. It draws no id of the real table.
pub(super) const COPY: &str = r#"
create temporary table checklist_events (like raw.site_tracking_events_r including all);
create temporary table checklist_keys (like raw.site_tracking_keys_r including all);
insert into pg_temp.checklist_events (raw_event_id, tenant_hk, received_timestamp, raw_payload, processing_status,
  event_key)
select n, '\x636865636b6c6973', current_timestamp - n * interval '1 second',
  jsonb_build_object('event', 'checklist', 'number', n, 'text', repeat('checklist ', 40)),
  case when n % 100 = 0 then 'PENDING' else 'PROCESSED' end, md5(n::text)::uuid
from generate_series(1, 20000) as n;
insert into pg_temp.checklist_keys (api_key_hk, tenant_hk)
select sha256(convert_to(n::text, 'UTF8')), '\x636865636b6c6973' from generate_series(1, 2000) as n;
analyze pg_temp.checklist_events;
analyze pg_temp.checklist_keys;"#;

const PENDING: &str = r#"
do $$
declare
  v_plan json;
begin
  execute 'explain (format json) select raw_event_id from pg_temp.checklist_events where processing_status = ''PENDING''
    order by raw_event_id limit 100 for update skip locked' into v_plan;
  perform set_config('checklist.evidence', (select string_agg(pg_get_indexdef(c.oid), '; ')
    from pg_class c join pg_index i on i.indexrelid = c.oid
    where i.indrelid = 'pg_temp.checklist_events'::regclass and v_plan::text ~ format('"%s"', c.relname)
      and i.indpred is not null and i.indkey::text = (select a.attnum::text from pg_attribute a
        where a.attrelid = i.indrelid and a.attname = 'raw_event_id')), true);
  if coalesce(current_setting('checklist.evidence'), '') = '' then
    raise exception 'the index on pending events is not used: %', v_plan::jsonb;
  end if;
end
$$"#;

const ONCE: &str = r#"
do $$
declare
  v_plan json;
begin
  execute 'explain (format json) select from pg_temp.checklist_events where event_key = ''c4ec1157-0000-8000-8000-000000000001''
    and tenant_hk = ''\x636865636b6c6973''' into v_plan;
  perform set_config('checklist.evidence', (select string_agg(pg_get_indexdef(c.oid), '; ')
    from pg_class c join pg_index i on i.indexrelid = c.oid
    where i.indrelid = 'pg_temp.checklist_events'::regclass and v_plan::text ~ format('"%s"', c.relname)
      and i.indisunique and i.indnatts = 2), true);
  if coalesce(current_setting('checklist.evidence'), '') = '' then
    raise exception 'the index on event keys is not used: %', v_plan::jsonb;
  end if;
end
$$"#;

const RECEIVED: &str = r#"
do $$
declare
  v_plan json;
begin
  execute 'explain (format json) select count(*) from pg_temp.checklist_events
    where received_timestamp >= current_timestamp - interval ''10 minutes''' into v_plan;
  perform set_config('checklist.evidence', (select string_agg(pg_get_indexdef(c.oid), '; ')
    from pg_class c join pg_index i on i.indexrelid = c.oid
    where i.indrelid = 'pg_temp.checklist_events'::regclass and v_plan::text ~ format('"%s"', c.relname)
      and pg_get_indexdef(c.oid) ~ 'USING brin'), true);
  if coalesce(current_setting('checklist.evidence'), '') = '' then
    raise exception 'the index on times is not used: %', v_plan::jsonb;
  end if;
end
$$"#;

const ID: &str = r#"
do $$
declare
  v_plan json;
begin
  execute 'explain (format json) select raw_payload from pg_temp.checklist_events where raw_event_id = 7' into v_plan;
  perform set_config('checklist.evidence', (select string_agg(pg_get_indexdef(c.oid), '; ')
    from pg_class c join pg_index i on i.indexrelid = c.oid
    where i.indrelid = 'pg_temp.checklist_events'::regclass and v_plan::text ~ format('"%s"', c.relname)
      and i.indisprimary), true);
  if coalesce(current_setting('checklist.evidence'), '') = '' then
    raise exception 'the primary key of the events is not used: %', v_plan::jsonb;
  end if;
end
$$"#;

const KEY: &str = r#"
do $$
declare
  v_plan json;
begin
  execute 'explain (format json) select tenant_hk from pg_temp.checklist_keys
    where api_key_hk = sha256(convert_to(''7'', ''UTF8''))' into v_plan;
  perform set_config('checklist.evidence', (select string_agg(pg_get_indexdef(c.oid), '; ')
    from pg_class c join pg_index i on i.indexrelid = c.oid
    where i.indrelid = 'pg_temp.checklist_keys'::regclass and v_plan::text ~ format('"%s"', c.relname)
      and i.indisprimary), true);
  if coalesce(current_setting('checklist.evidence'), '') = '' then
    raise exception 'the primary key of the site keys is not used: %', v_plan::jsonb;
  end if;
end
$$"#;

// Reported, not judged: what the real table holds is nobody's fault.
const LIVE: &str = r#"
set local statement_timeout = '2s';
do $$
declare
  v_plan json;
begin
  execute 'explain (analyze, buffers, format json) select raw_event_id from raw.site_tracking_events_r
    where processing_status = ''PENDING'' order by raw_event_id limit 100' into v_plan;
  perform set_config('checklist.evidence', v_plan::jsonb::text, true);
exception
  when query_canceled then
    perform set_config('checklist.evidence', 'it took longer than 2 s', true);
end
$$"#;

pub(super) const LINES: &[Line] = &[
    line(
        "PRF-01",
        Section::Performance,
        "who claims pending events finds them by their index",
        Source::OnTheCopy(PENDING),
        "apply V001 again, which makes the index; reset enable_* and the cost settings of the database",
    ),
    line(
        "PRF-02",
        Section::Performance,
        "the ingest functions find an event key by its index",
        Source::OnTheCopy(ONCE),
        "apply V001 again, which makes the index; reset enable_* and the cost settings of the database",
    ),
    line(
        "PRF-03",
        Section::Performance,
        "who asks for a time range finds it by its index",
        Source::OnTheCopy(RECEIVED),
        "apply V001 again, which makes the index; reset enable_* and the cost settings of the database",
    ),
    line(
        "PRF-04",
        Section::Performance,
        "who asks for an event by its id finds it by its index",
        Source::OnTheCopy(ID),
        "apply V001 again, which makes the index; reset enable_* and the cost settings of the database",
    ),
    line(
        "PRF-05",
        Section::Performance,
        "the ingest functions find a site key by its index",
        Source::OnTheCopy(KEY),
        "apply V001 again, which makes the index; reset enable_* and the cost settings of the database",
    ),
    line(
        "PRF-06",
        Section::Performance,
        "the pending query runs on the real table; its plan and times are reported, not judged",
        Source::Trial(LIVE),
        "see the error; the table cannot be read",
    ),
];
