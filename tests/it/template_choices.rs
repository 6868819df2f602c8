//! What a person may choose: each contradiction is refused by a rule that says why, and every other choice gives a
//! template whose references resolve, whose functions find their variables, and whose waits and budgets fit.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::OnceLock;

use serde_json::{json, Value};
use site_tracking::config::{Function, VARIABLES};

use crate::support::stack_template::{choice, names_in, text_of, translate, translated, Choice, Stack};

/// What may be chosen about one thing; each entry sets some parameters, with spaces between them.
type Options = &'static [&'static str];

/// The parameters that say where the database is and how it is reached. Their rules speak of each other.
const DATABASE: &[Options] = &[
    &["Database=existing", "Database=create", "Database=outside"],
    &["DatabaseHost=", "DatabaseHost=db.example.com"],
    &["DatabaseAuth=iam", "DatabaseAuth=secret"],
    &[
        "DatabaseResourceId=",
        "DatabaseResourceId=db-1A",
        "DatabaseResourceId=cluster-1A",
    ],
    &["MigratorSecretArn=", "MigratorSecretArn=arn:aws:secretsmanager:m"],
    &["IngestSecretArn=", "IngestSecretArn=arn:aws:secretsmanager:i"],
    &["SecretsKeyArn=", "SecretsKeyArn=arn:aws:kms:s"],
    &["SubnetIds=", "SubnetIds=subnet-1,subnet-2"],
    &["SecurityGroupIds=", "SecurityGroupIds=sg-1"],
    &["Proxy=off", "Proxy=on"],
    &["DatabaseIdentifier=", "DatabaseIdentifier=one"],
    &["DatabasePort=5432", "DatabasePort=6000"],
];

const LOGINS: &[Options] = &[&["IngestUser=tracking_ingest", "IngestUser=tracking_migrator"]];

const DOOR: &[Options] = &[
    &["DomainName=", "DomainName=t.example.com"],
    &["CertificateArn=", "CertificateArn=arn:aws:acm:c"],
    &["HostedZoneId=", "HostedZoneId=Z1"],
];

const FIRST: &[Options] = &[
    &["FirstTenant=", "FirstTenant=shop"],
    &["FirstSiteKey=", "FirstSiteKey=stk_AAAAAAAAAAAAAAAAAAAAAAAA21z7oP"],
    &["FirstOrigins=", "FirstOrigins=https://example.com"],
];

const PRODUCTION: &[Options] = &[
    &["EnvironmentName=DEV", "EnvironmentName=PRODUCTION"],
    &["OnDelete=Retain", "OnDelete=DropIfEmpty", "OnDelete=Drop"],
];

/// No rule speaks of these.
const FREE: &[Options] = &[
    &["Queue=on", "Queue=off"],
    &["ReportBucket=", "ReportBucket=reports"],
    &["ReserveConcurrency=on", "ReserveConcurrency=off"],
    &[
        "CodeSigningConfigArn=",
        "CodeSigningConfigArn=arn:aws:lambda:r:a:code-signing-config:1",
    ],
    &["Tracing=on", "Tracing=off"],
    &["AlarmTopic=", "AlarmTopic=arn:aws:sns:t"],
    &["KeyArn=", "KeyArn=arn:aws:kms:k"],
];

/// The least that a stack needs.
const LEAST: &str = "DatabaseHost=db.example.com DatabaseResourceId=db-1A";

fn product(groups: &[Options]) -> Vec<Vec<&'static str>> {
    groups.iter().fold(vec![vec![]], |choices, options| {
        let longer = |choice: &Vec<&'static str>| {
            let choice = choice.clone();
            options
                .iter()
                .map(move |option| [choice.clone(), vec![*option]].concat())
        };
        choices.iter().flat_map(longer).collect()
    })
}

/// Of a group's product, what no rule refuses, and the sentences by which the rest is refused.
fn judged(groups: &[Options], beside: &str) -> (Vec<Vec<&'static str>>, BTreeMap<String, usize>) {
    let (mut accepted, mut sentences) = (Vec::new(), BTreeMap::new());
    for values in product(groups) {
        let mut all = choice(
            &beside
                .split(' ')
                .filter(|pair| !pair.is_empty())
                .collect::<Vec<_>>(),
        );
        all.extend(choice(&values));
        let refusals = Stack::new(translated(), &all).refusals();
        if refusals.is_empty() {
            accepted.push(values);
        }
        for sentence in refusals {
            *sentences.entry(sentence).or_default() += 1;
        }
    }
    (accepted, sentences)
}

