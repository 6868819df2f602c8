//! What each outcome is answered with, in each gateway's form.

use serde_json::{json, Value};

use super::super::failure::{Flaw, RefusedEvent, Undecodable};
use super::super::keeper::Queued;
use super::super::landing::{Duplicate, Landed};
use super::*;

const RECEIPT_TEXT: &str = "00000000-0000-0000-0000-000000000007";

fn answered(event: &Value, outcome: Result<Outcome, Failure>) -> Value {
    let raw = serde_json::value::to_raw_value(event).unwrap();
    let reply = reply(&ApiEvent::read(&raw), &outcome, Uuid::from_u128(7));
    let answer = serde_json::to_value(&reply).unwrap();
    assert_eq!(answer["statusCode"], json!(reply.status()));
    answer
}

fn http_api(method: &str, headers: Value) -> Value {
    json!({ "headers": headers, "requestContext": { "http": { "method": method } } })
}

fn body(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

fn refused(index: usize, flaw: Flaw, offset: Option<usize>) -> RefusedEvent {
    RefusedEvent { index, flaw, offset }
}

fn landed() -> Landed {
    Landed {
        stored: 3,
        quarantined: vec![refused(1, Flaw::Nul, Some(5))],
        duplicates: vec![Duplicate {
            index: 4,
            first_receipt: Some("first".to_owned()),
        }],
        refused: vec![
            refused(0, Flaw::EmptyEvent, None),
            refused(2, Flaw::EmptyEvent, None),
        ],
    }
}

/// So many events wait in the queue; where the body was undecodable its bytes do.
fn queued(events: usize, undecodable: Option<Undecodable>) -> Outcome {
    let quarantined = undecodable
        .iter()
        .map(|why| refused(0, Flaw::Undecodable, Some(why.offset)));
    Outcome::Queued {
        receipt: Uuid::from_u128(7),
        queued: Queued {
            events,
            quarantined: quarantined.collect(),
            refused: Vec::new(),
            because: Fault::TimedOut,
        },
        undecodable,
    }
}

#[test]
fn each_refusal_and_fault_has_its_status_and_tag() {
    use Refusal as R;
    for (refusal, status) in [
        (R::NotHttp, 400),
        (R::NoEvent, 400),
        (R::NoneStorable(vec![refused(0, Flaw::EmptyEvent, None)]), 400),
        (R::NoKey, 401),
        (R::MalformedKey, 401),
        (R::TwoKeys, 401),
        (R::UnknownKey, 401),
        (R::RevokedKey, 401),
        (R::UnknownTenant, 401),
        (R::Origin, 403),
        (R::NoSuchPath, 404),
        (R::Method, 405),
        (R::TooLarge(1), 413),
        (R::UnpacksTooLarge, 413),
        (R::TooMany(1), 413),
    ] {
        let (tag, sentence) = (refusal.tag(), refusal.to_string());
        let answer = answered(&http_api("POST", json!({})), Err(Failure::Refused(refusal)));
        let body = body(&answer);
        assert_eq!(
            (&answer["statusCode"], &body["code"]),
            (&json!(status), &json!(status)),
            "{tag}"
        );
        let says = [
            &body["status"],
            &body["success"],
            &body["result"],
            &body["error"],
            &body["message"],
        ];
        assert_eq!(json!(says), json!([0, false, "Error", tag, sentence]), "{tag}");
        assert_eq!(answer["headers"]["X-Ingest-Outcome"], tag);
        assert_eq!(answer["headers"].get("Allow").is_some(), status == 405, "{tag}");
        assert_eq!(answer["headers"].get("Retry-After"), None, "{tag}");
        assert_eq!(body.get("errors").is_some(), tag == "empty_event", "{tag}");
    }
    for (failure, tag, says) in [
        (
            Failure::Fault(Fault::TimedOut),
            "unavailable",
            "nothing was stored; ",
        ),
        (
            Failure::Uncertain(Fault::TimedOut),
            "outcome_unknown",
            "it is not known ",
        ),
    ] {
        let answer = answered(&http_api("POST", json!({})), Err(failure));
        let body = body(&answer);
        assert_eq!(
            (&answer["statusCode"], &body["error"]),
            (&json!(503), &json!(tag))
        );
        let message = body["message"].as_str().unwrap();
        assert!(message.starts_with(says), "{tag}: {message}");
        assert_eq!(answer["headers"]["Retry-After"], "9", "{tag}");
    }
}

#[test]
fn senders_are_spread_over_the_seconds_in_which_they_come_again() {
    for (receipt, seconds) in [(0, 2), (1, 3), (8, 10), (9, 2), (255, 5)] {
        assert_eq!(retry_after_s(Uuid::from_u128(receipt)), seconds, "{receipt}");
    }
}

#[test]
fn what_landed_is_counted_and_named_by_place() {
    let receipt = Uuid::from_u128(7);
    let answer = answered(
        &http_api("POST", json!({})),
        Ok(Outcome::Landed {
            receipt,
            landed: landed(),
        }),
    );
    let body = body(&answer);
    let error =
        |index: usize, flaw: Flaw| json!({ "index": index, "error": flaw.tag(), "message": flaw.sentence() });
    let mut nul = error(1, Flaw::Nul);
    nul["offset"] = json!(5);
    let expected = json!({ "code": 200, "status": 1, "success": true, "result": "Success", "receipt": RECEIPT_TEXT,
        "stored": 3, "duplicate": 1, "quarantined": 1, "duplicates": [{ "index": 4, "receipt": "first" }],
        "errors": [error(0, Flaw::EmptyEvent), nul, error(2, Flaw::EmptyEvent)] });
    assert_eq!(body, expected);
    let headers = &answer["headers"];
    assert_eq!(
        (&headers["X-Ingest-Receipt"], &headers["X-Ingest-Outcome"]),
        (&json!(RECEIPT_TEXT), &json!("ok"))
    );
    assert_eq!(headers["Cache-Control"], "no-store");
    assert_eq!(headers["Content-Type"], "application/json");
}

#[test]
fn more_than_an_answer_names_are_counted() {
    let duplicate = |index| Duplicate {
        index,
        first_receipt: None,
    };
    let empty = |index| refused(index, Flaw::EmptyEvent, None);
    for left_out in [0, 1, 2] {
        let count = body::NAMED_MAX + left_out;
        let landed = Landed {
            duplicates: (0..count).map(duplicate).collect(),
            refused: (0..count).map(empty).collect(),
            ..Landed::default()
        };
        let receipt = Uuid::from_u128(7);
        let answer = answered(
            &http_api("POST", json!({})),
            Ok(Outcome::Landed { receipt, landed }),
        );
        let body = body(&answer);
        for (list, more) in [
            ("errors", "errors_left_out"),
            ("duplicates", "duplicates_left_out"),
        ] {
            assert_eq!(body[list].as_array().unwrap().len(), body::NAMED_MAX, "{list}");
            let expected = (left_out > 0).then_some(json!(left_out));
            assert_eq!(body.get(more), expected.as_ref(), "{more}");
        }
    }
}

#[test]
fn a_body_that_no_step_takes_is_told_where_it_stops() {
    let why = Undecodable {
        what: "broken gzip",
        offset: 12,
    };
    let sentence = why.to_string();
    let receipt = Uuid::from_u128(7);
    let outcome = Outcome::Undecodable {
        receipt,
        why,
        landed: landed(),
    };
    let answer = answered(&http_api("POST", json!({})), Ok(outcome));
    let body = body(&answer);
    let says = [
        &answer["statusCode"],
        &body["code"],
        &body["result"],
        &body["error"],
        &body["message"],
        &body["offset"],
        &body["receipt"],
    ];
    assert_eq!(
        json!(says),
        json!([400, 400, "Error", "undecodable", sentence, 12, RECEIPT_TEXT])
    );
    let headers = &answer["headers"];
    assert_eq!(
        (&headers["X-Ingest-Receipt"], &headers["X-Ingest-Outcome"]),
        (&json!(RECEIPT_TEXT), &json!("undecodable"))
    );
}

#[test]
fn a_body_that_no_step_takes_and_that_waits_in_the_queue_is_told_both() {
    let why = Undecodable {
        what: "broken gzip",
        offset: 12,
    };
    let sentence = why.to_string();
    let answer = answered(&http_api("POST", json!({})), Ok(queued(0, Some(why))));
    let expected = json!({ "code": 400, "status": 0, "success": false, "result": "Error", "receipt": RECEIPT_TEXT,
        "stored": 0, "queued": 0, "duplicate": 0, "quarantined": 1, "error": "undecodable", "message": sentence,
        "offset": 12 });
    assert_eq!((&answer["statusCode"], body(&answer)), (&json!(400), expected));
    assert_eq!(answer["headers"]["X-Ingest-Outcome"], "undecodable");
}

#[test]
fn each_gateway_is_answered_in_its_own_form() {
    let lists = json!({ "origin": ["https://a.example"] });
    for (event, members) in [
        (
            http_api("POST", json!({})),
            "body cookies headers isBase64Encoded statusCode",
        ),
        (
            json!({ "requestContext": { "http": { "method": "POST" }, "domainName": "x.lambda-url.eu.on.aws" } }),
            "body cookies headers isBase64Encoded statusCode",
        ),
        (
            json!({ "httpMethod": "POST" }),
            "body headers isBase64Encoded statusCode",
        ),
        (
            json!({ "httpMethod": "POST", "requestContext": { "elb": {} } }),
            "body headers isBase64Encoded statusCode statusDescription",
        ),
        (
            json!({ "httpMethod": "POST", "requestContext": { "elb": {} }, "multiValueHeaders": lists }),
            "body isBase64Encoded multiValueHeaders statusCode statusDescription",
        ),
    ] {
        let answer = answered(&event, Ok(Outcome::Alive));
        let mut found: Vec<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found.join(" "), members);
        assert_eq!(answer["isBase64Encoded"], json!(false));
    }
}

