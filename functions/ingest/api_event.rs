//! The gateway's event: method, path, query, headers, body bytes, the sender's address, the time.
//!
//! In: the JSON of an HTTP API (payload format 2.0) or of a REST API (format 1.0); function URLs and load balancers
//! speak one of the two. Out: the same six things from each. Nothing here fails but the body's base64: what is
//! absent or of an odd type is empty, and who needs it says so. What the body means is not known here.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::DecodePaddingMode;
use base64::{alphabet, DecodeError, Engine};
use percent_encoding::{utf8_percent_encode, AsciiSet, NON_ALPHANUMERIC};
use serde_json::value::RawValue;

use super::failure::Undecodable;
use super::loose_json::{self, Object};

/// The characters that RFC 3986 leaves as they are.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The gateway pads; a sender that calls the function directly may not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// 1 January 2100: a time beyond it is no time at which a gateway received anything.
const LATEST_MS: u64 = 4_102_444_800_000;

/// The two formats in which gateways tell of requests, and want to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// REST APIs and load balancers.
    V1,
    /// HTTP APIs and function URLs.
    V2,
}

/// One HTTP request as its gateway tells it.
pub struct ApiEvent<'a> {
    /// The gateway's format.
    pub format: Format,
    /// In capitals as sent; empty where the event is no HTTP request.
    pub method: Cow<'a, str>,
    /// Without the stage.
    pub path: String,
    /// As it stood in the URL, without the question mark.
    pub query: Cow<'a, str>,
    /// The gateway's word for who connected to it.
    pub source_ip: Option<Cow<'a, str>>,
    headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    received_ms: Option<u64>,
    body: Option<&'a RawValue>,
    is_base64: bool,
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
        let path = event.text("rawPath").or_else(|| event.text("path"));
        let milliseconds = context
            .text("timeEpoch")
            .or_else(|| context.text("requestTimeEpoch"));
        let format = match context.get("http") {
            Some(_) => Format::V2,
            None => Format::V1,
        };
        Self {
            format,
            method: http
                .text("method")
                .or_else(|| event.text("httpMethod"))
                .unwrap_or_default(),
            path: without_stage(path.as_deref().unwrap_or("/"), context.text("stage").as_deref()),
            query: event
                .text("rawQueryString")
                .unwrap_or_else(|| Cow::Owned(query_of(&event))),
            source_ip: http.text("sourceIp").or_else(|| identity.text("sourceIp")),
            headers: headers(&event),
            received_ms: milliseconds
                .and_then(|text| text.parse().ok())
                .filter(|ms| *ms <= LATEST_MS),
            body: event.get("body"),
            is_base64: event.text("isBase64Encoded").as_deref() == Some("true"),
        }
    }

    /// The last value of a header, trimmed; `None` where it is absent or empty. `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .rev()
            .find(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
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

/// A named stage stands in front of the path that the sender meant.
fn without_stage(path: &str, stage: Option<&str>) -> String {
    let rest = stage
        .filter(|stage| !stage.is_empty())
        .and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage))
        .filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match rest {
        Some("") => "/".to_owned(),
        Some(rest) => rest.to_owned(),
        None => path.to_owned(),
    }
}

/// Format 1.0 knows headers twice, once with all values of each name.
fn headers<'a>(event: &Object<'a>) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
    let single = event.object("headers").members();
    let multiple = event.object("multiValueHeaders").members();
    let multiple = multiple.flat_map(|(name, values)| {
        let values = loose_json::elements(values).into_iter();
        values.map(move |value| (name.clone(), value))
    });
    multiple
        .chain(single)
        .filter_map(|(name, value)| Some((name, loose_json::text(value)?)))
        .collect()
}

/// Format 1.0 has the query decoded and taken apart; put together again it can be read as format 2.0's.
fn query_of(event: &Object<'_>) -> String {
    let multiple = event.object("multiValueQueryStringParameters").members();
    let mut pairs: Vec<String> = multiple
        .flat_map(|(name, values)| {
            let values = loose_json::elements(values).into_iter();
            values.filter_map(move |value| Some(pair(&name, &loose_json::text(value)?)))
        })
        .collect();
    if pairs.is_empty() {
        let single = event.object("queryStringParameters").members();
        pairs.extend(single.filter_map(|(name, value)| Some(pair(&name, &loose_json::text(value)?))));
    }
    pairs.join("&")
}

fn pair(name: &str, value: &str) -> String {
    format!(
        "{}={}",
        utf8_percent_encode(name, RESERVED),
        utf8_percent_encode(value, RESERVED)
    )
}
