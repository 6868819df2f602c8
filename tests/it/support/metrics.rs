//! Lines of the log as CloudWatch takes them in: what would make it pass over a metric ("Specification: Embedded metric
//! format", Amazon CloudWatch).

use serde_json::Value;

/// Each set of dimensions may have so many, each directive so many metrics.
const DIMENSIONS_MAX: usize = 30;
const METRICS_MAX: usize = 100;
const DIMENSION_MAX_BYTES: usize = 1024;

const UNITS: [&str; 5] = ["Count", "Bytes", "Milliseconds", "Seconds", "Percent"];

/// Lines that are JSON, in the order in which they were written.
pub fn lines(log: &str) -> Vec<Value> {
    log.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// All values of a metric in these lines, added up.
pub fn total(lines: &[Value], name: &str) -> f64 {
    lines.iter().filter_map(|line| line[name].as_f64()).sum()
}

/// What is wrong with the metrics of a line; nothing where it has none.
pub fn faults(line: &Value) -> Vec<String> {
    let Some(aws) = line.get("_aws") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if aws["Timestamp"].as_u64().is_none_or(|ms| ms < 1_600_000_000_000) {
        found.push(format!("the time is {}", aws["Timestamp"]));
    }
    for directive in list(&aws["CloudWatchMetrics"], "CloudWatchMetrics", &mut found) {
        if directive["Namespace"] != "SiteTracking" {
            found.push(format!("the namespace is {}", directive["Namespace"]));
        }
        for set in list(&directive["Dimensions"], "Dimensions", &mut found) {
            let names = list(set, "a set of dimensions", &mut found);
            if names.len() > DIMENSIONS_MAX {
                found.push(format!("{} dimensions", names.len()));
            }
            found.extend(names.iter().filter_map(|name| dimension(line, name)));
        }
        let metrics = list(&directive["Metrics"], "Metrics", &mut found);
        if metrics.len() > METRICS_MAX {
            found.push(format!("{} metrics", metrics.len()));
        }
        found.extend(metrics.iter().filter_map(|metric| value(line, metric)));
    }
    found
}

fn list<'v>(value: &'v Value, what: &str, found: &mut Vec<String>) -> &'v [Value] {
    let list = value.as_array().map_or(&[][..], Vec::as_slice);
    if list.is_empty() {
        found.push(format!("{what} is {value}, no list of anything"));
    }
    list
}

fn dimension(line: &Value, name: &Value) -> Option<String> {
    let text = name.as_str().and_then(|name| line[name].as_str());
    let is_good = text.is_some_and(|text| {
        (1..=DIMENSION_MAX_BYTES).contains(&text.len())
            && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
            && !text.starts_with(':')
    });
    (!is_good).then(|| format!("dimension {name} is {text:?}"))
}

fn value(line: &Value, metric: &Value) -> Option<String> {
    let value = metric["Name"].as_str().map(|name| &line[name]);
    let is_good = value.is_some_and(Value::is_number);
    let has_unit = UNITS.iter().any(|unit| metric["Unit"] == *unit);
    (!is_good || !has_unit).then(|| format!("metric {metric} is {value:?}"))
}
