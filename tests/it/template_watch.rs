//! Alarms and the dashboard: what each looks at, by name and dimension, and that each says what to do.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{json, Value};

use crate::support::stack_template::{choice, names_in, text_of, translated, Stack};
use crate::support::tools;
use crate::template_rights::text_of_folder;

/// What the functions write into their log lines, with the one dimension `Stack`.
pub const NAMESPACE: &str = "SiteTracking";

/// Of `ingest`, one line per beacon.
pub const OF_INGEST: &[&str] = &[
    "Received",
    "Stored",
    "Duplicate",
    "Quarantined",
    "Refused",
    "Queued",
    "Failed",
    "Beacons",
    "BodyBytes",
    "DatabaseTime",
    "Duration",
    "ColdStarts",
    "Reconnects",
    "BreakerOpen",
    "EventsPerBeacon",
    "Replayed",
    "PutBack",
    "PutBackAge",
    "LaidToRest",
];

/// Of `migrate`, when it measures.
pub const OF_MEASURE: &[&str] = &[
    "OldestPendingSeconds",
    "Pending",
    "QuarantinedRows",
    "Connections",
    "ConnectionsUsedPercent",
    "IdsLeftPercent",
];

const STACK: (&str, &str) = ("Stack", "site-tracking");
const INGEST: (&str, &str) = ("FunctionName", "<IngestFunction>");
const LIVE: (&str, &str) = ("Resource", "<IngestFunction>:live");
const API: (&str, &str) = ("ApiId", "<Api>");

/// One metric: namespace, name, statistic, dimensions.
type Metric = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// An alarm, what it looks at, its threshold's parameter, its condition.
const ALARMS: &[(&str, &[Metric], &str, &str)] = &[
    (
        "ErrorsAlarm",
        &[("AWS/Lambda", "Errors", "Sum", &[INGEST])],
        "ErrorsThreshold",
        "",
    ),
    (
        "ThrottlesAlarm",
        &[("AWS/Lambda", "Throttles", "Sum", &[INGEST, LIVE])],
        "ThrottlesThreshold",
        "",
    ),
    (
        "DurationAlarm",
        &[("AWS/Lambda", "Duration", "p99", &[INGEST])],
        "DurationThreshold",
        "",
    ),
    (
        "FailedAlarm",
        &[(NAMESPACE, "Failed", "Sum", &[STACK])],
        "FailedThreshold",
        "",
    ),
    (
        "GatewayFaultsAlarm",
        &[("AWS/ApiGateway", "5xx", "Sum", &[API])],
        "GatewayFaultsThreshold",
        "",
    ),
    (
        "UncountedAlarm",
        &[
            ("AWS/ApiGateway", "Count", "Sum", &[API]),
            ("AWS/Lambda", "Invocations", "Sum", &[INGEST, LIVE]),
        ],
        "UncountedThreshold",
        "",
    ),
    (
        "RefusedAlarm",
        &[
            (NAMESPACE, "Received", "Sum", &[STACK]),
            (NAMESPACE, "Refused", "Sum", &[STACK]),
        ],
        "RefusedThreshold",
        "",
    ),
    (
        "QueuedAgeAlarm",
        &[(
            "AWS/SQS",
            "ApproximateAgeOfOldestMessage",
            "Maximum",
            &[("QueueName", "<OutageQueue.QueueName>")],
        )],
        "QueuedAgeThreshold",
        "",
    ),
    (
        "PutBackAlarm",
        &[(NAMESPACE, "PutBackAge", "Maximum", &[STACK])],
        "QueuedAgeThreshold",
        "",
    ),
    (
        "DeadLettersAlarm",
        &[(
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            "Maximum",
            &[("QueueName", "<DeadLetters.QueueName>")],
        )],
        "DeadLettersThreshold",
        "",
    ),
    (
        "PinnedAlarm",
        &[(
            "AWS/RDS",
            "DatabaseConnectionsCurrentlySessionPinned",
            "Maximum",
            &[("ProxyName", "<DatabaseProxy>")],
        )],
        "PinnedThreshold",
        "HasProxy",
    ),
    (
        "ConnectionsAlarm",
        &[(NAMESPACE, "ConnectionsUsedPercent", "Maximum", &[STACK])],
        "ConnectionsThreshold",
        "",
    ),
    (
        "PendingAgeAlarm",
        &[(NAMESPACE, "OldestPendingSeconds", "Maximum", &[STACK])],
        "PendingAgeThreshold",
        "",
    ),
    (
        "IdsAlarm",
        &[(NAMESPACE, "IdsLeftPercent", "Minimum", &[STACK])],
        "IdsThreshold",
        "",
    ),
    (
        "MeasureAlarm",
        &[(NAMESPACE, "ConnectionsUsedPercent", "SampleCount", &[STACK])],
        "",
        "",
    ),
];

