//! What the log says of a beacon's events in numbers, against what its sender was told and what is stored.

use serde_json::{json, Value};

use super::answer;
use crate::support::metrics;

/// One case that was played.
pub struct Played {
    pub name: String,
    pub replies: Vec<Value>,
    pub rows: usize,
}

/// All metrics that a beacon's events are told by; the first is the sum of the others.
const EVENTS: [&str; 7] = [
    "Received",
    "Stored",
    "Duplicate",
    "Quarantined",
    "Refused",
    "Queued",
    "Failed",
];

/// Everything in which the lines of one process are not what the answers to these cases say; one line an answer.
pub fn differences(played: &[Played], log: &str) -> Vec<String> {
    let mut lines = metrics::lines(log);
    lines.retain(|line| line["outcome"].is_string());
    let answers: usize = played.iter().map(|case| case.replies.len()).sum();
    assert_eq!(lines.len(), answers, "one line for each request");
    let mut lines = lines.iter();
    let of_case = |case: &Played| {
        let lines: Vec<&Value> = lines.by_ref().take(case.replies.len()).collect();
        let mut found: Vec<String> = case
            .replies
            .iter()
            .zip(&lines)
            .flat_map(|(reply, line)| of_one(&answer::told(reply), line))
            .collect();
        let kept = |line: &&Value| number(line, "Stored") + number(line, "Quarantined");
        let kept: usize = lines.iter().map(kept).sum();
        if kept != case.rows {
            found.push(format!(
                "{kept} events are counted as kept, {} rows are",
                case.rows
            ));
        }
        let about = |difference| format!("tests/events/corpus/{}: metrics: {difference}", case.name);
        found.into_iter().map(about).collect::<Vec<_>>()
    };
    played.iter().flat_map(of_case).collect()
}

fn number(line: &Value, name: &str) -> usize {
    usize::try_from(line[name].as_u64().unwrap_or_default()).unwrap()
}

/// `told`: status and body of the answer, which has none where an image or nothing was wanted.
fn of_one((status, told): &(u64, Value), line: &Value) -> Vec<String> {
    let mut found = metrics::faults(line);
    let others = ["preflight", "alive", "ready", "look", "explained"];
    let is_a_look = line["status"] == 404 && told.is_null();
    if is_a_look || others.contains(&line["outcome"].as_str().unwrap()) {
        let counted = EVENTS.iter().filter(|name| line.get(**name).is_some());
        found.extend(counted.map(|name| format!("{name} of what is no beacon: {line}")));
        return found;
    }
    let [received, parts @ ..] = EVENTS.map(|name| number(line, name));
    if received != parts.iter().sum::<usize>() || line.get("Failed").is_none() {
        found.push(format!("it does not add up: {line}"));
    }
    let has_tag = line["_aws"]["CloudWatchMetrics"]
        .as_array()
        .is_some_and(|all| all.len() == 2);
    if has_tag != (number(line, "Refused") + number(line, "Failed") > 0) || has_tag != line["Tag"].is_string()
    {
        found.push(format!("a tag where nothing is refused, or none: {line}"));
    }
    let mut same = |name: &str, expected: &Value| {
        if !expected.is_null() && line[name] != *expected {
            found.push(format!(
                "{name} is {}, the sender was told {expected}",
                line[name]
            ));
        }
    };
    same("status", &json!(status));
    for (name, told) in [
        ("Stored", &told["stored"]),
        ("Duplicate", &told["duplicate"]),
        ("Quarantined", &told["quarantined"]),
        ("Queued", &told["queued"]),
    ] {
        same(name, told);
    }
    if let Some(errors) = told["errors"].as_array() {
        same("Refused", &json!(errors.len() - number(line, "Quarantined")));
    }
    if (401..=499).contains(status) {
        same("Tag", &told["error"]);
    }
    found
}
