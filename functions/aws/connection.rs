//! HTTP/1.1 connections to services of AWS, kept between requests and known dead before they are used.
//!
//! In: a place and a request that is signed. Out: status and body of the answer. Of signatures and errors of AWS it
//! knows nothing.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, Write};
use hyper::Request;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::config::Endpoint;
use crate::tls;

/// Services of AWS hang up after some 20 seconds of silence; a connection that idled nearly as long is not tried.
const IDLE_LIMIT: Duration = Duration::from_secs(15);

/// Connections that are kept at most: one for each request that was under way at once in a burst is too many.
const KEPT: usize = 4;

/// The largest answer that is read: a queue's batch of messages is at most 1 MiB, and is written in JSON.
const ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// A request as it goes over the wire.
pub struct Exchange {
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

/// What is wrong on the way.
pub enum Lost {
    /// Nothing was sent.
    Unreached(&'static str),
    /// It was sent, and what became of it is not known.
    Unanswered(&'static str),
}

use Lost::{Unanswered, Unreached};

#[derive(Default)]
pub struct Connections {
    kept: Mutex<Vec<Kept>>,
}

struct Kept {
    sender: SendRequest<Full<Bytes>>,
    place: Endpoint,
    used: Instant,
}

impl Connections {
    /// Sends on a kept connection, on a new one if there is none or if that turns out dead. `sent` counts how often the
    /// service may have had something of it.
    pub async fn send(
        &self,
        place: &Endpoint,
        exchange: &Exchange,
        sent: &AtomicU32,
    ) -> Result<(u16, Bytes), Lost> {
        // The connection's own task may have to see first that the service hung up.
        tokio::task::yield_now().await;
        if let Some(mut sender) = self.take(place) {
            if let Ok(answer) = exchange.send(&mut sender, sent).await {
                self.keep(place, sender);
                return Ok(answer);
            }
        }
        let since_then = |lost| match lost {
            Unreached(what) if sent.load(Ordering::Relaxed) > 0 => Unanswered(what),
            other => other,
        };
        let mut sender = connect(place).await.map_err(since_then)?;
        let answer = exchange.send(&mut sender, sent).await.map_err(since_then)?;
        self.keep(place, sender);
        Ok(answer)
    }

    fn take(&self, place: &Endpoint) -> Option<SendRequest<Full<Bytes>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| !kept.sender.is_closed() && kept.used.elapsed() < IDLE_LIMIT);
        let index = kept.iter().rposition(|kept| kept.place == *place)?;
        Some(kept.swap_remove(index).sender)
    }

    fn keep(&self, place: &Endpoint, sender: SendRequest<Full<Bytes>>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT && !sender.is_closed() {
            kept.push(Kept {
                sender,
                place: place.clone(),
                used: Instant::now(),
            });
        }
    }
}

impl Exchange {
    async fn send(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        sent: &AtomicU32,
    ) -> Result<(u16, Bytes), Lost> {
        let lost = |_| Unanswered("the connection to the service was lost");
        let mut request = Request::builder().method(self.method).uri(&self.path);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request
            .body(Full::new(self.body.clone()))
            .map_err(|_| Unreached("the request cannot be written"))?;
        let dead = |_| Unreached("the connection to the service was closed");
        sender.ready().await.map_err(dead)?;
        sent.fetch_add(1, Ordering::Relaxed);
        let answer = sender.send_request(request).await.map_err(lost)?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
        let body = body.map_err(|_| Unanswered("the answer of the service was cut off"))?;
        Ok((status, body.to_bytes()))
    }
}

async fn connect(place: &Endpoint) -> Result<SendRequest<Full<Bytes>>, Lost> {
    let tcp = TcpStream::connect((place.host.as_str(), place.port))
        .await
        .map_err(|_| {
            Unreached("no connection to the service: a VPC without egress needs an interface endpoint")
        })?;
    let _ = tcp.set_nodelay(true);
    if !place.tls {
        return handshake(TokioIo::new(tcp)).await;
    }
    let refused = Unreached("the certificate of the service was not accepted");
    let Ok(connector) = tls::amazon_connector() else {
        return Err(refused);
    };
    let connector = tokio_native_tls::TlsConnector::from(connector);
    match connector.connect(&place.host, tcp).await {
        Ok(stream) => handshake(TokioIo::new(stream)).await,
        Err(_) => Err(refused),
    }
}

async fn handshake<S: Read + Write + Unpin + Send + 'static>(
    stream: S,
) -> Result<SendRequest<Full<Bytes>>, Lost> {
    let (sender, connection) = http1::handshake(stream)
        .await
        .map_err(|_| Unreached("the service speaks no HTTP"))?;
    tokio::spawn(connection);
    Ok(sender)
}
