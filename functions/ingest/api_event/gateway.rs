//! Which gateway tells of a request, and so in which form it wants to be answered.
//!
//! In: the event's own marks. Out: one of five. `cargo lambda watch` speaks as an HTTP API does, and an HTTP API that
//! was told to use payload format 1.0 as a REST API.

use super::super::loose_json::Object;

/// Who stands between the sender and the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// API Gateway's HTTP API, payload format 2.0.
    HttpApi,
    /// A function's own URL; the format is an HTTP API's.
    FunctionUrl,
    /// API Gateway's REST API, format 1.0.
    RestApi,
    /// An Application Load Balancer that hands over one value for each header.
    LoadBalancer,
    /// One that hands over all values, and takes answers only so.
    LoadBalancerMultiValue,
}

impl Gateway {
    /// Reads the marks of `event` and of its `requestContext`.
    pub fn of(event: &Object<'_>, context: &Object<'_>) -> Self {
        if context.get("elb").is_some() {
            let lists = event.get("multiValueHeaders");
            return match lists.is_some_and(|lists| lists.get().starts_with('{')) {
                true => Self::LoadBalancerMultiValue,
                false => Self::LoadBalancer,
            };
        }
        if context.get("http").is_none() {
            return Self::RestApi;
        }
        match context.text("domainName") {
            Some(domain) if domain.contains(".lambda-url.") => Self::FunctionUrl,
            _ => Self::HttpApi,
        }
    }

    /// A load balancer tells of the address that connected to it in `X-Forwarded-For` alone, and hands over a query
    /// as it stood in the URL.
    pub fn is_load_balancer(self) -> bool {
        matches!(self, Self::LoadBalancer | Self::LoadBalancerMultiValue)
    }

    /// A word for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::HttpApi => "http_api",
            Self::FunctionUrl => "function_url",
            Self::RestApi => "rest_api",
            Self::LoadBalancer => "load_balancer",
            Self::LoadBalancerMultiValue => "load_balancer_multi_value",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_gateway_is_known_by_its_marks() {
        let elb = json!({ "elb": { "targetGroupArn": "arn:x" } });
        let http = |domain: &str| json!({ "http": {}, "domainName": domain });
        for (event, expected) in [
            (
                json!({ "requestContext": elb, "headers": {} }),
                Gateway::LoadBalancer,
            ),
            (
                json!({ "requestContext": elb, "headers": {}, "multiValueHeaders": null }),
                Gateway::LoadBalancer,
            ),
            (
                json!({ "requestContext": elb, "multiValueHeaders": {} }),
                Gateway::LoadBalancerMultiValue,
            ),
            (
                json!({ "requestContext": http("a.execute-api.x") }),
                Gateway::HttpApi,
            ),
            (
                json!({ "requestContext": http("a.lambda-url.x.on.aws") }),
                Gateway::FunctionUrl,
            ),
            (json!({ "requestContext": { "http": {} } }), Gateway::HttpApi),
            (
                json!({ "requestContext": {}, "multiValueHeaders": {} }),
                Gateway::RestApi,
            ),
            (json!({}), Gateway::RestApi),
        ] {
            let raw = serde_json::value::to_raw_value(&event).unwrap();
            let event = Object::of(&raw);
            let found = Gateway::of(&event, &event.object("requestContext"));
            assert_eq!(found, expected, "{}", raw.get());
            assert!(!found.name().is_empty());
            let is_balanced = raw.get().contains("elb");
            assert_eq!(found.is_load_balancer(), is_balanced, "{}", raw.get());
        }
    }
}
