//! What becomes of the answer: two files, and a summary for a person.

use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::{Map, Value};

use crate::Failed;

const FOLDER: &str = "target/verify";

/// Writes report and page; gives their paths.
pub fn write(answer: &Map<String, Value>) -> Result<[PathBuf; 2], Failed> {
    let at: String = humantime::format_rfc3339_seconds(SystemTime::now())
        .to_string()
        .chars()
        .filter(|character| !"-:".contains(*character))
        .collect();
    let name = |ending| PathBuf::from(format!("{FOLDER}/test_results_V001_{at}.{ending}"));
    let report = serde_json::to_string_pretty(&answer.get("report")).map_err(|error| error.to_string())?;
    let page = answer.get("markdown").and_then(Value::as_str).unwrap_or_default();
    let files = [name("json"), name("md")];
    std::fs::create_dir_all(FOLDER).map_err(|error| format!("{FOLDER} cannot be made: {error}"))?;
    for (file, text) in files.iter().zip([report.as_str(), page]) {
        std::fs::write(file, text)
            .map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    }
    Ok(files)
}

/// Prints the counts and the failed lines.
pub fn say(answer: &Map<String, Value>, files: &[PathBuf]) {
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let none = Vec::new();
    let lines = answer.get("report").and_then(|report| report["lines"].as_array());
    for line in lines
        .unwrap_or(&none)
        .iter()
        .filter(|line| line["verdict"] == "failed")
    {
        println!("{} failed: {}", text(line, "id"), text(line, "sentence"));
        println!("  found:  {}", text(line, "evidence"));
        println!("  remedy: {}", text(line, "remedy"));
    }
    let summary = answer.get("summary").and_then(Value::as_str);
    println!("V001: {}", summary.unwrap_or_default());
    for file in files {
        println!("{}", file.display());
    }
}
