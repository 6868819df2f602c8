//! What watches a stack from inside: the scheduled look, the doctor, and the last events of a tenant.

use std::time::Duration;

use serde_json::{json, Value};

use crate::migrate_actions::Operator;
use crate::migrate_stack::BINARY;
use crate::support::database::Database;
use crate::support::event_source::EventSource;
use crate::support::function::Function;
use crate::support::gateway::{Request, Shape};
use crate::support::metrics;
use crate::support::postgres::{free_port, Version, SUPERUSER_PASSWORD};
use crate::support::runtime_api::Outcome;
use crate::support::site::Site;
use crate::support::v001::{alone, layered};
use crate::INGEST;

/// `Timeout` of the function in template.yaml.
const WHOLE: Duration = Duration::from_secs(330);

/// All checks in their order.
const CHECKS: [&str; 13] = [
    "variables",
    "name",
    "network",
    "tls",
    "authentication",
    "version",
    "grants",
    "connections",
    "timeouts",
    "clock",
    "beacon",
    "queue",
    "s3",
];

async fn examined(environment: &[(&'static str, String)], event: Value, left: Duration) -> Value {
    let function = Function::start(BINARY, environment).await;
    let outcome = function.outcome(event.to_string(), left).await;
    let log = function.stop().await;
    assert!(!log.contains(SUPERUSER_PASSWORD), "{log}");
    match outcome {
        Outcome::Response(page) => page,
        Outcome::Error(error) => panic!("{error}: {log}"),
    }
}

/// Verdict and texts of one check.
fn of<'p>(page: &'p Value, check: &str) -> &'p Value {
    let lines = page["checks"].as_array().unwrap();
    lines
        .iter()
        .find(|line| line["check"] == check)
        .unwrap_or_else(|| panic!("no {check}: {page}"))
}

