//! Each event that CloudFormation sends ends in time in an answer, with the right status, id and catalog, and with no
//! secret in the log. The events are recorded; the table of their times is in the test's output.

use std::time::{Duration, Instant};

use serde_json::{json, Value};
use tokio_postgres::Client;

use crate::migrate_stack::{catalog, fixture, shared, Stack, REMAINING};
use crate::support::database::Database;
use crate::support::postgres::{free_port, SUPERUSER, SUPERUSER_PASSWORD};
use crate::support::response_url::{Mood, SIGNATURE};
use crate::support::runtime_api::Outcome;
use crate::support::wait;

/// What Lambda leaves where a case waits for the end of it: 4 s of work and what is kept for the answer.
const SHORT: Duration = Duration::from_secs(23);

/// An answer that is cut off has come this long before the end of the function.
const MARGIN: Duration = Duration::from_secs(5);

/// Whose id the answer bears.
#[derive(Clone, Copy)]
enum Id {
    Own,
    NotCreated,
    AsSent,
}

/// What is in the database afterwards.
#[derive(Clone, Copy, Debug, PartialEq)]
enum There {
    Nothing,
    Layer,
    /// Tables that were kept, judged by the test itself.
    Rest,
}

/// A stack's life, event by event.
struct Life<'c> {
    stack: Stack<'c>,
    next: Database<'c>,
    client: Client,
    nothing: Vec<String>,
    layer: Option<Vec<String>>,
    times: Vec<String>,
}

impl Life<'static> {
    async fn begin() -> Self {
        let stack = Stack::new(shared().await).await;
        let client = stack.client().await;
        Self {
            next: Database::empty(stack.database.cluster).await,
            nothing: catalog(&client).await,
            layer: None,
            times: Vec::new(),
            client,
            stack,
        }
    }

    /// A recorded event, with this test's database in the place of the recorded one.
    fn event(&self, name: &str) -> Value {
        let mut event = fixture(name);
        event["ResponseURL"] = json!(self.stack.url.url);
        for properties in ["ResourceProperties", "OldResourceProperties"] {
            if !event[properties]["DatabaseHost"].is_string() {
                continue;
            }
            let is_next = event[properties]["DatabaseName"] == "tracking_next";
            let database = if is_next { &self.next } else { &self.stack.database };
            for property in ["DatabaseHost", "DatabasePort", "DatabaseCa", "IngestUser"] {
                event[properties][property] = self.stack.properties[property].clone();
            }
            event[properties]["DatabaseName"] = json!(database.name);
            event[properties]["MigratorUser"] = json!(SUPERUSER);
        }
        event
    }

    async fn sends(&mut self, name: &str, status: &str, says: &str, id: Id, there: There) -> Value {
        let event = self.event(name);
        self.sends_event(name, event, REMAINING, (status, says, id, there))
            .await
    }

    async fn sends_event(
        &mut self,
        label: &str,
        event: Value,
        remaining: Duration,
        (status, says, id, there): (&str, &str, Id, There),
    ) -> Value {
        let started = Instant::now();
        let answer = self.stack.send_within(event.clone(), remaining).await;
        let took = started.elapsed();
        assert!(took + MARGIN < remaining, "{label}: {took:?}");
        assert_eq!(answer["Status"], status, "{label}: {answer}");
        let reason = answer["Reason"].as_str().unwrap();
        assert!(reason.contains(says), "{label}: {says:?} is not in {reason:?}");
        let own = fixture("delete")["PhysicalResourceId"]
            .as_str()
            .unwrap()
            .to_owned();
        let expected = match id {
            Id::Own => json!(own),
            Id::NotCreated => json!(own + "/not-created"),
            Id::AsSent => event["PhysicalResourceId"].clone(),
        };
        assert_eq!(answer["PhysicalResourceId"], expected, "{label}");
        let data = answer["Data"].as_object().unwrap();
        assert_eq!(data["Version"], "V001", "{label}: {answer}");
        if status == "SUCCESS" {
            let told = ["Outcome", "LedgerId", "RowsRetained", "Checksum"];
            assert!(
                told.iter().all(|name| data[*name].is_string()),
                "{label}: {answer}"
            );
        }
        self.is_there(label, there).await;
        self.note(label, status, answer["Data"]["Outcome"].as_str().unwrap(), took);
        answer
    }

    /// The layer is what the first event that made it made; everything else is as at the beginning.
    async fn is_there(&mut self, label: &str, there: There) {
        let now = catalog(&self.client).await;
        if there == There::Rest {
            return;
        }
        if there == There::Nothing {
            assert_eq!(now, self.nothing, "{label}");
            return;
        }
        assert_ne!(now, self.nothing, "{label}");
        let layer = self.layer.get_or_insert_with(|| now.clone());
        assert_eq!(now, *layer, "{label}");
    }

    fn note(&mut self, label: &str, status: &str, outcome: &str, took: Duration) {
        let ms = took.as_millis();
        self.times
            .push(format!("| {label} | {status} | {outcome} | {ms} ms |"));
    }

    /// No secret and no response URL in anything that the function ever wrote.
    async fn end(self) -> Vec<String> {
        let output = self.stack.function.stop().await;
        for canary in [SIGNATURE, SUPERUSER_PASSWORD, "stk_", "canary", "/answer?"] {
            assert!(!output.contains(canary), "{canary:?} is in {output}");
        }
        self.times
    }
}

