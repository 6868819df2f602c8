//! What is acknowledged while the database is away lands when it is back, as it would have landed on the day, once.

use std::time::Duration;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde_json::{json, Value};

use crate::support::door::{Door, Manner};
use crate::support::event_source::{EventSource, HANDED_OVER};
use crate::support::gateway::{Answer, Request, Shape};
use crate::support::metrics;
use crate::support::postgres::{free_port, Cluster, Version};
use crate::support::site::{Site, Watched};
use crate::support::wait;
use crate::INGEST;

/// `ingest` with a queue, whose database is nowhere.
async fn without_database(site: &Site, source: &EventSource) -> Watched {
    let port = free_port().to_string();
    let environment = source.beside(site.environment_with(&[("DB_PORT", &port)]));
    site.start_with(INGEST, &environment).await
}

async fn with_database(site: &Site, source: &EventSource) -> Watched {
    site.start_with(INGEST, &source.beside(site.environment())).await
}

fn post(key: &str, body: &str) -> Request {
    Request::post(Shape::V2, key, body)
}

#[track_caller]
fn is_kept(answer: &Answer, queued: usize) -> String {
    assert_eq!(
        (answer.status, &answer.body["queued"]),
        (202, &json!(queued)),
        "{answer:?}"
    );
    assert_eq!(answer.header("x-ingest-outcome"), "queued");
    let receipt = answer.body["receipt"].as_str().unwrap();
    assert_eq!(answer.header("x-ingest-receipt"), receipt);
    receipt.to_owned()
}

/// All that a row says, but for what each row has of its own.
fn of_its_sender(row: &Value) -> Value {
    let names = [
        "tenant",
        "api_key_hk",
        "client_ip",
        "user_agent",
        "request",
        "received_ms",
        "record_source",
    ];
    json!(names.map(|name| &row[name]))
}

