//! Every environment variable: name, meaning, default; read once, in `main`.
//!
//! In: the process environment (and, for a deploy, the values that replace parts of it). Out: typed settings, or
//! one sentence that names the variable, the fault and the remedy. [`VARIABLES`] is the table that README.md and
//! template.yaml are tested against. Nothing here connects to anything.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

mod aws;
mod edge;
mod queue;

pub use aws::{Aws, AwsCredentials, Endpoint};
pub use edge::{Edge, Explain, IpMode};
pub use queue::Queue;

/// Which of the two binaries a variable belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// Receives beacons.
    Ingest,
    /// Applies and rolls back the raw layer.
    Migrate,
}

/// One row of the configuration table.
pub struct Variable {
    /// Name in the environment.
    pub name: &'static str,
    /// The functions that read it.
    pub functions: &'static [Function],
    /// What holds when it is not set; `None`: it must be set (see `meaning` for when).
    pub default: Option<&'static str>,
    /// One sentence for the person who sets it.
    pub meaning: &'static str,
}

/// As many as a stack's name may have ("CreateStack", AWS CloudFormation).
const STACK_NAME_MAX: usize = 128;

const BOTH: &[Function] = &[Function::Ingest, Function::Migrate];
const INGEST: &[Function] = &[Function::Ingest];
const MIGRATE: &[Function] = &[Function::Migrate];

const fn row(
    name: &'static str,
    functions: &'static [Function],
    default: Option<&'static str>,
    meaning: &'static str,
) -> Variable {
    Variable {
        name,
        functions,
        default,
        meaning,
    }
}

/// All variables that the functions read, in the order in which a person sets them.
pub const VARIABLES: &[Variable] = &[
    row(
        "DB_HOST",
        BOTH,
        None,
        "host name or address of PostgreSQL, or the directory of its Unix socket",
    ),
    row("DB_PORT", BOTH, Some("5432"), "port, 1 to 65535"),
    row("DB_NAME", BOTH, None, "database that holds schema raw"),
    row(
        "DB_USER",
        INGEST,
        None,
        "login of ingest, a member of tracking_ingest_role",
    ),
    row(
        "DB_PASSWORD",
        INGEST,
        None,
        "its password; needed where DB_AUTH is password",
    ),
    row(
        "DB_SECRET_ARN",
        INGEST,
        None,
        "its secret in AWS Secrets Manager, with username and password or the password alone; needed where DB_AUTH is secret",
    ),
    row(
        "DB_MIGRATOR_USER",
        MIGRATE,
        None,
        "login of migrate, the owner of the raw layer",
    ),
    row(
        "DB_MIGRATOR_PASSWORD",
        MIGRATE,
        None,
        "its password; needed where DB_AUTH is password",
    ),
    row(
        "DB_MIGRATOR_SECRET_ARN",
        MIGRATE,
        None,
        "its secret in AWS Secrets Manager; needed where DB_AUTH is secret",
    ),
    row(
        "DB_AUTH",
        BOTH,
        Some("iam"),
        "iam (a token signed with the AWS_* variables), password, or secret (a password in AWS Secrets Manager)",
    ),
    row(
        "DB_CA",
        BOTH,
        Some("rds"),
        "who may vouch for the server: rds, system, or the path of a PEM file",
    ),
    row(
        "IP_MODE",
        INGEST,
        Some("full"),
        "how much of a visitor's address is stored: full, truncated (/24 of IPv4, /48 of IPv6) or none",
    ),
    row(
        "TRUSTED_PROXIES",
        INGEST,
        Some("0"),
        "which entry of X-Forwarded-For, counted from the right, is the visitor's; 0: the gateway's own word is taken",
    ),
    row(
        "EXPLAIN",
        INGEST,
        Some("off"),
        "on: X-Ingest-Explain: 1 is answered with each decision and stores nothing; off in production",
    ),
    row(
        "QUEUE_URL",
        INGEST,
        Some("off"),
        "the SQS queue that keeps events while the database is away, or off",
    ),
    row(
        "DEAD_LETTERS_URL",
        INGEST,
        Some("off"),
        "the SQS queue in which those rest that the database refuses; off where QUEUE_URL is",
    ),
    row("LOG_LEVEL", BOTH, Some("info"), "info or debug"),
    row(
        "STACK_NAME",
        BOTH,
        Some("local"),
        "by which the metrics of one stack are told from those of others",
    ),
    row(
        "AWS_REGION",
        BOTH,
        None,
        "region of the database; set by Lambda, needed where DB_AUTH is iam or secret, and picks the roots where DB_CA is rds",
    ),
    row(
        "AWS_ACCESS_KEY_ID",
        BOTH,
        None,
        "access key id; set by Lambda, needed where DB_AUTH is iam or secret",
    ),
    row(
        "AWS_SECRET_ACCESS_KEY",
        BOTH,
        None,
        "secret access key; set by Lambda, needed where DB_AUTH is iam or secret",
    ),
    row(
        "AWS_SESSION_TOKEN",
        BOTH,
        Some(""),
        "session token; set by Lambda, part of the signature where DB_AUTH is iam or secret",
    ),
    row(
        "AWS_ENDPOINT_URL",
        BOTH,
        Some(""),
        "where the services of AWS are, if not at their own hosts: https://host:port, or http:// on loopback",
    ),
];

