//! What an operator asks for by invoking the function directly: `{"action": "…"}`.
//!
//! In: the event. Out: a JSON object with `ok`, `action` and the action's own fields; a failure is an answer like any
//! other, with `ok` false and the failure under `error`. The database is that of the environment.

use std::future::Future;
use std::pin::Pin;

use serde_json::value::RawValue;
use serde_json::{json, Map, Value};
use tokio::time::Instant;
use tokio_postgres::Client;

use super::catalogue::V001;
use super::failure::Failure;
use super::fields::Fields;
use super::guard;
use super::keys::{self, Wanted, Which};
use super::ledger;
use super::plan::Wish;
use super::properties;
use super::run::{self, Ending, Order};
use super::time_left::{self, Work};
use crate::config::{self, withheld, Environment, Function};
use crate::db;

/// All actions, as the answer to an unknown one lists them.
pub const NAMES: [&str; 8] = [
    "plan",
    "apply",
    "rollback",
    "verify",
    "status",
    "create_key",
    "revoke_key",
    "list_keys",
];

/// What is asked for.
#[derive(Debug)]
enum Action {
    Run(Order),
    Verify(Expect),
    Status,
    CreateKey(Wanted),
    RevokeKey(Which),
    ListKeys(Option<String>),
    #[cfg(feature = "provoke-panic")]
    Panic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Present,
    Absent,
}

/// What is no name of ours may be a secret in the wrong place: it is neither repeated nor logged.
fn is_known(name: &str) -> bool {
    NAMES.contains(&name) || cfg!(feature = "provoke-panic") && name == "panic"
}

/// Does it; the answer says how it went.
pub async fn perform(
    environment: &Environment,
    event: &RawValue,
    request_id: &str,
    deadline_ms: u64,
) -> Map<String, Value> {
    let name = Fields::of(event).text("action").filter(|name| is_known(name));
    let ended = dispatch(environment, event, request_id, deadline_ms).await;
    let (ok, mut answer) = match ended {
        Ok(answer) => (true, answer),
        Err(failure) => (false, Map::from_iter([("error".to_owned(), json!(failure))])),
    };
    let ok = ok
        && answer
            .get("differences")
            .is_none_or(|d| d.as_array().is_none_or(Vec::is_empty));
    answer.insert("ok".to_owned(), json!(ok));
    answer.insert("action".to_owned(), json!(name));
    answer
}

async fn dispatch(
    environment: &Environment,
    event: &RawValue,
    request_id: &str,
    deadline_ms: u64,
) -> Result<Map<String, Value>, Failure> {
    let action = action(&Fields::of(event), request_id)?;
    environment.log_level()?;
    let database = environment.database(Function::Migrate)?;
    let end = time_left::end_of(Work::Direct, deadline_ms, std::time::SystemTime::now())?;
    guard::finish(end, perform_on(database, action, end)).await
}

async fn perform_on(
    database: config::Database,
    action: Action,
    end: Instant,
) -> Result<Map<String, Value>, Failure> {
    if let Action::Run(order) = action {
        let report = run::run(&database, &order, end).await?;
        return Ok(match json!(report) {
            Value::Object(fields) => fields,
            _ => Map::new(),
        });
    }
    let client = db::connect(&database).await?;
    ledger::server_version(&client).await?;
    match action {
        Action::CreateKey(wanted) => keys::create(&client, wanted).await,
        Action::RevokeKey(which) => keys::revoke(&client, &which).await,
        Action::ListKeys(tenant_bk) => keys::list(&client, tenant_bk.as_deref()).await,
        Action::Verify(expect) => read_only(&client, |client| Box::pin(verify(client, expect))).await,
        Action::Status => read_only(&client, |client| Box::pin(ledger::status(client, &V001))).await,
        #[cfg(feature = "provoke-panic")]
        Action::Panic => panic!("provoked"),
        Action::Run(_) => Ok(Map::new()),
    }
}

type Reading<'a> = Pin<Box<dyn Future<Output = Result<Map<String, Value>, Failure>> + Send + 'a>>;

