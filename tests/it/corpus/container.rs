//! The event that a gateway makes of a case's HTTP request.
//!
//! HTTP APIs and function URLs speak format 2.0, REST APIs format 1.0 with the query decoded, load balancers a third
//! with the query as it came ("Working with AWS Lambda proxy integrations for HTTP APIs", "Set up Lambda proxy
//! integrations in API Gateway", "Lambda functions as targets for Application Load Balancers").

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use percent_encoding::percent_decode_str;
use serde_json::{json, Map, Value};

use super::case::Case;
use super::recipe;

/// When every gateway received every request: 2026-11-22T12:34:56.789Z.
pub const RECEIVED_MS: u64 = 1_795_350_896_789;

/// Who connected.
pub const SOURCE_IP: &str = "203.0.113.77";

pub const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0 canary";

/// Names that a named stage and a base path have.
const STAGE: &str = "prod";
const BASE_PATH: &str = "analytics";

pub fn event(case: &Case) -> String {
    let [container, ..] = case.traits();
    let event = match container.as_str() {
        "http_api_v2" | "http_api_v2_stage" | "http_api_v2_mapping" | "function_url" => v2(case, &container),
        "rest_v1" => v1(case, "", &format!("/{STAGE}")),
        "rest_v1_base_path" => v1(case, &format!("/{BASE_PATH}"), &format!("/{BASE_PATH}")),
        "alb" | "alb_multi_value" => alb(case, container == "alb_multi_value"),
        other => panic!("{}: no gateway is called {other}", case.name),
    };
    event.to_string()
}

fn v2(case: &Case, container: &str) -> Value {
    let path = case.request()["path"].as_str().unwrap();
    let (stage, domain, raw_path, seen_path) = match container {
        "http_api_v2_stage" => (STAGE, API, format!("/{STAGE}{path}"), format!("/{STAGE}{path}")),
        // rawPath does not hold the mapping's name; requestContext.http.path does.
        "http_api_v2_mapping" => (
            STAGE,
            OWN_DOMAIN,
            format!("/{STAGE}{path}"),
            format!("/{BASE_PATH}{path}"),
        ),
        "function_url" => ("$default", FUNCTION_URL, path.to_owned(), path.to_owned()),
        _ => ("$default", API, path.to_owned(), path.to_owned()),
    };
    let mut headers = Map::new();
    for (name, value) in headers_of(case) {
        headers.insert(name.to_ascii_lowercase(), json!(value));
    }
    let cookies = headers.remove("cookie");
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": raw_path,
        "rawQueryString": query(case),
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abcdefghij",
            "domainName": domain,
            "domainPrefix": domain.split('.').next(),
            "http": {
                "method": case.request()["method"],
                "path": seen_path,
                "protocol": "HTTP/1.1",
                "sourceIp": source_ip(case),
                "userAgent": case.header("user-agent").unwrap_or(USER_AGENT),
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": stage,
            "time": "22/Nov/2026:12:34:56 +0000",
            "timeEpoch": RECEIVED_MS,
        },
    });
    if let Some(cookies) = cookies {
        event["cookies"] = json!([cookies]);
    }
    with_body(case, event)
}

const API: &str = "abcdefghij.execute-api.eu-west-1.amazonaws.com";
const OWN_DOMAIN: &str = "collect.example.com";
const FUNCTION_URL: &str = "klmnopqrstuvwxyz.lambda-url.eu-west-1.on.aws";