/// Everything on, so that everything is there.
fn whole() -> Stack<'static> {
    let all = [
        "Database=create",
        "Proxy=on",
        "AlarmTopic=arn:aws:sns:eu-west-1:123456789012:alarms",
    ];
    let mut stack = Stack::new(translated(), &choice(&all));
    assert_eq!(stack.refusals(), Vec::<String>::new());
    stack
}

/// Namespace, name, statistic and dimensions, as text.
fn metric(of: &Value, statistic: &Value) -> String {
    let dimensions = of["Dimensions"].as_array().unwrap().iter();
    let dimensions = dimensions.map(|d| (text_of(&d["Name"]), text_of(&d["Value"])));
    let dimensions: BTreeMap<String, String> = dimensions.collect();
    let (namespace, name) = (text_of(&of["Namespace"]), text_of(&of["MetricName"]));
    format!("{namespace} {name} {} {dimensions:?}", text_of(statistic))
}

fn looked_at(alarm: &Value) -> BTreeSet<String> {
    match alarm.get("Metrics") {
        None => {
            let statistic = alarm.get("Statistic").or(alarm.get("ExtendedStatistic")).unwrap();
            BTreeSet::from([metric(alarm, statistic)])
        }
        Some(metrics) => {
            let stats = metrics
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|m| m.get("MetricStat"));
            stats.map(|stat| metric(&stat["Metric"], &stat["Stat"])).collect()
        }
    }
}

#[test]
fn each_alarm_looks_at_its_metric_and_says_what_it_means_and_what_to_do() {
    let mut stack = whole();
    let resources = translated()["Resources"].as_object().unwrap();
    let alarms = resources
        .iter()
        .filter(|(_, r)| r["Type"] == "AWS::CloudWatch::Alarm");
    let names: BTreeSet<&str> = alarms.map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ALARMS.iter().map(|alarm| alarm.0).collect());
    for (name, metrics, threshold, condition) in ALARMS {
        let declared = &resources[*name];
        assert_eq!(
            declared.get("Condition").map(text_of).unwrap_or_default(),
            *condition,
            "{name}"
        );
        let alarm = stack.resource(name).unwrap()["Properties"].clone();
        let expected: BTreeSet<String> = metrics
            .iter()
            .map(|(namespace, metric, statistic, dimensions)| {
                let dimensions: BTreeMap<&str, &str> = dimensions.iter().copied().collect();
                format!("{namespace} {metric} {statistic} {dimensions:?}")
            })
            .collect();
        assert_eq!(looked_at(&alarm), expected, "{name}");
        if !threshold.is_empty() {
            assert_eq!(
                declared["Properties"]["Threshold"],
                json!({"Ref": threshold}),
                "{name}"
            );
        }
        for ours in metrics.iter().filter(|metric| metric.0 == NAMESPACE) {
            assert!(
                OF_INGEST.contains(&ours.1) || OF_MEASURE.contains(&ours.1),
                "nobody writes {}",
                ours.1
            );
        }
        let topic = json!(["arn:aws:sns:eu-west-1:123456789012:alarms"]);
        assert_eq!(
            (&alarm["AlarmActions"], &alarm["OKActions"]),
            (&topic, &topic),
            "{name}"
        );
        // What it means, and what to do: two sentences at least, in the length that a page shows.
        let says = text_of(&alarm["AlarmDescription"]);
        assert!(
            says.matches(". ").count() >= 1 && (120..=1024).contains(&says.len()),
            "{name}: {says}"
        );
    }
}

#[test]
fn each_metric_that_is_known_here_is_named_by_the_functions() {
    let code = text_of_folder(&tools::project().join("functions"));
    for name in [OF_INGEST, OF_MEASURE].concat() {
        assert!(
            code.contains(&format!("(\"{name}\"")),
            "no function writes {name}"
        );
    }
    assert!(code.contains(&format!("\"{NAMESPACE}\"")) && code.contains(&format!("\"{}\"", STACK.0)));
}

