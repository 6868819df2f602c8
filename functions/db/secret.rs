//! A login's password in AWS Secrets Manager: fetched when it is first needed, and again after it was refused.
//!
//! In: the secret's ARN. Out: the password, and the user where the secret names one (rotation between two users changes
//! it). A secret is the JSON that RDS makes, `{"username": …, "password": …}`, or the bare password. Nothing of it is in
//! an error.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use super::error::ConnectError;
use crate::aws::{Aws, Service};
use crate::config::{self, Secret};

/// One request, with its connection: several times what it takes within a region, and the sender still waits.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// What a secret says.
#[derive(Clone, Debug)]
pub struct Login {
    /// Instead of the configured one.
    pub user: Option<String>,
    pub password: Secret,
}

/// One secret, kept.
pub struct Secrets {
    aws: Aws,
    arn: String,
    kept: Mutex<Option<Arc<Login>>>,
}

impl Secrets {
    pub fn new(aws: config::Aws, arn: String) -> Self {
        Self {
            aws: Aws::new(aws),
            arn,
            kept: Mutex::new(None),
        }
    }

    pub fn kept(&self) -> Option<Arc<Login>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn forget(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// # Errors
    /// Secrets Manager does not answer in time or says no, or the secret holds no password.
    pub async fn fetch(&self) -> Result<Arc<Login>, ConnectError> {
        const ACTION: &str = "secretsmanager.GetSecretValue";
        let body = serde_json::json!({ "SecretId": self.arn }).to_string();
        let fetching = self
            .aws
            .call(Service::SecretsManager, ACTION, body, FETCH_TIMEOUT);
        let answer = fetching
            .await
            .map_err(|error| ConnectError::Secret(error.to_string()))?;
        let login = read(&answer).ok_or_else(|| {
            ConnectError::Secret("it is neither a text nor JSON with a member password".to_owned())
        })?;
        let login = Arc::new(login);
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(login.clone());
        Ok(login)
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "SecretString")]
    text: String,
}

#[derive(Deserialize)]
struct Members {
    username: Option<String>,
    password: String,
}

fn read(answer: &[u8]) -> Option<Login> {
    let Answer { text } = serde_json::from_slice(answer).ok()?;
    if text.trim_start().starts_with('{') {
        let members: Members = serde_json::from_str(&text).ok()?;
        return Some(Login {
            user: members.username.filter(|user| !user.is_empty()),
            password: Secret::new(members.password),
        });
    }
    (!text.is_empty()).then(|| Login {
        user: None,
        password: Secret::new(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_password_or_what_rds_makes() {
        for (text, is) in [
            ("canary", Some((None, "canary"))),
            (
                r#"{"username":"u","password":"p","engine":"postgres"}"#,
                Some((Some("u"), "p")),
            ),
            (r#"{"password":"p"}"#, Some((None, "p"))),
            (r#"{"username":"u"}"#, None),
            ("{broken", None),
            ("", None),
        ] {
            let answer = serde_json::json!({ "SecretString": text }).to_string();
            let login = read(answer.as_bytes());
            let found = login.as_ref().map(|l| (l.user.as_deref(), l.password.expose()));
            assert_eq!(found, is, "{text}");
        }
        assert!(read(br#"{"SecretBinary":"AA=="}"#).is_none());
    }
}
