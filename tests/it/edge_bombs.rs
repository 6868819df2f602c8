//! Small bodies that unpack into large ones: twenty at once, in a process that may have 128 MB and no more.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

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

/// A program that is `ingest` with a limit on its memory.
fn limited() -> PathBuf {
    let ingest = function::kept(INGEST);
    let path = std::env::temp_dir().join(format!("ingest-limited-{}", std::process::id()));
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
    let program = limited();
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
        let answer = answer_of(answer.await.unwrap());
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
    let answer = answer_of(ingest.api.invoke(post(&beacon), REMAINING).await.unwrap());
    assert_eq!((answer.status, site.count().await), (200, 1));
    ingest.stop().await;
    fs::remove_file(program).unwrap();
}

fn answer_of(outcome: Outcome) -> Answer {
    match outcome {
        Outcome::Response(reply) => Answer::of(&reply),
        Outcome::Error(error) => panic!("{}", Value::to_string(&error)),
    }
}