/// Ways to a database that no rule refuses.
pub fn databases() -> Vec<Vec<&'static str>> {
    static FOUND: OnceLock<Vec<Vec<&'static str>>> = OnceLock::new();
    FOUND.get_or_init(|| judged(DATABASE, "").0).clone()
}

#[test]
fn each_rule_refuses_something_and_what_is_left_is_what_the_readme_offers() {
    let mut seen = BTreeSet::new();
    let mut accepted = Vec::new();
    for (groups, beside) in [
        (DATABASE, ""),
        (LOGINS, LEAST),
        (DOOR, LEAST),
        (FIRST, LEAST),
        (PRODUCTION, LEAST),
    ] {
        let (fine, sentences) = judged(groups, beside);
        seen.extend(sentences.into_keys());
        accepted.push(fine.len());
    }
    let rules = translated()["Rules"].as_object().unwrap().values();
    let all: BTreeSet<String> = rules
        .flat_map(|rule| rule["Assertions"].as_array().unwrap().iter())
        .map(|assertion| text_of(&assertion["AssertDescription"]))
        .collect();
    assert_eq!(
        seen, all,
        "a rule that nothing breaks, or a sentence that is no rule's"
    );
    // existing: tokens with and without subnets, of an instance and of a cluster (4), the same behind a proxy (2), passwords
    // with and without subnets (2); outside with and without subnets (2), each of these with and without a key; each on two
    // ports. create, with a proxy on one.
    assert_eq!(
        accepted,
        [(4 + 2 + (2 + 2) * 2) * 2 + 2 + 1, 1, 4 - 1, 3, 6 - 1],
        "{accepted:?}"
    );
    let of_no_host = "DatabaseHost is empty - give the host of the database, or set Database to create";
    assert!(all.contains(of_no_host), "{all:?}");
    // Every sentence says what to do.
    assert!(all.iter().all(|sentence| sentence.contains(" - ")), "{all:?}");
}

#[test]
fn no_rule_speaks_of_two_groups_so_that_their_products_are_the_whole() {
    let names = |groups: &[Options]| -> BTreeSet<String> {
        let options = groups.iter().flat_map(|options| options.iter());
        options
            .map(|option| option.split('=').next().unwrap().to_owned())
            .collect()
    };
    let groups = [DATABASE, LOGINS, DOOR, FIRST, PRODUCTION, FREE].map(names);
    let parameters = translated()["Parameters"].as_object().unwrap();
    for (rule, body) in translated()["Rules"].as_object().unwrap() {
        let mut said = BTreeSet::new();
        names_in(body, &mut said);
        said.retain(|name| parameters.contains_key(name));
        // The migration's login is varied nowhere.
        said.remove("MigratorUser");
        let groups_of_it = groups.iter().filter(|group| said.is_subset(group)).count();
        assert_eq!(groups_of_it, 1, "{rule} speaks of {said:?}");
        assert!(said.is_disjoint(&groups[5]), "{rule}");
    }
    // And every condition is of parameters that are varied here.
    let mut said = BTreeSet::new();
    names_in(&translated()["Conditions"], &mut said);
    said.retain(|name| parameters.contains_key(name));
    let varied: BTreeSet<String> = groups.into_iter().flatten().collect();
    assert!(said.is_subset(&varied), "{:?}", said.difference(&varied));
}

#[test]
fn each_way_to_take_over_is_one_that_codedeploy_knows_and_changes_nothing_else() {
    let group = |template: &Value| template["Resources"]["IngestFunctionDeploymentGroup"].clone();
    for (name, values) in [
        (
            "Deployment",
            [
                "AllAtOnce",
                "Canary10Percent30Minutes",
                "Linear10PercentEvery1Minute",
            ]
            .as_slice(),
        ),
        ("Architecture", &["x86_64"]),
    ] {
        let allowed = translated()["Parameters"][name]["AllowedValues"]
            .as_array()
            .unwrap();
        assert_eq!(allowed.len(), values.len() + 1, "all but the default");
        for value in values {
            assert!(allowed.contains(&json!(value)), "{value}");
            let mut template = translate("template.yaml", &[&format!("{name}={value}")]);
            let config = &group(&template)["Properties"]["DeploymentConfigName"];
            let config = Stack::new(&template, &Choice::new()).value(config).unwrap();
            let expected = if name == "Deployment" {
                value
            } else {
                "Canary10Percent5Minutes"
            };
            assert_eq!(text_of(&config), format!("CodeDeployDefault.Lambda{expected}"));
            template["Resources"]["IngestFunctionDeploymentGroup"] = group(translated());
            assert_eq!(template, *translated(), "{name}={value}");
        }
    }
}

