//! The Lambda Runtime API at its wire: hands out invocations, takes their answers.
//!
//! `GET …/invocation/next` waits for an event, `POST …/{id}/response` and `POST …/{id}/error` end it, as
//! "Using the Lambda runtime API for custom runtimes" says.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, Notify};

/// What a function made of an invocation.
#[derive(Debug)]
pub enum Outcome {
    /// It answered.
    Response(serde_json::Value),
    /// It reported an error.
    Error(serde_json::Value),
}

/// A running Runtime API.
#[derive(Clone)]
pub struct RuntimeApi {
    /// `host:port`, for `AWS_LAMBDA_RUNTIME_API`.
    pub address: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    waiting: Mutex<VecDeque<(String, Duration, Bytes)>>,
    open: Mutex<HashMap<String, oneshot::Sender<Outcome>>>,
    polls: Mutex<u64>,
    came: Notify,
    polled: Notify,
}

impl RuntimeApi {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State::default());
        tokio::spawn(accept(listener, state.clone()));
        Self { address, state }
    }

    /// Hands out one event; the receiver gives its end. `remaining` is what the function is told of its deadline.
    pub fn invoke(&self, event: impl Into<Bytes>, remaining: Duration) -> oneshot::Receiver<Outcome> {
        let id = uuid::Uuid::now_v7().to_string();
        let (sender, receiver) = oneshot::channel();
        self.state.open.lock().unwrap().insert(id.clone(), sender);
        self.state
            .waiting
            .lock()
            .unwrap()
            .push_back((id, remaining, event.into()));
        self.state.came.notify_one();
        receiver
    }

    /// Waits for the function's first question.
    pub async fn first_poll(&self) {
        loop {
            let polled = self.state.polled.notified();
            if *self.state.polls.lock().unwrap() > 0 {
                return;
            }
            polled.await;
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let state = state.clone();
        let service = service_fn(move |request| answer(state.clone(), request));
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
        );
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    Ok(match parts.as_slice() {
        ["", "2018-06-01", "runtime", "invocation", "next"] => next(&state).await,
        ["", "2018-06-01", "runtime", "invocation", id, "response"] => {
            end(&state, id, &body, Outcome::Response)
        }
        ["", "2018-06-01", "runtime", "invocation", id, "error"] => end(&state, id, &body, Outcome::Error),
        _ => status(202),
    })
}

async fn next(state: &State) -> Response<Full<Bytes>> {
    *state.polls.lock().unwrap() += 1;
    state.polled.notify_waiters();
    loop {
        let came = state.came.notified();
        if let Some((id, remaining, event)) = state.waiting.lock().unwrap().pop_front() {
            let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + remaining;
            let response = Response::builder()
                .header("lambda-runtime-aws-request-id", id)
                .header("lambda-runtime-deadline-ms", deadline.as_millis().to_string())
                .header(
                    "lambda-runtime-invoked-function-arn",
                    "arn:aws:lambda:eu-west-1:123456789012:function:test",
                )
                .header("content-type", "application/json");
            return response.body(Full::new(event)).unwrap();
        }
        came.await;
    }
}

fn end(
    state: &State,
    id: &str,
    body: &[u8],
    outcome: fn(serde_json::Value) -> Outcome,
) -> Response<Full<Bytes>> {
    let value = serde_json::from_slice(body).unwrap_or(serde_json::Value::Null);
    if let Some(waiting) = state.open.lock().unwrap().remove(id) {
        let _ = waiting.send(outcome(value));
    }
    status(202)
}

fn status(code: u16) -> Response<Full<Bytes>> {
    Response::builder()
        .status(code)
        .body(Full::new(Bytes::from_static(b"{}")))
        .unwrap()
}
