//! The database's part: log and fsyncs per event, server time against a bare INSERT of the same row, batches.

use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tokio_postgres::types::{Json, ToSql};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::bare::{event, Bare};
use crate::sample::Sample;
use crate::support::site::Site;
use crate::support::wait;
use crate::table::Table;

const EVENTS: usize = 2_000;
const WARM_UP: usize = 500;
const CONNECTIONS: usize = 32;
const PER_CONNECTION: usize = 150;
const BATCH: usize = 100;
const BATCHES: usize = 50;

/// Bytes of log that an event may cost above a bare INSERT.
const MORE_WAL_BYTES: f64 = 60.0;
const FSYNCS_PER_EVENT: f64 = 0.3;
const SERVER_TIME_RATIO: f64 = 1.6;
const BATCHED_EVENT_US: f64 = 30.0;

/// The same row into the same four indexes, with nothing around it.
const INSERT: &str = "insert into public.bare (tenant_hk, api_key_hk, received_timestamp, client_ip, user_agent,
     raw_payload, batch_id, event_key, request)
   values ('canary-tenant', $1, clock_timestamp(), '203.0.113.77', 'canary-agent/1.0 (X11; Linux x86_64)', $2, $3, $4,
     '{\"method\":\"POST\",\"path\":\"/e\",\"content_type\":\"application/json\",
       \"origin\":\"https://canary-shop.example\",\"referrer\":\"https://canary-shop.example/basket\"}')
   on conflict (event_key, tenant_hk) where event_key is not null do nothing returning raw_event_id";

/// The call, its constant parameters as constants, prepared: what differs from the INSERT is the function.
const CALL: &str = "select verdict, raw_event_id from raw.ingest_tracking_beacon($1,
     'https://canary-shop.example', '203.0.113.77', 'canary-agent/1.0 (X11; Linux x86_64)', array[$2::jsonb],
     array[$4::uuid], $3::varchar, clock_timestamp(),
     '{\"method\":\"POST\",\"path\":\"/e\",\"content_type\":\"application/json\",
       \"origin\":\"https://canary-shop.example\",\"referrer\":\"https://canary-shop.example/basket\"}', null, null)";

pub async fn measure(site: &Site, table: &mut Table) {
    let sql = "create table public.bare (like raw.site_tracking_events_r including all)";
    site.admin.batch_execute(sql).await.unwrap();
    table.heading("the database, events of 1 KB");
    commit(site, "off").await;
    let raw = RawValue::from_string(event()).unwrap();
    let client = site.database.superuser().await;
    let (null, insert, call) = server_times(&client, site, &raw).await;
    let ratio = (call.time.p50() - null) / (insert.time.p50() - null);
    let server = |sample: &Sample| format!("{:.0} us", sample.p50() - null);
    table.figure("server time of a bare four-index INSERT", server(&insert.time));
    table.figure("server time of ingest_tracking_beacon", server(&call.time));
    table.target("their ratio", ratio, SERVER_TIME_RATIO, "times");
    table.figure(
        "log per event, bare INSERT",
        format!("{:.0} bytes", insert.wal_bytes),
    );
    let most = insert.wal_bytes + MORE_WAL_BYTES;
    table.target(
        "log per event, ingest_tracking_beacon",
        call.wal_bytes,
        most,
        "bytes",
    );
    table.figure(
        "an event in a bare set-based INSERT of 100",
        format!("{:.2} us", inserted(&client, site, &raw).await),
    );
    table.target(
        "an event in a batch of 100",
        batched(site, &raw).await,
        BATCHED_EVENT_US,
        "us",
    );
    commit(site, "on").await;
    let (per_event, per_second) = fsyncs(site, &raw).await;
    table.target(
        "fsyncs per event at 32 connections, durable",
        per_event,
        FSYNCS_PER_EVENT,
        "",
    );
    table.figure(
        "events per second at 32 connections, durable",
        format!("{per_second:.0}"),
    );
}

struct Cost {
    time: Sample,
    wal_bytes: f64,
}

/// Time of an empty statement, then the two; they take turns.
async fn server_times(client: &Client, site: &Site, raw: &RawValue) -> (f64, Cost, Cost) {
    let key = site.key.hash();
    let (insert, call) = (
        client.prepare(INSERT).await.unwrap(),
        client.prepare(CALL).await.unwrap(),
    );
    let null = client.prepare("select 1").await.unwrap();
    let mut times = [Sample::default(), Sample::default(), Sample::default()];
    let mut wal = [0.0, 0.0];
    for n in 0..WARM_UP + EVENTS {
        for (which, statement) in [&insert, &call].into_iter().enumerate() {
            let before = lsn(client).await;
            let (batch, event_key) = (Uuid::now_v7().to_string(), Uuid::now_v7());
            let began = Instant::now();
            client
                .query(statement, &[&key.as_slice(), &Json(raw), &batch, &event_key])
                .await
                .unwrap();
            let took = began.elapsed();
            if n >= WARM_UP {
                times[which].add(took);
                wal[which] += lsn(client).await - before;
            }
        }
        let began = Instant::now();
        client.query(&null, &[]).await.unwrap();
        times[2].add(began.elapsed());
    }
    let [insert, call, null] = times;
    let cost = |time, wal: f64| Cost {
        time,
        wal_bytes: wal / EVENTS as f64,
    };
    (null.p50(), cost(insert, wal[0]), cost(call, wal[1]))
}

async fn lsn(client: &Client) -> f64 {
    let sql = "select (pg_current_wal_insert_lsn() - '0/0')::float8";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// The same rows as [`batched`]'s, in one statement with nothing around it.
const INSERT_MANY: &str = "insert into public.bare (tenant_hk, api_key_hk, received_timestamp, client_ip, user_agent,
     raw_payload, batch_id, event_key, request)
   select 'canary-tenant', $1, clock_timestamp(), '203.0.113.77', 'canary-agent/1.0 (X11; Linux x86_64)', event, $3, key,
     '{\"method\":\"POST\",\"path\":\"/e\",\"content_type\":\"application/json\",
       \"origin\":\"https://canary-shop.example\",\"referrer\":\"https://canary-shop.example/basket\"}'
   from unnest($2::jsonb[], $4::uuid[]) as sent(event, key)
   on conflict (event_key, tenant_hk) where event_key is not null do nothing returning raw_event_id";

async fn inserted(client: &Client, site: &Site, raw: &RawValue) -> f64 {
    let statement = client.prepare(INSERT_MANY).await.unwrap();
    let (key, payloads) = (site.key.hash(), vec![Json(raw); BATCH]);
    let mut sample = Sample::default();
    for n in 0..BATCHES + 10 {
        let keys: Vec<Uuid> = (0..BATCH).map(|_| Uuid::now_v7()).collect();
        let batch = Uuid::now_v7().to_string();
        let began = Instant::now();
        let parameters: [&(dyn ToSql + Sync); 4] = [&key.as_slice(), &payloads, &batch, &keys];
        assert_eq!(client.query(&statement, &parameters).await.unwrap().len(), BATCH);
        if n >= 10 {
            sample.add(began.elapsed());
        }
    }
    sample.p50() / BATCH as f64
}

async fn batched(site: &Site, raw: &RawValue) -> f64 {
    let bare = Bare::connect(site).await;
    let mut sample = Sample::default();
    for n in 0..BATCHES + 10 {
        let began = Instant::now();
        bare.call(raw, BATCH).await;
        if n >= 10 {
            sample.add(began.elapsed());
        }
    }
    sample.p50() / BATCH as f64
}

async fn fsyncs(site: &Site, raw: &RawValue) -> (f64, f64) {
    let before = syncs(site).await;
    let mut sessions = Vec::new();
    for _ in 0..CONNECTIONS {
        sessions.push(Bare::connect(site).await);
    }
    let began = Instant::now();
    let tasks: Vec<_> = sessions
        .into_iter()
        .map(|session| {
            let raw = raw.to_owned();
            tokio::spawn(async move {
                for _ in 0..PER_CONNECTION {
                    session.call(&raw, 1).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let seconds = began.elapsed().as_secs_f64();
    let events = (CONNECTIONS * PER_CONNECTION) as f64;
    ((syncs(site).await - before) / events, events / seconds)
}

/// A session's counters are seen at its end at the latest, so the ends are waited for. PostgreSQL 18 keeps them in
/// another view.
async fn syncs(site: &Site) -> f64 {
    wait::until_async("the end of all sessions", Duration::from_secs(10), || async {
        let sql = "select from pg_stat_activity where usename = $1";
        let sessions = site.admin.query(sql, &[&site.login]).await.unwrap();
        sessions.is_empty().then_some(())
    })
    .await;
    let sql = "select current_setting('server_version_num')::int >= 180000";
    let is_in_io: bool = site.admin.query_one(sql, &[]).await.unwrap().get(0);
    let sql = if is_in_io {
        "select sum(fsyncs)::float8 from pg_stat_io where object = 'wal'"
    } else {
        "select wal_sync::float8 from pg_stat_wal"
    };
    site.admin.query_one(sql, &[]).await.unwrap().get(0)
}

async fn commit(site: &Site, setting: &str) {
    let sql = format!(
        "alter database {} set synchronous_commit = {setting}",
        site.database.name
    );
    site.admin.batch_execute(&sql).await.unwrap();
}