/// A variable that cannot be understood: its name, the fault, the remedy. Never its value where that is a secret.
#[derive(Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The variable.
    pub name: &'static str,
    /// What is wrong with it, and what to do.
    pub fault: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.fault)
    }
}

impl std::error::Error for Invalid {}

/// A value that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `value`.
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value itself, for the one who sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Where PostgreSQL is and who we are there.
#[derive(Clone, Debug)]
pub struct Database {
    /// Host name, address, or the directory of a Unix socket.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Database name.
    pub name: String,
    /// Login.
    pub user: String,
    /// How the login proves itself.
    pub auth: Auth,
    /// Who may vouch for the server.
    pub ca: Ca,
}

/// How a login proves itself.
#[derive(Clone, Debug)]
pub enum Auth {
    /// By a password.
    Password(Secret),
    /// By a token signed with the function's own AWS credentials.
    Iam(AwsCredentials),
    /// By a password in AWS Secrets Manager.
    Secret {
        /// Who asks for it.
        aws: Aws,
        /// The secret.
        arn: String,
    },
}

/// Who may vouch for the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ca {
    /// The embedded roots of Amazon RDS: those of a region, or all where no region is known.
    Rds(Option<String>),
    /// The roots of the operating system.
    System,
    /// The certificates in a PEM file.
    File(String),
}

/// How much the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Every step that may help to find a fault.
    Debug,
    /// One line per outcome.
    Info,
}

/// The variables of [`VARIABLES`] as they stood when the process began.
#[derive(Clone)]
pub struct Environment(BTreeMap<&'static str, OsString>);

impl Environment {
    /// Reads the process environment; call it once, in `main`.
    pub fn of_process() -> Self {
        Self(
            VARIABLES
                .iter()
                .filter_map(|v| Some((v.name, std::env::var_os(v.name)?)))
                .collect(),
        )
    }

    /// The same environment with some variables given another value, or (`None`) taken away.
    pub fn replaced(&self, values: impl IntoIterator<Item = (&'static str, Option<String>)>) -> Self {
        let mut replaced = self.0.clone();
        for (name, value) in values {
            match value {
                Some(value) => replaced.insert(name, value.into()),
                None => replaced.remove(name),
            };
        }
        Self(replaced)
    }

    /// How much the log says.
    ///
    /// # Errors
    /// `LOG_LEVEL` is neither `info` nor `debug`.
    pub fn log_level(&self) -> Result<LogLevel, Invalid> {
        match self.text_or_default("LOG_LEVEL")?.as_str() {
            "info" => Ok(LogLevel::Info),
            "debug" => Ok(LogLevel::Debug),
            other => Err(invalid(
                "LOG_LEVEL",
                format!("must be info or debug, got {}", withheld(other)),
            )),
        }
    }

    /// Whose metrics these are: what CloudFormation takes for a stack's name, and any other word of that kind.
    ///
    /// # Errors
    /// `STACK_NAME` is none that a dimension of a metric may have.
    pub fn stack_name(&self) -> Result<String, Invalid> {
        let name = self.text_or_default("STACK_NAME")?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        match name.len() <= STACK_NAME_MAX && name.bytes().all(is_plain) {
            true => Ok(name),
            false => Err(invalid(
                "STACK_NAME",
                format!(
                    "must be up to {STACK_NAME_MAX} letters, digits, hyphens, underscores and points, got {}",
                    withheld(&name)
                ),
            )),
        }
    }

    /// Where the database is, and who this function is there.
    ///
    /// # Errors
    /// The first variable that is missing or cannot be understood.
    pub fn database(&self, function: Function) -> Result<Database, Invalid> {
        let (user, password, secret) = match function {
            Function::Ingest => ("DB_USER", "DB_PASSWORD", "DB_SECRET_ARN"),
            Function::Migrate => (
                "DB_MIGRATOR_USER",
                "DB_MIGRATOR_PASSWORD",
                "DB_MIGRATOR_SECRET_ARN",
            ),
        };
        Ok(Database {
            host: self.required("DB_HOST")?,
            port: self.port()?,
            name: self.required("DB_NAME")?,
            user: self.required(user)?,
            auth: self.auth(password, secret)?,
            ca: self.ca()?,
        })
    }

    fn port(&self) -> Result<u16, Invalid> {
        let text = self.text_or_default("DB_PORT")?;
        match text.parse() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(invalid(
                "DB_PORT",
                format!("must be a number from 1 to 65535, got {}", withheld(&text)),
            )),
        }
    }

    fn auth(&self, password: &'static str, secret: &'static str) -> Result<Auth, Invalid> {
        match self.text_or_default("DB_AUTH")?.as_str() {
            "password" => Ok(Auth::Password(Secret(self.required(password)?))),
            "iam" => Ok(Auth::Iam(self.aws_credentials()?)),
            "secret" => Ok(Auth::Secret {
                aws: self.aws()?,
                arn: self.required(secret)?,
            }),
            other => Err(invalid(
                "DB_AUTH",
                format!("must be iam, password or secret, got {}", withheld(other)),
            )),
        }
    }

    fn ca(&self) -> Result<Ca, Invalid> {
        match self.text_or_default("DB_CA")?.as_str() {
            "rds" => Ok(Ca::Rds(self.text("AWS_REGION")?)),
            "system" => Ok(Ca::System),
            path if path.contains(std::path::MAIN_SEPARATOR) => Ok(Ca::File(path.to_owned())),
            other => Err(invalid(
                "DB_CA",
                format!(
                    "must be rds, system or the path of a PEM file, got {}",
                    withheld(other)
                ),
            )),
        }
    }

    fn required(&self, name: &'static str) -> Result<String, Invalid> {
        self.text(name)?
            .ok_or_else(|| invalid(name, format!("is not set; set it to {}", meaning(name))))
    }

    fn text_or_default(&self, name: &'static str) -> Result<String, Invalid> {
        let default = || default(name).unwrap_or_default().to_owned();
        Ok(self.text(name)?.unwrap_or_else(default))
    }

    /// An empty variable is one that was meant to be set and was not, unless empty is its default.
    fn text(&self, name: &'static str) -> Result<Option<String>, Invalid> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        match value.to_str() {
            None => Err(invalid(name, "is not UTF-8; set it again".to_owned())),
            Some("") if default(name) != Some("") => Err(invalid(
                name,
                format!("is empty; unset it or set it to {}", meaning(name)),
            )),
            Some(text) => Ok(Some(text.to_owned())),
        }
    }
}

