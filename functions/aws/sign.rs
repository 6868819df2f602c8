//! AWS Signature Version 4: what makes a request ours.
//!
//! In: credentials, the service, the time, and a request in its canonical form. Out: a signature in hexadecimal, or the
//! `authorization` header that holds it. Pure; the rules are those of "Create a signed AWS API request". `db` signs its
//! tokens with it, `aws` its requests.

use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::config::AwsCredentials;

/// The one algorithm; it stands in the signed text and in the header.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Signs for one service at one time.
pub struct Signer<'a> {
    credentials: &'a AwsCredentials,
    /// When, as AWS writes it: `20150830T123600Z`.
    pub timestamp: String,
    scope: String,
}

/// A request as it is signed.
pub struct Canonical<'a> {
    /// `GET`, `POST` …
    pub method: &'a str,
    /// The path as it is sent, encoded.
    pub path: &'a str,
    /// Its parameters, encoded, in the order of their names.
    pub query: &'a str,
    /// Lower-case names and trimmed values, in the order of the names; `host` must be among them.
    pub headers: &'a [(&'a str, &'a str)],
    /// [`digest`] of the body.
    pub body_sha256: &'a str,
}

impl<'a> Signer<'a> {
    /// For `service` at `now`.
    pub fn new(credentials: &'a AwsCredentials, service: &str, now: SystemTime) -> Self {
        let timestamp = humantime::format_rfc3339_seconds(now)
            .to_string()
            .replace(['-', ':'], "");
        let date = &timestamp[..8];
        let scope = format!("{date}/{}/{service}/aws4_request", credentials.region);
        Self {
            credentials,
            timestamp,
            scope,
        }
    }

    /// Whose signature it is: access key id and scope.
    pub fn credential(&self) -> String {
        format!("{}/{}", self.credentials.access_key_id.expose(), self.scope)
    }

    /// The signature, in hexadecimal.
    pub fn signature(&self, request: &Canonical<'_>) -> String {
        let to_sign = format!(
            "{ALGORITHM}\n{}\n{}\n{}",
            self.timestamp,
            self.scope,
            digest(request.text().as_bytes())
        );
        let secret = format!("AWS4{}", self.credentials.secret_access_key.expose());
        let key = self.scope.split('/').fold(secret.into_bytes(), hmac);
        hex(&hmac(key, &to_sign))
    }

    /// The value of the header `authorization`.
    pub fn authorization(&self, request: &Canonical<'_>) -> String {
        format!(
            "{ALGORITHM} Credential={}, SignedHeaders={}, Signature={}",
            self.credential(),
            request.signed_headers(),
            self.signature(request)
        )
    }
}

impl Canonical<'_> {
    /// The names of the headers, as the signature lists them.
    fn signed_headers(&self) -> String {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        names.join(";")
    }

    fn text(&self) -> String {
        let lines = self.headers.iter();
        let lines: String = lines.map(|(name, value)| format!("{name}:{value}\n")).collect();
        format!(
            "{}\n{}\n{}\n{lines}\n{}\n{}",
            self.method,
            self.path,
            self.query,
            self.signed_headers(),
            self.body_sha256
        )
    }
}

/// SHA-256, in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// RFC 3986: everything but the unreserved characters, in upper-case hexadecimal.
pub fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn hmac(key: Vec<u8>, message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes a key of any length");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    fn credentials(id: &str, secret: &str) -> AwsCredentials {
        let variables = [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", id),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("AWS_SESSION_TOKEN", ""),
        ];
        let variables = variables.map(|(name, value)| (name, Some(value.to_owned())));
        let environment = Environment::of_process().replaced(variables);
        environment.aws_credentials().unwrap()
    }

    /// AWS's published test suite of the signature ("aws-sig-v4-test-suite").
    #[test]
    fn the_signatures_are_those_of_the_published_suite() {
        let credentials = credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let now = humantime::parse_rfc3339("2015-08-30T12:36:00Z").unwrap();
        let signer = Signer::new(&credentials, "service", now);
        let host = ("host", "example.amazonaws.com");
        let date = ("x-amz-date", "20150830T123600Z");
        let form = ("content-type", "application/x-www-form-urlencoded");
        for (label, method, query, headers, body, signature) in [
            (
                "get-vanilla",
                "GET",
                "",
                vec![host, date],
                "",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "get-vanilla-query-order-key-case",
                "GET",
                "Param1=value1&Param2=value2",
                vec![host, date],
                "",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "post-vanilla",
                "POST",
                "",
                vec![host, date],
                "",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "post-x-www-form-urlencoded",
                "POST",
                "",
                vec![form, host, date],
                "Param1=value1",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        ] {
            let request = Canonical {
                method,
                path: "/",
                query,
                headers: &headers,
                body_sha256: &digest(body.as_bytes()),
            };
            assert_eq!(signer.signature(&request), signature, "{label}");
        }
    }

    /// The examples of "Signature Calculations for the Authorization Header" in Amazon S3's reference.
    #[test]
    fn the_signature_of_a_put_is_the_one_in_the_reference_of_s3() {
        let credentials = credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let now = humantime::parse_rfc3339("2013-05-24T00:00:00Z").unwrap();
        let signer = Signer::new(&credentials, "s3", now);
        let body_sha256 = digest(b"Welcome to Amazon S3.");
        let request = Canonical {
            method: "PUT",
            path: &format!("/{}", encoded("test$file.text")),
            query: "",
            headers: &[
                ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("host", "examplebucket.s3.amazonaws.com"),
                ("x-amz-content-sha256", &body_sha256),
                ("x-amz-date", "20130524T000000Z"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ],
            body_sha256: &body_sha256,
        };
        assert_eq!(
            signer.authorization(&request),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, \
             Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        );
    }
}
