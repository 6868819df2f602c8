//! Each alarm of the stack crosses when its fault is there, and no other does: the alarms as the translated template
//! has them, over what the real functions write, and over what AWS counts around them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{json, Value};
use site_tracking::site_key::SiteKey;
use tokio::net::TcpListener;

use crate::migrate_stack::BINARY;
use crate::support::cloudwatch::Samples;
use crate::support::event_source::EventSource;
use crate::support::function::{Function, REMAINING};
use crate::support::gateway::{Request, Shape};
use crate::support::postgres::{free_port, Cluster, Version};
use crate::support::site::{Site, Watched};
use crate::support::stack_template::{choice, text_of, translated, Stack};
use crate::support::wait;
use crate::INGEST;

/// `AWS::StackName`, as the functions are told it.
const STACK: (&str, &str) = ("STACK_NAME", "site-tracking");

const FUNCTION: (&str, &str) = ("FunctionName", "<IngestFunction>");
const LIVE: (&str, &str) = ("Resource", "<IngestFunction>:live");
const API: (&str, &str) = ("ApiId", "<Api>");

/// Of its default threshold, an hour, nobody waits for the end.
const QUEUED_AGE: &str = "QueuedAgeThreshold=1";

/// The alarms that are on, over these samples.
fn crossing(samples: &Samples) -> BTreeSet<String> {
    let mut stack = Stack::new(
        translated(),
        &choice(&["Database=create", "Proxy=on", QUEUED_AGE]),
    );
    let resources = stack.resources();
    let alarms = resources
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::CloudWatch::Alarm");
    let on = alarms.filter(|(_, alarm)| samples.cross(&alarm["Properties"]));
    on.map(|(name, _)| name.clone()).collect()
}

#[track_caller]
fn only(expected: &[&str], samples: &Samples) {
    let expected = expected.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(crossing(samples), expected);
}

