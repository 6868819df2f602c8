//! Each kind of fault: put in, seen to hit a request that is under way, and taken away.

use std::future::Future;
use std::time::Duration;

use super::fault::{Keeps, Kind};
use super::seed::Seed;
use super::server;
use super::source;
use super::support::{door, wait};
use super::wire::{Fate, Held, Stage};
use super::world::{World, LOGIN};

/// Without a hit by then there will be none.
const HIT_LIMIT: Duration = Duration::from_secs(30);

/// For how long the faults last that have a length.
#[derive(Clone, Copy, Debug)]
pub struct Lengths {
    pub stops_s: &'static [u64],
    pub freezes_ms: &'static [u64],
    pub delays_ms: &'static [u64],
    pub locks_ms: &'static [u64],
}

pub const SHORT: Lengths = Lengths {
    stops_s: &[1, 3],
    freezes_ms: &[300],
    delays_ms: &[700, 4_500],
    locks_ms: &[300, 3_500],
};

/// A stop of a minute is one of ten, or stops alone would take 20 minutes.
pub const LONG: Lengths = Lengths {
    stops_s: &[5, 5, 10, 10, 10, 10, 15, 15, 20, 60],
    freezes_ms: &[300, 1_000, 6_000],
    delays_ms: &[300, 2_500, 4_500, 6_000],
    locks_ms: &[300, 1_500, 3_500, 8_000],
};