/// Values of parameters that take any text, beside those of the groups above.
const OTHERS: &[&str] = &[
    "DatabaseName=another",
    "IngestUser=another",
    "TrustedProxies=1",
    "DatabaseHost=another.example.com",
    "IngestSecretArn=arn:aws:secretsmanager:another",
    "SubnetIds=subnet-3",
    "SecurityGroupIds=sg-3",
    "DatabasePort=6000",
];

/// A version of a function keeps the settings that it was made with, and the alias stays on it until there is another.
#[test]
fn whatever_changes_the_settings_of_ingest_makes_another_version_and_nothing_else_does() {
    let all = translated()["Resources"].as_object().unwrap();
    let versions = all.values().filter(|r| r["Type"] == "AWS::Lambda::Version");
    let versions: Vec<&Value> = versions.map(|r| &r["Properties"]["Description"]).collect();
    assert_eq!(
        versions,
        [&json!({"Fn::Sub": "settings ${RawLayer.IngestSettings}"})]
    );
    let parameters = translated()["Parameters"].as_object().unwrap();
    let allowed = parameters.iter().flat_map(|(name, parameter)| {
        let values = parameter["AllowedValues"].as_array().into_iter().flatten();
        values.map(move |value| format!("{name}={}", text_of(value)))
    });
    let changes: Vec<String> = allowed
        .chain(OTHERS.iter().map(|pair| (*pair).to_owned()))
        .collect();
    let of = |choice: &Choice| {
        let mut stack = Stack::new(translated(), choice);
        let function = stack.resource("IngestFunction").unwrap()["Properties"].clone();
        let settings = stack.resource("RawLayer").unwrap()["Properties"]["IngestSettings"].clone();
        let kept = ["Environment", "VpcConfig", "TracingConfig"].map(|name| function[name].clone());
        (kept, settings)
    };
    let mut made_anew = BTreeSet::new();
    for base in databases() {
        let base = choice(&base);
        let (function, settings) = of(&base);
        for change in &changes {
            let mut changed = base.clone();
            changed.extend(choice(&[change]));
            if !Stack::new(translated(), &changed).refusals().is_empty() {
                continue;
            }
            let (other_function, other_settings) = of(&changed);
            assert_eq!(
                function == other_function,
                settings == other_settings,
                "{change} in {base:?}"
            );
            if settings != other_settings {
                made_anew.insert(change.split('=').next().unwrap().to_owned());
            }
        }
    }
    for name in [
        "IpMode",
        "TrustedProxies",
        "Explain",
        "Queue",
        "Proxy",
        "LogLevel",
        "DatabaseHost",
    ] {
        assert!(made_anew.contains(name), "{name}: {made_anew:?}");
    }
}

/// Each resource and output for each combination of the conditions that it, or what it refers to, depends on.
#[test]
fn every_reference_resolves_whatever_is_chosen() {
    let template = translated();
    let names: Vec<&String> = template["Conditions"].as_object().unwrap().keys().collect();
    let masks = masks(template, &names);
    let (mut seen, mut stacks) = (HashSet::new(), 0);
    for values in all_that_conditions_know() {
        stacks += 1;
        let mut stack = Stack::new(template, &choice(&values));
        let holding = names.iter().enumerate();
        let bits = holding.fold(0_u32, |bits, (at, name)| {
            bits | (u32::from(stack.conditions()[*name]) << at)
        });
        for (name, mask) in &masks {
            if seen.insert((name.as_str(), bits & mask)) {
                match name.as_str() {
                    OUTPUTS => drop(stack.outputs()),
                    name => drop(stack.resource(name)),
                }
            }
        }
        assert_eq!(stack.faults, BTreeSet::new(), "{values:?}");
    }
    println!("{stacks} stacks, {} resources that differ", seen.len());
    assert!(stacks > 5_000, "{stacks}");
}

