//! One world from its beginning to its reckoning: fault after fault, each with a recovery behind it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::account::Attempt;
use super::fault::{Keeps, Kind};
use super::inject::{inject, Lengths};
use super::reconcile::{self, Rows};
use super::seed::Seed;
use super::support::wait;
use super::tally;
use super::world::World;

/// Without a 200 by then something is broken for good.
const RECOVERY_LIMIT: Duration = Duration::from_secs(90);

/// A fault that hits nobody is put in again so often.
const TRIES: usize = 3;

/// A line is printed after so many faults.
const TELLING: usize = 20;

/// One fault.
#[derive(Clone, Debug)]
pub struct Episode {
    pub kind: Kind,
    pub injected: usize,
    pub is_hit: bool,
    /// From the fault's end to the first 200.
    pub recovery: Duration,
}

pub struct Lane {
    faults: Vec<Kind>,
    seed: Seed,
    lengths: Lengths,
    progress: Arc<Progress>,
    keeps: Keeps,
}

/// What a lane found.
pub struct Told {
    pub episodes: Vec<Episode>,
    pub attempts: Vec<Attempt>,
    pub rows: Rows,
    pub dead: HashSet<String>,
    pub miscounted: Vec<String>,
}

impl Lane {
    pub fn new(
        faults: Vec<Kind>,
        seed: Seed,
        lengths: Lengths,
        progress: Arc<Progress>,
        keeps: Keeps,
    ) -> Self {
        Self {
            keeps,
            faults,
            seed,
            lengths,
            progress,
        }
    }

    pub async fn run(mut self) -> Told {
        let world = Arc::new(World::new(self.keeps).await);
        let mut tasks = world.run(&self.seed);
        self.recovered(&world, Instant::now()).await;
        let mut episodes = Vec::new();
        for kind in std::mem::take(&mut self.faults) {
            if kind == Kind::DiskFull && world.disk.is_none() {
                self.progress.step();
                continue;
            }
            episodes.push(self.episode(&world, kind).await);
            self.progress.step();
        }
        world.end();
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        world.source.drain().await;
        let (rows, dead) = reconcile::stored(&world).await;
        let attempts = world.account.all();
        Told {
            episodes,
            miscounted: tally::differences(&world, &attempts).await,
            attempts,
            rows,
            dead,
        }
    }

    async fn episode(&mut self, world: &World, kind: Kind) -> Episode {
        let mut episode = Episode {
            kind,
            injected: 0,
            is_hit: false,
            recovery: Duration::ZERO,
        };
        while !episode.is_hit && episode.injected < TRIES {
            world.set_fault(Some(kind));
            episode.injected += 1;
            episode.is_hit = inject(world, kind, &mut self.seed, &self.lengths).await;
            episode.recovery = self.recovered(world, Instant::now()).await;
            world.set_fault(None);
        }
        episode
    }

    async fn recovered(&self, world: &World, since: Instant) -> Duration {
        let what = format!("a 200 after {}", world.fault().map_or("the start", Kind::name));
        wait::until_async(&what, RECOVERY_LIMIT, || async {
            world.account.has_200_since(since).then_some(())
        })
        .await;
        since.elapsed()
    }
}

/// Faults of all lanes so far.
pub struct Progress {
    began: Instant,
    all: usize,
    done: AtomicUsize,
}

impl Progress {
    pub fn new(all: usize) -> Self {
        Self {
            began: Instant::now(),
            all,
            done: AtomicUsize::new(0),
        }
    }

    fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::SeqCst) + 1;
        if done.is_multiple_of(TELLING) {
            println!(
                "chaos: {done} of {} faults after {} s",
                self.all,
                self.began.elapsed().as_secs()
            );
        }
    }
}