/// In a transaction that could not write if it wanted to.
async fn read_only<'a>(
    client: &'a Client,
    read: impl FnOnce(&'a Client) -> Reading<'a>,
) -> Result<Map<String, Value>, Failure> {
    client
        .batch_execute("begin isolation level repeatable read read only")
        .await?;
    read(client).await
}

async fn verify(client: &Client, expect: Expect) -> Result<Map<String, Value>, Failure> {
    let differences: Vec<String> = match expect {
        Expect::Present => ledger::differences(client, &V001).await?.into_iter().collect(),
        Expect::Absent => {
            let left = ledger::objects(client).await?;
            left.iter().map(|object| format!("{object} is there")).collect()
        }
    };
    let expect = match expect {
        Expect::Present => "present",
        Expect::Absent => "absent",
    };
    Ok(Map::from_iter([
        ("version".to_owned(), json!(V001.version)),
        ("expect".to_owned(), json!(expect)),
        ("differences".to_owned(), json!(differences)),
    ]))
}

fn action(fields: &Fields<'_>, request_id: &str) -> Result<Action, Failure> {
    match fields.text("action").as_deref() {
        Some("plan") => plan(fields, request_id),
        Some("apply") => apply(fields, request_id),
        Some("rollback") => rollback(fields, request_id),
        Some("verify") => match fields.text("expect").as_deref() {
            None | Some("present") => Ok(Action::Verify(Expect::Present)),
            Some("absent") => Ok(Action::Verify(Expect::Absent)),
            Some(other) => Err(Failure::request(
                format!("expect must be present or absent, got {}", withheld(other)),
                "leave it out for present",
            )),
        },
        Some("status") => Ok(Action::Status),
        Some("create_key") => create_key(fields).map(Action::CreateKey),
        Some("revoke_key") => {
            let (key, hash) = (fields.text("key"), fields.text("api_key_hk"));
            Which::of(key.as_deref(), hash.as_deref()).map(Action::RevokeKey)
        }
        Some("list_keys") => keys::listed(fields.text("tenant_bk")).map(Action::ListKeys),
        #[cfg(feature = "provoke-panic")]
        Some("panic") => Ok(Action::Panic),
        other => Err(Failure::request(
            match other {
                Some(other) => format!(
                    "there is no action of that name ({} characters)",
                    other.chars().count()
                ),
                None => "the event is neither CloudFormation's nor one with an action".to_owned(),
            },
            format!("the actions are {}", NAMES.join(", ")),
        )),
    }
}

/// The real run, given back: what it is told is what `apply` or `rollback` is told.
fn plan(fields: &Fields<'_>, request_id: &str) -> Result<Action, Failure> {
    let planned = match fields.text("of").as_deref() {
        None | Some("apply") => apply(fields, request_id)?,
        Some("rollback") => rollback(fields, request_id)?,
        Some(other) => {
            return Err(Failure::request(
                format!("of must be apply or rollback, got {}", withheld(other)),
                "leave it out for apply",
            ))
        }
    };
    Ok(match planned {
        Action::Run(order) => Action::Run(Order {
            ending: Ending::GiveBack,
            ..order
        }),
        other => other,
    })
}

fn apply(fields: &Fields<'_>, request_id: &str) -> Result<Action, Failure> {
    let login = fields
        .has("ingest_user")
        .then(|| properties::login(fields, "ingest_user", "ingest_connection_limit"))
        .transpose()?;
    Ok(Action::Run(Order {
        wish: Wish::Have(None),
        login,
        environment: properties::environment(fields, "environment")?,
        request_id: request_id.to_owned(),
        ending: Ending::Commit,
    }))
}

/// By hand a rollback wants to hear the version, so that nobody undoes what they did not mean.
fn rollback(fields: &Fields<'_>, request_id: &str) -> Result<Action, Failure> {
    let version = fields.text("version");
    if version.as_deref() != Some(V001.version) {
        return Err(Failure::request(
            format!(
                "version must be {:?}, got {}",
                V001.version,
                version.as_deref().map_or("none".to_owned(), withheld)
            ),
            "name the version that is to be rolled back",
        ));
    }
    let rows = number(fields, "drop_rows", "of rows", "leave it out to keep rows safe")?;
    let owners = number(
        fields,
        "owners",
        "of stacks that own the layer",
        "see status; leave it out where no stack does",
    )?;
    Ok(Action::Run(Order {
        wish: Wish::Gone { rows, owners },
        login: None,
        environment: None,
        request_id: request_id.to_owned(),
        ending: Ending::Commit,
    }))
}

