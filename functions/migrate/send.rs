//! Delivers an answer to CloudFormation's response URL: one PUT, tried again within bounds.
//!
//! In: the URL and the bytes. Out: nothing, or why it could not be delivered, in words that never hold the URL: who
//! has it may answer for the stack. `https` with the system's roots; `http` to loopback only.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use hyper::rt::{Read, Write};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::cfn_event::ResponseUrl;
use crate::tls::is_loopback;

/// One attempt: a PUT of 4 KB takes S3 well under a second.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(3);

/// How often it is tried. Three attempts with the pauses between them take at most [`LIMIT`].
const ATTEMPTS: u32 = 3;

/// The pause before the second attempt; the third waits twice as long.
const PAUSE: Duration = Duration::from_millis(300);

/// The longest that a delivery takes.
pub const LIMIT: Duration = Duration::from_secs(10);

/// Why an answer was not delivered.
#[derive(Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// The event names no URL, or one that is none.
    NoUrl(&'static str),
    /// There was an answer, and it was no.
    Status(u16),
    /// There was none.
    Network(&'static str),
}

impl std::fmt::Display for Undelivered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoUrl(why) => write!(f, "the event's ResponseURL {why}"),
            Self::Status(code) => write!(f, "the response URL answered {code}"),
            Self::Network(what) => write!(
                f,
                "{what}: in a VPC without egress the response URL needs an S3 gateway endpoint"
            ),
        }
    }
}

impl std::error::Error for Undelivered {}

/// Puts `body`.
///
/// # Errors
/// The last attempt's fault, within [`LIMIT`].
pub async fn put(url: &ResponseUrl, body: Vec<u8>) -> Result<(), Undelivered> {
    let place = Place::of(url)?;
    let body = Bytes::from(body);
    let mut attempt = 1;
    loop {
        let put = tokio::time::timeout(ATTEMPT_LIMIT, place.put(body.clone())).await;
        match put.unwrap_or(Err(Undelivered::Network("no answer in time"))) {
            Err(fault) if fault.may_pass() && attempt < ATTEMPTS => {
                tokio::time::sleep(PAUSE * attempt).await;
                attempt += 1;
            }
            end => return end,
        }
    }
}

impl Undelivered {
    fn may_pass(&self) -> bool {
        match self {
            Self::NoUrl(_) => false,
            Self::Status(code) => *code >= 500 || *code == 429,
            Self::Network(_) => true,
        }
    }
}

struct Place {
    tls: bool,
    host: String,
    port: u16,
    host_header: String,
    target: String,
}

impl Place {
    fn of(url: &ResponseUrl) -> Result<Self, Undelivered> {
        let no_url = |_| Undelivered::NoUrl("cannot be read");
        let uri: Uri = url.expose().parse().map_err(no_url)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(Undelivered::NoUrl("must begin with https://")),
        };
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if !tls && !is_loopback(&host) {
            return Err(Undelivered::NoUrl(
                "must begin with https://: clear text goes to loopback only",
            ));
        }
        Ok(Self {
            tls,
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            host_header: uri.authority().map_or_else(String::new, ToString::to_string),
            target: uri
                .path_and_query()
                .map_or("/", |target| target.as_str())
                .to_owned(),
            host,
        })
    }

    async fn put(&self, body: Bytes) -> Result<(), Undelivered> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|_| Undelivered::Network("no connection to the response URL"))?;
        if !self.tls {
            return self.exchange(TokioIo::new(tcp), body).await;
        }
        let refused = |_| Undelivered::Network("the response URL's certificate was not accepted");
        let connector = native_tls::TlsConnector::new().map_err(refused)?;
        let connector = tokio_native_tls::TlsConnector::from(connector);
        let stream = connector.connect(&self.host, tcp).await.map_err(refused)?;
        self.exchange(TokioIo::new(stream), body).await
    }

    async fn exchange<S: Read + Write + Unpin + Send + 'static>(
        &self,
        stream: S,
        body: Bytes,
    ) -> Result<(), Undelivered> {
        let lost = |_| Undelivered::Network("the connection to the response URL was lost");
        let (mut sender, connection) = http1::handshake(stream).await.map_err(lost)?;
        tokio::spawn(connection);
        // The URL is signed with an empty content type.
        let request = Request::put(&self.target)
            .header(HOST, &self.host_header)
            .header(CONTENT_TYPE, "")
            .header(CONTENT_LENGTH, body.len())
            .body(Full::new(body))
            .map_err(|_| Undelivered::NoUrl("cannot be read"))?;
        let status = sender.send_request(request).await.map_err(lost)?.status();
        match status {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(()),
            other => Err(Undelivered::Status(other.as_u16())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_attempts_end_within_the_limit() {
        let pauses: Duration = (1..ATTEMPTS).map(|attempt| PAUSE * attempt).sum();
        assert!(ATTEMPT_LIMIT * ATTEMPTS + pauses <= LIMIT);
    }

    #[test]
    fn clear_text_goes_to_loopback_only() {
        for (url, fine) in [
            ("https://s3.example/a?b=c", true),
            ("http://127.0.0.1:1/a", true),
            ("http://localhost/a", true),
            ("http://[::1]:1/a", true),
            ("http://s3.example/a", false),
            ("http://127.0.0.1.example/a", false),
            ("ftp://127.0.0.1/a", false),
            ("", false),
            ("not a url", false),
        ] {
            let json = serde_json::value::to_raw_value(&serde_json::json!({ "ResponseURL": url }));
            let envelope = super::super::cfn_event::Envelope::of(&json.unwrap()).unwrap();
            let place = Place::of(&envelope.response_url.unwrap());
            assert_eq!(place.is_ok(), fine, "{url}");
        }
    }
}
