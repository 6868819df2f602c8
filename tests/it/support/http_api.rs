//! AWS's HTTP API at its wire: HTTPS in, an event of payload format 2.0 to the function, its answer out.
//!
//! [`event`] says what of a request reaches the function, [`answer`] what of its answer reaches the sender. Each
//! request is kept as it came. A [`Trouble`] lets one go wrong in the ways in which the cloud does. Requests queue
//! for the one function behind it; connections are kept alive.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_native_tls::TlsAcceptor;

use super::authority::Identity;
use super::function::REMAINING;
use super::runtime_api::{Outcome, RuntimeApi};

pub mod event;
pub mod answer;

/// "Amazon API HttpApi quotas", HTTP API: request line and header values together.
pub const HEADER_BYTES: usize = 10_240;

/// The same page: payload size.
pub const BODY_BYTES: usize = 10 * 1024 * 1024;

/// The same page: how long an integration may take.
const INTEGRATION_LIMIT: Duration = Duration::from_secs(30);

/// How one request goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The function ran; its answer is held back until [`HttpApi::release`].
    Stalled,
    /// The function ran; the sender reads 503 with the function's own headers.
    Lost,
    /// The gateway's own 503, without CORS; the function never saw the request.
    Refused,
}

/// A request as it came, and what became of it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// Percent-encoded, as sent.
    pub path: String,
    /// As sent, without the question mark.
    pub query: String,
    /// Names in lower case, in the order sent.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub peer: SocketAddr,
    pub received: SystemTime,
    pub trouble: Option<Trouble>,
    /// What the function or, where it was not asked, the gateway answered; `None` until then.
    pub answer: Option<Answer>,
}

/// The status that the sender reads, and the body.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

impl Seen {
    /// The first value of a header; `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(candidate, _)| candidate == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Request line and header values, as the gateway's quota counts them.
    fn header_bytes(&self) -> usize {
        let values = self.headers.iter().map(|(_, value)| value.len());
        self.method.len() + self.path.len() + self.query.len() + values.sum::<usize>()
    }
}

/// Whether and how a request goes wrong; asked once for each, in the order of arrival.
type Choose = Box<dyn FnMut(&Seen) -> Option<Trouble> + Send>;

/// A running gateway.
#[derive(Clone)]
pub struct HttpApi {
    pub port: u16,
    state: Arc<State>,
}

struct State {
    function: RuntimeApi,
    seen: Mutex<Vec<Seen>>,
    choose: Mutex<Choose>,
    released: watch::Sender<bool>,
}

impl HttpApi {
    /// On a free port of 127.0.0.1, in front of the function that polls `function`.
    pub async fn start(function: RuntimeApi, identity: &Identity) -> Self {
        let identity =
            native_tls::Identity::from_pkcs8(&identity.certificate_pem, &identity.key_pem).unwrap();
        let acceptor = TlsAcceptor::from(native_tls::TlsAcceptor::new(identity).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            function,
            seen: Mutex::default(),
            choose: Mutex::new(Box::new(|_| None)),
            released: watch::channel(false).0,
        });
        tokio::spawn(accept(listener, acceptor, state.clone()));
        Self { port, state }
    }

    /// From now on, `choose` decides which requests go wrong; answers held back until now are let go.
    pub fn trouble(&self, choose: impl FnMut(&Seen) -> Option<Trouble> + Send + 'static) {
        self.state.released.send_replace(true);
        *self.state.choose.lock().unwrap() = Box::new(choose);
        self.state.released.send_replace(false);
    }

    /// Lets go of the answers that are held back.
    pub fn release(&self) {
        self.state.released.send_replace(true);
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<State>) {
    while let Ok((stream, peer)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        tokio::spawn(serve(stream, peer, acceptor.clone(), state.clone()));
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, acceptor: TlsAcceptor, state: Arc<State>) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let service = service_fn(move |request| handle(request, peer, state.clone()));
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let _ = connection.await;
}

async fn handle(
    request: Request<Incoming>,
    peer: SocketAddr,
    state: Arc<State>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let Some(mut seen) = read(request, peer).await else {
        return Ok(answer::own(413, "Request Entity Too Large"));
    };
    seen.trouble = (state.choose.lock().unwrap())(&seen);
    let number = {
        let mut all = state.seen.lock().unwrap();
        all.push(seen.clone());
        all.len() - 1
    };
    let (response, body) = respond(&seen, &state).await.into_parts();
    let body = body.collect().await?.to_bytes();
    let status = response.status.as_u16();
    state.seen.lock().unwrap()[number].answer = Some(Answer {
        status,
        body: body.clone(),
    });
    if seen.trouble == Some(Trouble::Stalled) {
        let mut released = state.released.subscribe();
        let _ = released.wait_for(|released| *released).await;
    }
    Ok(Response::from_parts(response, Full::new(body)))
}

/// `None`: the body is larger than the gateway takes, or broke off.
async fn read(request: Request<Incoming>, peer: SocketAddr) -> Option<Seen> {
    let (head, body) = request.into_parts();
    let headers = head.headers.iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
    Some(Seen {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        peer,
        received: SystemTime::now(),
        trouble: None,
        answer: None,
        body: Limited::new(body, BODY_BYTES).collect().await.ok()?.to_bytes(),
    })
}

async fn respond(seen: &Seen, state: &State) -> Response<Full<Bytes>> {
    if seen.header_bytes() > HEADER_BYTES {
        return answer::own(431, "Request Header Fields Too Large");
    }
    if seen.trouble == Some(Trouble::Refused) {
        return answer::own(503, "Service Unavailable");
    }
    let event = event::of(seen).to_string();
    let outcome = state.function.invoke(event, REMAINING);
    let mut response = match tokio::time::timeout(INTEGRATION_LIMIT, outcome).await {
        Ok(Ok(Outcome::Response(value))) => answer::from(&value),
        Ok(Ok(Outcome::Error(_)) | Err(_)) => answer::own(500, "Internal Server Error"),
        Err(_) => answer::own(503, "Service Unavailable"),
    };
    if seen.trouble == Some(Trouble::Lost) {
        *response.status_mut() = hyper::StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
