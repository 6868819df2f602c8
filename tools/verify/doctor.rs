//! `make doctor`: each thing between this machine and the database, for a person, or as JSON with `--json`.

use serde_json::value::to_raw_value;
use serde_json::{json, Map, Value};
use site_tracking::migrate::action;

use crate::{address, told, Failed};

/// No Lambda ends this program.
const NO_DEADLINE: u64 = 0;

/// Whether nothing failed.
pub async fn examine() -> Result<bool, Failed> {
    let environment = address::environment()?;
    let event = to_raw_value(&json!({"action": "doctor"})).map_err(|error| error.to_string())?;
    let answer = action::perform(&environment, &event, "make doctor", NO_DEADLINE).await;
    if let Some(error) = answer.get("error") {
        return Err(told(error));
    }
    match std::env::args().any(|argument| argument == "--json") {
        true => println!("{}", Value::Object(answer.clone())),
        false => say(&answer),
    }
    Ok(answer.get("ok") == Some(&Value::Bool(true)))
}

fn say(answer: &Map<String, Value>) {
    let checks = answer.get("checks").and_then(Value::as_array);
    for line in checks.into_iter().flatten() {
        let text = |name: &str| line[name].as_str().unwrap_or_default();
        println!("{:<15}{:<9}{}", text("check"), text("verdict"), text("found"));
        if line["verdict"] == "failed" {
            println!("{:<24}remedy: {}", "", text("remedy"));
        }
    }
}
