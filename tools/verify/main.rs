//! `make verify`: fills the deployment checklist in for any database, and keeps it as JSON and Markdown.
//!
//! In: where the database is, by `DATABASE_URL` or the `DB_*` variables. Out: a summary, two files below
//! `target/verify/`, and an exit code: 0 where no line failed, 1 where one did, 2 where nothing could be asked. What
//! answers is `migrate`'s action `verify`; what it tries it undoes. `make doctor` is the same program: what stands
//! between this machine and the database, by the action `doctor`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a terminal"
)]

mod address;
mod results;
mod doctor;

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::value::to_raw_value;
use serde_json::{json, Map, Value};
use site_tracking::migrate::action;

/// One sentence: what went wrong and what to do.
type Failed = String;

/// Longer than any checklist takes.
const PATIENCE: Duration = Duration::from_secs(120);

const HELP: &str = "make verify DATABASE_URL=postgres://user:password@host:5432/database

Fills the deployment checklist of V001 in for that database: prints a summary, and writes
target/verify/test_results_V001_<UTC>.json and .md. Exit code 0: no line failed; 1: one did; 2: nothing could be asked.

instead of DATABASE_URL: DB_HOST, DB_PORT (5432), DB_NAME, DB_USER, DB_PASSWORD
DB_CA           who vouches for the server: system (default), rds, or the path of a PEM file; sslrootcert of the URL
DB_AUTH         password (default) or iam, with the AWS_* variables
make doctor     what stands between this machine and that database: variables, name, network, TLS, login, V001, grants,
                connections, time-outs, clock, one beacon; ARGS=--json. Exit code 1: one of them failed
ENVIRONMENT     DEV, TEST, STAGING or PRODUCTION, where the ledger has none
What it tries it undoes; identity values that it draws and dead rows that it leaves are told in line CLN-01.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if std::env::args()
        .skip(1)
        .any(|argument| argument == "--help" || argument == "-h")
    {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let asked = match std::env::args().nth(1).as_deref() {
        Some("doctor") => doctor::examine().await,
        _ => verify().await,
    };
    match asked {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failed) => {
            eprintln!("error: {failed}");
            ExitCode::from(2)
        }
    }
}

/// Whether no line failed.
async fn verify() -> Result<bool, Failed> {
    let environment = address::environment()?;
    let event = json!({"action": "verify", "environment": std::env::var("ENVIRONMENT").ok()});
    let event = to_raw_value(&event).map_err(|error| error.to_string())?;
    let deadline = SystemTime::now() + PATIENCE;
    let deadline = deadline
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let deadline_ms = u64::try_from(deadline).unwrap_or(u64::MAX);
    let answer = action::perform(&environment, &event, "make verify", deadline_ms).await;
    if let Some(error) = answer.get("error") {
        return Err(told(error));
    }
    let files = results::write(&answer)?;
    results::say(&answer, &files);
    Ok(answer.get("ok") == Some(&Value::Bool(true)))
}

fn told(error: &Value) -> Failed {
    let empty = Map::new();
    let fields = error.as_object().unwrap_or(&empty);
    let texts = ["sqlstate", "message", "remedy"].map(|name| fields.get(name).and_then(Value::as_str));
    texts.into_iter().flatten().collect::<Vec<_>>().join(": ")
}