fn v1(case: &Case, before: &str, seen_before: &str) -> Value {
    let path = case.request()["path"].as_str().unwrap();
    let pairs: Vec<_> = pairs(query(case))
        .map(|(name, value)| (form_decoded(name), form_decoded(value)))
        .collect();
    let headers = headers_of(case);
    let event = json!({
        "resource": "/{proxy+}",
        "path": format!("{before}{path}"),
        "httpMethod": case.request()["method"],
        "headers": last_values(&headers),
        "multiValueHeaders": all_values(&headers),
        "queryStringParameters": nothing_or(last_values(&pairs)),
        "multiValueQueryStringParameters": nothing_or(all_values(&pairs)),
        "pathParameters": { "proxy": path.trim_start_matches('/') },
        "stageVariables": null,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abcdefghij",
            "httpMethod": case.request()["method"],
            "identity": { "sourceIp": source_ip(case), "userAgent": USER_AGENT },
            "path": format!("{seen_before}{path}"),
            "protocol": "HTTP/1.1",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "requestTime": "22/Nov/2026:12:34:56 +0000",
            "requestTimeEpoch": RECEIVED_MS,
            "stage": STAGE,
        },
    });
    with_body(case, event)
}

fn alb(case: &Case, is_multi_value: bool) -> Value {
    let pairs: Vec<_> = pairs(query(case))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut headers: Vec<_> = headers_of(case)
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    // A case that has the list has it as the load balancer hands it over.
    if case.header("x-forwarded-for").is_none() {
        headers.push(("x-forwarded-for".to_owned(), SOURCE_IP.to_owned()));
    }
    headers.push(("x-forwarded-proto".to_owned(), "https".to_owned()));
    let mut event = json!({
        "requestContext": { "elb": {
            "targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/ingest/6d0ecf831eec9f09",
        } },
        "httpMethod": case.request()["method"],
        "path": case.request()["path"],
    });
    if is_multi_value {
        event["multiValueQueryStringParameters"] = Value::Object(all_values(&pairs));
        event["multiValueHeaders"] = Value::Object(all_values(&headers));
    } else {
        event["queryStringParameters"] = Value::Object(last_values(&pairs));
        event["headers"] = Value::Object(last_values(&headers));
    }
    let mut event = with_body(case, event);
    if event["body"].is_null() {
        event["body"] = json!("");
    }
    event
}

/// Encodings called `text…` are handed over as text, all others in base64.
fn with_body(case: &Case, mut event: Value) -> Value {
    let [_, encoding, ..] = case.traits();
    let body = case.request().get("body").map(recipe::build);
    let is_base64 = body.is_some() && !encoding.starts_with("text");
    event["isBase64Encoded"] = json!(is_base64);
    event["body"] = match body {
        None => Value::Null,
        Some(bytes) if is_base64 && encoding != "base64_broken" => json!(STANDARD.encode(bytes)),
        Some(bytes) => json!(String::from_utf8(bytes).unwrap()),
    };
    event
}

fn headers_of(case: &Case) -> Vec<(String, String)> {
    let mut headers = vec![("host".to_owned(), API.to_owned())];
    if case.header("user-agent").is_none() {
        headers.push(("user-agent".to_owned(), USER_AGENT.to_owned()));
    }
    let own = case.request()["headers"].as_object().into_iter().flatten();
    headers.extend(own.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())));
    headers
}

fn source_ip(case: &Case) -> &str {
    case.request()["source_ip"].as_str().unwrap_or(SOURCE_IP)
}

fn query(case: &Case) -> &str {
    case.request()["query"].as_str().unwrap_or_default()
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn form_decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

fn last_values(pairs: &[(String, String)]) -> Map<String, Value> {
    let pairs = pairs.iter();
    pairs.map(|(name, value)| (name.clone(), json!(value))).collect()
}

fn all_values(pairs: &[(String, String)]) -> Map<String, Value> {
    let mut values: Map<String, Value> = Map::new();
    for (name, value) in pairs {
        let of_name = values.entry(name.clone()).or_insert_with(|| json!([]));
        of_name.as_array_mut().unwrap().push(json!(value));
    }
    values
}

/// REST APIs say null where there is no query.
fn nothing_or(values: Map<String, Value>) -> Value {
    if values.is_empty() {
        return Value::Null;
    }
    Value::Object(values)
}
