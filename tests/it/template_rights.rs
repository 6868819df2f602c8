//! What the roles of the stack may do is what the code asks AWS for, on the resources that it is meant for, and nothing
//! else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{json, Value};

use crate::support::stack_template::{choice, text_of, translated, Stack};
use crate::support::tools;
use crate::template_choices::databases;

/// A right: what, and on what.
type Right = (String, String);

/// A role's rights, and what is wrong with how they are said.
fn rights(role: &Value) -> (BTreeSet<Right>, Vec<String>) {
    let (mut rights, mut faults) = (BTreeSet::new(), Vec::new());
    for policy in role["Properties"]["Policies"].as_array().unwrap() {
        let name = text_of(&policy["PolicyName"]);
        for statement in policy["PolicyDocument"]["Statement"].as_array().unwrap() {
            if statement["Effect"] == "Deny" {
                continue;
            }
            for action in each(&statement["Action"]) {
                for resource in each(&statement["Resource"]) {
                    // Network interfaces and traces have no name before they are there.
                    let may_be_any = ["network", "traces"].contains(&name.as_str());
                    if action.contains('*')
                        || resource.ends_with('*') && !is_a_folder(&resource) && !may_be_any
                    {
                        faults.push(format!("{name}: {action} on {resource}"));
                    }
                    rights.insert((action.clone(), resource));
                }
            }
        }
    }
    (rights, faults)
}

/// The reports, which are below one name of one bucket.
fn is_a_folder(resource: &str) -> bool {
    resource.starts_with("arn:aws:s3:::") && resource.ends_with("/V001/*")
}

fn each(value: &Value) -> Vec<String> {
    value
        .as_array()
        .map_or_else(|| vec![text_of(value)], |list| list.iter().map(text_of).collect())
}

fn right(action: &str, resource: &str) -> Right {
    (action.to_owned(), resource.to_owned())
}

fn connect(id: &str, user: &str) -> Right {
    let resource = format!("arn:aws:rds-db:eu-west-1:123456789012:dbuser:{id}/{user}");
    right("rds-db:connect", &resource)
}

fn log(group: &str) -> [Right; 2] {
    ["logs:CreateLogStream", "logs:PutLogEvents"].map(|action| right(action, &format!("<{group}.Arn>")))
}

const NETWORK: [&str; 6] = [
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
];

const TRACES: [&str; 2] = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"];

/// What both have, by choice.
fn shared(choice: &BTreeMap<String, String>) -> BTreeSet<Right> {
    let mut all = BTreeSet::new();
    if choice["Database"] == "create" || !choice["SubnetIds"].is_empty() {
        all.extend(NETWORK.map(|action| right(action, "*")));
    }
    if !choice["SecretsKeyArn"].is_empty() {
        all.insert(right("kms:Decrypt", &choice["SecretsKeyArn"]));
    }
    if choice["Tracing"] == "on" {
        all.extend(TRACES.map(|action| right(action, "*")));
    }
    all
}

#[test]
fn each_role_has_the_rights_that_its_function_uses_and_no_other() {
    let mut cases = 0;
    for database in databases() {
        for rest in [
            ["Queue=on", "ReportBucket=reports", "Tracing=off", "KeyArn="],
            ["Queue=off", "ReportBucket=", "Tracing=on", "KeyArn=arn:aws:kms:k"],
            ["Queue=on", "ReportBucket=", "Tracing=on", "KeyArn=arn:aws:kms:k"],
        ] {
            let choice = choice(&[database.clone(), rest.to_vec()].concat());
            let mut stack = Stack::new(translated(), &choice);
            let (ingest, faults) = rights(&stack.resource("IngestRole").unwrap());
            assert_eq!(faults, Vec::<String>::new());
            let (migrate, faults) = rights(&stack.resource("MigrateRole").unwrap());
            assert_eq!(faults, Vec::<String>::new());
            assert_eq!(ingest, of_ingest(&choice), "{choice:?}");
            assert_eq!(migrate, of_migrate(&choice), "{choice:?}");
            cases += 1;
        }
    }
    assert_eq!(cases, 93);
}

