//! The properties of the custom resource: which database, which login for ingest, what a Delete may destroy.
//!
//! In: `ResourceProperties`, where CloudFormation makes a string of everything. Out: typed values, or one sentence that
//! names the property, the fault and the remedy. The database comes from here alone; of the environment only the
//! secrets count.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::config::{self, withheld, Environment, Function, Invalid};

use super::failure::{Failure, Kind};
use super::fields::Fields;
use super::login::Proof;
use super::plan::OnDelete;

/// Login that ingest has where the stack names none.
const INGEST_USER: &str = "tracking_ingest";

/// Connections of the ingest login where the stack sets no limit: some 80 sandboxes, and room to spare in the 100
/// that PostgreSQL allows by default.
const INGEST_CONNECTIONS: i32 = 80;

/// PostgreSQL cuts longer names without a word (`NAMEDATALEN` − 1).
const NAME_BYTES: usize = 63;

/// Property, and the variable whose place it takes.
const DATABASE: [(&str, &str); 7] = [
    ("DatabaseHost", "DB_HOST"),
    ("DatabasePort", "DB_PORT"),
    ("DatabaseName", "DB_NAME"),
    ("DatabaseAuth", "DB_AUTH"),
    ("DatabaseCa", "DB_CA"),
    ("MigratorUser", "DB_MIGRATOR_USER"),
    ("MigratorSecretArn", "DB_MIGRATOR_SECRET_ARN"),
];

/// Where a stack runs.
const ENVIRONMENTS: [&str; 4] = ["DEV", "TEST", "STAGING", "PRODUCTION"];

/// The login that ingest uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Its name.
    pub name: String,
    /// How many connections it may have at once; -1: any number.
    pub connection_limit: i32,
    /// How it proves itself; `None`: as the migrator does.
    pub proof: Option<Proof>,
}

/// The database that the properties name, with the secret of the environment.
///
/// # Errors
/// A property or variable is missing or cannot be understood.
pub fn database(properties: &Fields<'_>, environment: &Environment) -> Result<config::Database, Failure> {
    let values = DATABASE.map(|(property, variable)| (variable, properties.text(property)));
    let replaced = environment.replaced(values);
    replaced.log_level()?;
    replaced.database(Function::Migrate).map_err(named_by_property)
}

/// The sentence for the person who wrote the template: it names the property, not the variable behind it.
fn named_by_property(invalid: Invalid) -> Failure {
    match DATABASE.iter().find(|(_, variable)| *variable == invalid.name) {
        Some((property, _)) => Failure {
            remedy: None,
            ..Failure::new(
                Kind::Configuration,
                format!("property {property} {}", invalid.fault),
                "",
            )
        },
        None => invalid.into(),
    }
}

/// `IngestUser` and `IngestConnectionLimit`, or the same under an action's names.
///
/// # Errors
/// A name that PostgreSQL would cut or that is empty; a limit that is no number from -1.
pub fn login(properties: &Fields<'_>, user: &str, limit: &str) -> Result<Login, Failure> {
    let name = properties.text(user).unwrap_or_else(|| INGEST_USER.to_owned());
    if name.is_empty() || name.len() > NAME_BYTES || name.contains('\0') {
        return Err(property(user, "must be a name of 1 to 63 bytes", &name));
    }
    let connection_limit = match properties.text(limit) {
        None => INGEST_CONNECTIONS,
        Some(text) => match text.parse() {
            Ok(number @ -1..) => number,
            _ => return Err(property(limit, "must be a number, -1 for any number", &text)),
        },
    };
    Ok(Login {
        name,
        connection_limit,
        proof: None,
    })
}

/// Digest of `IngestSettings`, 32 hexadecimal digits: another where a setting is another, whatever order they come in. A
/// version of ingest that bears it is made anew for each.
pub fn digest_of_settings(properties: &Fields<'_>) -> String {
    let settings: Option<Value> = properties
        .raw("IngestSettings")
        .and_then(|raw| serde_json::from_str(raw.get()).ok());
    let digest = Sha256::digest(settings.unwrap_or_default().to_string());
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `IngestAuth`: the migrator may log in with a secret where ingest takes tokens.
///
/// # Errors
/// A value that is none of the three.
pub fn ingest_proof(properties: &Fields<'_>) -> Result<Option<Proof>, Failure> {
    match properties.text("IngestAuth").as_deref() {
        None => Ok(None),
        Some("iam") => Ok(Some(Proof::Iam)),
        Some("secret" | "password") => Ok(Some(Proof::Password)),
        Some(other) => Err(property("IngestAuth", "must be iam, secret or password", other)),
    }
}

/// `OnDelete`; where nothing is said, rows are kept.
///
/// # Errors
/// A value that is none of the three.
pub fn on_delete(properties: &Fields<'_>) -> Result<OnDelete, Failure> {
    match properties.text("OnDelete").as_deref() {
        None | Some("DropIfEmpty") => Ok(OnDelete::DropIfEmpty),
        Some("Retain") => Ok(OnDelete::Retain),
        Some("Drop") => Ok(OnDelete::Drop),
        Some(other) => Err(property("OnDelete", "must be Retain, DropIfEmpty or Drop", other)),
    }
}

/// `Environment`, under the name that the event gives it.
///
/// # Errors
/// A value that is none of the four.
pub fn environment(properties: &Fields<'_>, name: &str) -> Result<Option<String>, Failure> {
    match properties.text(name) {
        Some(text) if !ENVIRONMENTS.contains(&text.as_str()) => {
            Err(property(name, "must be DEV, TEST, STAGING or PRODUCTION", &text))
        }
        fine => Ok(fine),
    }
}

/// Whether two sets of properties mean the same database.
pub fn same_database(one: &Fields<'_>, other: &Fields<'_>) -> bool {
    let place = |fields: &Fields<'_>| {
        (
            fields.text("DatabaseHost"),
            fields.text("DatabasePort").unwrap_or_else(|| "5432".to_owned()),
            fields.text("DatabaseName"),
        )
    };
    place(one) == place(other)
}

