//! Calls that go on all the time beside something else, each one's time taken.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::function::{Function, REMAINING};

/// One caller; it goes on until it is stopped.
pub struct Traffic {
    state: Arc<State>,
    caller: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    is_over: AtomicBool,
    calls: AtomicU64,
    longest_us: AtomicU64,
}

/// How many calls there were, and the longest of them.
#[derive(Clone, Copy, Debug)]
pub struct Longest {
    pub calls: u64,
    pub longest: Duration,
}

impl Traffic {
    /// The same statement again and again, each one a transaction.
    pub fn of_statements(client: Client, sql: &'static str, pause: Duration) -> Self {
        let state = Arc::new(State::default());
        let kept = state.clone();
        let caller = tokio::spawn(async move {
            while !kept.is_over.load(Ordering::Relaxed) {
                let started = Instant::now();
                let called = client.batch_execute(sql).await;
                kept.add(started);
                called.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
                tokio::time::sleep(pause).await;
            }
        });
        Self { state, caller }
    }

    /// The same event again and again; refusals are answers too.
    pub fn of_events(function: Arc<Function>, event: String, pause: Duration) -> Self {
        let state = Arc::new(State::default());
        let kept = state.clone();
        let caller = tokio::spawn(async move {
            while !kept.is_over.load(Ordering::Relaxed) {
                let started = Instant::now();
                function.outcome(event.clone(), REMAINING).await;
                kept.add(started);
                tokio::time::sleep(pause.saturating_sub(started.elapsed())).await;
            }
        });
        Self { state, caller }
    }

    /// What there was since the last time.
    pub fn so_far(&self) -> Longest {
        Longest {
            calls: self.state.calls.swap(0, Ordering::Relaxed),
            longest: Duration::from_micros(self.state.longest_us.swap(0, Ordering::Relaxed)),
        }
    }

    /// Ends it. A call that failed fails here.
    pub async fn stop(self) {
        self.state.is_over.store(true, Ordering::Relaxed);
        self.caller.await.unwrap();
    }
}

impl State {
    fn add(&self, started: Instant) {
        let us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.longest_us.fetch_max(us, Ordering::Relaxed);
    }
}
