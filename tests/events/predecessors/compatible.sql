-- A predecessor of V001 as it runs by hand: a serial id, nullable defaulted columns, a function that answers an integer.
create schema auth;
create table auth.tenant_h (tenant_hk bytea primary key, tenant_bk varchar(255), load_date timestamptz,
  record_source varchar(100));
insert into auth.tenant_h values ('\x01', 'one', now(), 'test'), ('\x02', 'two', now(), 'test');
create schema raw;
create table raw.site_tracking_events_r (
  raw_event_id serial primary key,
  tenant_hk bytea,
  api_key_hk bytea,
  received_timestamp timestamptz default current_timestamp,
  client_ip inet,
  user_agent text,
  raw_payload jsonb default '{}',
  batch_id varchar(100),
  processing_status varchar(20) default 'PENDING',
  error_message text,
  retry_count integer default 0,
  record_source varchar(100) default 'site_tracker',
  constraint fk_tracking_tenant foreign key (tenant_hk) references auth.tenant_h (tenant_hk)
);
create index idx_tracking_tenant on raw.site_tracking_events_r (tenant_hk);
create index idx_tracking_received on raw.site_tracking_events_r (received_timestamp);
create index idx_tracking_status on raw.site_tracking_events_r (processing_status);
create index idx_tracking_batch on raw.site_tracking_events_r (batch_id);
create index idx_tracking_payload on raw.site_tracking_events_r using gin (raw_payload);
create function raw.ingest_tracking_event(p_tenant_hk bytea, p_api_key_hk bytea, p_client_ip inet, p_user_agent text,
  p_event_data jsonb) returns integer language plpgsql security definer as $$
declare
  v_id integer;
begin
  insert into raw.site_tracking_events_r (tenant_hk, api_key_hk, client_ip, user_agent, raw_payload)
  values (p_tenant_hk, p_api_key_hk, p_client_ip, p_user_agent, p_event_data)
  returning raw_event_id into v_id;
  return v_id;
end
$$;
comment on function raw.ingest_tracking_event(bytea, bytea, inet, text, jsonb) is 'the old door';
insert into raw.site_tracking_events_r (tenant_hk, raw_payload, processing_status)
select '\x01', jsonb_build_object('n', n), case when n % 10 = 0 then 'PENDING' else 'PROCESSED' end
from generate_series(1, 200) as n;