fn property(name: &str, rule: &str, value: &str) -> Failure {
    Failure::new(
        Kind::Configuration,
        format!("{name} {rule}, got {}", withheld(value)),
        "correct it in the template or the call",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    fn raw(json: &str) -> Box<RawValue> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_login_has_defaults_and_rules() {
        for (json, is) in [
            ("{}", Some(("tracking_ingest", 80))),
            (
                r#"{"IngestUser":"web","IngestConnectionLimit":"5"}"#,
                Some(("web", 5)),
            ),
            (r#"{"IngestConnectionLimit":-1}"#, Some(("tracking_ingest", -1))),
            (r#"{"IngestConnectionLimit":"-2"}"#, None),
            (r#"{"IngestConnectionLimit":"many"}"#, None),
            (r#"{"IngestUser":""}"#, None),
            (
                r#"{"IngestUser":"1234567890123456789012345678901234567890123456789012345678901234"}"#,
                None,
            ),
        ] {
            let json = raw(json);
            let login = login(&Fields::of(&json), "IngestUser", "IngestConnectionLimit").ok();
            let found = login.as_ref().map(|l| (l.name.as_str(), l.connection_limit));
            assert_eq!(found, is, "{json}");
        }
    }

    #[test]
    fn ingest_may_prove_itself_in_another_way_than_the_migrator() {
        for (json, is) in [
            ("{}", Some(None)),
            (r#"{"IngestAuth":"iam"}"#, Some(Some(Proof::Iam))),
            (r#"{"IngestAuth":"secret"}"#, Some(Some(Proof::Password))),
            (r#"{"IngestAuth":"password"}"#, Some(Some(Proof::Password))),
            (r#"{"IngestAuth":"token"}"#, None),
        ] {
            let json = raw(json);
            assert_eq!(ingest_proof(&Fields::of(&json)).ok(), is, "{json}");
        }
    }

    #[test]
    fn the_digest_is_another_where_a_setting_is_and_not_where_only_the_order_is() {
        let digest = |json: &str| digest_of_settings(&Fields::of(&raw(json)));
        let one = digest(r#"{"IngestSettings":{"Variables":{"A":"1","B":"2"},"Beside":""}}"#);
        assert_eq!(
            digest(r#"{"IngestSettings":{"Beside":"","Variables":{"B":"2","A":"1"}},"Other":"1"}"#),
            one
        );
        for other in [
            r#"{"IngestSettings":{"Variables":{"A":"1","B":"3"},"Beside":""}}"#,
            r#"{"IngestSettings":{"Variables":{"A":"1"},"Beside":""}}"#,
            r#"{"IngestSettings":{"Variables":{"A":"1","B":"2"},"Beside":"x"}}"#,
            "{}",
        ] {
            assert_ne!(digest(other), one, "{other}");
            assert_eq!(digest(other).len(), 32);
        }
    }

    #[test]
    fn rows_go_only_where_somebody_says_drop() {
        for (json, is) in [
            ("{}", Some(OnDelete::DropIfEmpty)),
            (r#"{"OnDelete":"DropIfEmpty"}"#, Some(OnDelete::DropIfEmpty)),
            (r#"{"OnDelete":"Retain"}"#, Some(OnDelete::Retain)),
            (r#"{"OnDelete":"Drop"}"#, Some(OnDelete::Drop)),
            (r#"{"OnDelete":"drop"}"#, None),
            (r#"{"OnDelete":"true"}"#, None),
        ] {
            let json = raw(json);
            assert_eq!(on_delete(&Fields::of(&json)).ok(), is, "{json}");
        }
    }

    #[test]
    fn the_database_comes_from_the_properties_alone() {
        let environment = Environment::of_process().replaced([
            ("DB_HOST", Some("elsewhere".to_owned())),
            ("DB_NAME", Some("elsewhere".to_owned())),
            ("DB_MIGRATOR_PASSWORD", Some("secret".to_owned())),
            ("LOG_LEVEL", None),
        ]);
        let complete = raw(
            r#"{"DatabaseHost":"db","DatabasePort":5433,"DatabaseName":"t","DatabaseAuth":"password","MigratorUser":"m"}"#,
        );
        let found = database(&Fields::of(&complete), &environment).unwrap();
        assert_eq!(
            (found.host.as_str(), found.port, found.name.as_str()),
            ("db", 5433, "t")
        );
        let bare = raw(r#"{"DatabaseName":"t"}"#);
        let failure = database(&Fields::of(&bare), &environment).unwrap_err();
        assert!(
            failure
                .to_string()
                .starts_with("property DatabaseHost is not set"),
            "{failure}"
        );
    }

    #[test]
    fn another_host_is_another_database_and_another_login_is_not() {
        let one = raw(r#"{"DatabaseHost":"a","DatabaseName":"t"}"#);
        for (json, same) in [
            (
                r#"{"DatabaseHost":"a","DatabaseName":"t","DatabasePort":5432,"MigratorUser":"m"}"#,
                true,
            ),
            (r#"{"DatabaseHost":"b","DatabaseName":"t"}"#, false),
            (r#"{"DatabaseHost":"a","DatabaseName":"u"}"#, false),
            (
                r#"{"DatabaseHost":"a","DatabaseName":"t","DatabasePort":"5433"}"#,
                false,
            ),
        ] {
            let other = raw(json);
            assert_eq!(
                same_database(&Fields::of(&one), &Fields::of(&other)),
                same,
                "{json}"
            );
        }
    }
}
