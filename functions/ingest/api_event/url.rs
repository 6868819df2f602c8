//! Path and query as the sender meant them; pure.
//!
//! In: the event. Out: the path without the stage or base path that the gateway's owner put in front of it, and the
//! query as in a URL. REST APIs hand over `/base/path` and say in `resource` and `pathParameters` what of it is the
//! function's; HTTP APIs put a named stage in front, also behind a mapped domain.

use std::borrow::Cow;

use percent_encoding::{utf8_percent_encode, AsciiSet, NON_ALPHANUMERIC};

use super::super::loose_json::{self, Object};
use super::gateway::Gateway;

/// The characters that RFC 3986 leaves as they are.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The path below stage and base path; `/` where there is none.
pub fn path(event: &Object<'_>, context: &Object<'_>) -> String {
    let path = event.text("rawPath").or_else(|| event.text("path"));
    let path = path.as_deref().unwrap_or("/");
    below_base_path(path, event).unwrap_or_else(|| without_stage(path, context.text("stage").as_deref()))
}

/// The route's own path with its parameters filled in, if `path` ends with it.
fn below_base_path(path: &str, event: &Object<'_>) -> Option<String> {
    let resource = event.text("resource").or_else(|| event.text("routeKey"))?;
    let template = &resource[resource.find('/')?..];
    let parameters = event.object("pathParameters");
    let mut own = String::new();
    for segment in template.split('/').skip(1) {
        let name = segment
            .strip_prefix('{')
            .and_then(|segment| segment.strip_suffix('}'));
        own.push('/');
        match name {
            Some(name) => own.push_str(&parameters.text(name.trim_end_matches('+'))?),
            None => own.push_str(segment),
        }
    }
    let is_own = own == "/" || path.trim_end_matches('/').ends_with(own.trim_end_matches('/'));
    is_own.then_some(own)
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

/// The query as it stood in the URL, without the question mark.
///
/// Format 1.0 has it taken apart, by a REST API decoded, by a load balancer not; put together again it can be read
/// as format 2.0's.
pub fn query<'a>(event: &Object<'a>, gateway: Gateway) -> Cow<'a, str> {
    if let Some(query) = event.text("rawQueryString") {
        return query;
    }
    let encoded = |text: &str| match gateway.is_load_balancer() {
        true => text.to_owned(),
        false => utf8_percent_encode(text, UNRESERVED).to_string(),
    };
    let pair = |name: &str, value: &str| format!("{}={}", encoded(name), encoded(value));
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
    Cow::Owned(pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{json, value::to_raw_value, Value};

    #[test]
    fn the_path_is_the_functions_own() {
        let proxy = |path: &str, proxy: &str| {
            json!({ "path": path, "resource": "/{proxy+}", "pathParameters": { "proxy": proxy },
                "requestContext": { "stage": "prod" } })
        };
        let staged =
            |path: &str, stage: &str| json!({ "rawPath": path, "requestContext": { "stage": stage } });
        for (event, expected) in [
            (proxy("/e", "e"), "/e"),
            (proxy("/base/e", "e"), "/e"),
            (proxy("/base/prod/v1/t", "v1/t"), "/v1/t"),
            (proxy("/base/v1/t/", "v1/t"), "/v1/t"),
            (proxy("/prod/e", "prod/e"), "/prod/e"),
            (proxy("/prod/e", "other"), "/e"),
            (json!({ "path": "/base", "resource": "/" }), "/"),
            (json!({ "path": "/base/a/b", "resource": "/a/b" }), "/a/b"),
            (
                json!({ "path": "/v1/x/c/7", "resource": "/x/{kind}/{id}", "pathParameters": { "kind": "c", "id": "7" } }),
                "/x/c/7",
            ),
            (
                json!({ "rawPath": "/dev/x/1/2", "routeKey": "ANY /x/{proxy+}", "pathParameters": { "proxy": "1/2" } }),
                "/x/1/2",
            ),
            (json!({ "rawPath": "/e", "routeKey": "$default" }), "/e"),
            (staged("/prod/e", "prod"), "/e"),
            (staged("/prod", "prod"), "/"),
            (staged("/product/e", "prod"), "/product/e"),
            (staged("/e", "$default"), "/e"),
            (staged("/e", ""), "/e"),
            (json!({}), "/"),
        ] {
            let raw = to_raw_value(&event).unwrap();
            let object = Object::of(&raw);
            assert_eq!(
                path(&object, &object.object("requestContext")),
                expected,
                "{event}"
            );
        }
    }

    fn query_of(event: &Value, gateway: Gateway) -> String {
        let raw = to_raw_value(event).unwrap();
        query(&Object::of(&raw), gateway).into_owned()
    }

    #[test]
    fn a_query_reads_as_in_the_url_whoever_took_it_apart() {
        let single = json!({ "queryStringParameters": { "a": "1 2", "b": "%25" } });
        assert_eq!(query_of(&single, Gateway::RestApi), "a=1%202&b=%2525");
        assert_eq!(query_of(&single, Gateway::LoadBalancer), "a=1 2&b=%25");
        let multiple = json!({ "queryStringParameters": { "a": "2" },
            "multiValueQueryStringParameters": { "a": ["1", "2"], "c~": ["/"] } });
        assert_eq!(query_of(&multiple, Gateway::RestApi), "a=1&a=2&c~=%2F");
        assert_eq!(
            query_of(&multiple, Gateway::LoadBalancerMultiValue),
            "a=1&a=2&c~=/"
        );
        assert_eq!(
            query_of(&json!({ "rawQueryString": "x?y" }), Gateway::HttpApi),
            "x?y"
        );
        assert_eq!(query_of(&json!({}), Gateway::HttpApi), "");
    }
}
