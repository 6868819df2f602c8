//! A place where the real `ingest` runs, one request at a time as Lambda has it; when its process is killed the next
//! one takes its place.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::support::function::{Function, REMAINING};
use super::support::runtime_api::Outcome;

/// As long as a gateway waits ("Quotas for HTTP APIs", Amazon API Gateway).
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Sandbox {
    environment: Vec<(&'static str, String)>,
    now: Mutex<Arc<Life>>,
    past: Mutex<Vec<Arc<Life>>>,
    turn: tokio::sync::Mutex<()>,
}

/// One process.
pub struct Life {
    function: Function,
    ended: watch::Sender<bool>,
    is_busy: AtomicBool,
}

impl Sandbox {
    pub async fn start(environment: Vec<(&'static str, String)>) -> Self {
        Self {
            now: Mutex::new(Life::start(&environment).await),
            environment,
            past: Mutex::default(),
            turn: tokio::sync::Mutex::const_new(()),
        }
    }

    fn life(&self) -> Arc<Life> {
        self.now.lock().unwrap().clone()
    }

    /// The function's answer to one event; nothing where it gave none.
    pub async fn invoke(&self, event: String) -> Option<Value> {
        let _turn = self.turn.lock().await;
        let life = self.life();
        let mut ended = life.ended.subscribe();
        life.is_busy.store(true, Ordering::SeqCst);
        let answer = life.function.api.invoke(event, REMAINING);
        let outcome = tokio::select! {
            answer = answer => answer.ok(),
            _ = ended.wait_for(|ended| *ended) => None,
            () = tokio::time::sleep(PATIENCE) => None,
        };
        life.is_busy.store(false, Ordering::SeqCst);
        match outcome {
            Some(Outcome::Response(value)) => Some(value),
            _ => None,
        }
    }

    /// The process, if it has a request now.
    pub fn busy(&self) -> Option<Arc<Life>> {
        Some(self.life()).filter(|life| life.is_busy.load(Ordering::SeqCst))
    }

    /// Kills the process, and starts another.
    pub async fn kill(&self) {
        let next = Life::start(&self.environment).await;
        let last = std::mem::replace(&mut *self.now.lock().unwrap(), next);
        last.signal("KILL").await;
        last.ended.send_replace(true);
        self.past.lock().unwrap().push(last);
    }

    /// All lines that its processes have written so far.
    pub fn log(&self) -> String {
        let mut lives = self.past.lock().unwrap().clone();
        lives.push(self.life());
        lives.iter().map(|life| life.function.output()).collect()
    }
}

impl Life {
    async fn start(environment: &[(&'static str, String)]) -> Arc<Self> {
        Arc::new(Self {
            function: Function::start(env!("CARGO_BIN_EXE_ingest"), environment).await,
            ended: watch::Sender::new(false),
            is_busy: AtomicBool::new(false),
        })
    }

    pub async fn signal(&self, name: &str) {
        self.function.signal(name).await;
    }
}