fn changed(
    environment: &[(&'static str, String)],
    name: &'static str,
    value: &str,
) -> Vec<(&'static str, String)> {
    let kept = environment.iter().filter(|(other, _)| *other != name).cloned();
    kept.chain([(name, value.to_owned())]).collect()
}

#[tokio::test]
async fn the_doctor_names_the_first_thing_that_stands_in_the_way_and_its_remedy() {
    let cluster = alone(Version::Default).await;
    let database = layered(&cluster).await;
    let empty = Database::empty(&cluster).await;
    let client = database.superuser().await;
    client
        .batch_execute(
            "create role watched_ingest login connection limit 4 in role tracking_ingest_role;
             alter role watched_ingest set statement_timeout = '3s'",
        )
        .await
        .unwrap();
    let environment = database.environment("nobody", "none");
    let doctor = json!({"action": "doctor"});
    let good = examined(&environment, doctor.clone(), WHOLE).await;
    let names: Vec<&Value> = good["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| &line["check"])
        .collect();
    assert_eq!(names, CHECKS, "{good}");
    assert_eq!(
        (&good["ok"], &good["failed"]),
        (&json!(true), &json!([])),
        "{good}"
    );
    let skipped = CHECKS.map(|check| of(&good, check)["verdict"] == "skipped");
    assert_eq!(
        skipped.map(u8::from),
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1],
        "{good}"
    );
    assert!(
        of(&good, "tls")["found"].as_str().unwrap().starts_with("TLSv1"),
        "{good}"
    );
    let left: i64 = client
        .query_one("select count(*) from raw.site_tracking_events_r", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(left, 0, "the beacon is rolled back");

    let nowhere = free_port().to_string();
    for (name, value, check, says) in [
        (
            "LOG_LEVEL",
            "verbose",
            "variables",
            "LOG_LEVEL must be info or debug",
        ),
        ("DB_HOST", "no-such-host.invalid", "name", "is not resolved"),
        ("DB_PORT", &*nowhere, "network", "takes no connection"),
        ("DB_CA", "rds", "tls", "vouched for by nobody"),
        ("DB_MIGRATOR_PASSWORD", "wrong", "authentication", "28P01"),
        ("DB_NAME", "nothing", "authentication", "3D000"),
        ("DB_NAME", &*empty.name, "version", "V001 is not in this database"),
    ] {
        let page = examined(&changed(&environment, name, value), doctor.clone(), WHOLE).await;
        assert_eq!(
            (&page["ok"], &page["failed"]),
            (&json!(false), &json!([check])),
            "{name}: {page}"
        );
        let line = of(&page, check);
        assert!(
            line["found"].as_str().unwrap().contains(says) && line["remedy"].is_string(),
            "{name}: {page}"
        );
        let place = CHECKS.iter().position(|known| *known == check).unwrap();
        let others = |checks: &[&str], verdict: &str| {
            checks.iter().all(|check| of(&page, check)["verdict"] == verdict)
        };
        assert!(others(&CHECKS[..place], "ok"), "{name}: {page}");
        let behind: Vec<&str> = CHECKS[place + 1..]
            .iter()
            .copied()
            .filter(|check| *check != "clock")
            .collect();
        assert!(others(&behind, "skipped"), "{name}: {page}");
    }

    for (sql, failed, says, undo) in [
        (
            "drop index raw.site_tracking_events_r_pending",
            json!(["version"]),
            "site_tracking_events_r_pending is missing",
            "create index site_tracking_events_r_pending on raw.site_tracking_events_r (raw_event_id)
               where processing_status = 'PENDING'",
        ),
        (
            "revoke execute on function raw.ingest_tracking_beacon from tracking_ingest_role",
            json!(["version", "grants"]),
            "watched_ingest may not call raw.ingest_tracking_beacon",
            "grant execute on function raw.ingest_tracking_beacon to tracking_ingest_role",
        ),
        (
            "alter role watched_ingest nologin",
            json!(["grants"]),
            "no login is a member of tracking_ingest_role",
            "alter role watched_ingest login",
        ),
        (
            "alter role watched_ingest connection limit 5000",
            json!(["connections"]),
            "may have 5000 connections, the server has",
            "alter role watched_ingest connection limit 4",
        ),
        (
            "alter role watched_ingest set statement_timeout = '5s'",
            json!(["timeouts"]),
            "watched_ingest has statement_timeout 5s",
            "alter role watched_ingest set statement_timeout = '3s'",
        ),
        (
            "alter table raw.site_tracking_events_r add constraint odd check (raw_payload ->> 'event' <> 'doctor')",
            json!(["beacon"]),
            "23514",
            "alter table raw.site_tracking_events_r drop constraint odd",
        ),
    ] {
        client.batch_execute(sql).await.unwrap();
        let page = examined(&environment, doctor.clone(), WHOLE).await;
        client.batch_execute(undo).await.unwrap();
        assert_eq!(page["failed"], failed, "{sql}: {page}");
        assert!(page.to_string().contains(says), "{sql}: {page}");
    }

    let short = examined(&environment, doctor.clone(), Duration::from_secs(60)).await;
    assert_eq!(short["failed"], json!(["timeouts"]), "{short}");
    let mut on_aws = environment.clone();
    for name in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        on_aws.push((name, "eu-west-1".to_owned()));
    }
    on_aws.push(("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{nowhere}")));
    for event in [doctor.clone(), json!({"action": "doctor", "bucket": "reports"})] {
        let page = examined(&on_aws, event, WHOLE).await;
        assert_eq!(page["failed"], json!(["s3"]), "{page}");
    }

    measures_connections(&database).await;
}

/// Three of four.
async fn measures_connections(database: &Database<'_>) {
    let client = database.superuser().await;
    client
        .batch_execute("alter role watched_ingest password 'watched'")
        .await
        .unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(database.client("watched_ingest", "watched").await);
    }
    let figures = examined(
        &database.environment("nobody", "none"),
        json!({"action": "measure"}),
        WHOLE,
    )
    .await;
    assert_eq!(
        [&figures["Connections"], &figures["ConnectionsUsedPercent"]],
        [&json!(3), &json!(75.0)],
        "{figures}"
    );
    drop(held);
}