async fn a_whole_life() -> Vec<String> {
    use {Id::*, There::*};
    let mut life = Life::begin().await;
    let now = "is there and as V001 makes it";
    life.sends("create_with_everything", "SUCCESS", "V001 applied", Own, Layer)
        .await;
    life.sends("create_with_everything", "SUCCESS", now, Own, Layer)
        .await;
    life.sends("update_without_change", "SUCCESS", now, Own, Layer)
        .await;
    let stale = "MigrationChecksum is not that of the file";
    life.sends("update_with_another_checksum", "SUCCESS", stale, Own, Layer)
        .await;
    life.sends("update_with_on_delete_drop", "SUCCESS", now, Own, Layer)
        .await;
    let former = format!("former database {} on", life.stack.database.name);
    life.sends("update_onto_another_host", "SUCCESS", &former, Own, Layer)
        .await;
    let former = format!("former database {} on", life.next.name);
    life.sends(
        "update_of_a_stack_that_rolls_back",
        "SUCCESS",
        &former,
        Own,
        Layer,
    )
    .await;
    life.stack.land_event().await;
    let kept = life.sends("delete", "SUCCESS", "rows retained", Own, Rest).await;
    assert_eq!(kept["Data"]["RowsRetained"], "1");
    life.sends("create_with_everything", "SUCCESS", "V001", Own, Rest)
        .await;
    life.sends("delete_with_drop", "SUCCESS", "rolled back", Own, Nothing)
        .await;
    life.sends("delete_with_drop", "SUCCESS", "owns nothing here", Own, Nothing)
        .await;
    life.sends(
        "delete_with_an_id_made_up",
        "SUCCESS",
        "owns nothing here",
        AsSent,
        Nothing,
    )
    .await;
    life.end().await
}

/// What fails at first: nothing is there, each id of a Delete is fine, and the same Create succeeds another time.
async fn a_create_that_fails() -> Vec<String> {
    use {Id::*, There::*};
    let mut life = Life::begin().await;
    let long = "create function public.long() returns event_trigger language plpgsql as $$
        begin raise exception '%', repeat('ä€😀 ', 1250) using errcode = 'XX999'; end $$;
        create event trigger long on ddl_command_start execute function public.long()";
    life.client.batch_execute(long).await.unwrap();
    life.nothing = catalog(&life.client).await;
    life.sends(
        "create_with_everything",
        "FAILED",
        "XX999 in the rehearsal: ä€😀 ä€😀",
        NotCreated,
        Nothing,
    )
    .await;
    life.sends(
        "delete_of_a_create_that_failed",
        "SUCCESS",
        "nothing was created",
        AsSent,
        Nothing,
    )
    .await;
    life.sends("delete", "SUCCESS", "owns nothing here", Own, Nothing)
        .await;
    life.sends(
        "delete_with_an_id_made_up",
        "SUCCESS",
        "owns nothing here",
        AsSent,
        Nothing,
    )
    .await;
    life.client
        .batch_execute("alter event trigger long disable")
        .await
        .unwrap();
    life.sends("create_with_everything", "SUCCESS", "V001 applied", Own, Layer)
        .await;
    life.sends(
        "delete_of_a_create_that_failed",
        "SUCCESS",
        "nothing was created",
        AsSent,
        Layer,
    )
    .await;
    life.sends(
        "delete_with_an_id_made_up",
        "SUCCESS",
        "rolled back",
        AsSent,
        Nothing,
    )
    .await;
    life.end().await
}

