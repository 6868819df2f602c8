//! One of several small worlds that share nothing but a queue's server: a PostgreSQL behind the wire, a queue behind a
//! door, sandboxes, senders.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use site_tracking::site_key::SiteKey;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use super::account::Account;
use super::disk::Disk;
use super::fault::{Keeps, Kind};
use super::sandbox::Sandbox;
use super::seed::Seed;
use super::sender;
use super::source::Source;
use super::support::database::{v001, Database};
use super::support::door::Door;
use super::support::event_source::EventSource;
use super::support::postgres::{Cluster, Version};
use super::wire::Wire;

pub const LOGIN: &str = "chaos_ingest";
const PASSWORD: &str = "canary-password-of-the-ingest-login";

pub const TENANTS: [&str; 2] = ["canary-tenant-0", "canary-tenant-1"];

/// Audits nothing, and hangs when it is told to.
const AUDIT: &str = "create schema util; create table util.switch (hangs boolean); insert into util.switch values (false);
     create function util.log_audit_event(event_type text, resource_type text, resource_id text, actor text, details jsonb)
     returns jsonb language plpgsql as $$ begin
       if (select hangs from util.switch) then perform pg_sleep(60); end if; return null; end $$";

pub struct World {
    pub cluster: &'static Cluster,
    database: Database<'static>,
    pub wire: Wire,
    pub door: Door,
    pub disk: Option<Disk>,
    pub keys: Vec<String>,
    pub sandboxes: Vec<Sandbox>,
    pub source: Source,
    pub account: Account,
    pub keeps: Keeps,
    /// From when on there was which fault, or none.
    faults: Mutex<Vec<(Instant, Option<Kind>)>>,
    is_over: AtomicBool,
}

impl World {
    pub async fn new(keeps: Keeps) -> Self {
        let cluster = tokio::task::block_in_place(|| Cluster::own(Version::Default));
        let cluster: &'static Cluster = Box::leak(Box::new(cluster));
        let database = Database::with_v001(cluster).await;
        let admin = database.superuser().await;
        prepare(&admin).await;
        let disk = Disk::mount();
        if let Some(disk) = &disk {
            onto(disk, &admin).await;
        }
        let wire = Wire::to(cluster.port, &cluster.authority_pem()).await;
        let queue = EventSource::new().await;
        let mut environment = queue.beside(database.environment(LOGIN, PASSWORD));
        let moto_url = set(&mut environment, "AWS_ENDPOINT_URL", None);
        let door = Door::to(&moto_url).await;
        set(&mut environment, "AWS_ENDPOINT_URL", Some(&door.url));
        set(&mut environment, "DB_PORT", Some(&wire.port.to_string()));
        set(&mut environment, "LOG_LEVEL", Some("info"));
        if keeps == Keeps::Nothing {
            environment.retain(|(name, _)| !["QUEUE_URL", "DEAD_LETTERS_URL"].contains(name));
        }
        let sandbox = || Sandbox::start(environment.clone());
        let mut sandboxes = Vec::new();
        for _ in sender::Manner::ALL {
            sandboxes.push(sandbox().await);
        }
        Self {
            source: Source::new(queue, &moto_url, [sandbox().await, sandbox().await]),
            keys: keys(&admin).await,
            cluster,
            database,
            wire,
            door,
            disk,
            sandboxes,
            account: Account::default(),
            keeps,
            faults: Mutex::default(),
            is_over: AtomicBool::new(false),
        }
    }

    /// As the superuser, past the wire.
    pub async fn admin(&self) -> Client {
        self.database.superuser().await
    }

    /// Senders and the queue at work.
    pub fn run(self: &Arc<Self>, seed: &Seed) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for place in 0..self.sandboxes.len() {
            tasks.spawn(sender::send(self.clone(), place, seed.of(place as u64)));
        }
        let world = self.clone();
        tasks.spawn(async move {
            while !world.is_over() {
                world.source.turn().await;
            }
        });
        tasks
    }

    pub fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// The fault of this moment.
    pub fn fault(&self) -> Option<Kind> {
        self.faults.lock().unwrap().last().and_then(|(_, kind)| *kind)
    }

    /// Whether something happened since `time` after which nobody may know what became of a beacon.
    pub fn may_have_hidden_since(&self, time: Instant) -> bool {
        let faults = self.faults.lock().unwrap();
        let ended_before = faults.partition_point(|(from, _)| *from < time).saturating_sub(1);
        let mut since = faults[ended_before..].iter().filter_map(|(_, kind)| *kind);
        since.any(|kind| kind.may_hide(self.keeps)) || self.door.was_slow_since(time)
    }

    pub fn set_fault(&self, kind: Option<Kind>) {
        self.faults.lock().unwrap().push((Instant::now(), kind));
    }

    /// All places where the function runs.
    pub fn all_sandboxes(&self) -> impl Iterator<Item = &Sandbox> {
        self.sandboxes.iter().chain(self.source.sandboxes())
    }
}

/// An audit function that V001 is bound to, and the login.
async fn prepare(admin: &Client) {
    let login = format!(
        "create role {LOGIN} login password '{PASSWORD}' in role tracking_ingest_role;
         alter role {LOGIN} set statement_timeout = '3s'"
    );
    for sql in [AUDIT, &v001("create"), &login] {
        admin.batch_execute(sql).await.unwrap();
    }
}

async fn onto(disk: &Disk, admin: &Client) {
    let place = disk.folder.display();
    for sql in [
        format!("create tablespace small location '{place}'"),
        "alter table raw.site_tracking_events_r set tablespace small".to_owned(),
    ] {
        admin.batch_execute(&sql).await.unwrap();
    }
}

/// One key of each tenant.
async fn keys(admin: &Client) -> Vec<String> {
    let mut keys = Vec::new();
    for tenant in TENANTS {
        let key = SiteKey::generate().unwrap();
        let sql =
            "insert into raw.site_tracking_keys_r (api_key_hk, tenant_hk, tenant_bk) values ($1, $2, $3)";
        let hash = key.hash();
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&hash.as_slice(), &tenant.as_bytes(), &tenant];
        admin.execute(sql, &parameters).await.unwrap();
        keys.push(key.expose().to_owned());
    }
    keys
}

/// The value that a variable had.
fn set(environment: &mut [(&'static str, String)], name: &str, value: Option<&str>) -> String {
    let found = environment.iter_mut().find(|(other, _)| *other == name);
    let (_, place) = found.unwrap_or_else(|| panic!("{name} is not set"));
    match value {
        Some(value) => std::mem::replace(place, value.to_owned()),
        None => place.clone(),
    }
}