/// Whether it hit a request.
pub async fn inject(world: &World, kind: Kind, seed: &mut Seed, lengths: &Lengths) -> bool {
    match kind {
        Kind::CutBeforeSend => cut(world, Stage::BeforeSend).await,
        Kind::CutBeforeAnswer => cut(world, Stage::Sent).await,
        Kind::CutAfterCommit => cut(world, Stage::Committed).await,
        Kind::Killed => down(world, seed, server::kill, Duration::ZERO).await,
        Kind::Restarted => down(world, seed, server::shut_down, Duration::ZERO).await,
        Kind::Stopped => {
            let length = Duration::from_secs(seed.one_of(lengths.stops_s));
            down(world, seed, server::stop, length).await
        }
        Kind::Frozen => freeze(world, seed, ms(seed.clone().one_of(lengths.freezes_ms))).await,
        Kind::SlowWire => slow(world, ms(seed.one_of(lengths.delays_ms))).await,
        Kind::Locked => lock(world, ms(seed.one_of(lengths.locks_ms))).await,
        Kind::TooManyConnections => too_many(world).await,
        Kind::DiskFull => full(world).await,
        Kind::ReadOnly => read_only(world).await,
        Kind::AuditHangs => audit_hangs(world).await,
        Kind::QueueDenies => queue(world, door::Manner::Denies).await,
        Kind::QueueError => {
            queue(
                world,
                seed.one_of(&[door::Manner::Refuses, door::Manner::TakesAndRefuses]),
            )
            .await
        }
        Kind::QueueCut => {
            queue(
                world,
                seed.one_of(&[door::Manner::HangsUp, door::Manner::TakesAndHangsUp]),
            )
            .await
        }
        Kind::DoubleDelivery => deliver(world, source::Manner::Twice).await,
        Kind::ConcurrentRedelivery => deliver(world, source::Manner::ToTwoAtOnce).await,
        Kind::Delay => deliver(world, source::Manner::Late).await,
        Kind::FunctionKilled => function_killed(world, seed).await,
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

async fn caught(world: &World, stage: Stage) -> Option<Held> {
    tokio::time::timeout(HIT_LIMIT, world.wire.hold(stage))
        .await
        .ok()?
        .ok()
}

/// Whether it came about before the end of patience.
async fn seen<F: Future<Output = bool>>(mut look: impl FnMut() -> F) -> bool {
    let looking = wait::until_async("a hit", HIT_LIMIT * 2, || {
        let looked = look();
        async move { looked.await.then_some(()) }
    });
    tokio::time::timeout(HIT_LIMIT, looking).await.is_ok()
}

async fn cut(world: &World, stage: Stage) -> bool {
    let held = caught(world, stage).await;
    held.map(|held| held.end(Fate::Cut)).is_some()
}

async fn down(
    world: &World,
    seed: &mut Seed,
    by: fn(&super::support::postgres::Cluster),
    length: Duration,
) -> bool {
    let held = caught(world, seed.one_of(&Stage::ALL)).await;
    by(world.cluster);
    let is_hit = held.map(|held| held.end(Fate::Cut)).is_some();
    tokio::time::sleep(length).await;
    server::start(world.cluster);
    is_hit
}

async fn freeze(world: &World, seed: &mut Seed, length: Duration) -> bool {
    let held = caught(world, seed.one_of(&Stage::ALL)).await;
    let busy: Vec<_> = world
        .all_sandboxes()
        .filter_map(super::sandbox::Sandbox::busy)
        .collect();
    for life in &busy {
        life.signal("STOP").await;
    }
    let sql = "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1";
    world.admin().await.query(sql, &[&LOGIN]).await.unwrap();
    let is_held = held.map(|held| held.end(Fate::Cut)).is_some();
    tokio::time::sleep(length).await;
    for life in &busy {
        life.signal("CONT").await;
    }
    is_held && !busy.is_empty()
}

async fn slow(world: &World, by: Duration) -> bool {
    let before = world.wire.delayed();
    world.wire.delay(by);
    let is_hit = seen(|| async { world.wire.delayed() > before + 1 }).await;
    tokio::time::sleep(by).await;
    world.wire.delay(Duration::ZERO);
    is_hit
}

async fn lock(world: &World, length: Duration) -> bool {
    let (admin, looker) = (world.admin().await, world.admin().await);
    let sql = "begin; lock table raw.site_tracking_events_r in access exclusive mode";
    admin.batch_execute(sql).await.unwrap();
    let sql =
        "select from pg_locks l join pg_stat_activity a using (pid) where not l.granted and a.usename = $1";
    let is_hit = seen(|| async { !looker.query(sql, &[&LOGIN]).await.unwrap().is_empty() }).await;
    tokio::time::sleep(length).await;
    admin.batch_execute("rollback").await.unwrap();
    is_hit
}

async fn too_many(world: &World) -> bool {
    let admin = world.admin().await;
    let before = world.account.detours();
    let limit = format!("alter role {LOGIN} connection limit");
    admin.batch_execute(&format!("{limit} 0")).await.unwrap();
    // Where no queue takes it afterwards, one that is stored is told that nobody knows.
    let stage = match world.keeps {
        Keeps::All => Stage::BeforeSend,
        Keeps::Nothing => Stage::Committed,
    };
    let is_hit = cut(world, stage).await && seen(|| async { world.account.detours() > before }).await;
    admin.batch_execute(&format!("{limit} -1")).await.unwrap();
    is_hit
}

async fn full(world: &World) -> bool {
    let Some(disk) = &world.disk else {
        return false;
    };
    let before = told(world, "No space left on device");
    tokio::task::block_in_place(|| disk.fill());
    let is_hit = seen(|| async { told(world, "No space left on device") > before }).await;
    tokio::task::block_in_place(|| disk.empty());
    is_hit
}

async fn read_only(world: &World) -> bool {
    const REFUSED: &str = "in a read-only transaction";
    let admin = world.admin().await;
    let (before, detours) = (told(world, REFUSED), world.account.detours());
    for sql in [
        "alter system set default_transaction_read_only = on",
        "select pg_reload_conf()",
    ] {
        admin.batch_execute(sql).await.unwrap();
    }
    let is_hit = seen(|| async { told(world, REFUSED) > before && world.account.detours() > detours }).await;
    for sql in [
        "set default_transaction_read_only = off",
        "alter system reset default_transaction_read_only",
        "select pg_reload_conf()",
    ] {
        admin.batch_execute(sql).await.unwrap();
    }
    is_hit
}

/// How often the server wrote it.
fn told(world: &World, what: &str) -> usize {
    world.cluster.log().matches(what).count()
}

async fn audit_hangs(world: &World) -> bool {
    let admin = world.admin().await;
    admin
        .batch_execute("update util.switch set hangs = true")
        .await
        .unwrap();
    let sql = "select from pg_stat_activity where usename = $1 and wait_event = 'PgSleep'";
    let is_hit = seen(|| async { !admin.query(sql, &[&LOGIN]).await.unwrap().is_empty() }).await;
    admin
        .batch_execute("update util.switch set hangs = false")
        .await
        .unwrap();
    is_hit
}

async fn queue(world: &World, manner: door::Manner) -> bool {
    let before = world.door.hits();
    world.door.is(manner);
    world.wire.shut(true);
    let is_hit = seen(|| async { world.door.hits() > before + 1 }).await;
    world.wire.shut(false);
    world.door.is(door::Manner::Serves);
    is_hit
}

async fn deliver(world: &World, manner: source::Manner) -> bool {
    let (detours, hits) = (world.account.detours(), world.source.hits());
    world.source.delivers(source::Manner::Rests);
    world.wire.shut(true);
    let is_queued = seen(|| async { world.account.detours() > detours + 1 }).await;
    world.wire.shut(false);
    world.source.delivers(manner);
    let is_hit = seen(|| async { world.source.hits() > hits }).await;
    world.source.delivers(source::Manner::Once);
    is_queued && is_hit
}

async fn function_killed(world: &World, seed: &mut Seed) -> bool {
    let held = caught(world, seed.one_of(&Stage::ALL)).await;
    let mut is_hit = false;
    for sandbox in world.all_sandboxes() {
        if sandbox.busy().is_some() {
            sandbox.kill().await;
            is_hit = held.is_some();
        }
    }
    if let Some(held) = held {
        held.end(Fate::GoesOn);
    }
    is_hit
}
