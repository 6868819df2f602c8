//! What an API gateway makes of an HTTP request, and of a function's answer.
//!
//! A request starts from a recorded event of `tests/events/`, in either shape, and differs from it where a test
//! says so.

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde_json::{json, Map, Value};

use super::tools;

/// The two shapes in which gateways tell of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// HTTP API, payload format 2.0.
    V2,
    /// REST API, payload format 1.0.
    V1,
}

pub const SHAPES: [Shape; 2] = [Shape::V2, Shape::V1];

/// A request on its way to the function.
#[derive(Clone, Debug)]
pub struct Request {
    shape: Shape,
    event: Value,
}

/// The text of a recorded event, `SITE_KEY` replaced by `key`.
pub fn recorded(file: &str, key: &str) -> String {
    let path = tools::project().join("tests/events").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.replace("SITE_KEY", key)
}

impl Request {
    /// A POST to `/e` with the key in `x-api-key`; `body` as it is.
    pub fn post(shape: Shape, key: &str, body: &str) -> Self {
        let file = match shape {
            Shape::V2 => "http_v2.json",
            Shape::V1 => "http_v1.json",
        };
        let event = serde_json::from_str(&recorded(file, key)).unwrap();
        let mut request = Self { shape, event };
        request.event["body"] = json!(body);
        request
    }

    /// The body as a gateway hands over what is no text to it.
    pub fn base64(mut self, body: &[u8]) -> Self {
        self.event["body"] = json!(STANDARD.encode(body));
        self.event["isBase64Encoded"] = json!(true);
        self
    }

    pub fn no_body(mut self) -> Self {
        self.event["body"] = Value::Null;
        self
    }

    pub fn method(mut self, method: &str) -> Self {
        match self.shape {
            Shape::V2 => self.event["requestContext"]["http"]["method"] = json!(method),
            Shape::V1 => self.event["httpMethod"] = json!(method),
        }
        self
    }

    pub fn path(mut self, path: &str) -> Self {
        match self.shape {
            Shape::V2 => self.event["rawPath"] = json!(path),
            Shape::V1 => self.event["path"] = json!(path),
        }
        self
    }

    /// `query` as in a URL; REST APIs take it apart.
    pub fn query(mut self, query: &str) -> Self {
        match self.shape {
            Shape::V2 => self.event["rawQueryString"] = json!(query),
            Shape::V1 => {
                let mut values: Map<String, Value> = Map::new();
                for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
                    let of_name = values.entry(name).or_insert_with(|| json!([]));
                    of_name.as_array_mut().unwrap().push(json!(value));
                }
                self.event["multiValueQueryStringParameters"] = Value::Object(values);
            }
        }
        self
    }

    /// Sets a header, or takes it away.
    pub fn header(mut self, name: &str, value: Option<&str>) -> Self {
        for headers in ["headers", "multiValueHeaders"] {
            let Some(headers) = self.event[headers].as_object_mut() else {
                continue;
            };
            let is_list = headers.values().any(Value::is_array);
            headers.retain(|other, _| !other.eq_ignore_ascii_case(name));
            if let Some(value) = value {
                let value = if is_list { json!([value]) } else { json!(value) };
                headers.insert(name.to_owned(), value);
            }
        }
        self
    }

    pub fn source_ip(mut self, address: &str) -> Self {
        let place = match self.shape {
            Shape::V2 => "http",
            Shape::V1 => "identity",
        };
        self.event["requestContext"][place]["sourceIp"] = json!(address);
        self
    }

    /// The page that sends it.
    pub fn origin(&self) -> Option<&str> {
        let headers = self.event["headers"].as_object()?;
        let found = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("origin"));
        found?.1.as_str()
    }

    /// The event, for what has no method here.
    pub fn event(&mut self) -> &mut Value {
        &mut self.event
    }

    pub fn json(&self) -> String {
        self.event.to_string()
    }
}

/// What the sender gets.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u64,
    pub headers: Map<String, Value>,
    /// Null where there is none.
    pub body: Value,
}

impl Answer {
    /// # Panics
    /// It is not of the form that both gateways take.
    pub fn of(reply: &Value) -> Self {
        let members: Vec<&str> = reply.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = ["body", "headers", "isBase64Encoded", "statusCode"];
        let mut sorted = members.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, expected, "a REST API answers 502 to any other member");
        let headers = reply["headers"].as_object().unwrap().clone();
        assert!(headers.values().all(Value::is_string), "{headers:?}");
        let text = reply["body"].as_str().unwrap();
        Self {
            status: reply["statusCode"].as_u64().unwrap(),
            headers,
            body: serde_json::from_str(text).unwrap_or(Value::Null),
        }
    }

    /// A header's value; empty where it is absent.
    pub fn header(&self, name: &str) -> &str {
        let found = self
            .headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.as_str().unwrap())
    }

    /// Tag of a refusal; empty where there is none.
    pub fn tag(&self) -> &str {
        self.body["error"].as_str().unwrap_or_default()
    }
}