#[test]
fn without_a_topic_an_alarm_tells_nobody_and_an_expression_names_what_it_counts() {
    let mut stack = Stack::new(translated(), &choice(&["Database=create", "Proxy=on"]));
    for (name, ..) in ALARMS {
        let alarm = stack.resource(name).unwrap()["Properties"].clone();
        assert!(
            alarm.get("AlarmActions").is_none() && alarm.get("OKActions").is_none(),
            "{name}"
        );
        let Some(metrics) = alarm.get("Metrics").and_then(Value::as_array) else {
            continue;
        };
        let expression = text_of(&metrics[0]["Expression"]);
        for counted in &metrics[1..] {
            assert!(
                expression.contains(counted["Id"].as_str().unwrap()),
                "{name}: {expression}"
            );
            assert_eq!(counted["ReturnData"], false);
        }
        let judged = metrics
            .iter()
            .filter(|m| m.get("ReturnData") != Some(&json!(false)));
        assert_eq!(judged.count(), 1, "{name}");
    }
}

#[test]
fn a_canary_is_rolled_back_by_alarms_and_the_checklist_is_told_of_all() {
    let mut stack = whole();
    let group = stack.resource("IngestFunctionDeploymentGroup").unwrap()["Properties"].clone();
    let watching = group["AlarmConfiguration"]["Alarms"].as_array().unwrap();
    let watching: Vec<String> = watching.iter().map(|alarm| text_of(&alarm["Name"])).collect();
    assert_eq!(watching, ["<ErrorsAlarm>", "<FailedAlarm>"]);
    let events = group["AutoRollbackConfiguration"]["Events"].to_string();
    assert!(events.contains("DEPLOYMENT_STOP_ON_ALARM"), "{events}");
    let thresholds = &translated()["Resources"]["RawLayer"]["Properties"]["AlarmThresholds"];
    let mut told = BTreeSet::new();
    names_in(thresholds, &mut told);
    for (name, _, threshold, _) in ALARMS.iter().filter(|alarm| !alarm.2.is_empty()) {
        assert!(told.contains(*threshold), "the checklist is not told of {name}");
    }
}

#[test]
fn the_dashboard_is_json_with_and_without_a_queue_and_shows_only_what_is_written() {
    for queue in ["Queue=on", "Queue=off"] {
        let mut stack = Stack::new(translated(), &choice(&["Database=create", queue]));
        let body = text_of(&stack.resource("Dashboard").unwrap()["Properties"]["DashboardBody"]);
        let body: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
        let widgets = body["widgets"].as_array().unwrap();
        let titles: Vec<String> = widgets
            .iter()
            .map(|w| text_of(&w["properties"]["title"]))
            .collect();
        for (title, begins) in
            titles
                .iter()
                .step_by(2)
                .zip(["Are events", "How fast", "What is refused", "What waits"])
        {
            assert!(title.starts_with(begins), "{titles:?}");
        }
        let mut shown = BTreeSet::new();
        for metric in widgets
            .iter()
            .filter_map(|w| w["properties"]["metrics"].as_array())
            .flatten()
        {
            if metric[0] == NAMESPACE {
                assert_eq!(
                    (&metric[2], &metric[3]),
                    (&json!("Stack"), &json!("site-tracking"))
                );
                shown.insert(text_of(&metric[1]));
            }
        }
        let written: BTreeSet<String> = [OF_INGEST, OF_MEASURE]
            .concat()
            .iter()
            .map(|&name| name.to_owned())
            .collect();
        assert!(shown.is_subset(&written), "{:?}", shown.difference(&written));
    }
}

#[test]
fn migrate_measures_every_five_minutes_and_by_the_rule_alone() {
    let mut stack = whole();
    let rule = stack.resource("Measure").unwrap()["Properties"].clone();
    assert_eq!(rule["ScheduleExpression"], "rate(5 minutes)");
    let target = &rule["Targets"][0];
    assert_eq!(
        (text_of(&target["Arn"]), text_of(&target["Input"])),
        (
            "<MigrateFunction.Arn>".to_owned(),
            r#"{"action":"measure"}"#.to_owned(),
        )
    );
    let permission = stack.resource("MeasurePermission").unwrap()["Properties"].clone();
    assert_eq!(text_of(&permission["SourceArn"]), "<Measure.Arn>");
    assert_eq!(text_of(&permission["Principal"]), "events.amazonaws.com");
}
