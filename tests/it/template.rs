//! template.yaml is held against the code: what it builds, sets, routes and permits is what the code has and reads.

use std::collections::{BTreeMap, BTreeSet};

use site_tracking::db::CONNECT_TIMEOUT;
use site_tracking::ingest::keeper::LANDING_TIMEOUT_BEFORE_QUEUE;
use site_tracking::ingest::landing::{CALL_TIMEOUT, LANDING_TIMEOUT};
use site_tracking::ingest::queue::{BATCH_MAX, TAKE_TIMEOUT};
use site_tracking::ingest::replay::{
    COPIES_TIMEOUT, LANDINGS_TIMEOUT, LONGEST_PAUSE, QUEUE_KEEPS, REFUSALS_MAX, REPLAY_TIMEOUT,
};
use site_tracking::migrate::catalogue::V001;
use yaml_serde::Value;

use crate::support::function::REMAINING;
use crate::support::tools;

const FUNCTIONS: [(&str, &str); 2] = [("IngestFunction", "ingest"), ("MigrateFunction", "migrate")];

/// An HTTP API waits no longer for a function, whatever that is allowed.
const GATEWAY_SECONDS: u64 = 30;

#[test]
fn each_binary_of_the_package_is_built_for_its_function() {
    let built: BTreeSet<String> = resources("AWS::Serverless::Function")
        .values()
        .map(|function| {
            assert_eq!(text(&function["Metadata"]["BuildMethod"]), "rust-cargolambda");
            text(&function["Metadata"]["BuildProperties"]["Binary"])
        })
        .collect();
    assert_eq!(built, binaries());
    for (resource, binary) in FUNCTIONS {
        let function = &resources("AWS::Serverless::Function")[resource];
        assert_eq!(text(&function["Metadata"]["BuildProperties"]["Binary"]), binary);
    }
}

#[test]
fn production_explains_nothing() {
    let set =
        &resources("AWS::Serverless::Function")["IngestFunction"]["Properties"]["Environment"]["Variables"];
    let condition: Vec<String> = set["EXPLAIN"].as_sequence().unwrap().iter().map(text).collect();
    assert_eq!(condition, ["IsProduction", "off", "Explain"]);
}

