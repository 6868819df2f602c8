//! `make verify` in this checkout: any database, two files, a summary, an exit code.

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::database::Database;
use crate::support::postgres::{free_port, Cluster, Version, SUPERUSER, SUPERUSER_PASSWORD};
use crate::support::tools;
use crate::support::v001::{alone, layered};

fn make_verify(arguments: &[String], environment: &[(&str, String)]) -> Output {
    make("verify", arguments, environment)
}

fn make(target: &str, arguments: &[String], environment: &[(&str, String)]) -> Output {
    let mut command = Command::new("make");
    command.current_dir(tools::project()).arg(target).args(arguments);
    for name in [
        "DATABASE_URL",
        "DB_HOST",
        "DB_PORT",
        "DB_NAME",
        "DB_USER",
        "DB_PASSWORD",
        "DB_CA",
    ] {
        command.env_remove(name);
    }
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The report of the file that the summary names.
fn report(said: &str) -> Value {
    let name = said
        .lines()
        .find(|line| line.ends_with(".json"))
        .unwrap_or_else(|| panic!("{said}"));
    let page = name.replace(".json", ".md");
    let page = std::fs::read_to_string(tools::project().join(page)).unwrap();
    assert!(
        page.starts_with("# Deployment checklist, V001, filled in"),
        "{page}"
    );
    serde_json::from_str(&std::fs::read_to_string(tools::project().join(name)).unwrap()).unwrap()
}

#[tokio::test]
async fn any_database_is_verified_and_the_exit_code_tells_whether_a_line_failed() {
    let database = Database::with_v001(Cluster::shared(Version::Default)).await;
    let port = database.cluster.port;
    let authority = database.cluster.authority_pem().display().to_string();
    let url = format!(
        "DATABASE_URL=postgres://{SUPERUSER}:{SUPERUSER_PASSWORD}@127.0.0.1:{port}/{}?sslmode=verify-full&sslrootcert={}",
        database.name,
        authority.replace('/', "%2F")
    );
    let good = make_verify(&[url], &[]);
    assert!(good.status.success(), "{good:?}");
    let said = stdout(&good);
    assert!(said.contains(", 0 failed, "), "{said}");
    assert!(!format!("{good:?}").contains(SUPERUSER_PASSWORD));
    let filled = report(&said);
    assert_eq!(filled["report_version"], 1);
    assert_eq!(filled["failed"], serde_json::json!([]));

    let client = database.superuser().await;
    client
        .batch_execute("drop index raw.site_tracking_events_r_pending")
        .await
        .unwrap();
    let variables = [
        ("DB_HOST", "127.0.0.1".to_owned()),
        ("DB_PORT", port.to_string()),
        ("DB_NAME", database.name.clone()),
        ("DB_USER", SUPERUSER.to_owned()),
        ("DB_PASSWORD", SUPERUSER_PASSWORD.to_owned()),
        ("DB_CA", authority),
    ];
    let bad = make_verify(&[], &variables);
    assert!(!bad.status.success());
    let said = stdout(&bad);
    for piece in [
        "PRF-01 failed",
        "VAL-01 failed",
        "remedy: ",
        "site_tracking_events_r_pending",
    ] {
        assert!(said.contains(piece), "{piece}: {said}");
    }
    assert_eq!(report(&said)["failed"], serde_json::json!(["VAL-01", "PRF-01"]));
}

#[tokio::test]
async fn make_doctor_tells_a_person_and_a_program_and_its_exit_code_whether_something_failed() {
    let cluster = alone(Version::Default).await;
    let database = layered(&cluster).await;
    let client = database.superuser().await;
    let login = "create role doctors_ingest login connection limit 4 in role tracking_ingest_role;
        alter role doctors_ingest set statement_timeout = '3s'";
    client.batch_execute(login).await.unwrap();
    let variables = |port: u16| {
        [
            ("DB_HOST", "127.0.0.1".to_owned()),
            ("DB_PORT", port.to_string()),
            ("DB_NAME", database.name.clone()),
            ("DB_USER", SUPERUSER.to_owned()),
            ("DB_PASSWORD", SUPERUSER_PASSWORD.to_owned()),
            ("DB_CA", cluster.authority_pem().display().to_string()),
        ]
    };
    let good = make("doctor", &["ARGS=--json".to_owned()], &variables(cluster.port));
    assert!(good.status.success(), "{good:?}");
    let told: Value = serde_json::from_str(&stdout(&good)).unwrap();
    assert_eq!(
        (&told["ok"], &told["failed"]),
        (&true.into(), &serde_json::json!([])),
        "{told}"
    );
    let bad = make("doctor", &[], &variables(free_port()));
    assert!(!bad.status.success(), "{bad:?}");
    let said = stdout(&bad);
    for piece in [
        "name           ok",
        "network        failed",
        "remedy: check that the database runs",
        "beacon         skipped",
    ] {
        assert!(said.contains(piece), "{piece}: {said}");
    }
    assert!(!format!("{good:?}{bad:?}").contains(SUPERUSER_PASSWORD));
}

#[test]
fn what_cannot_be_asked_is_one_sentence_and_help_says_how() {
    for (arguments, says) in [
        (
            vec![],
            "error: DB_HOST is not set: name the database by DATABASE_URL",
        ),
        (
            vec!["DATABASE_URL=postgres://a:s3cret@h:none/x".to_owned()],
            "error: DATABASE_URL cannot be read",
        ),
    ] {
        let output = make_verify(&arguments, &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(says), "{says}: {said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
    let help = make_verify(&["ARGS=--help".to_owned()], &[]);
    assert!(
        help.status.success() && stdout(&help).contains("make verify DATABASE_URL="),
        "{help:?}"
    );
}