/// The product of all that no rule refuses, without parameters that no condition speaks of.
fn all_that_conditions_know() -> Vec<Vec<&'static str>> {
    let mut known = BTreeSet::new();
    names_in(&translated()["Conditions"], &mut known);
    let others = [DOOR, FIRST, PRODUCTION].map(|groups| judged(groups, LEAST).0);
    let groups = [databases(), product(FREE)].into_iter().chain(others);
    groups.fold(vec![vec![]], |all, group| {
        let only_known = |values: Vec<&'static str>| -> Vec<&'static str> {
            let is_known = |pair: &&str| known.contains(pair.split('=').next().unwrap());
            values.into_iter().filter(is_known).collect()
        };
        let group: BTreeSet<Vec<&str>> = group.into_iter().map(only_known).collect();
        let with_all = |one: &Vec<&'static str>| {
            let one = one.clone();
            let longer = group.iter().map(move |more| [one.clone(), more.clone()].concat());
            longer.collect::<Vec<_>>()
        };
        all.iter().flat_map(with_all).collect()
    })
}

/// All outputs count as one resource.
const OUTPUTS: &str = "(outputs)";

/// The conditions that count for each resource, as bits.
fn masks(template: &Value, conditions: &[&String]) -> BTreeMap<String, u32> {
    let resources = template["Resources"].as_object().unwrap();
    let of = |value: &Value, names: &mut BTreeSet<String>| names_in(value, names);
    let bits = |names: &BTreeSet<String>| {
        let at = conditions.iter().enumerate();
        at.fold(0_u32, |bits, (at, name)| {
            bits | u32::from(names.contains(*name)) << at
        })
    };
    let parts = resources.iter().map(|(name, resource)| (name.clone(), resource));
    let parts = parts.chain([(OUTPUTS.to_owned(), &template["Outputs"])]);
    parts
        .map(|(name, part)| {
            let mut names = BTreeSet::new();
            of(part, &mut names);
            let pieces: BTreeSet<String> = names
                .iter()
                .map(|n| n.split('.').next().unwrap().to_owned())
                .collect();
            names.extend(pieces);
            let referred = names.clone();
            for other in referred.iter().filter_map(|name| resources.get(name)) {
                names.extend(other.get("Condition").and_then(Value::as_str).map(str::to_owned));
            }
            (name, bits(&names))
        })
        .collect()
}

/// Every way to a database, with and without a queue.
fn stacks() -> Vec<(Choice, Stack<'static>)> {
    let mut stacks = Vec::new();
    for database in databases() {
        for queue in ["Queue=on", "Queue=off"] {
            let choice = choice(&[database.clone(), vec![queue]].concat());
            stacks.push((choice.clone(), Stack::new(translated(), &choice)));
        }
    }
    stacks
}

fn variables(stack: &mut Stack<'_>, function: &str) -> BTreeMap<String, String> {
    let resource = stack.resource(function).unwrap();
    let set = resource["Properties"]["Environment"]["Variables"]
        .as_object()
        .unwrap();
    set.iter()
        .map(|(name, value)| (name.clone(), text_of(value)))
        .collect()
}

#[test]
fn every_variable_that_a_function_reads_is_set_and_every_one_that_is_set_is_read() {
    for (choice, mut stack) in stacks() {
        for (resource, function) in [
            ("IngestFunction", Function::Ingest),
            ("MigrateFunction", Function::Migrate),
        ] {
            let set = variables(&mut stack, resource);
            let secret = set["DB_AUTH"] == "secret";
            for variable in VARIABLES.iter().filter(|v| v.functions.contains(&function)) {
                let name = variable.name;
                let by_lambda = name.starts_with("AWS_");
                let is_there = match name {
                    _ if by_lambda || name.ends_with("_PASSWORD") => false,
                    "DB_SECRET_ARN" | "DB_MIGRATOR_SECRET_ARN" => secret,
                    _ => true,
                };
                assert_eq!(set.contains_key(name), is_there, "{resource} {name} {choice:?}");
            }
            for (name, value) in &set {
                let read = VARIABLES
                    .iter()
                    .any(|v| v.name == name && v.functions.contains(&function));
                assert!(read, "{resource} sets {name}, which it does not read");
                assert!(!value.is_empty(), "{resource} {name} {choice:?}");
                assert!(!name.contains("PASSWORD"), "a secret in {name}");
            }
        }
    }
}

