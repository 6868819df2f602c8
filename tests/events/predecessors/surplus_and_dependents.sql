-- The same in another hand: columns of its own, fewer of V001's, roles with grants, and what hangs on the table.
create role {db}_owner; create role {db}_app login; create role {db}_reader;
create schema raw authorization {db}_owner;
grant usage on schema raw to {db}_app, {db}_reader;
create table raw.site_tracking_events_r (
  raw_event_id serial primary key,
  tenant_hk bytea not null,
  received_timestamp timestamptz default current_timestamp,
  client_ip inet,
  user_agent varchar(2000),
  raw_payload jsonb not null,
  processing_status varchar(20) default 'PENDING',
  retry_count smallint default 0,
  record_source text default 'pages',
  site_name text default 'unnamed',
  weight numeric not null default 1
);
alter table raw.site_tracking_events_r owner to {db}_owner;
comment on table raw.site_tracking_events_r is 'what our pages say';
grant select on raw.site_tracking_events_r to {db}_reader;
grant insert on raw.site_tracking_events_r to {db}_app;
create index by_site on raw.site_tracking_events_r (site_name);
create table public.annotations (event integer references raw.site_tracking_events_r (raw_event_id), note text);
create view public.latest as select * from raw.site_tracking_events_r order by raw_event_id desc limit 10;
create function raw.ingest_tracking_event(bytea, bytea, inet, text, jsonb) returns integer language sql security definer
  cost 7 set work_mem = '8MB'
  as 'insert into raw.site_tracking_events_r (tenant_hk, client_ip, user_agent, raw_payload) values ($1, $3, $4, $5)
      returning raw_event_id';
alter function raw.ingest_tracking_event(bytea, bytea, inet, text, jsonb) owner to {db}_owner;
revoke all on function raw.ingest_tracking_event(bytea, bytea, inet, text, jsonb) from public;
grant execute on function raw.ingest_tracking_event(bytea, bytea, inet, text, jsonb) to {db}_app;
grant execute on function raw.ingest_tracking_event(bytea, bytea, inet, text, jsonb) to {db}_reader with grant option;
create function public.call_it(p_payload jsonb) returns integer language plpgsql as $$
declare
  v_id integer;
begin
  v_id := raw.ingest_tracking_event('\x02', null, null, null, p_payload);
  insert into public.annotations values (v_id, 'called');
  return v_id;
end
$$;
grant insert on public.annotations to {db}_app;
insert into raw.site_tracking_events_r (tenant_hk, raw_payload, processing_status)
select '\x02', jsonb_build_object('n', n), 'WAITING' from generate_series(1, 50) as n;
insert into public.annotations select raw_event_id, 'old' from raw.site_tracking_events_r;
