//! From settings to a connection: TLS, the login and what proves it, all of it within one time-out.
//!
//! In: [`config::Database`]. Out: a client whose connection runs in a task of its own and ends with it. A token is made
//! anew for each connection, so that none is ever old; a secret is kept until the server refuses it.

use postgres_native_tls::MakeTlsConnector;
use tokio_postgres::config::SslMode;
use tokio_postgres::Client;

use super::error::ConnectError;
use super::secret::{Login, Secrets};
use super::{iam, CONNECT_TIMEOUT};
use crate::config::{self, Auth};
use crate::tls;

/// Makes connections to one database.
pub struct Connector {
    config: config::Database,
    secrets: Option<Secrets>,
}

impl Connector {
    pub fn new(config: config::Database) -> Self {
        let secrets = match &config.auth {
            Auth::Secret { aws, arn } => Some(Secrets::new(aws.clone(), arn.clone())),
            Auth::Password(_) | Auth::Iam(_) => None,
        };
        Self { config, secrets }
    }

    /// Connects. A kept secret that the server refuses was rotated meanwhile: it is fetched again, once.
    ///
    /// # Errors
    /// What stood in the way, in words for the operator.
    pub async fn connect(&self) -> Result<Client, ConnectError> {
        let Some(secrets) = &self.secrets else {
            return self.with(None).await;
        };
        let kept = secrets.kept();
        let is_fresh = kept.is_none();
        let login = match kept {
            Some(login) => login,
            None => secrets.fetch().await?,
        };
        match self.with(Some(&login)).await {
            Err(refused) if refused.is_wrong_password() => {
                secrets.forget();
                if is_fresh {
                    return Err(refused);
                }
                let login = secrets.fetch().await?;
                self.with(Some(&login)).await
            }
            end => end,
        }
    }

    async fn with(&self, login: Option<&Login>) -> Result<Client, ConnectError> {
        let settings = self.settings(login);
        let connecting = settings.connect(self.tls()?);
        let (client, connection) = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| ConnectError::TimedOut)?
            .map_err(ConnectError::from_postgres)?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Whom to trust.
    pub fn tls(&self) -> Result<MakeTlsConnector, ConnectError> {
        let connector = tls::connector(&self.config.ca).map_err(ConnectError::Authority)?;
        Ok(MakeTlsConnector::new(connector))
    }

    fn settings(&self, login: Option<&Login>) -> tokio_postgres::Config {
        let config = &self.config;
        let mut settings = tokio_postgres::Config::new();
        settings.host(&config.host).port(config.port).dbname(&config.name);
        // `prefer` falls back to clear text without a word: it serves only where nobody is on the wire.
        settings.ssl_mode(if is_local(&config.host) {
            SslMode::Prefer
        } else {
            SslMode::Require
        });
        let named = login.and_then(|login| login.user.as_deref());
        settings.user(named.unwrap_or(&config.user));
        match &config.auth {
            Auth::Password(password) => settings.password(password.expose()),
            Auth::Iam(credentials) => settings.password(iam::token(config, credentials)),
            Auth::Secret { .. } => settings.password(login.map_or("", |login| login.password.expose())),
        };
        settings
    }
}

/// Loopback and Unix sockets: the only places where clear text is taken.
fn is_local(host: &str) -> bool {
    host.starts_with('/') || tls::is_loopback(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_text_is_taken_on_loopback_and_unix_sockets_only() {
        for (host, local) in [
            ("localhost", true),
            ("127.0.0.1", true),
            ("127.8.9.1", true),
            ("::1", true),
            ("/run/postgresql", true),
            ("localhost.example.com", false),
            ("10.0.0.1", false),
            ("db.example", false),
            ("0.0.0.0", false),
        ] {
            assert_eq!(is_local(host), local, "{host}");
        }
    }
}