#[tokio::test]
async fn what_is_measured_is_metrics_of_its_stack_in_the_answers_line() {
    let operator = Operator::with_v001().await;
    let client = operator.database.superuser().await;
    let environment = operator.database.environment("nobody", "none");
    let function = Function::start(BINARY, &changed(&environment, "STACK_NAME", "site-prod")).await;
    let measure = || async { function.invoke(r#"{"action":"measure"}"#).await };
    let idle = measure().await;
    assert_eq!(
        [
            &idle["OldestPendingSeconds"],
            &idle["Pending"],
            &idle["QuarantinedRows"],
            &idle["IdsLeftPercent"]
        ],
        [&json!(0), &json!(0), &json!(0), &json!(100.0)],
        "{idle}"
    );
    client
        .batch_execute(
            "insert into raw.site_tracking_events_r (tenant_hk, raw_payload, received_timestamp, processing_status)
             select 'x', case when n % 4 = 0 then '{\"_quarantine\": {}}' else '{\"a\": 1}' end::jsonb,
               now() - make_interval(secs => 1000 - n), case when n % 4 = 0 then 'ERROR' else 'PENDING' end
             from generate_series(1, 40) as n;
             alter sequence raw.site_tracking_events_r_raw_event_id_seq maxvalue 160",
        )
        .await
        .unwrap();
    let told = measure().await;
    let age = told["OldestPendingSeconds"].as_i64().unwrap();
    assert!((999..1100).contains(&age), "{told}");
    assert_eq!(
        [
            &told["Pending"],
            &told["QuarantinedRows"],
            &told["IdsLeftPercent"],
            &told["notes"]
        ],
        [&json!(30), &json!(10), &json!(75.0), &json!([])],
        "{told}"
    );
    let lines = metrics::lines(&function.stop().await);
    assert_eq!(lines.len(), 2);
    let line = &lines[1];
    assert_eq!(metrics::faults(line), Vec::<String>::new(), "{line}");
    assert_eq!(
        (&line["Stack"], &line["Pending"]),
        (&json!("site-prod"), &json!(30)),
        "{line}"
    );
    let named = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(named["Dimensions"], json!([["Stack"]]), "{line}");
    let names: Vec<&Value> = named["Metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|metric| &metric["Name"])
        .collect();
    let all = [
        "OldestPendingSeconds",
        "Pending",
        "QuarantinedRows",
        "Connections",
        "ConnectionsUsedPercent",
        "IdsLeftPercent",
    ];
    assert_eq!(names, all, "{line}");
}

#[tokio::test]
async fn a_figure_that_cannot_be_had_in_time_is_no_metric_and_costs_no_other() {
    let operator = Operator::with_v001().await;
    let client = operator.database.superuser().await;
    client
        .batch_execute("begin; lock table raw.site_tracking_events_r in access exclusive mode")
        .await
        .unwrap();
    let began = std::time::Instant::now();
    let told = operator.gets(json!({"action": "measure"})).await;
    assert!(
        began.elapsed() < Duration::from_secs(9),
        "five seconds, and a connection"
    );
    client.batch_execute("rollback").await.unwrap();
    assert_eq!(
        (&told["Pending"], &told["OldestPendingSeconds"]),
        (&Value::Null, &Value::Null),
        "{told}"
    );
    assert!(told["Connections"].is_number(), "{told}");
    assert!(
        told["notes"]
            .to_string()
            .contains("pending was not counted within"),
        "{told}"
    );
}

#[tokio::test]
async fn recent_shows_a_tenants_last_events_and_what_they_hold_only_when_asked() {
    let site = Site::new().await;
    let other = site.another_key("other", None).await;
    let ingest = site.start(INGEST).await;
    for (key, body) in [
        (&site.key, r#"{"canary":1}"#.to_owned()),
        (&other, r#"{"others":2}"#.to_owned()),
        (&site.key, format!("canary, and no json {}", site.key.expose())),
        (&site.key, r#"{"canary":4}"#.to_owned()),
        (&site.key, format!(r#"{{"canary":"{}"}}"#, "x".repeat(20_000))),
    ] {
        ingest.send(&Request::post(Shape::V2, key.expose(), &body)).await;
    }
    ingest.stop().await;
    let operator = Operator::on(Database {
        cluster: site.database.cluster,
        name: site.database.name.clone(),
    })
    .await;
    let outline = operator
        .gets(json!({"action": "recent", "tenant_bk": "canary-tenant", "rows": 3}))
        .await;
    let events = outline["events"].as_array().unwrap();
    assert_eq!(events.len(), 3, "{outline}");
    assert_eq!(
        events
            .iter()
            .map(|event| &event["quarantined"])
            .collect::<Vec<_>>(),
        [&Value::Null, &Value::Null, &json!("undecodable")],
        "{outline}"
    );
    assert!(
        events[0]["raw_event_id"].as_i64() > events[1]["raw_event_id"].as_i64(),
        "{outline}"
    );
    assert!(
        events.iter().all(|event| event["receipt"].is_string()),
        "{outline}"
    );
    assert!(!outline.to_string().contains("203.0.113"), "{outline}");
    assert!(
        events
            .iter()
            .all(|event| event.get("payload").is_none() && event.get("request").is_none()),
        "{outline}"
    );

    let whole = operator
        .gets(json!({"action": "recent", "tenant_bk": "canary-tenant", "payloads": true}))
        .await;
    let payloads: Vec<&Value> = whole["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["payload"])
        .collect();
    assert_eq!(payloads.len(), 4, "another tenant's are not shown: {whole}");
    assert_eq!(
        (payloads[0], payloads[1]),
        (&Value::Null, &json!({"canary": 4})),
        "{whole}"
    );
    assert_eq!(
        payloads[2]["_quarantine"]["bytes"],
        Value::Null,
        "exact bytes may hold a key: {whole}"
    );
    assert_eq!(payloads[3], &json!({"canary": 1}));
    assert!(!whole.to_string().contains("stk_"), "{whole}");

    let unknown = operator
        .asks(json!({"action": "recent", "tenant_bk": "nobody"}))
        .await;
    assert!(
        unknown["error"]
            .to_string()
            .contains("no tenant of that tenant_bk"),
        "{unknown}"
    );
    let log = operator.stop().await;
    assert!(!log.contains("canary"), "what is shown is not logged: {log}");
}

#[tokio::test]
async fn ingest_tells_its_own_doctor_of_its_database_and_its_queues() {
    let site = Site::new().await;
    let source = EventSource::new().await;
    let doctor = r#"{"action":"doctor"}"#;
    let port = free_port().to_string();
    let good = source.beside(site.environment());
    let revoked = format!("revoke tracking_ingest_role from {}", site.login);
    for (environment, sql, failed) in [
        (good.clone(), "select", json!([])),
        (site.environment(), "select", json!([])),
        (changed(&good, "DB_PORT", &port), "select", json!(["database"])),
        (
            changed(&good, "DEAD_LETTERS_URL", &format!("{}-none", source.url)),
            "select",
            json!(["queue"]),
        ),
        (good.clone(), &*revoked, json!(["grants"])),
    ] {
        site.admin.batch_execute(sql).await.unwrap();
        let ingest = site.start_with(INGEST, &environment).await;
        let page = ingest.invoke(doctor).await;
        ingest.stop().await;
        assert_eq!(
            (&page["failed"], &page["ok"]),
            (&failed, &json!(failed == json!([]))),
            "{page}"
        );
        let names: Vec<&Value> = page["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| &line["check"])
            .collect();
        assert_eq!(names, ["variables", "database", "grants", "queue"], "{page}");
    }
}
