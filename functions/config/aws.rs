//! Who the functions are on AWS, and where its services are.
//!
//! In: the `AWS_*` variables. Out: credentials and an endpoint, or the sentence that names the fault.

use super::{invalid, withheld, Environment, Invalid, Secret};
use crate::tls::is_loopback;

/// What a request to a service of AWS needs.
#[derive(Clone, Debug)]
pub struct Aws {
    /// Who asks.
    pub credentials: AwsCredentials,
    /// Where; `None`: at each service's own host in the region.
    pub endpoint: Option<Endpoint>,
}

/// The function's own AWS identity, as Lambda hands it over.
#[derive(Clone, Debug)]
pub struct AwsCredentials {
    /// Region of the database.
    pub region: String,
    /// Access key id.
    pub access_key_id: Secret,
    /// Secret access key.
    pub secret_access_key: Secret,
    /// Session token; empty where the credentials have none.
    pub session_token: Secret,
}

/// A host that answers for all services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether it is spoken to over TLS; else it is on loopback.
    pub tls: bool,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Environment {
    /// Credentials and endpoint.
    ///
    /// # Errors
    /// The first variable that is missing or cannot be understood.
    pub fn aws(&self) -> Result<Aws, Invalid> {
        Ok(Aws {
            credentials: self.aws_credentials()?,
            endpoint: self.endpoint()?,
        })
    }

    pub(crate) fn aws_credentials(&self) -> Result<AwsCredentials, Invalid> {
        Ok(AwsCredentials {
            region: self.required("AWS_REGION")?,
            access_key_id: Secret(self.required("AWS_ACCESS_KEY_ID")?),
            secret_access_key: Secret(self.required("AWS_SECRET_ACCESS_KEY")?),
            session_token: Secret(self.text_or_default("AWS_SESSION_TOKEN")?),
        })
    }

    fn endpoint(&self) -> Result<Option<Endpoint>, Invalid> {
        const NAME: &str = "AWS_ENDPOINT_URL";
        let text = self.text_or_default(NAME)?;
        if text.is_empty() {
            return Ok(None);
        }
        let endpoint = Endpoint::parse(&text);
        endpoint.map(Some).ok_or_else(|| {
            let rule = "must be https://host:port, or http://host:port on loopback";
            invalid(NAME, format!("{rule}, got {}", withheld(&text)))
        })
    }
}

impl Endpoint {
    fn parse(url: &str) -> Option<Self> {
        let uri: hyper::Uri = url.parse().ok()?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return None,
        };
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
        let is_bare = uri.path_and_query().is_none_or(|rest| rest.as_str() == "/");
        (is_bare && (tls || is_loopback(host))).then(|| Self {
            tls,
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_spoken_to_over_tls_unless_it_is_on_loopback() {
        for (url, found) in [
            (
                "https://vpce-1.sqs.example",
                Some((true, "vpce-1.sqs.example", 443)),
            ),
            ("https://host:8443/", Some((true, "host", 8443))),
            ("http://127.0.0.1:5000", Some((false, "127.0.0.1", 5000))),
            ("http://[::1]:5000", Some((false, "::1", 5000))),
            ("http://localhost", Some((false, "localhost", 80))),
            ("http://host:5000", None),
            ("http://127.0.0.1.example", None),
            ("https://host/path", None),
            ("ftp://host", None),
            ("host", None),
        ] {
            let endpoint = Endpoint::parse(url);
            let endpoint = endpoint.as_ref().map(|e| (e.tls, e.host.as_str(), e.port));
            assert_eq!(endpoint, found, "{url}");
        }
    }
}
