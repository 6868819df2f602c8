-- A table that only looks like it: V001 could not write a row.
create schema raw;
create table raw.site_tracking_events_r (
  raw_event_id serial,
  tenant_hk text not null,
  api_key_hk bytea not null,
  received_timestamp timestamp default current_timestamp,
  client_ip varchar(15),
  user_agent varchar(50),
  raw_payload text,
  site_id integer not null
);
insert into raw.site_tracking_events_r (tenant_hk, api_key_hk, site_id) values ('one', '\x01', 1);
