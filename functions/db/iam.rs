//! A token that stands for a password: an AWS Signature Version 4 pre-signed `rds-db:connect`.
//!
//! In: the database's identity, AWS credentials and (inside) the clock. Out: a text that PostgreSQL on RDS takes as
//! the password for [`EXPIRES_S`] seconds. It needs no network and no stored secret, and is made anew for each
//! connection, so that none is ever old. The rules are those of RDS IAM authentication.

use std::time::SystemTime;

use crate::aws::sign::{digest, encoded, Canonical, Signer, ALGORITHM};
use crate::config::{AwsCredentials, Database};

/// RDS takes a token for a connection that begins within 15 minutes; it may not be longer.
const EXPIRES_S: u32 = 900;

/// The token for a connection that begins now.
pub fn token(database: &Database, credentials: &AwsCredentials) -> String {
    token_at(database, credentials, SystemTime::now())
}

fn token_at(database: &Database, credentials: &AwsCredentials, now: SystemTime) -> String {
    let signer = Signer::new(credentials, "rds-db", now);
    let host = format!("{}:{}", database.host, database.port);
    let query = query(database, credentials, &signer);
    let signature = signer.signature(&Canonical {
        method: "GET",
        path: "/",
        query: &query,
        headers: &[("host", &host)],
        body_sha256: &digest(b""),
    });
    format!("{host}/?{query}&X-Amz-Signature={signature}")
}

/// The parameters in the order of their names, as the signature wants them.
fn query(database: &Database, credentials: &AwsCredentials, signer: &Signer<'_>) -> String {
    let credential = signer.credential();
    let expires = EXPIRES_S.to_string();
    let mut parameters = vec![
        ("Action", "connect"),
        ("DBUser", &database.user),
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", &credential),
        ("X-Amz-Date", &signer.timestamp),
        ("X-Amz-Expires", &expires),
    ];
    if !credentials.session_token.expose().is_empty() {
        parameters.push(("X-Amz-Security-Token", credentials.session_token.expose()));
    }
    parameters.push(("X-Amz-SignedHeaders", "host"));
    let pairs: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Function};

    fn signature(host: &str, session_token: &str) -> String {
        let environment = Environment::of_process().replaced([
            ("DB_HOST", Some(host.to_owned())),
            ("DB_PORT", None),
            ("DB_NAME", Some("tracking".to_owned())),
            ("DB_USER", Some("ingest".to_owned())),
            ("DB_AUTH", None),
            ("DB_CA", None),
            ("AWS_REGION", Some("eu-west-1".to_owned())),
            ("AWS_ACCESS_KEY_ID", Some("AKIDEXAMPLE".to_owned())),
            (
                "AWS_SECRET_ACCESS_KEY",
                Some("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
            ),
            ("AWS_SESSION_TOKEN", Some(session_token.to_owned())),
        ]);
        let database = environment.database(Function::Ingest).unwrap();
        let crate::config::Auth::Iam(credentials) = &database.auth else {
            panic!("iam is the default")
        };
        let now = humantime::parse_rfc3339("2026-01-02T03:04:05Z").unwrap();
        let token = token_at(&database, credentials, now);
        token.rsplit_once("X-Amz-Signature=").unwrap().1.to_owned()
    }

    #[test]
    fn the_signature_is_the_one_that_the_aws_tools_make() {
        assert_eq!(
            signature("db.example.eu-west-1.rds.amazonaws.com", ""),
            "efc7e8f4afa9c6f5d6f650c92da724641d7ba0e599b222608d0c689fcb5e1385"
        );
        assert_eq!(
            signature(
                "db.proxy-abc.eu-west-1.rds.amazonaws.com",
                "IQoJb3JpZ2luX2VjEXAMPLE//token+/=="
            ),
            "f1fffc078395242d1e31222d2b2a67504f70e451f0736e0da2fdc4c227222fcd"
        );
    }
}
