//! Stands between a function and PostgreSQL: passes bytes on, cuts, resets, and (in clear text) counts messages and
//! holds back what comes after a number of them.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, Notify};

/// Length (8, big-endian) and code of an SSLRequest ("Message Formats", PostgreSQL documentation).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

pub struct Proxy {
    pub port: u16,
    cut: broadcast::Sender<()>,
    seen: Arc<Mutex<Vec<u8>>>,
    stall: Arc<Stall>,
}

/// What the messages that were seen are kept in, and when they are held back.
type Watch = (Arc<Mutex<Vec<u8>>>, Arc<Stall>);

/// After how many messages the next one is held back.
#[derive(Default)]
struct Stall {
    after: Mutex<Option<usize>>,
    reached: Notify,
}

impl Proxy {
    /// Passes everything on as it is, TLS included.
    pub async fn transparent(to_port: u16) -> Self {
        Self::start(to_port, false).await
    }

    /// Refuses TLS to a client on loopback, so that the messages can be read.
    pub async fn clear_text(to_port: u16) -> Self {
        Self::start(to_port, true).await
    }

    async fn start(to_port: u16, reads: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, _) = broadcast::channel(1);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let stall = Arc::new(Stall::default());
        let proxy = Self {
            port,
            cut: cut.clone(),
            seen: seen.clone(),
            stall: stall.clone(),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let seen = reads.then(|| (seen.clone(), stall.clone()));
                tokio::spawn(serve(client, to_port, seen, cut.subscribe()));
            }
        });
        proxy
    }

    /// Resets every connection that is open now.
    pub fn reset_all(&self) {
        let _ = self.cut.send(());
    }

    /// Holds back, once, what a client sends after so many messages.
    pub fn stall_after(&self, messages: usize) {
        *self.stall.after.lock().unwrap() = Some(messages);
    }

    /// Waits until something is held back.
    pub async fn stalled(&self) {
        self.stall.reached.notified().await;
    }

    /// Types of the messages that clients sent since the last call, in order: `P` parse, `B` bind, `D` describe,
    /// `E` execute, `S` sync, `Q` simple query. Each `S` or `Q` is a round trip.
    pub fn messages(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.seen.lock().unwrap())).unwrap()
    }
}

async fn serve(mut client: TcpStream, to_port: u16, seen: Option<Watch>, mut cut: broadcast::Receiver<()>) {
    client.set_nodelay(true).unwrap();
    client.set_zero_linger().unwrap();
    if seen.is_some() {
        let mut first = [0; 8];
        if client.read_exact(&mut first).await.is_err() || first != SSL_REQUEST {
            return;
        }
        let _ = client.write_all(b"N").await;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", to_port)).await else {
        return;
    };
    server.set_nodelay(true).unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pass(from_client, to_server, seen.map(Messages::new)) => {}
        () = pass(from_server, to_client, None) => {}
        _ = cut.recv() => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut messages: Option<Messages>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if let Some(messages) = &mut messages {
            messages.read(&buffer[..read]);
            if messages.is_to_stall() {
                messages.stall.reached.notify_one();
                std::future::pending::<()>().await;
            }
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// Finds the types in a stream of frontend messages: type, length (itself included), content; the first message,
/// the start-up, has no type.
struct Messages {
    seen: Arc<Mutex<Vec<u8>>>,
    stall: Arc<Stall>,
    rest: Vec<u8>,
    started: bool,
}

impl Messages {
    fn new((seen, stall): Watch) -> Self {
        Self {
            seen,
            stall,
            rest: Vec::new(),
            started: false,
        }
    }

    fn is_to_stall(&self) -> bool {
        let mut after = self.stall.after.lock().unwrap();
        let reached = after.is_some_and(|after| self.seen.lock().unwrap().len() > after);
        if reached {
            *after = None;
        }
        reached
    }

    fn read(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        loop {
            let head = usize::from(self.started);
            let Some(length) = self.rest.get(head..head + 4) else {
                return;
            };
            let length = u32::from_be_bytes(length.try_into().unwrap()) as usize + head;
            if self.rest.len() < length {
                return;
            }
            if self.started {
                self.seen.lock().unwrap().push(self.rest[0]);
            }
            self.started = true;
            self.rest.drain(..length);
        }
    }
}
