//! What an API gateway makes of an HTTP request, and of a function's answer.
//!
//! A request starts from a recorded event of `tests/events/`, in any of five shapes, and differs from it where a test
//! says so.

use aws_lambda_events::alb::AlbTargetGroupResponse;
use aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayV2httpResponse};
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde_json::value::RawValue;
use serde_json::{json, Map, Value};

use super::tools;

/// The shapes in which gateways tell of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// HTTP API, payload format 2.0.
    V2,
    /// REST API, payload format 1.0.
    V1,
    /// A function's own URL: an HTTP API's in all but its domain.
    Url,
    /// Application Load Balancer.
    Alb,
    /// One with multi-value headers.
    AlbMulti,
}

/// The two of API Gateway.
pub const SHAPES: [Shape; 2] = [Shape::V2, Shape::V1];

pub const ALL_SHAPES: [Shape; 5] = [Shape::V2, Shape::V1, Shape::Url, Shape::Alb, Shape::AlbMulti];

impl Shape {
    /// The shape of its answers.
    pub fn of_answer(self) -> Self {
        match self {
            Self::Url => Self::V2,
            other => other,
        }
    }

    /// The answer is what AWS's own types take for this shape.
    fn holds(self, reply: &Value) {
        let taken = match self {
            Self::V1 => serde_json::from_value::<ApiGatewayProxyResponse>(reply.clone()).err(),
            Self::V2 | Self::Url => serde_json::from_value::<ApiGatewayV2httpResponse>(reply.clone()).err(),
            Self::Alb | Self::AlbMulti => {
                serde_json::from_value::<AlbTargetGroupResponse>(reply.clone()).err()
            }
        };
        assert!(taken.is_none(), "{self:?}: {taken:?}");
    }

    fn is_format_2(self) -> bool {
        matches!(self, Self::V2 | Self::Url)
    }
}

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
            Shape::Url => "http_function_url.json",
            Shape::Alb => "http_alb.json",
            Shape::AlbMulti => "http_alb_multi_value.json",
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
        if self.shape.is_format_2() {
            self.event["requestContext"]["http"]["method"] = json!(method);
        } else {
            self.event["httpMethod"] = json!(method);
        }
        self
    }

    pub fn path(mut self, path: &str) -> Self {
        if self.shape.is_format_2() {
            self.event["rawPath"] = json!(path);
        } else {
            self.event["path"] = json!(path);
        }
        if self.shape == Shape::V1 {
            self.event["pathParameters"] = json!({ "proxy": path.trim_start_matches('/') });
        }
        self
    }

    /// `query` as in a URL; REST APIs and load balancers take it apart, the former decode it.
    pub fn query(mut self, query: &str) -> Self {
        if self.shape.is_format_2() {
            self.event["rawQueryString"] = json!(query);
            return self;
        }
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let decoded = |text: &str| match self.shape {
            Shape::V1 => percent_encoding::percent_decode_str(text)
                .decode_utf8_lossy()
                .into_owned(),
            _ => text.to_owned(),
        };
        let mut values: Map<String, Value> = Map::new();
        for (name, value) in pairs {
            let of_name = values.entry(decoded(name)).or_insert_with(|| json!([]));
            of_name.as_array_mut().unwrap().push(json!(decoded(value)));
        }
        if self.shape == Shape::Alb {
            let last = |values: &mut Value| *values = values.as_array().unwrap().last().unwrap().clone();
            values.values_mut().for_each(last);
            self.event["queryStringParameters"] = Value::Object(values);
        } else {
            self.event["multiValueQueryStringParameters"] = Value::Object(values);
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

    /// Who connected to the gateway; a load balancer says it as the last of `X-Forwarded-For`.
    pub fn source_ip(mut self, address: &str) -> Self {
        let place = match self.shape {
            Shape::V2 | Shape::Url => "http",
            Shape::V1 => "identity",
            Shape::Alb | Shape::AlbMulti => return self.header("x-forwarded-for", Some(address)),
        };
        self.event["requestContext"][place]["sourceIp"] = json!(address);
        self
    }

    /// The page that sends it.
    pub fn origin(&self) -> Option<&str> {
        let headers = ["headers", "multiValueHeaders"].into_iter();
        let mut headers = headers.filter_map(|name| self.event[name].as_object()).flatten();
        let (_, value) = headers.find(|(name, _)| name.eq_ignore_ascii_case("origin"))?;
        value.as_str().or_else(|| value[0].as_str())
    }

    /// The body and, where it is a list, each of its elements, if they can be told from other text.
    pub fn telling_bodies(&self) -> Vec<String> {
        let body = self.event["body"].as_str().unwrap_or_default();
        let elements: Vec<&RawValue> = serde_json::from_str(body).unwrap_or_default();
        let texts = elements.into_iter().map(RawValue::get).chain([body]);
        let is_telling = |text: &&str| (7..1_000).contains(&text.len());
        texts.filter(is_telling).take(200).map(str::to_owned).collect()
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
    /// A REST API answers 502 to members of another shape.
    pub shape: Shape,
    pub status: u64,
    pub headers: Map<String, Value>,
    /// As the sender gets them.
    pub bytes: Vec<u8>,
    /// Null where there is no JSON.
    pub body: Value,
}

impl Answer {
    /// # Panics
    /// It is of no gateway's format.
    pub fn of(reply: &Value) -> Self {
        let mut members: Vec<&str> = reply.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        let (shape, headers) = match members[..] {
            ["body", "headers", "isBase64Encoded", "statusCode"] => (Shape::V1, reply["headers"].clone()),
            ["body", "cookies", "headers", "isBase64Encoded", "statusCode"]
                if reply["cookies"] == json!([]) =>
            {
                (Shape::V2, reply["headers"].clone())
            }
            ["body", "headers", "isBase64Encoded", "statusCode", "statusDescription"] => {
                (Shape::Alb, reply["headers"].clone())
            }
            ["body", "isBase64Encoded", "multiValueHeaders", "statusCode", "statusDescription"] => {
                let lists = reply["multiValueHeaders"].as_object().unwrap().iter();
                let headers = lists.map(|(name, list)| {
                    assert_eq!(list.as_array().unwrap().len(), 1, "{name}: {list}");
                    (name.clone(), list[0].clone())
                });
                (Shape::AlbMulti, headers.collect())
            }
            _ => panic!("{members:?}"),
        };
        shape.holds(reply);
        let headers = headers.as_object().unwrap().clone();
        assert!(headers.values().all(Value::is_string), "{headers:?}");
        let status = reply["statusCode"].as_u64().unwrap();
        let described = reply.get("statusDescription").map(|line| line.as_str().unwrap());
        assert!(
            described.is_none_or(|line| line.starts_with(&format!("{status} "))),
            "{described:?}"
        );
        let text = reply["body"].as_str().unwrap();
        let bytes = match reply["isBase64Encoded"].as_bool().unwrap() {
            true => STANDARD.decode(text).unwrap(),
            false => text.as_bytes().to_vec(),
        };
        Self {
            shape,
            status,
            headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            bytes,
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