fn number<N: std::str::FromStr>(
    fields: &Fields<'_>,
    name: &str,
    what: &str,
    remedy: &str,
) -> Result<Option<N>, Failure> {
    if !fields.has(name) {
        return Ok(None);
    }
    let text = fields.text(name).unwrap_or_default();
    let number = text.parse().map_err(|_| {
        Failure::request(
            format!("{name} must be the exact number {what}, got {}", withheld(&text)),
            remedy,
        )
    })?;
    Ok(Some(number))
}

fn create_key(fields: &Fields<'_>) -> Result<Wanted, Failure> {
    let origins = fields.raw("allowed_origins");
    let allowed_origins = origins
        .map(|raw| serde_json::from_str(raw.get()))
        .transpose()
        .map_err(|_| {
            Failure::request(
                "allowed_origins must be a list of texts",
                "write [\"https://shop.example\"], or leave it out to allow any origin",
            )
        })?;
    Wanted {
        tenant_bk: fields.text("tenant_bk").unwrap_or_default(),
        label: fields.text("label"),
        allowed_origins,
    }
    .checked()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_can() {
        for (event, says) in [
            ("{}", "the actions are plan, apply, rollback"),
            ("[]", "neither CloudFormation's nor one with an action"),
            (
                r#"{"action":"drop"}"#,
                "there is no action of that name (4 characters): the actions are",
            ),
            (r#"{"action":["apply"]}"#, "the actions are apply"),
            (r#"{"action":"rollback"}"#, "version must be \"V001\", got none"),
            (r#"{"action":"rollback","version":"V002"}"#, "got 4 characters"),
            (
                r#"{"action":"rollback","version":"V001","drop_rows":"all"}"#,
                "the exact number",
            ),
            (
                r#"{"action":"rollback","version":"V001","drop_rows":-1}"#,
                "the exact number",
            ),
            (
                r#"{"action":"rollback","version":"V001","owners":["all"]}"#,
                "owners must be the exact number of stacks",
            ),
            (
                r#"{"action":"plan","of":"verify"}"#,
                "of must be apply or rollback, got 6 characters",
            ),
            (r#"{"action":"plan","of":"rollback"}"#, "version must be \"V001\""),
            (r#"{"action":"verify","expect":"gone"}"#, "present or absent"),
            (r#"{"action":"create_key"}"#, "tenant_bk must have 1 to 255"),
            (
                r#"{"action":"create_key","tenant_bk":"a\u0000b"}"#,
                "tenant_bk has a character U+0000",
            ),
            (
                r#"{"action":"create_key","tenant_bk":"t","label":"\u0000"}"#,
                "label has a character U+0000",
            ),
            (
                r#"{"action":"create_key","tenant_bk":"t","allowed_origins":"x"}"#,
                "a list of texts",
            ),
            (
                r#"{"action":"create_key","tenant_bk":"t","allowed_origins":[1]}"#,
                "a list of texts",
            ),
            (
                r#"{"action":"list_keys","tenant_bk":"a\u0000b"}"#,
                "tenant_bk has a character U+0000 at position 2",
            ),
            (r#"{"action":"revoke_key"}"#, "either key or api_key_hk"),
            (
                r#"{"action":"apply","environment":"PROD"}"#,
                "DEV, TEST, STAGING or PRODUCTION",
            ),
        ] {
            let event: Box<RawValue> = serde_json::from_str(event).unwrap();
            let failure = action(&Fields::of(&event), "r").unwrap_err().to_string();
            assert!(failure.contains(says), "{event}: {failure}");
        }
    }

    #[test]
    fn each_name_is_an_action() {
        for name in NAMES {
            let event = json!({"action": name, "version": "V001", "tenant_bk": "t",
                "api_key_hk": "00".repeat(32)});
            let event = serde_json::value::to_raw_value(&event).unwrap();
            assert!(action(&Fields::of(&event), "r").is_ok(), "{name}");
        }
    }
}
