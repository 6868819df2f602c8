//! The answer reaches CloudFormation, or the function says within bounds that it could not deliver it.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::migrate_stack::{secrets, shared, Stack, BINARY, REMAINING};
use crate::support::authority::Authority;
use crate::support::function::Function;
use crate::support::postgres::free_port;
use crate::support::response_url::{Mood, ResponseUrl, SIGNATURE};
use crate::support::runtime_api::Outcome;

/// What the longest delivery takes, and a loaded machine on top.
const BOUND: Duration = Duration::from_secs(20);

/// An event that is answered without a database.
fn event(url: Option<&str>) -> String {
    json!({
        "RequestType": "Delete", "ResponseURL": url, "StackId": "s", "LogicalResourceId": "l", "RequestId": "r",
        "PhysicalResourceId": "p", "ResourceProperties": {"OnDelete": "Retain"},
    })
    .to_string()
}

async fn undelivered(function: &Function, event: String) -> String {
    let started = Instant::now();
    let Outcome::Error(error) = function.outcome(event, REMAINING).await else {
        panic!("an answer that nobody has is an error of the function")
    };
    assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());
    assert_eq!(error["errorType"], "Undelivered");
    let message = error["errorMessage"].as_str().unwrap().to_owned();
    let output = function.output_with(&message).await;
    assert!(
        !output.contains(SIGNATURE) && !message.contains(SIGNATURE),
        "{output}"
    );
    message
}

#[tokio::test]
async fn an_answer_that_cannot_be_delivered_is_logged_within_bounds_and_the_next_is() {
    let function = Function::start(BINARY, &secrets()).await;
    for (mood, says, tries) in [
        (Mood::Status(403), "answered 403", 1),
        (Mood::Status(503), "answered 503", 3),
        (Mood::Reset, "response URL", 0),
        (Mood::Silent, "no answer in time", 3),
    ] {
        let mut url = ResponseUrl::start().await;
        url.set(mood);
        let message = undelivered(&function, event(Some(&url.url))).await;
        assert!(message.contains(says), "{mood:?}: {message}");
        let came = std::iter::from_fn(|| url.put_now()).count();
        assert_eq!(came, tries, "{mood:?}");
    }
    let unreachable = format!("http://127.0.0.1:{}/?{SIGNATURE}", free_port());
    for (url, says) in [
        (Some(unreachable.as_str()), "no connection"),
        (
            Some("http://192.0.2.1/canary-signature-of-the-response-url"),
            "must begin with https",
        ),
        (
            Some("canary-signature-of-the-response-url"),
            "must begin with https",
        ),
        (None, "is missing"),
    ] {
        let message = undelivered(&function, event(url)).await;
        assert!(message.contains(says), "{message}");
    }
    let mut url = ResponseUrl::start().await;
    function.invoke(event(Some(&url.url))).await;
    assert_eq!(url.put().await.json()["Status"], "SUCCESS");
}

#[tokio::test]
async fn a_passing_fault_of_the_response_url_is_tried_again() {
    let function = Function::start(BINARY, &secrets()).await;
    let mut url = ResponseUrl::start().await;
    url.set(Mood::Status(500));
    let answered = function.api.invoke(event(Some(&url.url)), REMAINING);
    url.put().await;
    url.set(Mood::Good);
    assert_eq!(url.put().await.json()["Status"], "SUCCESS");
    assert!(matches!(answered.await.unwrap(), Outcome::Response(_)));
}

#[tokio::test]
async fn the_response_url_is_taken_over_tls_from_who_the_system_trusts_only() {
    let authority = Authority::new();
    let file = std::env::temp_dir().join(format!("authority-{}.pem", uuid::Uuid::now_v7()));
    std::fs::write(&file, authority.pem()).unwrap();
    let mut trusting = secrets();
    trusting.push(("SSL_CERT_FILE", file.display().to_string()));
    for (environment, hosts, trusted) in [
        (trusting.clone(), ["127.0.0.1"], true),
        (trusting, ["elsewhere.example"], false),
        (secrets(), ["127.0.0.1"], false),
    ] {
        let mut url = ResponseUrl::start_with_tls(&authority.server(&hosts)).await;
        let function = Function::start(BINARY, &environment).await;
        if trusted {
            function.invoke(event(Some(&url.url))).await;
            assert_eq!(url.put().await.json()["Status"], "SUCCESS");
        } else {
            let message = undelivered(&function, event(Some(&url.url))).await;
            assert!(message.contains("certificate was not accepted"), "{message}");
            assert!(url.put_now().is_none());
        }
    }
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn an_error_of_any_length_fits_into_an_answer() {
    let mut stack = Stack::new(shared().await).await;
    stack
        .client()
        .await
        .batch_execute(
            "create function public.long_error() returns event_trigger language plpgsql as $$
             begin raise exception '%', 'begins ' || repeat('ä€😀', 2000) using errcode = 'XX999'; end $$;
             create event trigger long_error on ddl_command_start execute function public.long_error()",
        )
        .await
        .unwrap();
    let answer = stack.create().await;
    assert_eq!(answer["Status"], "FAILED");
    let reason = answer["Reason"].as_str().unwrap();
    assert!(
        reason.starts_with("XX999 in the rehearsal: begins ä€😀ä€😀"),
        "{reason}"
    );
    assert!(reason.ends_with('…'), "{reason}");
}
