//! An answer in the form in which its gateway takes it.
//!
//! In: status, headers, content. Out: what is serialised. A REST API answers 502 to a member that it does not know,
//! `cargo lambda watch` takes no answer of an HTTP API without `cookies`, and a load balancer that hands over all
//! values of a header takes headers in that form alone.

use std::collections::BTreeMap;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde::Serialize;

use super::super::api_event::Gateway;

/// What the sender gets to read.
pub enum Content {
    /// Nothing.
    Nothing,
    /// A JSON text.
    Json(String),
    /// An image.
    Image(&'static [u8]),
}

/// The gateway's answer format.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reply {
    status_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<&'static str, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_value_headers: Option<BTreeMap<&'static str, [String; 1]>>,
    body: String,
    is_base64_encoded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cookies: Option<[&'static str; 0]>,
}

impl Reply {
    /// The answer that `gateway` takes.
    pub fn of(
        gateway: Gateway,
        status: u16,
        mut headers: BTreeMap<&'static str, String>,
        content: Content,
    ) -> Self {
        let (kind, body) = match content {
            Content::Nothing => (None, String::new()),
            Content::Json(text) => (Some("application/json"), text),
            Content::Image(bytes) => (Some("image/gif"), STANDARD.encode(bytes)),
        };
        let is_base64_encoded = kind == Some("image/gif");
        headers.extend(kind.map(|kind| ("Content-Type", kind.to_owned())));
        let (headers, multi_value_headers) = match gateway {
            Gateway::LoadBalancerMultiValue => {
                let listed = headers.into_iter().map(|(name, value)| (name, [value]));
                (None, Some(listed.collect()))
            }
            _ => (Some(headers), None),
        };
        Self {
            status_code: status,
            status_description: gateway.is_load_balancer().then(|| described(status)),
            headers,
            multi_value_headers,
            body,
            is_base64_encoded,
            cookies: matches!(gateway, Gateway::HttpApi | Gateway::FunctionUrl).then_some([]),
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status_code
    }
}

/// A load balancer's status line.
fn described(status: u16) -> String {
    let reason = match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        _ => "Service Unavailable",
    };
    format!("{status} {reason}")
}