/// A wrong value as a failure tells it, which is logged: by its length. It may be a secret in the wrong place.
pub fn withheld(value: &str) -> String {
    match value.chars().count() {
        1 => "1 character".to_owned(),
        count => format!("{count} characters"),
    }
}

fn invalid(name: &'static str, fault: String) -> Invalid {
    Invalid { name, fault }
}

fn default(name: &str) -> Option<&'static str> {
    VARIABLES.iter().find(|v| v.name == name).and_then(|v| v.default)
}

fn meaning(name: &str) -> &'static str {
    VARIABLES
        .iter()
        .find(|v| v.name == name)
        .map_or("", |v| v.meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Environment {
        Environment(BTreeMap::new()).replaced([
            ("DB_HOST", Some("db.example".to_owned())),
            ("DB_NAME", Some("tracking".to_owned())),
            ("DB_USER", Some("tracking_ingest".to_owned())),
            ("DB_PASSWORD", Some("s3cret".to_owned())),
            ("DB_AUTH", Some("password".to_owned())),
        ])
    }

    #[test]
    fn a_good_environment_is_read_with_its_defaults() {
        let database = good().database(Function::Ingest).unwrap();
        assert_eq!((database.port, database.ca), (5432, Ca::Rds(None)));
        assert_eq!(good().log_level(), Ok(LogLevel::Info));
        assert_eq!(good().stack_name(), Ok("local".to_owned()));
    }

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        let shown = format!("{:?}", good().database(Function::Ingest).unwrap());
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn a_fault_names_the_variable_and_the_remedy() {
        for (name, value, says) in [
            ("DB_HOST", None, "is not set; set it to host name"),
            ("DB_HOST", Some(""), "is empty; unset it or set it to host name"),
            (
                "DB_PORT",
                Some("0"),
                "must be a number from 1 to 65535, got 1 character",
            ),
            ("DB_PORT", Some("54x"), "got 3 characters"),
            ("DB_PASSWORD", None, "is not set; set it to its password"),
            ("DB_AUTH", Some("md5"), "must be iam, password or secret"),
            ("DB_CA", Some("mine"), "must be rds, system or the path"),
            ("STACK_NAME", Some("a b"), "must be up to 128 letters, digits"),
            ("STACK_NAME", Some(""), "is empty"),
        ] {
            let environment = good().replaced([(name, value.map(str::to_owned))]);
            let database = environment.database(Function::Ingest).err();
            let fault = database.or(environment.stack_name().err()).unwrap();
            assert_eq!(fault.name, name);
            assert!(fault.to_string().contains(says), "{name}={value:?}: {fault}");
        }
    }
}