fn of_ingest(choice: &BTreeMap<String, String>) -> BTreeSet<Right> {
    let mut all = shared(choice);
    all.extend(log("IngestLog"));
    all.insert(
        match (choice["DatabaseAuth"].as_str(), choice["Proxy"].as_str()) {
            ("secret", _) => right("secretsmanager:GetSecretValue", &choice["IngestSecretArn"]),
            (_, "on") => connect("<DatabaseProxy.DBProxyArn>", "tracking_ingest"),
            _ if choice["Database"] == "create" => {
                connect("<DatabaseCluster.DBClusterResourceId>", "tracking_ingest")
            }
            _ => connect(&choice["DatabaseResourceId"], "tracking_ingest"),
        },
    );
    // Whatever Queue says: what is in it is stored, and what rests in the other one can be looked at.
    for queue in ["<OutageQueue.Arn>", "<DeadLetters.Arn>"] {
        all.extend(queue_actions().into_iter().map(|action| right(&action, queue)));
    }
    if !choice["KeyArn"].is_empty() {
        // By SQS, with the rights of who sends and receives.
        let actions = ["kms:GenerateDataKey", "kms:Decrypt"];
        all.extend(actions.map(|action| right(action, &choice["KeyArn"])));
    }
    all
}

fn of_migrate(choice: &BTreeMap<String, String>) -> BTreeSet<Right> {
    let mut all = shared(choice);
    all.extend(log("MigrateLog"));
    all.insert(
        match (choice["DatabaseAuth"].as_str(), choice["Database"].as_str()) {
            (_, "create") => right(
                "secretsmanager:GetSecretValue",
                "<DatabaseCluster.MasterUserSecret.SecretArn>",
            ),
            ("secret", _) => right("secretsmanager:GetSecretValue", &choice["MigratorSecretArn"]),
            _ => connect(&choice["DatabaseResourceId"], "tracking_migrator"),
        },
    );
    if !choice["ReportBucket"].is_empty() {
        all.insert(right("s3:PutObject", "arn:aws:s3:::reports/V001/*"));
    }
    all
}

/// Of SQS: what the code asks for, by the names in it, and what Lambda does in its place to feed it.
fn queue_actions() -> BTreeSet<String> {
    let mut actions: BTreeSet<String> = ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes"]
        .map(|by_lambda| format!("sqs:{by_lambda}"))
        .into();
    let code = text_of_folder(&tools::project().join("functions/ingest"));
    for call in [".ask(\"", ".call(\""] {
        for after in code.split(call).skip(1) {
            let name = after.split('"').next().unwrap();
            if name.chars().all(char::is_alphanumeric) {
                actions.insert(format!("sqs:{}", name.trim_end_matches("Batch")));
            }
        }
    }
    assert!(actions.contains("sqs:SendMessage"), "{actions:?}");
    actions
}

#[test]
fn the_code_asks_no_service_that_no_right_is_given_for() {
    let code = text_of_folder(&tools::project().join("functions"));
    let (_, services) = code
        .split_once("pub enum Service {")
        .expect("the services that are called");
    let services = services.split('}').next().unwrap();
    let mut names: Vec<&str> = services
        .lines()
        .map(str::trim)
        .filter(|line| line.ends_with(',') && !line.starts_with("//"))
        .map(|line| line.trim_end_matches(','))
        .collect();
    names.sort_unstable();
    // These by their actions, S3 by put_object, RDS by a signature that nobody is asked for.
    assert_eq!(names, ["SecretsManager", "Sqs"]);
    let asked: BTreeSet<&str> = code
        .split("\"secretsmanager.")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert_eq!(asked, BTreeSet::from(["GetSecretValue"]));
    assert!(code.contains("put_object(") && !code.contains("get_object("));
}

