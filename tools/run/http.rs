//! Two requests to `cargo lambda watch`: invoke a function as AWS would, and ask `ingest` whether it is there.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::watch::LOG;
use crate::Failed;

/// The first call of a function may compile it.
const LIMIT: Duration = Duration::from_secs(600);

/// Calls `function` with `event`; its answer.
pub async fn invoke(
    port: u16,
    function: &str,
    event: &serde_json::Value,
) -> Result<serde_json::Value, Failed> {
    let path = format!("/2015-03-31/functions/{function}/invocations");
    let (status, body) = call(port, Method::POST, &path, event.to_string()).await?;
    let answer = serde_json::from_slice(&body);
    match answer {
        Ok(answer) if status.is_success() => Ok(answer),
        _ => Err(format!(
            "{function} answered {status}: {}; more is in {LOG}",
            String::from_utf8_lossy(&body)
        )),
    }
}

/// Returns when `ingest` has answered.
pub async fn get_health(port: u16) -> Result<(), Failed> {
    let (status, _) = call(port, Method::GET, "/health", String::new()).await?;
    if status.is_success() {
        Ok(())
    } else {
        Err(format!(
            "ingest answers {status} to GET /health; more is in {LOG}"
        ))
    }
}

async fn call(port: u16, method: Method, path: &str, body: String) -> Result<(StatusCode, Bytes), Failed> {
    let what = format!("{method} {path}");
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", format!("127.0.0.1:{port}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| format!("{what}: {error}"))?;
    match tokio::time::timeout(LIMIT, exchange(port, request)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(format!("{what}: {error}; more is in {LOG}")),
        Err(_) => Err(format!("{what}: no answer within {LIMIT:?}; more is in {LOG}")),
    }
}

async fn exchange(
    port: u16,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}
