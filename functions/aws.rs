//! Requests to services of AWS, signed, over the TLS client that is there.
//!
//! In: a service, an action, a body. Out: the body of the answer, or why there is none, in words that hold neither body
//! nor credentials. A connection is kept between requests for as long as the service keeps it. Only the public roots of
//! Amazon may vouch for a host; clear text goes to loopback only.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use hyper::body::Bytes;
use serde::Deserialize;

use crate::config::{self, Endpoint};

pub mod sign;
mod connection;

use connection::{Connections, Exchange, Lost};
use sign::{digest, encoded, Canonical, Signer};

/// A service that is asked with JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Amazon SQS.
    Sqs,
    /// AWS Secrets Manager.
    SecretsManager,
}

/// The name of Amazon S3 in hosts and signatures.
const S3: &str = "s3";

/// The services of AWS as one function sees them.
pub struct Aws {
    config: config::Aws,
    connections: Connections,
}

/// Why a service did not do what it was asked.
#[derive(Debug, PartialEq, Eq)]
pub enum AwsError {
    /// It was sent, and there was no answer in the time that the caller had.
    TimedOut,
    /// The way to it, named; nothing was sent.
    Network(&'static str),
    /// The way back, named; what was asked may have been done.
    Unanswered(&'static str),
    /// It answered, and said no.
    Refused {
        /// HTTP status.
        status: u16,
        /// AWS's name of the error, without the sentence, which may hold names of resources; empty where it gave none.
        code: String,
    },
}

impl AwsError {
    /// Whether what was asked may have been done all the same: it went out, and what came back, if anything, is that the
    /// service itself went wrong, at whatever point of its work.
    pub fn may_be_done(&self) -> bool {
        match self {
            Self::TimedOut | Self::Unanswered(_) => true,
            Self::Refused { status, .. } => *status >= 500,
            Self::Network(_) => false,
        }
    }
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Network(what) | Self::Unanswered(what) => f.write_str(what),
            Self::Refused { status, code } => write!(f, "answered {status} {code}"),
        }
    }
}

impl std::error::Error for AwsError {}

/// One request before it is signed.
struct Request<'a> {
    method: &'static str,
    service: &'static str,
    path: String,
    /// Lower-case names, beside `host` and what the signature itself brings.
    headers: &'a [(&'static str, &'a str)],
    body: Bytes,
}

impl Service {
    /// Name in hosts and signatures, and the content type of its protocol.
    fn protocol(self) -> (&'static str, &'static str) {
        match self {
            Self::Sqs => ("sqs", "application/x-amz-json-1.0"),
            Self::SecretsManager => ("secretsmanager", "application/x-amz-json-1.1"),
        }
    }
}

impl Aws {
    /// Keeps the settings; connects to nothing yet.
    pub fn new(config: config::Aws) -> Self {
        Self {
            config,
            connections: Connections::default(),
        }
    }

    /// Asks for `action` (`AmazonSQS.SendMessage`), with `body` in JSON; all of it ends `within` that time. What was
    /// asked may be done twice: a request whose kept connection turned out dead is sent once more.
    ///
    /// # Errors
    /// There is no answer, or it is no.
    pub async fn call(
        &self,
        service: Service,
        action: &str,
        body: impl Into<Bytes>,
        within: Duration,
    ) -> Result<Bytes, AwsError> {
        let (service, content_type) = service.protocol();
        let request = Request {
            method: "POST",
            service,
            path: "/".to_owned(),
            headers: &[("content-type", content_type), ("x-amz-target", action)],
            body: body.into(),
        };
        self.send(&request, within).await
    }

    /// Puts an object into Amazon S3.
    ///
    /// # Errors
    /// There is no answer, or it is no.
    pub async fn put_object(
        &self,
        bucket: &str,
        key: &str,
        body: impl Into<Bytes>,
        within: Duration,
    ) -> Result<(), AwsError> {
        let key: Vec<String> = key.split('/').map(encoded).collect();
        let request = Request {
            method: "PUT",
            service: S3,
            path: format!("/{}/{}", encoded(bucket), key.join("/")),
            headers: &[],
            body: body.into(),
        };
        self.send(&request, within).await.map(|_| ())
    }

    /// Where Amazon S3 is, to this function.
    pub fn place_of_s3(&self) -> Endpoint {
        self.place(S3)
    }