#[test]
fn the_proxy_may_log_in_as_ingest_alone() {
    for database in databases() {
        let choice = choice(&database);
        let mut stack = Stack::new(translated(), &choice);
        let role = stack.resource("ProxyRole");
        assert_eq!(role.is_some(), choice["Proxy"] == "on");
        let id = match choice["Database"].as_str() {
            "create" => "<DatabaseCluster.DBClusterResourceId>",
            _ => &choice["DatabaseResourceId"],
        };
        if let Some(role) = role {
            assert_eq!(rights(&role).0, BTreeSet::from([connect(id, "tracking_ingest")]));
            let targets = stack.resource("ProxyTargets").unwrap()["Properties"].clone();
            let (clusters, instances) = (
                targets.get("DBClusterIdentifiers"),
                targets.get("DBInstanceIdentifiers"),
            );
            let found = match choice["Database"].as_str() {
                "create" => (Some(json!(["<DatabaseCluster>"])), None),
                _ if id.starts_with("cluster-") => (Some(json!(["one"])), None),
                _ => (None, Some(json!(["one"]))),
            };
            assert_eq!((clusters.cloned(), instances.cloned()), found, "{choice:?}");
        }
    }
}

#[test]
fn a_planted_wildcard_is_seen() {
    for (action, resource, is_fine) in [
        (json!("sqs:SendMessage"), json!("arn:aws:sqs:r:a:queue"), true),
        (json!("s3:PutObject"), json!("arn:aws:s3:::reports/V001/*"), true),
        (json!("sqs:*"), json!("arn:aws:sqs:r:a:queue"), false),
        (
            json!(["sqs:SendMessage", "sqs:Delete*"]),
            json!("arn:aws:sqs:r:a:queue"),
            false,
        ),
        (json!("sqs:SendMessage"), json!("*"), false),
        (
            json!("sqs:SendMessage"),
            json!(["arn:aws:sqs:r:a:queue", "arn:aws:sqs:*"]),
            false,
        ),
        (json!("s3:PutObject"), json!("arn:aws:s3:::reports/*"), false),
    ] {
        let statement = json!({"Effect": "Allow", "Action": action, "Resource": resource});
        let role = json!({"Properties": {"Policies": [
            {"PolicyName": "queue", "PolicyDocument": {"Statement": [statement]}}]}});
        assert_eq!(rights(&role).1.is_empty(), is_fine, "{role}");
    }
}

#[test]
fn nobody_else_has_rights_and_what_is_open_to_all_is_only_forbidden() {
    let resources = translated()["Resources"].as_object().unwrap();
    let roles: BTreeSet<&str> = resources
        .iter()
        .filter(|(_, resource)| text_of(&resource["Type"]).starts_with("AWS::IAM::"))
        .map(|(name, _)| name.as_str())
        .collect();
    // The last one is SAM's, with a policy of AWS, for the canary.
    let ours = ["IngestRole", "MigrateRole", "ProxyRole", "CodeDeployServiceRole"];
    assert_eq!(roles, BTreeSet::from(ours));
    let policy = &resources["QueuePolicy"]["Properties"]["PolicyDocument"]["Statement"];
    assert!(policy
        .as_array()
        .unwrap()
        .iter()
        .all(|statement| statement["Effect"] == "Deny"));
    for name in ["IngestRole", "MigrateRole"] {
        let role = &resources[name]["Properties"];
        assert!(role.get("ManagedPolicyArns").is_none());
        let who = &role["AssumeRolePolicyDocument"]["Statement"];
        assert_eq!(who.as_array().unwrap().len(), 1);
        assert_eq!(who[0]["Principal"], json!({"Service": "lambda.amazonaws.com"}));
    }
}

pub fn text_of_folder(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &text_of_folder(&path);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text += &std::fs::read_to_string(path).unwrap();
        }
    }
    text
}
