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
use super::doctor;
use super::failure::Failure;
use super::fields::Fields;
use super::guard;
use super::health;
use super::keys;
use super::ledger;
use super::measure;
use super::recent;
use super::run;
use super::time_left::{self, Work};
use super::verify;
use crate::config::{self, Environment, Function};
use crate::db;

mod asked;

use asked::{Action, Expect};

/// All actions, as the answer to an unknown one lists them.
pub const NAMES: [&str; 12] = [
    "plan",
    "apply",
    "rollback",
    "verify",
    "status",
    "measure",
    "recent",
    "doctor",
    "health",
    "create_key",
    "revoke_key",
    "list_keys",
];

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
    let ok = ok && verify::is_fine(&answer);
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
    let action = asked::asked(&Fields::of(event), request_id)?;
    if let Action::Doctor(bucket) = action {
        let patient = doctor::Patient {
            environment: environment.clone(),
            deadline_ms,
            bucket,
        };
        let end = time_left::end_of(Work::Direct, deadline_ms, std::time::SystemTime::now())?;
        return guard::finish(end, async move { Ok(doctor::examine(patient).await) }).await;
    }
    environment.log_level()?;
    environment.stack_name()?;
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
        Action::Verify(Expect::Absent, _) => {
            read_only(&client, |client| Box::pin(verify::absent(client))).await
        }
        Action::Verify(Expect::Present, says) => verify::present(&client, &says, &database.host, end).await,
        Action::Measure => read_only(&client, |client| Box::pin(measure::measure(client))).await,
        Action::Recent(asked) => {
            read_only(&client, |client| {
                Box::pin(async move { recent::recent(client, &asked).await })
            })
            .await
        }
        Action::Health => health::ready(&client).await,
        Action::Status => read_only(&client, |client| Box::pin(ledger::status(client, &V001))).await,
        #[cfg(feature = "provoke-panic")]
        Action::Panic => panic!("provoked"),
        Action::Run(_) | Action::Doctor(_) => Ok(Map::new()),
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