#[test]
fn every_path_and_method_is_the_ingest_functions_and_the_gateway_adds_no_cors() {
    let apis = resources("AWS::Serverless::HttpApi");
    assert_eq!(apis.len(), 1);
    assert!(apis
        .values()
        .all(|api| api["Properties"].get("CorsConfiguration").is_none()));
    let functions = resources("AWS::Serverless::Function");
    let events = functions["IngestFunction"]["Properties"]["Events"]
        .as_mapping()
        .unwrap();
    assert_eq!(events.len(), 1);
    let event = events.values().next().unwrap();
    assert_eq!(text(&event["Type"]), "HttpApi");
    let names: Vec<String> = event["Properties"]
        .as_mapping()
        .unwrap()
        .keys()
        .map(text)
        .collect();
    assert_eq!(
        names,
        ["ApiId", "PayloadFormatVersion"],
        "a path or a method would leave the rest to nobody"
    );
    assert!(
        functions["MigrateFunction"]["Properties"].get("Events").is_none(),
        "migrate has no way in by HTTP"
    );
    let manifest = project_file("Cargo.toml");
    let (_, router) = manifest
        .split_once("[package.metadata.lambda.watch.router]\n")
        .unwrap();
    let routes: Vec<&str> = router.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(
        routes,
        [r#""/" = "ingest""#, r#""/{*path}" = "ingest""#],
        "the local routes are the gateway's"
    );
}

#[test]
fn the_checksum_that_makes_cloudformation_send_an_update_is_the_create_files() {
    assert_eq!(
        text(&raw_layer()["MigrationChecksum"]),
        V001.checksum(),
        "set MigrationChecksum in template.yaml"
    );
}

#[test]
fn each_time_out_ends_within_the_one_that_waits_for_it() {
    let functions = resources("AWS::Serverless::Function");
    let seconds = |name: &str| functions[name]["Properties"]["Timeout"].as_u64().unwrap();
    assert!(seconds("IngestFunction") < GATEWAY_SECONDS);
    assert_eq!(
        seconds("IngestFunction"),
        REMAINING.as_secs(),
        "the tests tell ingest another time"
    );
    assert!(
        seconds("MigrateFunction") > 300,
        "a deploy has five minutes, the answer comes after them"
    );
    assert!(seconds("MigrateFunction") < raw_layer()["ServiceTimeout"].as_u64().unwrap());
    let retries = &functions["MigrateFunction"]["Properties"]["EventInvokeConfig"]["MaximumRetryAttempts"];
    assert_eq!(retries.as_u64(), Some(0));
}

#[test]
fn the_architecture_has_each_wait_of_a_beacon_within_the_one_around_it() {
    let functions = resources("AWS::Serverless::Function");
    let function = functions["IngestFunction"]["Properties"]["Timeout"].as_u64();
    let waits = [
        ("TCP, TLS, authentication", CONNECT_TIMEOUT.as_secs()),
        ("`statement_timeout` of the login", statement_timeout_seconds()),
        ("one call", CALL_TIMEOUT.as_secs()),
        (
            "all calls of a beacon, where there is a queue",
            LANDING_TIMEOUT_BEFORE_QUEUE.as_secs(),
        ),
        (
            "all calls of a beacon, its wait for room (4 s)",
            LANDING_TIMEOUT.as_secs(),
        ),
        ("the function", function.unwrap()),
        ("the gateway", GATEWAY_SECONDS),
    ];
    let architecture = project_file("ARCHITECTURE.md");
    for (name, seconds) in waits {
        let cells = format!("| {name} | {seconds} s |");
        assert!(architecture.contains(&cells), "ARCHITECTURE.md lacks {cells}");
    }
    let batch = [LANDINGS_TIMEOUT, COPIES_TIMEOUT, REPLAY_TIMEOUT].map(|timeout| timeout.as_secs());
    let cells = format!(
        "with word of the rest | {} s, {} s, {} s |",
        batch[0], batch[1], batch[2]
    );
    assert!(architecture.contains(&cells), "ARCHITECTURE.md lacks {cells}");
    assert!(batch.is_sorted() && function > Some(batch[2]), "{batch:?}");
    let queue = TAKE_TIMEOUT.as_secs();
    assert!(architecture.contains(&format!("| then the queue | {queue} s |")));
    assert!(LANDING_TIMEOUT_BEFORE_QUEUE + TAKE_TIMEOUT <= LANDING_TIMEOUT);
    assert!(waits.windows(2).all(|pair| pair[0].1 < pair[1].1), "{waits:?}");
}

/// As `migrate` gives it to the login of ingest.
fn statement_timeout_seconds() -> u64 {
    let login = project_file("functions/migrate/login.rs");
    let (_, value) = login
        .split_once("const STATEMENT_TIMEOUT: &str = \"")
        .expect("the constant");
    value.split('s').next().unwrap().parse().unwrap()
}

#[test]
fn each_property_of_the_custom_resource_is_read_by_migrate_and_given_by_make_run() {
    let readers = ["properties", "resource", "first_key", "checklist/says"]
        .map(|name| project_file(&format!("functions/migrate/{name}.rs")))
        .concat();
    let make_run = project_file("tools/run/deploy.rs");
    for property in raw_layer().as_mapping().unwrap().keys().map(text) {
        // CloudFormation's own, and what makes it wait.
        if property.starts_with("Service") || property == "Behind" {
            continue;
        }
        let quoted = format!("\"{property}\"");
        assert!(readers.contains(&quoted), "migrate does not read {property}");
        // Where there are no versions nobody asks for another one.
        let is_given = make_run.contains(&quoted) || property == "IngestSettings";
        assert!(is_given, "make run does not give {property}");
    }
}

#[test]
fn the_queue_keeps_what_was_acknowledged_and_an_outage_spends_no_tries() {
    let queues = resources("AWS::SQS::Queue");
    let (queue, dead) = (&queues["OutageQueue"], &queues["DeadLetters"]);
    for queue in [queue, dead] {
        assert!(
            queue.get("Condition").is_none(),
            "it is emptied whatever Queue says"
        );
        assert_eq!(text(&queue["DeletionPolicy"]), "RetainExceptOnCreate");
        assert_eq!(text(&queue["UpdateReplacePolicy"]), "Retain");
        let encrypted = &queue["Properties"]["SqsManagedSseEnabled"];
        assert_eq!(text(&encrypted[0]), "HasKey", "with a key of one's own, else");
        assert_eq!(encrypted[2].as_bool(), Some(true));
        assert_eq!(
            texts(&queue["Properties"]["KmsMasterKeyId"])[..2],
            ["HasKey", "KeyArn"]
        );
    }
    let seconds = |queue: &Value, name: &str| queue["Properties"][name].as_u64().unwrap();
    let keeps = seconds(queue, "MessageRetentionPeriod");
    assert_eq!(keeps, QUEUE_KEEPS.as_secs(), "the function reckons with another");
    assert!(
        keeps < seconds(dead, "MessageRetentionPeriod"),
        "a message keeps its age when it is moved"
    );
    let receives = queue["Properties"]["RedrivePolicy"]["maxReceiveCount"]
        .as_u64()
        .unwrap();
    assert!(
        receives > keeps / LONGEST_PAUSE.as_secs() + 10,
        "an outage would spend them"
    );
    assert!(receives > u64::from(REFUSALS_MAX));
    let functions = resources("AWS::Serverless::Function");
    let timeout = functions["IngestFunction"]["Properties"]["Timeout"]
        .as_u64()
        .unwrap();
    assert!(seconds(queue, "VisibilityTimeout") >= 6 * timeout);
}

#[test]
fn the_queue_is_spoken_to_over_tls_alone() {
    let policy = &resources("AWS::SQS::QueuePolicy")["QueuePolicy"]["Properties"];
    let both = ["OutageQueue", "DeadLetters"];
    assert_eq!(texts(&policy["Queues"]), both);
    let statement = &policy["PolicyDocument"]["Statement"][0];
    assert_eq!(
        (text(&statement["Effect"]), text(&statement["Action"])),
        ("Deny".to_owned(), "sqs:*".to_owned())
    );
    assert_eq!(
        text(&statement["Condition"]["Bool"]["aws:SecureTransport"]),
        "false"
    );
    let both = both.map(|name| format!("{name}.Arn"));
    assert_eq!(texts(&statement["Resource"]), both);
}

#[test]
fn replay_is_bounded_answers_message_by_message_and_leaves_connections_to_live_requests() {
    let mapping = resources("AWS::Lambda::EventSourceMapping")["Replay"].clone();
    assert!(
        mapping.get("Condition").is_none(),
        "the queue is emptied whatever Queue says"
    );
    let mapping = &mapping["Properties"];
    assert_eq!(
        text(&mapping["FunctionName"]),
        "IngestFunction.Version",
        "the alias counts requests alone"
    );
    assert_eq!(text(&mapping["EventSourceArn"]), "OutageQueue.Arn");
    assert_eq!(
        texts(&mapping["FunctionResponseTypes"]),
        ["ReportBatchItemFailures"]
    );
    assert_eq!(
        mapping["BatchSize"].as_u64(),
        Some(BATCH_MAX as u64),
        "one call puts a whole batch back"
    );
    assert_eq!(
        text(&mapping["ScalingConfig"]["MaximumConcurrency"]),
        "ReplayConcurrency"
    );
    let template: Value = yaml_serde::from_str(&project_file("template.yaml")).unwrap();
    let default = |name: &str| template["Parameters"][name]["Default"].as_u64().unwrap();
    assert!(default("ReplayConcurrency") * 4 <= default("IngestConnectionLimit"));
    let set =
        &resources("AWS::Serverless::Function")["IngestFunction"]["Properties"]["Environment"]["Variables"];
    assert_eq!(texts(&set["QUEUE_URL"]), ["HasQueue", "OutageQueue", "off"]);
    assert_eq!(
        texts(&set["DEAD_LETTERS_URL"]),
        ["HasQueue", "DeadLetters", "off"]
    );
}

#[test]
fn the_translator_is_pinned_as_the_linters_have_it() {
    let blocks = |name: &str| -> Vec<String> {
        let pins = project_file(&format!("tools/python/{name}.txt")).replace("\n    ", " ");
        pins.lines().map(str::to_owned).collect()
    };
    let (translator, linters) = (blocks("stack"), blocks("lint"));
    assert!(translator
        .iter()
        .any(|pin| pin.starts_with("aws-sam-translator==")));
    for pin in translator {
        assert!(linters.contains(&pin), "lint.txt has another {}", &pin[..40]);
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_sequence().unwrap().iter().map(text).collect()
}

fn raw_layer() -> Value {
    resources("Custom::SiteTrackingRawLayer")["RawLayer"]["Properties"].clone()
}

/// The resources of one type, by name.
fn resources(kind: &str) -> BTreeMap<String, Value> {
    let template: Value = yaml_serde::from_str(&project_file("template.yaml")).unwrap();
    let all = without_tags(template)["Resources"].as_mapping().unwrap().clone();
    all.into_iter()
        .filter(|(_, resource)| text(&resource["Type"]) == kind)
        .map(|(name, resource)| (text(&name), resource))
        .collect()
}

/// `!Ref X` and `!Sub X` as their text.
fn without_tags(value: Value) -> Value {
    match value {
        Value::Tagged(tagged) => without_tags(tagged.value),
        Value::Sequence(items) => items.into_iter().map(without_tags).collect(),
        Value::Mapping(entries) => Value::Mapping(
            entries
                .into_iter()
                .map(|(name, value)| (name, without_tags(value)))
                .collect(),
        ),
        other => other,
    }
}

#[track_caller]
fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value:?}"))
        .to_owned()
}

fn binaries() -> BTreeSet<String> {
    let manifest = project_file("Cargo.toml");
    let sections = manifest.split("[[bin]]\nname = \"").skip(1);
    sections
        .map(|section| section.split('"').next().unwrap().to_owned())
        .collect()
}

fn project_file(name: &str) -> String {
    std::fs::read_to_string(tools::project().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
