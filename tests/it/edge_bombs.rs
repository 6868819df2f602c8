//! Small bodies that unpack into large ones, too large or just not: twenty at once, in a process that may have 128 MB
//! and no more.

use std::fs;
use std::future::Future;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use flate2::write::{GzEncoder, ZlibEncoder};
use flate2::Compression;
use serde_json::Value;
use site_tracking::ingest::beacon::UNPACKED_MAX_BYTES;

use crate::support::function::{self, REMAINING};
use crate::support::gateway::{Answer, Request, Shape};
use crate::support::runtime_api::Outcome;
use crate::support::site::Site;
use crate::INGEST;

const AT_ONCE: usize = 20;

/// For all of them, on a busy machine.
const AT_ONCE_TIMEOUT: Duration = Duration::from_secs(60);

/// What Lambda gives at least; here all of the address space, which is more than what is used of it.
const MEMORY_KIB: usize = 128 * 1024;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// A program that is `ingest` with a limit on its memory, of this name.
fn limited(name: &str) -> PathBuf {
    let ingest = function::kept(INGEST);
    let path = std::env::temp_dir().join(format!("ingest-{name}-{}", std::process::id()));
    fs::write(
        &path,
        format!(
            "#!/bin/sh\nulimit -v {MEMORY_KIB} && exec '{}'\n",
            ingest.display()
        ),
    )
    .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn twenty_bombs_at_once_are_refused_and_the_next_beacon_is_stored() {
    let site = Site::new().await;
    let program = limited("bombs");
    let environment = site.environment_with(&[("AWS_LAMBDA_MAX_CONCURRENCY", "20")]);
    let ingest = site.start_with(program.to_str().unwrap(), &environment).await;
    let zeros = vec![0_u8; 2 * UNPACKED_MAX_BYTES];
    let once = gzip(&zeros);
    // A gigabyte in a megabyte.
    let members = once.repeat(64);
    let bombs = [gzip(&once), zlib(&zeros), members, once];
    let post = |body: &[u8]| {
        Request::post(Shape::V2, site.key.expose(), "")
            .base64(body)
            .json()
    };
    let waiting: Vec<_> = (0..AT_ONCE)
        .map(|n| ingest.api.invoke(post(&bombs[n % bombs.len()]), REMAINING))
        .collect();
    for (n, answer) in waiting.into_iter().enumerate() {
        let answer = answer_of(answer).await;
        assert_eq!(
            (answer.status, answer.tag()),
            (413, "too_large"),
            "{n}: {answer:?}"
        );
        let message = answer.body["message"].as_str().unwrap();
        assert!(message.contains(&UNPACKED_MAX_BYTES.to_string()), "{message}");
    }
    assert_eq!(site.count().await, 0);
    let beacon = gzip(br#"{"event":"canary"}"#);
    let answer = answer_of(ingest.api.invoke(post(&beacon), REMAINING)).await;
    assert_eq!((answer.status, site.count().await), (200, 1));
    ingest.stop().await;
    fs::remove_file(program).unwrap();
}

#[tokio::test]
async fn twenty_of_the_largest_bodies_at_once_are_stored_or_asked_to_come_again() {
    let site = Site::new().await;
    let program = limited("largest");
    let environment = site.environment_with(&[("AWS_LAMBDA_MAX_CONCURRENCY", "20")]);
    let ingest = site.start_with(program.to_str().unwrap(), &environment).await;
    let filled = |head: &str, tail: &str| {
        let text = "x".repeat(UNPACKED_MAX_BYTES - head.len() - tail.len());
        gzip(format!("{head}{text}{tail}").as_bytes())
    };
    let batch = format!(r#"{{"batch":[{{"a":1}}],"v":"{}"}}"#, "x".repeat(1024 * 1024));
    let bodies = [
        gzip(batch.as_bytes()),
        filled(r#"{"a":""#, r#""}"#),
        filled(r#"[{"a":1},{"a":""#, r#""}]"#),
        filled("a=", "&b=1"),
        filled(r#"{"nul":"\u0000"#, r#""}"#),
    ];
    let post = |body: &[u8]| {
        Request::post(Shape::V2, site.key.expose(), "")
            .base64(body)
            .json()
    };
    let waiting: Vec<_> = (0..AT_ONCE)
        .map(|n| ingest.api.invoke(post(&bodies[n % bodies.len()]), REMAINING))
        .collect();
    let mut committed = 0;
    for (n, answer) in waiting.into_iter().enumerate() {
        let answer = answer_of(answer).await;
        match answer.status {
            200 => {
                let events = ["stored", "quarantined"].map(|name| answer.body[name].as_u64().unwrap());
                committed += usize::try_from(events.iter().sum::<u64>()).unwrap();
            }
            503 => assert!(!answer.header("retry-after").is_empty(), "{n}: {answer:?}"),
            _ => panic!("{n}: {answer:?}"),
        }
    }
    assert!(committed > 0, "whoever finds room is stored");
    assert_eq!(site.count().await, committed);
    let answer = answer_of(ingest.api.invoke(post(&bodies[0]), REMAINING)).await;
    assert_eq!((answer.status, site.count().await), (200, committed + 1));
    let log = ingest.stop().await;
    let without_room = log.matches("\"tag\":\"no_room\"").count();
    println!("{committed} events stored, {without_room} beacons without room");
    assert!(
        without_room > 0,
        "as many of the largest as this have to wait: {log}"
    );
    fs::remove_file(program).unwrap();
}

/// A process that memory failed answers nobody.
async fn answer_of<E: std::fmt::Debug>(outcome: impl Future<Output = Result<Outcome, E>>) -> Answer {
    let answered = tokio::time::timeout(AT_ONCE_TIMEOUT, outcome).await;
    match answered.expect("the process is alive").unwrap() {
        Outcome::Response(reply) => Answer::of(&reply),
        Outcome::Error(error) => panic!("{}", Value::to_string(&error)),
    }
}