#[test]
fn a_load_balancer_gets_the_reason_with_the_status() {
    let event = json!({ "httpMethod": "POST", "requestContext": { "elb": {} } });
    let refusal = |refusal| Err(Failure::Refused(refusal));
    for (outcome, line) in [
        (Ok(Outcome::Alive), "200 OK"),
        (Ok(Outcome::Preflight), "204 No Content"),
        (refusal(Refusal::NoEvent), "400 Bad Request"),
        (refusal(Refusal::NoKey), "401 Unauthorized"),
        (refusal(Refusal::Origin), "403 Forbidden"),
        (refusal(Refusal::NoSuchPath), "404 Not Found"),
        (refusal(Refusal::Method), "405 Method Not Allowed"),
        (refusal(Refusal::TooLarge(1)), "413 Content Too Large"),
        (Ok(queued(0, None)), "202 Accepted"),
        (Err(Failure::Fault(Fault::TimedOut)), "503 Service Unavailable"),
    ] {
        assert_eq!(answered(&event, outcome)["statusDescription"], line);
    }
}

#[test]
fn an_image_is_answered_where_one_is_wanted_and_nothing_where_nothing_may_be() {
    let image = json!({ "accept": "image/*" });
    let answer = answered(
        &http_api("GET", image.clone()),
        Err(Failure::Refused(Refusal::NoKey)),
    );
    let told = [
        &answer["statusCode"],
        &answer["isBase64Encoded"],
        &answer["headers"]["Content-Type"],
    ];
    assert_eq!(json!(told), json!([401, true, "image/gif"]));
    assert!(answer["body"].as_str().unwrap().starts_with("R0lGODlh"));
    for (method, outcome) in [
        ("HEAD", Outcome::Look),
        ("head", Outcome::Look),
        ("OPTIONS", Outcome::Preflight),
    ] {
        let answer = answered(&http_api(method, image.clone()), Ok(outcome));
        assert_eq!(
            (&answer["body"], answer["headers"].get("Content-Type")),
            (&json!(""), None),
            "{method}"
        );
    }
}