async fn start(site: &Site, changed: &[(&'static str, &str)]) -> Watched {
    let changed = [changed, &[STACK]].concat();
    site.start_with(INGEST, &site.environment_with(&changed)).await
}

/// Sends them; what the function wrote, and what gateway and Lambda count of it.
async fn sent(ingest: Watched, requests: impl IntoIterator<Item = Request>) -> Samples {
    let mut counted = Samples::default();
    for request in requests {
        let began = Instant::now();
        let answer = ingest.send(&request).await;
        counted.add(
            "AWS/Lambda",
            "Duration",
            &[FUNCTION],
            began.elapsed().as_secs_f64() * 1e3,
        );
        counted.add("AWS/Lambda", "Invocations", &[FUNCTION, LIVE], 1.0);
        counted.add("AWS/ApiGateway", "Count", &[API], 1.0);
        let is_fault = answer.status >= 500;
        counted.add("AWS/ApiGateway", "5xx", &[API], f64::from(u8::from(is_fault)));
    }
    Samples::of(&ingest.stop().await).and(counted)
}

/// What `migrate` measures, with these variables.
async fn measured(environment: Vec<(&'static str, String)>) -> Samples {
    let (name, value) = STACK;
    let environment = [environment, vec![(name, value.to_owned())]].concat();
    let function = Function::start(BINARY, &environment).await;
    function.invoke(r#"{"action":"measure"}"#).await;
    Samples::of(&function.stop().await)
}

fn beacons(key: &SiteKey, count: usize, events: usize) -> Vec<Request> {
    let body = Value::from(vec![json!({"event": "canary"}); events]).to_string();
    let beacon = || Request::post(Shape::V2, key.expose(), &body);
    std::iter::repeat_with(beacon).take(count).collect()
}

#[tokio::test]
async fn alarms_of_ingest_cross_when_their_fault_is_there() {
    let site = Site::on(Box::leak(Box::new(Cluster::own(Version::Default)))).await;
    let well = measured(site.database.environment("nobody", "none")).await;
    let well = || well.clone();
    let good = |count| beacons(&site.key, count, 1);

    only(&[], &well().and(sent(start(&site, &[]).await, good(30)).await));

    let nowhere = free_port().to_string();
    let away = start(&site, &[("DB_PORT", &nowhere)]).await;
    only(
        &["FailedAlarm", "GatewayFaultsAlarm"],
        &well().and(sent(away, good(30)).await),
    );

    let strange = beacons(&SiteKey::generate().unwrap(), 5, 24);
    let samples = sent(start(&site, &[]).await, strange.into_iter().chain(good(1))).await;
    only(&["RefusedAlarm"], &well().and(samples));

    // The kernel takes the connection, and nobody ever says anything.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let frozen = start(&site, &[("DB_PORT", &port)]).await;
    only(&["DurationAlarm"], &well().and(sent(frozen, good(2)).await));

    let mut crash = start_function(&site).await;
    crash.signal("STOP").await;
    let mut answer = crash.api.invoke(good(1)[0].json(), REMAINING);
    crash.signal("KILL").await;
    crash.ended().await;
    assert!(
        answer.try_recv().is_err(),
        "no answer is an error of the invocation"
    );
    let mut samples = well();
    samples.add("AWS/Lambda", "Errors", &[FUNCTION], 1.0);
    only(&["ErrorsAlarm"], &samples);
}

async fn start_function(site: &Site) -> Function {
    let function = Function::start(INGEST, &site.environment()).await;
    function.api.first_poll().await;
    function
}

#[tokio::test]
async fn alarms_of_the_queue_cross_when_a_message_waits_or_rests() {
    let site = Site::new().await;
    let source = EventSource::new().await;
    let port = free_port().to_string();
    let away = source.beside(site.environment_with(&[STACK, ("DB_PORT", &port)]));
    let still_away = away.clone();
    let away = site.start_with(INGEST, &away).await;
    let strange = beacons(&SiteKey::generate().unwrap(), 1, 1);
    let kept = measured(site.database.environment("nobody", "none"))
        .await
        .and(sent(away, strange).await);
    only(&[], &kept);

    let mut records = source.receive().await;
    let sent_ms: u64 = text_of(&records[0]["attributes"]["SentTimestamp"])
        .parse()
        .unwrap();
    let sent_at = SystemTime::UNIX_EPOCH + Duration::from_millis(sent_ms);
    let age = wait::until_async("a second in the queue", Duration::from_secs(10), || async {
        // Whole seconds are told.
        sent_at.elapsed().ok().filter(|age| age.as_secs() > 1)
    })
    .await;
    // What is handed over again and again is in no age that the queue tells.
    let back = site.start_with(INGEST, &still_away).await;
    assert_eq!(source.invoke(&back, &records).await.len(), 1);
    only(
        &["PutBackAlarm"],
        &kept.clone().and(Samples::of(&back.stop().await)),
    );
    let mut waits = kept.clone();
    waits.add(
        "AWS/SQS",
        "ApproximateAgeOfOldestMessage",
        &[("QueueName", "<OutageQueue.QueueName>")],
        age.as_secs_f64(),
    );
    only(&["QueuedAgeAlarm"], &waits);

    // Refused four times before.
    records[0]["messageAttributes"]["refusals"] = json!({"stringValue": "4", "dataType": "Number"});
    let ingest = site
        .start_with(INGEST, &source.beside(site.environment_with(&[STACK])))
        .await;
    assert_eq!(source.invoke(&ingest, &records).await, Vec::<String>::new());
    let resting = source.count(&source.dead_letters_url).await;
    let mut rests = kept.and(Samples::of(&ingest.stop().await));
    rests.add(
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        &[("QueueName", "<DeadLetters.QueueName>")],
        u32::try_from(resting).unwrap().into(),
    );
    only(&["DeadLettersAlarm"], &rests);
}

#[tokio::test]
async fn alarms_of_what_is_measured_cross_when_their_fault_is_there_or_nothing_is() {
    let site = Site::on(Box::leak(Box::new(Cluster::own(Version::Default)))).await;
    let environment = || site.database.environment("nobody", "none");
    let limit = format!("alter role {} connection limit 4", site.login);
    site.admin.batch_execute(&limit).await.unwrap();
    only(&[], &measured(environment()).await);

    let mut held = Vec::new();
    for _ in 0..4 {
        let password = crate::support::site::PASSWORD;
        held.push(site.database.client(&site.login, password).await);
    }
    only(&["ConnectionsAlarm"], &measured(environment()).await);
    drop(held);

    let old = "insert into raw.site_tracking_events_r (tenant_hk, raw_payload, received_timestamp)
        values ('x', '{\"a\": 1}', now() - interval '25 hours')";
    site.admin.batch_execute(old).await.unwrap();
    wait::until_async("no connection held", Duration::from_secs(10), || async {
        let gone = "select 1 from pg_stat_activity where usename = $1";
        let held = site.admin.query(gone, &[&site.login]).await.unwrap();
        held.is_empty().then_some(())
    })
    .await;
    only(&["PendingAgeAlarm"], &measured(environment()).await);

    let narrow = "delete from raw.site_tracking_events_r;
        alter sequence raw.site_tracking_events_r_raw_event_id_seq maxvalue 100;
        select setval('raw.site_tracking_events_r_raw_event_id_seq', 90)";
    site.admin.batch_execute(narrow).await.unwrap();
    only(&["IdsAlarm"], &measured(environment()).await);

    let mut nowhere = environment();
    nowhere.retain(|(name, _)| *name != "DB_PORT");
    nowhere.push(("DB_PORT", free_port().to_string()));
    only(&["MeasureAlarm"], &measured(nowhere).await);
}

#[tokio::test]
async fn alarms_of_what_only_aws_can_count_cross_above_their_threshold() {
    let site = Site::new().await;
    let well = measured(site.database.environment("nobody", "none")).await;
    for (alarm, metrics) in [
        (
            "ThrottlesAlarm",
            vec![("AWS/Lambda", "Throttles", vec![FUNCTION, LIVE], [10.0, 11.0])],
        ),
        (
            "UncountedAlarm",
            vec![
                ("AWS/ApiGateway", "Count", vec![API], [150.0, 151.0]),
                ("AWS/Lambda", "Invocations", vec![FUNCTION, LIVE], [100.0, 100.0]),
            ],
        ),
        // As where the function lets the gateway in no more.
        (
            "UncountedAlarm",
            vec![("AWS/ApiGateway", "Count", vec![API], [50.0, 51.0])],
        ),
        (
            "PinnedAlarm",
            vec![(
                "AWS/RDS",
                "DatabaseConnectionsCurrentlySessionPinned",
                vec![("ProxyName", "<DatabaseProxy>")],
                [5.0, 6.0],
            )],
        ),
    ] {
        for (place, expected) in [&[][..], &[alarm]].into_iter().enumerate() {
            let mut samples = well.clone();
            for (namespace, name, dimensions, values) in &metrics {
                samples.add(namespace, name, dimensions, values[place]);
            }
            only(expected, &samples);
        }
    }
}
