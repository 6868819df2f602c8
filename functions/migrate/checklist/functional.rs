//! Lines that try it, as a DBA would by pasting the same text: an insert, the calls, the refusals.
//!
//! The tenant has 8 bytes; where a foreign key wants it, it is made before and undone with everything else. The text
//! stands as it is run, but that another tenant takes its place where none may be made.

use super::{line, Line, Section, Source};

const DIRECT_INSERT: &str = r#"
do $$
declare
  v_id integer;
begin
  insert into raw.site_tracking_events_r (tenant_hk, raw_payload, record_source)
  values ('\x636865636b6c6973', '{"event": "checklist"}', 'checklist')
  returning raw_event_id into v_id;
  if not exists (select from raw.site_tracking_events_r e where e.raw_event_id = v_id
      and e.processing_status = 'PENDING' and e.retry_count = 0
      and e.received_timestamp between current_timestamp and clock_timestamp())
  then
    raise exception 'the row % has not the defaults', v_id;
  end if;
  perform set_config('checklist.evidence', 'stored as ' || v_id, true);
exception
  when numeric_value_out_of_range then
    perform set_config('checklist.not_applicable', 'the ids are past what an INTEGER holds: ' || sqlerrm, true);
end
$$"#;

const FIVE_ARGUMENTS: &str = r#"
do $$
declare
  v_id bigint := raw.ingest_tracking_event('\x636865636b6c6973', '\x636865636b6c697374', '192.0.2.1', 'checklist',
    '{"event": "checklist"}');
begin
  if not exists (select from raw.site_tracking_events_r e where e.raw_event_id = v_id
      and e.tenant_hk = '\x636865636b6c6973' and e.client_ip = '192.0.2.1' and e.user_agent = 'checklist'
      and e.raw_payload = '{"event": "checklist"}' and e.processing_status = 'PENDING')
  then
    raise exception 'the call gave %, and the row is not what was passed', coalesce(v_id::text, 'null');
  end if;
  perform set_config('checklist.evidence', 'stored as ' || v_id, true);
end
$$"#;

const NO_TENANT: &str = r#"
do $$
begin
  begin
    perform raw.ingest_tracking_event(null, null, null, null, '{"event": "checklist"}');
  exception
    when sqlstate 'TR001' then
      perform set_config('checklist.evidence', 'TR001 ' || sqlerrm, true);
      return;
  end;
  raise exception 'an event without a tenant was stored';
end
$$"#;

const NO_CONTENT: &str = r#"
do $$
declare
  v_event jsonb;
begin
  foreach v_event in array array[null, '{}']::jsonb[] loop
    begin
      perform raw.ingest_tracking_event('\x636865636b6c6973', null, null, null, v_event);
      raise exception 'the event % was stored', coalesce(v_event::text, 'null');
    exception
      when sqlstate 'TR002' then
        perform set_config('checklist.evidence', 'TR002 ' || sqlerrm, true);
    end;
  end loop;
end
$$"#;

const CONSTRAINTS: &str = r#"
do $$
declare
  v_row text;
  v_told text;
