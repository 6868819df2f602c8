//! Stands between the functions and PostgreSQL with the server's own certificate: reads the messages within TLS on
//! both sides, so that a connection can be cut at a known place of a call.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, oneshot};

use super::call::{serve, Ends};

/// Where in a call it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The server has nothing of it.
    BeforeSend,
    /// The server has all of it, and the answer was not looked at.
    Sent,
    /// The server has answered that it is ready for the next: this one is committed.
    Committed,
}

impl Stage {
    pub const ALL: [Self; 3] = [Self::BeforeSend, Self::Sent, Self::Committed];
}

/// What becomes of a call that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Cut,
    GoesOn,
}

/// A call that is held until somebody says how it goes on; dropped, its connection is cut.
pub struct Held(oneshot::Sender<Fate>);

impl Held {
    pub fn end(self, fate: Fate) {
        let _ = self.0.send(fate);
    }
}

/// Waits for its call.
pub struct Trap {
    stage: Stage,
    caught: oneshot::Sender<Held>,
}

#[derive(Default)]
pub struct State {
    trap: Mutex<Option<Trap>>,
    delay: Mutex<Duration>,
    delayed: AtomicU64,
    is_shut: AtomicBool,
}

pub struct Wire {
    pub port: u16,
    state: Arc<State>,
    cut: broadcast::Sender<()>,
}

impl Wire {
    /// `authority_pem` lies above the folder with the server's certificate and key.
    pub async fn to(port: u16, authority_pem: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (cut, _) = broadcast::channel(1);
        let wire = Self {
            port: listener.local_addr().unwrap().port(),
            state: Arc::default(),
            cut: cut.clone(),
        };
        let data: PathBuf = authority_pem.with_file_name("data");
        let ends = Arc::new(Ends::new(port, &data, authority_pem));
        let state = wire.state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                accept(client, &ends, &state, cut.subscribe());
            }
        });
        wire
    }

    /// Holds the next call at `stage`.
    pub fn hold(&self, stage: Stage) -> oneshot::Receiver<Held> {
        let (caught, held) = oneshot::channel();
        *self.state.trap.lock().unwrap() = Some(Trap { stage, caught });
        held
    }

    /// Answers come so much later from now on.
    pub fn delay(&self, by: Duration) {
        *self.state.delay.lock().unwrap() = by;
    }

    /// Calls whose answer came later.
    pub fn delayed(&self) -> u64 {
        self.state.delayed.load(Ordering::SeqCst)
    }

    /// Cuts all connections and takes no others; or takes them again.
    pub fn shut(&self, is_shut: bool) {
        self.state.is_shut.store(is_shut, Ordering::SeqCst);
        if is_shut {
            let _ = self.cut.send(());
        }
    }
}

fn accept(client: TcpStream, ends: &Arc<Ends>, state: &Arc<State>, mut cut: broadcast::Receiver<()>) {
    let _ = client.set_nodelay(true);
    let _ = client.set_zero_linger();
    if state.is_shut.load(Ordering::SeqCst) {
        return;
    }
    let (ends, state) = (ends.clone(), state.clone());
    tokio::spawn(async move {
        tokio::select! {
            _ = serve(client, &ends, &state) => {}
            _ = cut.recv() => {}
        }
    });
}

impl State {
    /// The stage at which the call that begins now is held.
    pub fn trap(&self) -> Option<Trap> {
        self.trap.lock().unwrap().take()
    }

    /// By how much the answer to it comes later.
    pub fn lateness(&self) -> Duration {
        let delay = *self.delay.lock().unwrap();
        if !delay.is_zero() {
            self.delayed.fetch_add(1, Ordering::SeqCst);
        }
        delay
    }
}

impl Trap {
    pub fn is_at(&self, stage: Stage) -> bool {
        self.stage == stage
    }

    /// Holds the call until somebody says how it goes on.
    pub async fn spring(self) -> Fate {
        let (end, ended) = oneshot::channel();
        let _ = self.caught.send(Held(end));
        ended.await.unwrap_or(Fate::Cut)
    }
}
