//! A start that cannot be right says which variable, what is wrong with it and what to do; a database that is not
//! ready for beacons is named in the log, and the sender learns nothing of it.
//!
//! The table has a row for each variable of `config.rs`: a new one without a row fails here.

use site_tracking::config::{Function, VARIABLES};

use crate::support::function;
use crate::support::gateway::{Request, Shape};
use crate::support::metrics;
use crate::support::site::Site;
use crate::INGEST;

/// What a faulty variable leads to.
#[derive(Clone, Copy, Debug)]
enum Ends {
    /// The start fails; the line names the variable and holds this.
    Start(&'static str),
    /// The function starts; a beacon is answered 503 and the line holds this.
    Beacon(&'static str),
    /// All is well.
    Well,
}
use Ends::{Beacon, Start, Well};

/// Another login's variables stand for themselves only where they are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Auth {
    Password,
    Iam,
    Secret,
}

struct Row {
    auth: Auth,
    missing: Ends,
    empty: Ends,
    wrong: (&'static str, Ends),
}

fn row(name: &str) -> Row {
    let password = |missing, empty, wrong| Row {
        auth: Auth::Password,
        missing,
        empty,
        wrong,
    };
    let iam = |missing, empty, wrong| Row {
        auth: Auth::Iam,
        missing,
        empty,
        wrong,
    };
    let empty = Start("is empty; unset it or set it to");
    let refused = Beacon("28P01");
    match name {
        "DB_HOST" => password(
            Start("is not set; set it to host name"),
            empty,
            ("no.such.host.invalid", Beacon("check that the database runs")),
        ),
        "DB_PORT" => password(
            Beacon("check that the database runs"),
            empty,
            (
                "65536",
                Start("must be a number from 1 to 65535, got 5 characters"),
            ),
        ),
        "DB_NAME" => password(
            Start("is not set; set it to database"),
            empty,
            ("no_such_database", Beacon("check DB_NAME")),
        ),
        "DB_USER" => password(
            Start("is not set; set it to login of ingest"),
            empty,
            ("nobody", refused),
        ),
        "DB_PASSWORD" => password(
            Start("is not set; set it to its password"),
            empty,
            ("canary-wrong", refused),
        ),
        "DB_SECRET_ARN" => Row {
            auth: Auth::Secret,
            missing: Start("is not set; set it to its secret"),
            empty,
            wrong: (
                "canary-arn",
                Beacon("the secret that holds the password cannot be had"),
            ),
        },
        "DB_AUTH" => password(
            Start("AWS_REGION is not set"),
            empty,
            ("md5", Start("must be iam, password or secret, got 3 characters")),
        ),
        "DB_CA" => password(
            Beacon("vouched for by nobody that DB_CA names"),
            empty,
            ("mine", Start("must be rds, system or the path of a PEM file")),
        ),
        "IP_MODE" => password(
            Well,
            empty,
            ("some", Start("must be full, truncated or none, got 4 characters")),
        ),
        "TRUSTED_PROXIES" => password(
            Well,
            empty,
            ("-1", Start("must be a number from 0 to 255, got 2 characters")),
        ),
        "EXPLAIN" => password(Well, empty, ("yes", Start("must be on or off, got 3 characters"))),
        "QUEUE_URL" => password(
            Well,
            empty,
            (
                "events",
                Start("must be off or the URL of a queue, got 6 characters"),
            ),
        ),
        "DEAD_LETTERS_URL" => password(
            Well,
            empty,
            (
                "events",
                Start("must be off or the URL of a queue, got 6 characters"),
            ),
        ),
        "LOG_LEVEL" => password(
            Well,
            empty,
            ("verbose", Start("must be info or debug, got 7 characters")),
        ),
        "STACK_NAME" => password(
            Well,
            empty,
            (
                "a stack",
                Start("must be up to 128 letters, digits, hyphens, underscores and points, got 7 characters"),
            ),
        ),
        "AWS_REGION" => iam(
            Start("is not set; set it to region of the database"),
            empty,
            ("nowhere", refused),
        ),
        "AWS_ACCESS_KEY_ID" => iam(Start("is not set; set it to"), empty, ("canary-wrong", refused)),
        "AWS_SECRET_ACCESS_KEY" => iam(Start("is not set; set it to"), empty, ("canary-wrong", refused)),
        "AWS_SESSION_TOKEN" => iam(refused, refused, ("canary-wrong", refused)),
        // Read only where a service is asked.
        "AWS_ENDPOINT_URL" => password(Well, Well, ("http://aws.example", Well)),
        other => panic!("{other} has no row: say what it leads to when it is missing, empty and wrong"),
    }
}

#[tokio::test]
async fn each_variable_missing_empty_or_wrong_is_named_with_its_remedy() {
    let site = Site::new().await;
    for variable in VARIABLES
        .iter()
        .filter(|v| v.functions.contains(&Function::Ingest))
    {
        let row = row(variable.name);
        for (label, value, ends) in [
            ("missing", None, row.missing),
            ("empty", Some(""), row.empty),
            ("wrong", Some(row.wrong.0), row.wrong.1),
        ] {
            let mut environment = site.environment();
            if row.auth == Auth::Secret {
                environment.push(("DB_AUTH", "secret".to_owned()));
                // Nobody listens there.
                environment.push(("AWS_ENDPOINT_URL", "http://127.0.0.1:1".to_owned()));
                environment.push(("DB_SECRET_ARN", "arn".to_owned()));
            }
            if row.auth != Auth::Password {
                let first = environment
                    .iter()
                    .position(|(name, _)| *name == "DB_AUTH")
                    .unwrap();
                environment.remove(first);
                let aws = [
                    "AWS_REGION",
                    "AWS_ACCESS_KEY_ID",
                    "AWS_SECRET_ACCESS_KEY",
                    "AWS_SESSION_TOKEN",
                ];
                environment.extend(aws.map(|name| (name, "canary-eu-west-1".to_owned())));
            }
            environment.retain(|(name, _)| *name != variable.name);
            environment.extend(value.map(|value| (variable.name, value.to_owned())));
            check(&site, &environment, variable.name, ends, label).await;
        }
    }
}

async fn check(site: &Site, environment: &[(&'static str, String)], name: &str, ends: Ends, label: &str) {
    let label = format!("{name} {label}, {ends:?}");
    match ends {
        Start(says) => {
            let mut function = function::Function::start(INGEST, environment).await;
            assert_eq!(function.ended().await, Some(1), "{label}");
            let log = function.stop().await.replace("\\\"", "\"");
            assert!(
                log.contains(says) && log.contains("\"level\":\"ERROR\""),
                "{label}: {log}"
            );
            assert!(
                log.contains(&format!("\"error\":\"{name} ")) || says.starts_with("AWS_"),
                "{label}: {log}"
            );
            assert!(
                !log.contains("canary") && !log.contains("panicked"),
                "{label}: {log}"
            );
        }
        Beacon(_) | Well => {
            let ingest = site.start_with(INGEST, environment).await;
            let answer = ingest
                .send(&Request::post(Shape::V2, site.key.expose(), r#"{"a":1}"#))
                .await;
            let log = ingest.stop().await;
            let (status, says) = if let Beacon(says) = ends {
                (503, says)
            } else {
                (200, "landed")
            };
            assert_eq!(answer.status, status, "{label}: {log}");
            assert!(log.contains(says), "{label}: {log}");
        }
    }
}

#[tokio::test]
async fn a_database_that_is_not_ready_for_beacons_is_named_to_the_operator_alone() {
    for (sql, sqlstate, remedy) in [
        ("drop schema raw cascade", "3F000", "apply V001 to this database"),
        (
            "drop function raw.ingest_tracking_beacon",
            "42883",
            "apply V001 to this database",
        ),
        (
            "revoke tracking_ingest_role from LOGIN",
            "42501",
            "grant tracking_ingest_role to DB_USER",
        ),
        (
            "alter role LOGIN set default_transaction_read_only = on",
            "25006",
            "DB_HOST must name the primary",
        ),
        (
            "alter role LOGIN connection limit 0",
            "53300",
            "all connections are taken",
        ),
    ] {
        let site = Site::new().await;
        site.admin
            .batch_execute(&sql.replace("LOGIN", &site.login))
            .await
            .unwrap();
        let ingest = site.start(INGEST).await;
        let answer = ingest
            .send(&Request::post(Shape::V2, site.key.expose(), r#"{"a":1}"#))
            .await;
        assert_eq!((answer.status, answer.tag()), (503, "unavailable"), "{sql}");
        assert!(!answer.body.to_string().contains(sqlstate), "{sql}: {answer:?}");
        let log = ingest.stop().await;
        assert!(
            log.contains(&format!("\"sqlstate\":\"{sqlstate}\"")) && log.contains(remedy),
            "{sql}: {log}"
        );
    }
}

#[tokio::test]
async fn each_request_is_one_line() {
    let site = Site::new().await;
    let ingest = site
        .start_with(INGEST, &site.environment_with(&[("LOG_LEVEL", "info")]))
        .await;
    for body in [r#"{"a":1}"#, r#"[{"a":1},{}]"#, "nothing"] {
        ingest
            .send(&Request::post(Shape::V2, site.key.expose(), body))
            .await;
    }
    let log = ingest.stop().await;
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |n: usize, name: &str| lines[n][name].clone();
    assert_eq!(lines.len(), 3, "{log}");
    assert_eq!([of(0, "ColdStarts"), of(1, "ColdStarts")], [1, 0]);
    assert_eq!(
        [of(0, "outcome"), of(1, "outcome"), of(2, "outcome")],
        ["landed", "landed", "quarantined"]
    );
    assert_eq!(
        [
            of(0, "Stored"),
            of(1, "Stored"),
            of(1, "Refused"),
            of(1, "Received")
        ],
        [1, 1, 1, 2]
    );
    assert_eq!(
        [of(2, "tag"), of(0, "tag")],
        [serde_json::json!("undecodable"), serde_json::Value::Null]
    );
    for line in &lines {
        assert!(
            line["Duration"].as_f64().unwrap() >= line["DatabaseTime"].as_f64().unwrap(),
            "{line}"
        );
        assert!(
            line["request_id"].is_string() && line["timestamp"].is_string(),
            "{line}"
        );
        assert_eq!(metrics::faults(line), Vec::<String>::new(), "{line}");
        assert_eq!(line["Stack"], "local", "{line}");
    }
}
