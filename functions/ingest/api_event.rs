//! The gateway's event: method, path, query, headers, body bytes, the sender's address, the time.
//!
//! In: the JSON of an HTTP API, a function URL, a REST API or a load balancer. Out: the same seven things from each.
//! Nothing here fails but the body's base64: what is absent or of an odd type is empty, and who needs it says so.
//! What the body means is not known here.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::DecodePaddingMode;
use base64::{alphabet, DecodeError, Engine};
use serde_json::value::RawValue;

use super::failure::Undecodable;
use super::loose_json::{self, Object};

mod gateway;
mod url;
mod headers;

pub use gateway::Gateway;

use headers::Headers;

/// The gateway pads; a sender that calls the function directly may not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// 1 January 2100: a time beyond it is no time at which a gateway received anything.
const LATEST_MS: u64 = 4_102_444_800_000;

/// One HTTP request as its gateway tells it.
pub struct ApiEvent<'a> {
    /// Who tells of it.
    pub gateway: Gateway,
    /// In capitals as sent; empty where the event is no HTTP request.
    pub method: Cow<'a, str>,
    /// Without stage and base path.
    pub path: String,
    /// As it stood in the URL, without the question mark.
    pub query: Cow<'a, str>,
    /// The gateway's word for who connected to it.
    pub source_ip: Option<Cow<'a, str>>,
    headers: Headers<'a>,
    received_ms: Option<u64>,
    body: Option<&'a RawValue>,
    /// Whether the gateway took the body for bytes.
    pub is_base64: bool,
}

/// A request's body.
#[derive(Debug)]
pub struct Body<'a> {
    /// As the sender wrote them, or, where `broken` says why not, as the gateway handed them over.
    pub bytes: Cow<'a, [u8]>,
    /// Where the gateway's base64 stops being one.
    pub broken: Option<Undecodable>,
}

impl<'a> ApiEvent<'a> {
    /// Reads whatever is there.
    pub fn read(gateway: &'a RawValue) -> Self {
        let event = Object::of(gateway);
        let context = event.object("requestContext");
        let http = context.object("http");
        let identity = context.object("identity");
        let milliseconds = context
            .text("timeEpoch")
            .or_else(|| context.text("requestTimeEpoch"));
        let gateway = Gateway::of(&event, &context);
        Self {
            gateway,
            method: http
                .text("method")
                .or_else(|| event.text("httpMethod"))
                .unwrap_or_default(),
            path: url::path(&event, &context),
            query: url::query(&event, gateway),
            source_ip: http.text("sourceIp").or_else(|| identity.text("sourceIp")),
            headers: Headers::of(&event),
            received_ms: milliseconds
                .and_then(|text| text.parse().ok())
                .filter(|ms| *ms <= LATEST_MS),
            body: event.get("body"),
            is_base64: event.text("isBase64Encoded").as_deref() == Some("true"),
        }
    }

    /// The last value of a header, trimmed; `None` where it is absent or empty. `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.last(name)
    }

    /// All values of a header, as they stand. `name` is in lower case.
    pub fn header_values<'s>(&'s self, name: &'s str) -> impl DoubleEndedIterator<Item = &'s str> {
        self.headers.all(name)
    }

    /// When the gateway received the request; `now` where it does not say.
    pub fn received_or(&self, now: SystemTime) -> SystemTime {
        self.received_ms
            .map_or(now, |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms))
    }

    /// The body's bytes as the sender wrote them; empty where there is none.
    pub fn body(&self) -> Body<'a> {
        let bytes = self.body.and_then(loose_json::bytes).unwrap_or_default();
        if !self.is_base64 {
            return Body { bytes, broken: None };
        }
        match BASE64.decode(&bytes) {
            Ok(decoded) => Body {
                bytes: Cow::Owned(decoded),
                broken: None,
            },
            Err(error) => {
                let offset = match error {
                    DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => at,
                    DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => bytes.len(),
                };
                let what = "the gateway's base64";
                let broken = Some(Undecodable { what, offset });
                Body { bytes, broken }
            }
        }
    }
}