#[test]
fn a_page_of_any_origin_may_read_the_answer() {
    let long = "a".repeat(2_048);
    let longer = "a".repeat(2_049);
    for (headers, origin, credentials, requested) in [
        (json!({}), "*", None, "Content-Type"),
        (
            json!({ "origin": "https://a.example" }),
            "https://a.example",
            Some("true"),
            "Content-Type",
        ),
        (
            json!({ "origin": long }),
            long.as_str(),
            Some("true"),
            "Content-Type",
        ),
        (json!({ "origin": longer }), "*", None, "Content-Type"),
        (json!({ "origin": "a\u{7}" }), "*", None, "Content-Type"),
        (json!({ "origin": "\u{fc}" }), "*", None, "Content-Type"),
        (
            json!({ "access-control-request-headers": "x-a, x-b" }),
            "*",
            None,
            "x-a, x-b",
        ),
    ] {
        let answer = answered(&http_api("OPTIONS", headers), Ok(Outcome::Preflight));
        let told = &answer["headers"];
        assert_eq!(told["Access-Control-Allow-Origin"], origin);
        assert_eq!(
            told.get("Access-Control-Allow-Credentials"),
            credentials.map(Value::from).as_ref()
        );
        assert_eq!(told["Access-Control-Allow-Headers"], requested);
        assert_eq!(told["Access-Control-Allow-Methods"], route::ALLOWED);
        assert_eq!(told["Access-Control-Max-Age"], "86400");
        assert_eq!(told["Cross-Origin-Resource-Policy"], "cross-origin");
        assert!(told["Vary"].as_str().unwrap().starts_with("Origin"));
        let exposed = told["Access-Control-Expose-Headers"].as_str().unwrap();
        assert_eq!(exposed, "X-Ingest-Receipt, X-Ingest-Outcome, Retry-After");
    }
}