#[test]
fn the_custom_resource_and_both_functions_speak_of_the_same_database() {
    for (choice, mut stack) in stacks() {
        let layer = stack.resource("RawLayer").unwrap()["Properties"].clone();
        let ingest = variables(&mut stack, "IngestFunction");
        let migrate = variables(&mut stack, "MigrateFunction");
        for (property, variable) in [
            ("DatabaseHost", "DB_HOST"),
            ("DatabasePort", "DB_PORT"),
            ("DatabaseName", "DB_NAME"),
            ("DatabaseAuth", "DB_AUTH"),
            ("DatabaseCa", "DB_CA"),
            ("MigratorUser", "DB_MIGRATOR_USER"),
            ("MigratorSecretArn", "DB_MIGRATOR_SECRET_ARN"),
        ] {
            let told = layer.get(property).map(text_of);
            assert_eq!(told.as_ref(), migrate.get(variable), "{property} {choice:?}");
        }
        for (property, variable) in [
            ("DatabaseName", "DB_NAME"),
            ("DatabaseCa", "DB_CA"),
            ("IngestUser", "DB_USER"),
            ("IngestAuth", "DB_AUTH"),
        ] {
            assert_eq!(
                text_of(&layer[property]),
                ingest[variable],
                "{property} {choice:?}"
            );
        }
        let proxied = choice["Proxy"] == "on";
        let through = ("<DatabaseProxy.Endpoint>".to_owned(), "5432".to_owned());
        let direct = (migrate["DB_HOST"].clone(), migrate["DB_PORT"].clone());
        let found = (ingest["DB_HOST"].clone(), ingest["DB_PORT"].clone());
        assert_eq!(
            found,
            if proxied { through } else { direct.clone() },
            "{choice:?}"
        );
        assert_ne!(
            direct.0, "<DatabaseProxy.Endpoint>",
            "the migration goes past the proxy"
        );
        assert_eq!(
            migrate["DB_CA"] == "system",
            choice["Database"] == "outside",
            "{choice:?}"
        );
    }
}

#[test]
fn whatever_the_raw_layers_delete_needs_outlives_it() {
    for (choice, mut stack) in stacks() {
        let resources = stack.resources();
        let mut needed = BTreeMap::new();
        for name in resources.keys() {
            stack.referred.clear();
            stack.resource(name);
            let depends = resources[name].get("DependsOn").cloned().unwrap_or(json!([]));
            let depends = depends.as_array().cloned().unwrap_or_else(|| vec![depends]);
            let mut all: BTreeSet<String> = depends.iter().map(text_of).collect();
            all.extend(stack.referred.iter().cloned());
            needed.insert(name.clone(), all);
        }
        let (layer, ingest) = (reached(&needed, "RawLayer"), reached(&needed, "IngestFunction"));
        let network = [
            "AWS::EC2::",
            "AWS::RDS::DB",
            "AWS::IAM::Role",
            "AWS::Logs::LogGroup",
        ];
        for (name, resource) in &resources {
            let kind = text_of(&resource["Type"]);
            assert!(!reached(&needed, name).contains(name), "{name} waits for itself");
            if !network.iter().any(|prefix| kind.starts_with(prefix)) {
                continue;
            }
            // The proxy, the queue's way and the other function's are ingest's alone.
            let is_ingests = ["Ingest", "QueueEndpoint", "Proxy", "Api", "CodeDeploy"];
            if is_ingests.iter().any(|prefix| name.starts_with(prefix)) || name == "DatabaseProxy" {
                let own = !["ApiLog", "CodeDeployServiceRole"].contains(&name.as_str());
                assert!(
                    !own || ingest.contains(name),
                    "{name} is gone before ingest: {choice:?}"
                );
            } else {
                assert!(
                    layer.contains(name),
                    "{name} is gone before RawLayer's Delete: {choice:?}"
                );
            }
        }
        assert!(
            ingest.contains("RawLayer"),
            "ingest would serve while the layer is undone"
        );
        assert!(reached(&needed, "Measure").contains("RawLayer"));
    }
}

fn reached(needed: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(name) = next.pop() {
        for other in needed.get(&name).into_iter().flatten() {
            if reached.insert(other.clone()) {
                next.push(other.clone());
            }
        }
    }
    reached
}

