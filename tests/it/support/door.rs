//! Stands between the functions and the queue: passes requests on and reads them, says no, answers 500, or hangs up.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_LENGTH;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    #[default]
    Serves,
    /// The queue has nothing of it, and the answer is 403.
    Denies,
    /// So many requests are served, each behind them denied.
    DeniesAfter(u32),
    /// The queue has nothing of it, and the answer is 500.
    Refuses,
    /// The queue took it, and the answer is 500 all the same.
    TakesAndRefuses,
    /// The queue has nothing of it, and there is no answer.
    HangsUp,
    /// The queue took it, and there is no answer.
    TakesAndHangsUp,
}

#[derive(Default)]
struct State {
    manner: Mutex<Manner>,
    hits: AtomicU64,
    passed: Mutex<Vec<Value>>,
    slow: Mutex<Option<Instant>>,
}

/// A machine that needs so long for a request may need the three seconds that the functions have.
const SLOW: Duration = Duration::from_secs(1);

pub struct Door {
    pub url: String,
    state: Arc<State>,
}

impl Door {
    /// In front of what answers at `url`, `http://127.0.0.1:port`.
    pub async fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state: Arc<State> = Arc::default();
        let (place, shared) = (url.trim_start_matches("http://").to_owned(), state.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let _ = client.set_nodelay(true);
                let (place, state) = (place.clone(), shared.clone());
                let service = service_fn(move |request| answer(request, place.clone(), state.clone()));
                let server = hyper::server::conn::http1::Builder::new();
                tokio::spawn(server.serve_connection(TokioIo::new(client), service));
            }
        });
        Self {
            url: format!("http://127.0.0.1:{port}"),
            state,
        }
    }

    pub fn is(&self, manner: Manner) {
        *self.state.manner.lock().unwrap() = manner;
    }

    /// What was passed on since the last call.
    pub fn passed(&self) -> Vec<Value> {
        std::mem::take(&mut self.state.passed.lock().unwrap())
    }

    /// Whether since `time` a request was answered so late that whoever asked may have given up.
    pub fn was_slow_since(&self, time: Instant) -> bool {
        self.state.slow.lock().unwrap().is_some_and(|last| last > time)
    }

    /// Requests that were not served.
    pub fn hits(&self) -> u64 {
        self.state.hits.load(Ordering::SeqCst)
    }
}

impl State {
    fn next_manner(&self) -> Manner {
        let manner = &mut *self.manner.lock().unwrap();
        match *manner {
            Manner::DeniesAfter(0) => Manner::Denies,
            Manner::DeniesAfter(served) => {
                *manner = Manner::DeniesAfter(served - 1);
                Manner::Serves
            }
            manner => manner,
        }
    }
}

/// An error here hangs up.
async fn answer(
    request: Request<Incoming>,
    place: String,
    state: Arc<State>,
) -> Result<Response<Full<Bytes>>, &'static str> {
    let manner = state.next_manner();
    let is_passed = !matches!(manner, Manner::Refuses | Manner::Denies | Manner::HangsUp);
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|_| "the function hung up")?
        .to_bytes();
    if is_passed {
        let read = serde_json::from_slice(&body).unwrap_or_default();
        state.passed.lock().unwrap().push(read);
    }
    let began = Instant::now();
    let answer = match is_passed {
        true => Some(passed(Request::from_parts(head, Full::new(body)), &place).await?),
        false => None,
    };
    if began.elapsed() > SLOW {
        *state.slow.lock().unwrap() = Some(Instant::now());
    }
    match (manner, answer) {
        (Manner::Serves, Some(answer)) => return Ok(answer),
        _ => state.hits.fetch_add(1, Ordering::SeqCst),
    };
    match manner {
        Manner::HangsUp | Manner::TakesAndHangsUp => Err("hung up on purpose"),
        _ => {
            let mut failed = Response::new(Full::new(Bytes::from_static(b"{\"__type\":\"Failed\"}")));
            *failed.status_mut() = match manner {
                Manner::Denies => hyper::StatusCode::FORBIDDEN,
                _ => hyper::StatusCode::INTERNAL_SERVER_ERROR,
            };
            Ok::<_, Infallible>(failed).map_err(|never| match never {})
        }
    }
}

async fn passed(request: Request<Full<Bytes>>, place: &str) -> Result<Response<Full<Bytes>>, &'static str> {
    let tcp = TcpStream::connect(place).await.map_err(|_| "no queue")?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await;
    let (mut sender, connection) = handshake.map_err(|_| "no HTTP")?;
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|_| "no answer")?;
    let (mut head, body) = answer.into_parts();
    let body = body.collect().await.map_err(|_| "no body")?.to_bytes();
    head.headers.remove(CONTENT_LENGTH);
    head.headers.remove("connection");
    Ok(Response::from_parts(head, Full::new(body)))
}
