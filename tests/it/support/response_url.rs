//! Where CloudFormation waits for a custom resource's answer: takes PUTs, in good and in bad moods.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_native_tls::TlsAcceptor;

/// How the endpoint behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Good,
    /// Answers with this status.
    Status(u16),
    /// Takes the request and never answers.
    Silent,
    /// Resets each connection.
    Reset,
}

/// One answer as it came.
#[derive(Debug)]
pub struct Put {
    pub path_and_query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Put {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the answer to CloudFormation is JSON")
    }
}

pub struct ResponseUrl {
    pub url: String,
    mood: Arc<Mutex<Mood>>,
    puts: mpsc::UnboundedReceiver<Put>,
}

/// What a pre-signed URL carries; it must appear in no log.
pub const SIGNATURE: &str = "canary-signature-of-the-response-url";

impl ResponseUrl {
    pub async fn start() -> Self {
        Self::listening("http", None).await
    }

    async fn listening(scheme: &str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "{scheme}://{}/answer?X-Amz-Signature={SIGNATURE}",
            listener.local_addr().unwrap()
        );
        let mood = Arc::new(Mutex::new(Mood::Good));
        let (sender, puts) = mpsc::unbounded_channel();
        tokio::spawn(accept(listener, tls, mood.clone(), sender));
        Self { url, mood, puts }
    }

    /// The same behind TLS, as S3 has it.
    pub async fn start_with_tls(identity: &super::authority::Identity) -> Self {
        let identity =
            native_tls::Identity::from_pkcs8(&identity.certificate_pem, &identity.key_pem).unwrap();
        let acceptor = native_tls::TlsAcceptor::new(identity).unwrap();
        Self::listening("https", Some(acceptor.into())).await
    }

    pub fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// The next answer.
    pub async fn put(&mut self) -> Put {
        tokio::time::timeout(Duration::from_secs(60), self.puts.recv())
            .await
            .expect("no answer came")
            .unwrap()
    }

    /// An answer that is here already.
    pub fn put_now(&mut self) -> Option<Put> {
        self.puts.try_recv().ok()
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    mood: Arc<Mutex<Mood>>,
    puts: mpsc::UnboundedSender<Put>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let now = *mood.lock().unwrap();
        if now == Mood::Reset {
            stream.set_zero_linger().unwrap();
            continue;
        }
        let (tls, puts) = (tls.clone(), puts.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(stream, now, puts).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, now, puts).await;
                    }
                }
            }
        });
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    mood: Mood,
    puts: mpsc::UnboundedSender<Put>,
) {
    let service = service_fn(move |request| take(mood, puts.clone(), request));
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn take(
    mood: Mood,
    puts: mpsc::UnboundedSender<Put>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let headers = request.headers().iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
    let (headers, path_and_query) = (headers.collect(), request.uri().to_string());
    let body = request
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes().to_vec())
        .unwrap_or_default();
    let _ = puts.send(Put {
        path_and_query,
        headers,
        body,
    });
    let code = match mood {
        Mood::Status(code) => code,
        Mood::Silent => std::future::pending().await,
        Mood::Good | Mood::Reset => 200,
    };
    Ok(Response::builder()
        .status(code)
        .body(Full::new(Bytes::new()))
        .unwrap())
}