#[test]
fn what_holds_data_has_policies_for_its_end_and_logs_are_kept_for_a_time() {
    let template = translated();
    let mut found = BTreeSet::new();
    for (name, resource) in template["Resources"].as_object().unwrap() {
        let ends = ["DeletionPolicy", "UpdateReplacePolicy"]
            .map(|policy| resource.get(policy).map(text_of).unwrap_or_default());
        let expected = match resource["Type"].as_str().unwrap() {
            "AWS::SQS::Queue" => ["RetainExceptOnCreate", "Retain"],
            "AWS::RDS::DBCluster" => ["Snapshot", "Snapshot"],
            "AWS::RDS::DBInstance" => ["Delete", "Delete"],
            "AWS::Logs::LogGroup" if name == "MigrateLog" => ["Retain", "Retain"],
            "AWS::Logs::LogGroup" => ["Delete", "Delete"],
            _ => continue,
        };
        assert_eq!(ends, expected, "{name}");
        found.insert(name.as_str());
        if resource["Type"] == "AWS::Logs::LogGroup" {
            assert_eq!(
                resource["Properties"]["RetentionInDays"],
                json!({"Ref": "LogRetentionDays"})
            );
        }
    }
    assert_eq!(found.len(), 2 + 2 + 3, "{found:?}");
    for (function, group) in [("IngestFunction", "IngestLog"), ("MigrateFunction", "MigrateLog")] {
        let logging = &template["Resources"][function]["Properties"]["LoggingConfig"];
        assert_eq!(logging["LogGroup"], json!({"Ref": group}));
        // What the function decides to say is not left out by the platform.
        assert_eq!(
            (&logging["LogFormat"], &logging["ApplicationLogLevel"]),
            (&json!("JSON"), &json!("DEBUG"))
        );
    }
}

#[test]
fn the_budget_of_connections_bounds_executions_and_replay_is_a_part_of_it() {
    let template = translated();
    let parameter = |name: &str, what: &str| template["Parameters"][name][what].as_f64().unwrap();
    let mut stack = Stack::new(template, &choice(&LEAST.split(' ').collect::<Vec<_>>()));
    let ingest = stack.resource("IngestFunction").unwrap()["Properties"].clone();
    let layer = stack.resource("RawLayer").unwrap()["Properties"].clone();
    assert_eq!(
        ingest["ReservedConcurrentExecutions"],
        layer["IngestConnectionLimit"]
    );
    // However it is chosen, replay leaves half of the budget to live requests.
    assert!(
        parameter("ReplayConcurrency", "MaxValue") * 2.0 <= parameter("IngestConnectionLimit", "MinValue")
    );
    // A beacon takes some 10 ms of a warm execution: the gateway lets in more than the budget carries.
    let carried = parameter("IngestConnectionLimit", "Default") / 0.010;
    assert!(parameter("ThrottleRate", "Default") > carried, "{carried}");
    // Aurora gives some 90 connections per capacity unit at least.
    let connections = parameter("MaxCapacity", "Default") * 90.0;
    assert!(connections > parameter("IngestConnectionLimit", "Default") * 1.2);
}

#[test]
fn the_gateway_logs_no_place_where_a_key_or_an_address_stands() {
    let stage = &translated()["Resources"]["ApiApiGatewayDefaultStage"]["Properties"];
    assert_eq!(stage["StageName"], "$default");
    let format = stage["AccessLogSettings"]["Format"].as_str().unwrap();
    let line: Value = serde_json::from_str(format).expect("the access log is JSON");
    for value in line.as_object().unwrap().values().map(text_of) {
        let known = [
            "requestId",
            "requestTimeEpoch",
            "httpMethod",
            "status",
            "integrationStatus",
            "responseLatency",
            "integrationLatency",
            "responseLength",
            "error.responseType",
            "integrationErrorMessage",
        ];
        let name = value.strip_prefix("$context.").unwrap();
        assert!(
            known.contains(&name),
            "{name} may hold a path, a query or an address"
        );
    }
    let api = &translated()["Resources"]["Api"]["Properties"]["Body"];
    let mut names = BTreeSet::new();
    names_in(api, &mut names);
    assert!(!api.to_string().contains("cors"), "{api}");
}

#[test]
fn a_domain_of_ones_own_closes_the_other_door_and_is_what_the_snippet_says() {
    for (domain, host, closed) in [
        ("", "<Api>.execute-api.eu-west-1.amazonaws.com", false),
        ("t.example.com", "t.example.com", true),
    ] {
        let mut all = choice(&LEAST.split(' ').collect::<Vec<_>>());
        all.insert("DomainName".to_owned(), domain.to_owned());
        all.insert("FirstSiteKey".to_owned(), "stk_1".to_owned());
        let mut stack = Stack::new(translated(), &all);
        let api = stack.resource("Api").unwrap().to_string();
        assert_eq!(
            api.contains(r#""DisableExecuteApiEndpoint":true"#)
                || api.contains(r#""disableExecuteApiEndpoint":true"#),
            closed,
            "{api}"
        );
        let outputs = stack.outputs();
        assert_eq!(outputs["Url"], format!("https://{host}"));
        let snippet = outputs["Snippet"].as_str().unwrap();
        assert!(snippet.contains(&format!("'https://{host}/stk_1'")), "{snippet}");
    }
}