    async fn send(&self, request: &Request<'_>, within: Duration) -> Result<Bytes, AwsError> {
        let place = self.place(request.service);
        let exchange = self.signed(request, &place, SystemTime::now());
        let sent = AtomicU32::new(0);
        let sending = self.connections.send(&place, &exchange, &sent);
        let Ok(answer) = tokio::time::timeout(within, sending).await else {
            return Err(match sent.load(Ordering::Relaxed) {
                0 => AwsError::Network(
                    "the service was not reached in time: a VPC without egress needs an interface endpoint",
                ),
                _ => AwsError::TimedOut,
            });
        };
        let (status, body) = answer.map_err(|lost| match lost {
            Lost::Unreached(what) => AwsError::Network(what),
            Lost::Unanswered(what) => AwsError::Unanswered(what),
        })?;
        match status {
            200..=299 => Ok(body),
            _ if sent.load(Ordering::Relaxed) > 1 => Err(AwsError::Unanswered(
                "the connection to the service was lost, and it refused the second attempt",
            )),
            status => Err(AwsError::Refused {
                status,
                code: code(&body),
            }),
        }
    }

    /// The endpoint, or the service's own host.
    fn place(&self, service: &str) -> Endpoint {
        let region = &self.config.credentials.region;
        let suffix = if region.starts_with("cn-") {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        self.config.endpoint.clone().unwrap_or_else(|| Endpoint {
            tls: true,
            host: format!("{service}.{region}.{suffix}"),
            port: 443,
        })
    }

    fn signed(&self, request: &Request<'_>, place: &Endpoint, now: SystemTime) -> Exchange {
        let credentials = &self.config.credentials;
        let signer = Signer::new(credentials, request.service, now);
        let host = host_header(place);
        let body_sha256 = digest(&request.body);
        let mut headers = request.headers.to_vec();
        headers.extend([("host", host.as_str()), ("x-amz-date", &signer.timestamp)]);
        if request.service == S3 {
            headers.push(("x-amz-content-sha256", &body_sha256));
        }
        if !credentials.session_token.expose().is_empty() {
            headers.push(("x-amz-security-token", credentials.session_token.expose()));
        }
        headers.sort_unstable();
        let authorization = signer.authorization(&Canonical {
            method: request.method,
            path: &request.path,
            query: "",
            headers: &headers,
            body_sha256: &body_sha256,
        });
        headers.push(("authorization", &authorization));
        let headers = headers.into_iter();
        Exchange {
            method: request.method,
            path: request.path.clone(),
            headers: headers.map(|(name, value)| (name, value.to_owned())).collect(),
            body: request.body.clone(),
        }
    }
}

/// The port stands in it only where it is not the scheme's own, as HTTP clients have it.
fn host_header(place: &Endpoint) -> String {
    let host = if place.host.contains(':') {
        format!("[{}]", place.host)
    } else {
        place.host.clone()
    };
    match (place.tls, place.port) {
        (true, 443) | (false, 80) => host,
        (_, port) => format!("{host}:{port}"),
    }
}

/// `com.amazonaws.sqs#QueueDoesNotExist` and the like; S3 answers in XML.
fn code(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        #[serde(rename = "__type")]
        kind: String,
    }
    let kind = serde_json::from_slice(body).map(|refusal: Refusal| refusal.kind);
    let kind = kind.unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(body);
        let named = text
            .split_once("<Code>")
            .and_then(|(_, rest)| rest.split_once('<'));
        named.map_or_else(String::new, |(code, _)| code.to_owned())
    });
    let code = kind.rsplit('#').next().unwrap_or_default();
    code.chars().filter(char::is_ascii_alphanumeric).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_never_sent_or_was_refused_for_its_own_sake_is_surely_not_done() {
        let refused = |status| AwsError::Refused {
            status,
            code: String::new(),
        };
        for (error, may_be_done) in [
            (AwsError::TimedOut, true),
            (AwsError::Unanswered("the way back"), true),
            (AwsError::Network("the way there"), false),
            (refused(400), false),
            (refused(403), false),
            (refused(429), false),
            (refused(500), true),
            (refused(503), true),
        ] {
            assert_eq!(error.may_be_done(), may_be_done, "{error:?}");
        }
    }

    #[test]
    fn an_error_is_known_by_its_name_alone() {
        for (body, is) in [
            (
                r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"canary"}"#,
                "QueueDoesNotExist",
            ),
            (
                r#"{"__type":"ResourceNotFoundException"}"#,
                "ResourceNotFoundException",
            ),
            (
                "<Error><Code>NoSuchBucket</Code><Message>canary</Message></Error>",
                "NoSuchBucket",
            ),
            ("<html>bad gateway</html>", ""),
            ("", ""),
        ] {
            assert_eq!(code(body.as_bytes()), is, "{body}");
        }
    }
}