#[tokio::test]
async fn an_outage_loses_nothing_and_stores_nothing_twice() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::own(Version::Default)));
    let mut site = Site::on(cluster).await;
    let source = EventSource::new().await;
    let ingest = with_database(&site, &source).await;
    let key = site.key.expose().to_owned();
    let named = post(
        &key,
        r#"{"messageId":"8c4d2a1e-3b5f-4e6a-9d7c-1f2e3d4c5b6a","a":"canary"}"#,
    );
    let live = ingest.send(&named).await;
    assert_eq!((live.status, &live.body["stored"]), (200, &json!(1)), "{live:?}");

    cluster.stop();
    let single = is_kept(&ingest.send(&post(&key, r#"{"event":"canary-1"}"#)).await, 1);
    let again = is_kept(&ingest.send(&named).await, 1);
    let batch = ingest
        .send(&post(
            &key,
            r#"[{"a":"canary-2"},{"a":"\u0000"},{},{"a":"￿canary-3"}]"#,
        ))
        .await;
    let errors: Vec<_> = batch.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["error"])
        .collect();
    assert_eq!(errors, ["nul", "empty_event"], "{batch:?}");
    let batch = is_kept(&batch, 2);
    let garbage = ingest.send(&post(&key, "canary, and no json")).await;
    assert_eq!(
        (garbage.status, garbage.tag()),
        (400, "undecodable"),
        "{garbage:?}"
    );
    let garbage = garbage.body["receipt"].as_str().unwrap().to_owned();

    let records = source.receive().await;
    assert_eq!(records.len(), 4);
    assert_eq!(
        source.invoke(&ingest, &records).await.len(),
        4,
        "an outage is no message's fault"
    );
    assert_eq!(source.dead_letters().await, Vec::<Value>::new());
    // They come again after a pause of a few seconds, long before the queue's own time is over.
    let back = wait::until_async("a message that was put back", HANDED_OVER / 2, || async {
        let records = source.receive().await;
        (!records.is_empty()).then_some(records)
    })
    .await;
    assert_eq!(back[0]["attributes"]["ApproximateReceiveCount"], "2", "{back:?}");
    assert_eq!(source.invoke(&ingest, &back).await.len(), back.len());

    cluster.start_again();
    source.drain(&ingest).await;
    site.admin = site.database.superuser().await;
    let rows = site.rows().await;
    let under = |receipt: &str| rows.iter().filter(|row| row["batch_id"] == receipt).count();
    assert_eq!(
        [&single, &again, &batch, &garbage].map(|receipt| under(receipt)),
        [1, 0, 3, 1],
        "{rows:?}"
    );
    assert_eq!(rows.len(), 6, "{rows:?}");
    for row in &rows {
        assert_eq!(of_its_sender(row), of_its_sender(&rows[0]));
    }
    let stored: Vec<&Value> = rows.iter().map(|row| &row["raw_payload"]["a"]).collect();
    assert!(stored.contains(&&json!("\u{ffff}canary-3")), "{stored:?}");
    assert_eq!(
        rows.iter()
            .filter(|row| row["processing_status"] == "ERROR")
            .count(),
        2,
        "{rows:?}"
    );
    assert_eq!(source.dead_letters().await, Vec::<Value>::new());
    let log = ingest.stop().await;
    for piece in [
        r#""outcome":"queued""#,
        r#""Queued":2"#,
        r#""outcome":"replayed""#,
        r#""PutBack":4"#,
    ] {
        assert!(log.contains(piece), "{piece}: {log}");
    }
    let lines = metrics::lines(&log);
    let faults: Vec<String> = lines.iter().flat_map(metrics::faults).collect();
    assert_eq!(faults, Vec::<String>::new(), "{log}");
    let totals = [
        "Received",
        "Stored",
        "Queued",
        "Quarantined",
        "Refused",
        "Failed",
        "Replayed",
        "LaidToRest",
    ]
    .map(|name| metrics::total(&lines, name));
    assert_eq!(totals, [8.0, 1.0, 4.0, 2.0, 1.0, 0.0, 4.0, 0.0], "{log}");
}

#[tokio::test]
async fn a_message_that_comes_twice_or_to_two_at_once_lands_once() {
    let site = Site::new().await;
    let source = EventSource::new().await;
    let away = without_database(&site, &source).await;
    let receipt = is_kept(
        &away
            .send(&post(site.key.expose(), r#"[{"a":1},{"a":2},{"a":3}]"#))
            .await,
        3,
    );
    let records = source.receive().await;
    let both = [
        with_database(&site, &source).await,
        with_database(&site, &source).await,
    ];
    for _ in 0..3 {
        let (one, other) = tokio::join!(
            source.invoke(&both[0], &records),
            source.invoke(&both[1], &records)
        );
        assert!(one.is_empty() && other.is_empty(), "{one:?} {other:?}");
    }
    let rows = site.rows().await;
    assert!(
        rows.len() == 3 && rows.iter().all(|row| row["batch_id"] == receipt),
        "{rows:?}"
    );
    for ingest in both.into_iter().chain([away]) {
        ingest.stop().await;
    }
}

#[tokio::test]
async fn keys_count_as_of_the_time_at_which_the_beacon_was_received() {
    let site = Site::new().await;
    let source = EventSource::new().await;
    let away = without_database(&site, &source).await;
    let revoked = site.another_key("canary-tenant", None).await;
    let later = site_tracking::site_key::SiteKey::generate().unwrap();
    for key in [&revoked, &later] {
        is_kept(&away.send(&post(key.expose(), r#"{"a":1}"#)).await, 1);
    }
    let sql =
        "update raw.site_tracking_keys_r set is_active = false, revoked_at = now() where api_key_hk = $1";
    site.admin
        .execute(sql, &[&revoked.hash().as_slice()])
        .await
        .unwrap();
    let sql = "insert into raw.site_tracking_keys_r (api_key_hk, tenant_hk, tenant_bk) values ($1, 't', 't')";
    site.admin
        .execute(sql, &[&later.hash().as_slice()])
        .await
        .unwrap();
    let ingest = with_database(&site, &source).await;
    assert!(source.invoke(&ingest, &source.receive().await).await.is_empty());
    assert_eq!(site.count().await, 2);
    let mut now = post(
        revoked.expose(),
        r#"{"a":2,"timeEpoch":0,"received":"2020-01-01","Records":[]}"#,
    );
    let epoch = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    now.event()["requestContext"]["timeEpoch"] = json!(u64::try_from(epoch.as_millis()).unwrap());
    for header in ["x-received", "date", "x-amz-date", "x-amzn-request-time"] {
        now = now.header(header, Some("Wed, 01 Jan 2020 00:00:00 GMT"));
    }
    let now = now.query("timeEpoch=0&received=0");
    let answer = ingest.send(&now).await;
    assert_eq!(
        (answer.status, answer.tag()),
        (401, "revoked_key"),
        "no sender can date itself back"
    );
    ingest.stop().await;
    away.stop().await;
}

#[tokio::test]
async fn what_is_refused_five_times_rests_with_its_reason_and_comes_again_when_asked() {
    let site = Site::new().await;
    let source = EventSource::new().await;
    let away = without_database(&site, &source).await;
    let unknown = site_tracking::site_key::SiteKey::generate().unwrap();
    let lands = |record: &Value| {
        record["body"]
            .as_str()
            .unwrap()
            .contains(&STANDARD.encode(site.key.hash()))
    };
    let receipt = is_kept(&away.send(&post(unknown.expose(), r#"{"a":"canary"}"#)).await, 1);
    is_kept(&away.send(&post(site.key.expose(), r#"{"a":"canary"}"#)).await, 1);
    for text in ["canary, no message", "{\"v\":9}"] {
        source.send(text).await;
    }
    let door = Door::to(&source.moto.url).await;
    let ingest = behind(&site, &source, &door).await;
    let records = source.receive().await;
    assert_eq!(records.len(), 4);
    assert!(
        source.invoke(&ingest, &records).await.is_empty(),
        "they come again as copies"
    );
    assert_eq!(site.count().await, 1, "a bad neighbour costs nothing");
    let copies = door.passed();
    assert_eq!(copies.len(), 3, "{copies:?}");
    for copy in &copies {
        assert_eq!(copy["DelaySeconds"], 60, "{copy}");
        assert_eq!(
            copy["MessageAttributes"]["refusals"]["StringValue"], "1",
            "{copy}"
        );
    }
    let refused = |before| -> Vec<Value> {
        let records = failed_before(&records, before, 0).into_iter();
        records.filter(|record| !lands(record)).collect()
    };
    for before in [0, 4] {
        door.is(Manner::Denies);
        let kept = source.invoke(&ingest, &refused(before)).await;
        assert_eq!(
            kept.len(),
            3,
            "what could not be copied stays, and counts as nothing"
        );
        door.is(Manner::Serves);
    }
    for (before, copies, dead) in [(3, 3, 0), (4, 0, 3)] {
        let refused = refused(before);
        assert!(source.invoke(&ingest, &refused).await.is_empty());
        let delays: Vec<u64> = door
            .passed()
            .iter()
            .filter_map(|copy| copy["DelaySeconds"].as_u64().filter(|delay| *delay > 0))
            .collect();
        assert_eq!(delays, vec![900; copies], "{before}");
        assert_eq!(source.count(&source.dead_letters_url).await, dead, "{before}");
    }
    let dead = source.dead_letters().await;
    let reasons = reasons(&dead);
    assert_eq!(reasons, ["not_understood", "not_understood", "unknown_key"]);
    let log = ingest.output();
    let told = |name: &str| -> u64 {
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter_map(|line| line[name].as_u64()).sum()
    };
    assert_eq!((told("refused"), told("LaidToRest")), (3 + 3, 3), "{log}");

    tokio::time::timeout(Duration::from_secs(30), async {
        while ingest.invoke(r#"{"action":"dead_letters"}"#).await["shown"]
            .as_array()
            .map(Vec::len)
            != Some(3)
        {}
    })
    .await
    .expect("all dead letters are seen once those who looked at them let go");
    let listed = ingest.invoke(r#"{"action":"dead_letters"}"#).await;
    assert_eq!(
        (&listed["ok"], &listed["dead_letters"]),
        (&json!(true), &json!(3)),
        "{listed}"
    );
    let shown = listed["shown"].as_array().unwrap();
    let of_key = shown
        .iter()
        .find(|letter| letter["reason"] == "unknown_key")
        .unwrap();
    assert_eq!(
        (&of_key["receipt"], &of_key["events"]),
        (&json!(receipt), &json!(1)),
        "{listed}"
    );
    assert!(
        !listed.to_string().contains("canary") && !listed.to_string().contains("stk_"),
        "{listed}"
    );

    let sql = "insert into raw.site_tracking_keys_r (api_key_hk, tenant_hk, tenant_bk) values ($1, 't', 't')";
    site.admin
        .execute(sql, &[&unknown.hash().as_slice()])
        .await
        .unwrap();
    let replayed = ingest.invoke(r#"{"action":"replay_dead_letters"}"#).await;
    assert_eq!(
        (&replayed["replayed"], &replayed["dead_letters"]),
        (&json!(3), &json!(0)),
        "{replayed}"
    );
    source.invoke(&ingest, &source.receive().await).await;
    assert_eq!(site.rows().await[1]["batch_id"], receipt);
    ingest.stop().await;
    away.stop().await;
}

/// As the queue hands them over when they fared so before.
fn failed_before(records: &[Value], refusals: u32, faults: u32) -> Vec<Value> {
    let count = |count: u32| json!({ "stringValue": count.to_string(), "dataType": "Number" });
    let mut records = records.to_vec();
    for record in &mut records {
        record["messageAttributes"] = json!({ "refusals": count(refusals), "faults": count(faults) });
    }
    records
}

/// `ingest` with a queue behind `door`.
async fn behind(site: &Site, source: &EventSource, door: &Door) -> Watched {
    let mut environment = source.beside(site.environment());
    environment.retain(|(name, _)| *name != "AWS_ENDPOINT_URL");
    environment.push(("AWS_ENDPOINT_URL", door.url.clone()));
    site.start_with(INGEST, &environment).await
}

fn reasons(dead: &[Value]) -> Vec<&str> {
    let mut reasons: Vec<&str> = dead
        .iter()
        .map(|letter| {
            letter["MessageAttributes"]["reason"]["StringValue"]
                .as_str()
                .unwrap()
        })
        .collect();
    reasons.sort_unstable();
    reasons
}

/// A trigger of somebody's that takes them neither as they are nor quarantined.
#[tokio::test]
async fn an_acknowledged_event_that_the_database_takes_in_no_form_rests_and_costs_no_neighbour() {
    let site = Site::new().await;
    let source = EventSource::new().await;
    let trigger = "create function public.judge() returns trigger language plpgsql as $$ begin
          if new.raw_payload ? 'poison' or new.raw_payload ? '_quarantine' then
            raise exception 'canary' using errcode = tg_argv[0];
          end if;
          return new; end $$;
        create trigger judge before insert on raw.site_tracking_events_r for each row execute function public.judge('CODE')";
    for (code, is_put_back) in [("22003", false), ("54000", true)] {
        let away = without_database(&site, &source).await;
        is_kept(
            &away
                .send(&post(site.key.expose(), r#"[{"a":1},{"poison":1},{"a":2}]"#))
                .await,
            3,
        );
        away.stop().await;
        let drop = "drop trigger if exists judge on raw.site_tracking_events_r; drop function if exists public.judge();
            delete from raw.site_tracking_events_r;";
        site.admin
            .batch_execute(&format!("{drop}{}", trigger.replace("CODE", code)))
            .await
            .unwrap();
        let ingest = with_database(&site, &source).await;
        let mut records = source.receive().await;
        records[0]["messageAttributes"]["refusals"] = json!({"stringValue": "4", "dataType": "Number"});
        let kept = source.invoke(&ingest, &records).await;
        let dead = source.dead_letters().await;
        if is_put_back {
            assert_eq!((kept.len(), dead.len(), site.count().await), (1, 0, 0), "{code}");
        } else {
            assert_eq!((kept.len(), reasons(&dead)), (0, vec!["not_storable"]), "{code}");
            assert_eq!(site.count().await, 2);
        }
        let lines = metrics::lines(&ingest.stop().await);
        let totals = ["Replayed", "PutBack", "LaidToRest"].map(|name| metrics::total(&lines, name));
        let expected = if is_put_back {
            [0.0, 1.0, 0.0]
        } else {
            [0.0, 0.0, 1.0]
        };
        assert_eq!(totals, expected, "{code}");
    }
}

#[tokio::test]
async fn a_beacon_larger_than_a_message_is_several_and_one_receipt() {
    let site = Site::new().await;
    let source = EventSource::new().await;
    let away = without_database(&site, &source).await;
    let events: Vec<Value> = (0..8).map(|_| random(100_000)).collect();
    let receipt = is_kept(
        &away
            .send(&post(site.key.expose(), &json!(events).to_string()))
            .await,
        8,
    );
    assert!(source.count(&source.url).await > 1);
    let same = json!(vec![json!({ "a": "x".repeat(100_000) }); 8]).to_string();
    is_kept(&away.send(&post(site.key.expose(), &same)).await, 8);
    let ingest = with_database(&site, &source).await;
    source.drain(&ingest).await;
    let rows = site.rows().await;
    let stored: Vec<&Value> = rows
        .iter()
        .filter(|row| row["batch_id"] == receipt)
        .map(|row| &row["raw_payload"])
        .collect();
    assert!(rows.len() == 16 && stored.len() == 8 && events.iter().all(|event| stored.contains(&event)));
    let huge = away
        .send(&post(site.key.expose(), &random(600_000).to_string()))
        .await;
    assert_eq!(
        (huge.status, huge.tag()),
        (503, "unavailable"),
        "no message holds it"
    );
    assert_eq!(source.count(&source.url).await, 0);
    ingest.stop().await;
    away.stop().await;
}

/// An event of more bytes than these, which do not compress.
fn random(bytes: usize) -> Value {
    let bytes: Vec<u8> = (0..=bytes / 16)
        .flat_map(|_| *uuid::Uuid::new_v8(rand()).as_bytes())
        .collect();
    json!({ "a": STANDARD.encode(bytes) })
}

/// Sixteen bytes that do not compress.
fn rand() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn with_the_queue_away_too_nothing_is_acknowledged() {
    let site = Site::new().await;
    let source = EventSource::new().await;
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = (format!("https://{}", silent.local_addr().unwrap()), silent);
    let no_queue = source.url.replace("events-", "none-");
    for changed in [
        ("AWS_ENDPOINT_URL", nowhere),
        ("AWS_ENDPOINT_URL", silent.0),
        ("QUEUE_URL", no_queue),
    ] {
        let port = free_port().to_string();
        let mut environment = source.beside(site.environment_with(&[("DB_PORT", &port)]));
        environment.retain(|(name, _)| *name != changed.0);
        environment.push(changed.clone());
        let ingest = site.start_with(INGEST, &environment).await;
        let answer = ingest.send(&post(site.key.expose(), r#"{"a":1}"#)).await;
        assert_eq!(
            (answer.status, answer.tag()),
            (503, "unavailable"),
            "{changed:?}: {answer:?}"
        );
        assert!(
            answer.body.get("receipt").is_none() && !answer.header("retry-after").is_empty(),
            "{answer:?}"
        );
        let log = ingest.stop().await;
        assert!(
            log.contains(r#""queue_error":"the queue: "#),
            "{changed:?}: {log}"
        );
    }
    assert_eq!(source.count(&source.url).await + site.count().await as u64, 0);
}

/// Age and counts in a record as the queue would have them after `hours`.
fn aged(mut record: Value, hours: u64, faults: u32) -> Value {
    let sent = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap() - Duration::from_secs(3600 * hours);
    record["attributes"]["SentTimestamp"] = json!(sent.as_millis().to_string());
    failed_before(&[record], 0, faults).remove(0)
}

#[tokio::test]
async fn what_one_message_meets_costs_its_neighbours_nothing_and_is_at_its_end_after_days() {
    let site = Site::new().await;
    site.fail_where_bad().await;
    let source = EventSource::new().await;
    let away = without_database(&site, &source).await;
    for bad in ["55000", "42P01", "53100", "53200"] {
        let bad = json!({ "n": bad, "bad": bad }).to_string();
        is_kept(&away.send(&post(site.key.expose(), &bad)).await, 1);
    }
    let other = site.another_key("other-tenant", None).await;
    for n in 0..4 {
        let good = json!({ "n": format!("good {n}") }).to_string();
        is_kept(&away.send(&post(other.expose(), &good)).await, 1);
    }
    let mut records = source.receive().await;
    let mut named = |n: &str| {
        let is_it = |record: &Value| {
            record["body"]
                .as_str()
                .unwrap()
                .contains(&format!(r#""n":"{n}""#))
        };
        records.remove(records.iter().position(is_it).unwrap())
    };
    let [own, name, full, memory] = ["55000", "42P01", "53100", "53200"].map(&mut named);
    let [one, two, three, four] = ["good 0", "good 1", "good 2", "good 3"].map(&mut named);
    let ingest = with_database(&site, &source).await;
    let ids = |records: &[&Value]| -> Vec<String> {
        records
            .iter()
            .map(|r| r["messageId"].as_str().unwrap().to_owned())
            .collect()
    };
    let batch = [&own, &name, &one, &full, &two].map(Clone::clone);
    let failed = source.invoke(&ingest, &batch).await;
    assert_eq!((failed, site.count().await), (ids(&[&own, &name, &full]), 2));
    // Two messages in a row, each of which says that the server is at its end.
    let batch = [&full, &three, &memory, &full, &four].map(Clone::clone);
    let failed = source.invoke(&ingest, &batch).await;
    assert_eq!(
        (failed, site.count().await),
        (ids(&[&full, &memory, &full, &four]), 3)
    );
    ingest.stop().await;
    // For a day and a half, and once more as long as a copy.
    let ingest = with_database(&site, &source).await;
    for (hours, faults, is_kept, dead) in [
        (35, 0, true, 0),
        (37, 0, false, 0),
        (35, 1, true, 0),
        (37, 1, false, 1),
    ] {
        let failed = source.invoke(&ingest, &[aged(own.clone(), hours, faults)]).await;
        assert_eq!(failed.len(), usize::from(is_kept), "{hours} {faults}");
        assert_eq!(
            source.count(&source.dead_letters_url).await,
            dead,
            "{hours} {faults}"
        );
    }
    assert_eq!(reasons(&source.dead_letters().await), ["55000"]);
    ingest.stop().await;
    away.stop().await;
}

#[tokio::test]
async fn a_beacon_of_which_the_queue_took_a_part_is_not_said_to_be_nowhere() {
    let site = Site::new().await;
    let source = EventSource::new().await;
    let door = Door::to(&source.moto.url).await;
    let port = free_port().to_string();
    let mut environment = source.beside(site.environment_with(&[("DB_PORT", &port)]));
    environment.retain(|(name, _)| *name != "AWS_ENDPOINT_URL");
    environment.push(("AWS_ENDPOINT_URL", door.url.clone()));
    let ingest = site.start_with(INGEST, &environment).await;
    let random: Vec<Value> = (0..8).map(|_| random(100_000)).collect();
    let several = post(site.key.expose(), &json!(random).to_string());
    for (manner, tag, messages) in [
        (Manner::Denies, "unavailable", 0),
        (Manner::DeniesAfter(1), "outcome_unknown", 1),
    ] {
        door.is(manner);
        let answer = ingest.send(&several).await;
        assert_eq!(
            (answer.status, answer.tag()),
            (503, tag),
            "{manner:?}: {answer:?}"
        );
        assert_eq!(source.count(&source.url).await, messages, "{manner:?}");
    }
    ingest.stop().await;
}

#[tokio::test]
async fn an_operator_is_told_what_was_done_before_the_queue_went_away() {
    let site = Site::new().await;
    let source = EventSource::new().await;
    let door = Door::to(&source.moto.url).await;
    for text in ["canary 1", "canary 2"] {
        let body = json!({ "QueueUrl": source.dead_letters_url, "MessageBody": text });
        source.ask("SendMessage", body).await;
    }
    let ingest = behind(&site, &source, &door).await;
    // One is received with the other, sent and deleted.
    door.is(Manner::DeniesAfter(3));
    let replayed = ingest.invoke(r#"{"action":"replay_dead_letters"}"#).await;
    assert_eq!(
        (&replayed["ok"], &replayed["replayed"]),
        (&json!(false), &json!(1)),
        "{replayed}"
    );
    assert!(replayed["error"].as_str().unwrap().contains("403"), "{replayed}");
    assert_eq!(source.count(&source.url).await, 1);
    let received = &door.passed()[0];
    assert_eq!(
        received["WaitTimeSeconds"], 1,
        "who asks only some of its disks may hear that it is empty"
    );
    ingest.stop().await;
}