async fn odd_events() -> Vec<String> {
    use {Id::*, There::*};
    let mut life = Life::begin().await;
    let unset = "property DatabaseHost is not set";
    life.sends("create_without_properties", "FAILED", unset, NotCreated, Nothing)
        .await;
    let mut event = life.event("create_with_everything");
    event["RequestType"] = json!("Import");
    let rule = "RequestType must be Create, Update or Delete, got 6 characters";
    life.sends_event(
        "unknown RequestType",
        event,
        REMAINING,
        ("FAILED", rule, NotCreated, Nothing),
    )
    .await;
    for (property, value, says) in [
        (
            "OnDelete",
            json!("canary"),
            "OnDelete must be Retain, DropIfEmpty or Drop, got 6 characters",
        ),
        (
            "DatabasePort",
            json!("true"),
            "property DatabasePort must be a number",
        ),
        (
            "IngestConnectionLimit",
            json!("canary"),
            "must be a number, -1 for any number, got 6 characters",
        ),
    ] {
        let mut event = life.event("create_with_everything");
        event["ResourceProperties"][property] = value;
        let label = format!("wrong {property}");
        life.sends_event(&label, event, REMAINING, ("FAILED", says, NotCreated, Nothing))
            .await;
    }
    for place in ["while reading", "while working"] {
        let mut event = life.event("create_with_everything");
        event["ResourceProperties"]["ProvokePanic"] = json!(place);
        let label = format!("panic {place}");
        // Whether it had committed is not known: the id is the one that a Delete looks at.
        life.sends_event(&label, event, REMAINING, ("FAILED", "has a defect", Own, Nothing))
            .await;
    }
    life.sends("create_with_strings", "SUCCESS", "V001 applied", Own, Layer)
        .await;
    life.end().await
}

async fn a_server_that_is_busy_or_gone() -> Vec<String> {
    use {Id::*, There::*};
    let mut life = Life::begin().await;
    let lock = "(hashtextextended('site_tracking_raw_layer', 0))";
    for (file, id) in [("create_with_everything", NotCreated), ("delete", Own)] {
        life.client
            .batch_execute(&format!("select pg_advisory_lock{lock}"))
            .await
            .unwrap();
        let event = life.event(file);
        let held = (
            "FAILED",
            "another session has held the migration lock",
            id,
            Nothing,
        );
        life.sends_event(&format!("{file}, lock held"), event, SHORT, held)
            .await;
        life.client
            .batch_execute(&format!("select pg_advisory_unlock{lock}"))
            .await
            .unwrap();
    }
    for (property, value) in [
        ("DatabasePort", free_port().to_string()),
        ("DatabaseHost", "gone.invalid".to_owned()),
    ] {
        let mut event = life.event("delete");
        event["ResourceProperties"][property] = json!(value);
        let gone = ("FAILED", "check that the database runs", Own, Nothing);
        life.sends_event(&format!("delete, no server at {property}"), event, SHORT, gone)
            .await;
    }
    let mut event = life.event("delete");
    event["ResourceProperties"]["DatabaseName"] = json!(life.next.name);
    let drop = format!("drop database {}", life.next.name);
    wait::until_async("nobody in it", Duration::from_secs(10), || async {
        life.client.batch_execute(&drop).await.ok()
    })
    .await;
    let gone = ("SUCCESS", "the database is gone", Own, Nothing);
    life.sends_event("delete, database gone", event, REMAINING, gone)
        .await;
    life.end().await
}

/// Nobody hears the answer: the function says so, within bounds, and without the URL.
async fn a_response_url_in_a_bad_mood() -> Vec<String> {
    let mut life = Life::begin().await;
    life.layer = None;
    for (label, mood, says) in [
        ("slow", Mood::Silent, "no answer in time"),
        ("resetting", Mood::Reset, "response URL"),
        ("403", Mood::Status(403), "answered 403"),
        ("unreachable", Mood::Good, "no connection to the response URL"),
    ] {
        life.stack.url.set(mood);
        let mut event = life.event("delete");
        if label == "unreachable" {
            event["ResponseURL"] = json!(format!("http://127.0.0.1:{}/answer?{SIGNATURE}", free_port()));
        }
        let started = Instant::now();
        let outcome = life.stack.function.outcome(event.to_string(), SHORT).await;
        let Outcome::Error(error) = outcome else {
            panic!("{label}: {outcome:?}")
        };
        assert!(
            error["errorMessage"].as_str().unwrap().contains(says),
            "{label}: {error}"
        );
        assert!(
            started.elapsed() + MARGIN < SHORT,
            "{label}: {:?}",
            started.elapsed()
        );
        life.stack.function.output_with(says).await;
        life.note(
            &format!("response URL {label}"),
            "SUCCESS",
            "undelivered",
            started.elapsed(),
        );
    }
    life.end().await
}

#[tokio::test]
async fn each_event_ends_in_time_in_an_answer_with_the_right_status_and_catalog() {
    // Most of the last two is waiting: they wait at the same time.
    let (busy, deaf) = tokio::join!(a_server_that_is_busy_or_gone(), a_response_url_in_a_bad_mood());
    let mut times = vec![
        "| event | status | outcome | time |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    times.extend(a_whole_life().await);
    times.extend(a_create_that_fails().await);
    times.extend(odd_events().await);
    times.extend(busy);
    times.extend(deaf);
    println!("{}", times.join("\n"));
}