begin
  foreach v_row in array array['null, ''{}'', ''PENDING'', 0', '''\x636865636b6c6973'', null, ''PENDING'', 0',
    '''\x636865636b6c6973'', ''{}'', ''DONE'', 0', '''\x636865636b6c6973'', ''{}'', ''PENDING'', -1']
  loop
    begin
      execute format('insert into raw.site_tracking_events_r (tenant_hk, raw_payload, processing_status, retry_count) '
        'values (%s)', v_row);
      raise exception 'the row (%) was stored', v_row using errcode = 'TR099';
    exception
      when not_null_violation or check_violation then
        v_told := concat_ws('; ', v_told, sqlerrm);
    end;
  end loop;
  perform set_config('checklist.evidence', v_told, true);
end
$$"#;

const UNKNOWN_TENANT: &str = r#"
do $$
begin
  if not exists (select from pg_constraint k join pg_class c on c.oid = k.conrelid
      join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'raw' and c.relname = 'site_tracking_events_r' and k.contype = 'f'
        and k.conkey = (select array_agg(a.attnum) from pg_attribute a
          where a.attrelid = c.oid and a.attname = 'tenant_hk'))
  then
    perform set_config('checklist.not_applicable', 'tenants are not checked against a table', true);
    return;
  end if;
  begin
    insert into raw.site_tracking_events_r (tenant_hk, raw_payload)
    values (convert_to('no such tenant ' || clock_timestamp(), 'UTF8'), '{"event": "checklist"}');
  exception
    when foreign_key_violation then
      perform set_config('checklist.evidence', sqlerrm, true);
      return;
  end;
  raise exception 'an event of an unknown tenant was stored';
end
$$"#;

const ONCE: &str = r#"
do $$
declare
  v_first bigint;
  v_second bigint;
begin
  v_first := raw.ingest_tracking_event('\x636865636b6c6973', null, null, null, '{"event": "checklist"}',
    'c4ec1157-0000-8000-8000-000000000001', p_audit => false);
  v_second := raw.ingest_tracking_event('\x636865636b6c6973', null, null, null, '{"event": "checklist"}',
    'c4ec1157-0000-8000-8000-000000000001', p_audit => false);
  if v_first is null or v_second is not null then
    raise exception 'the same event key gave % and then %', coalesce(v_first::text, 'null'),
      coalesce(v_second::text, 'null');
  end if;
  perform set_config('checklist.evidence', format('%s, then nothing', v_first), true);
end
$$"#;

const BEACON: &str = r#"
do $$
declare
  v_key bytea := sha256(convert_to('checklist', 'UTF8'));
  v_verdicts text;
begin
  insert into raw.site_tracking_keys_r (api_key_hk, tenant_hk, label, allowed_origins)
  values (v_key, '\x636865636b6c6973', 'checklist', '{https://checklist.example}');
  v_verdicts := (select string_agg((select b.verdict from raw.ingest_tracking_beacon(call.key, call.origin, null, null,
      array['{"event": "checklist"}']::jsonb[], array['c4ec1157-0000-8000-8000-000000000002']::uuid[], 'checklist',
      null, null, array['PENDING'], array[null]::text[], false) as b), ', ' order by call.number)
    from (values (1, v_key, 'https://checklist.example'), (2, v_key, 'https://elsewhere.example'),
      (3, '\x00'::bytea, null)) as call(number, key, origin));
  if v_verdicts is distinct from 'ok, origin, unknown' then
    raise exception 'a good key, another origin and another key gave %', v_verdicts;
  end if;
  perform set_config('checklist.evidence', 'a good key, another origin, another key: ' || v_verdicts, true);
end
$$"#;

pub(super) const LINES: &[Line] = &[
    line(
        "FUN-01",
        Section::FunctionalTests,
        "tenant_hk, raw_payload and record_source alone can be inserted, and the id fits an INTEGER",
        Source::Trial(DIRECT_INSERT),
        "give every further column a default or let it be null; give processing_status, retry_count and received_timestamp the \
         defaults 'PENDING', 0 and current_timestamp",
    ),
    line(
        "FUN-02",
        Section::FunctionalTests,
        "the call with five arguments stores what it is given",
        Source::Trial(FIVE_ARGUMENTS),
        "drop overloads of raw.ingest_tracking_event, and what else refuses the row that it writes; then apply V001 again",
    ),
    line(
        "FUN-03",
        Section::FunctionalTests,
        "an event without a tenant is refused",
        Source::Trial(NO_TENANT),
        "apply V001 again",
    ),
    line(
        "FUN-04",
        Section::FunctionalTests,
        "an event without content is refused",
        Source::Trial(NO_CONTENT),
        "apply V001 again",
    ),
    line(
        "FUN-05",
        Section::FunctionalTests,
        "the constraints refuse a null tenant or payload, an unknown status, a negative count",
        Source::Trial(CONSTRAINTS),
        "apply V001 again",
    ),
    line(
        "FUN-06",
        Section::FunctionalTests,
        "an event of a tenant that auth.tenant_h does not know is refused",
        Source::Trial(UNKNOWN_TENANT),
        "apply V001 again, which binds auth.tenant_h",
    ),
    line(
        "FUN-07",
        Section::FunctionalTests,
        "an event that comes twice is stored once",
        Source::Trial(ONCE),
        "apply V001 again, which makes index site_tracking_events_r_event_once",
    ),
    line(
        "FUN-08",
        Section::FunctionalTests,
        "a beacon is stored for a good key, and refused for another origin or an unknown key",
        Source::Trial(BEACON),
        "apply V001 again",
    ),
];
