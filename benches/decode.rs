//! From a body's bytes to events, beside what serde_json takes to parse the same JSON: cost per KB and format.
//!
//! Formats take turns with the parser in rounds, so that what else the machine does falls on all of them.

use std::borrow::Cow;
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use flate2::write::GzEncoder;
use flate2::Compression;
use percent_encoding::{utf8_percent_encode, NON_ALPHANUMERIC};
use site_tracking::ingest::api_event::Body;
use site_tracking::ingest::beacon::{self, Ping, Sender};
use site_tracking::site_key::SiteKey;
use uuid::Uuid;

use crate::bare::event;
use crate::sample::Sample;
use crate::table::Table;

const ROUNDS: usize = 60;
const EVENTS: usize = 100;

/// Time of one measurement, of as many repetitions as fit.
const TURN: Duration = Duration::from_millis(5);

/// A body, and the JSON that is in it.
struct Format {
    name: &'static str,
    body: Vec<u8>,
    json: String,
}

pub fn measure(table: &mut Table) {
    table.heading("from bytes to events, against serde_json alone (p50)");
    let key = SiteKey::generate().unwrap();
    for format in formats() {
        let (mut ours, mut parser) = (Sample::default(), Sample::default());
        for _ in 0..ROUNDS {
            parser.add(per_turn(|| {
                black_box(serde_json::from_str::<serde_json::Value>(black_box(&format.json)).unwrap());
            }));
            ours.add(per_turn(|| decode(black_box(&format.body), &key)));
        }
        let per_kb = ours.p50() / (format.json.len() as f64 / 1024.0);
        let ratio = ours.p50() / parser.p50();
        table.figure(
            format.name,
            format!("{per_kb:.2} us per KB of JSON, {ratio:.2} times"),
        );
    }
}

fn formats() -> Vec<Format> {
    let batch = format!("[{}]", vec![event(); EVENTS].join(","));
    let lines = vec![event(); EVENTS].join("\n");
    let envelope = format!("{{\"sentAt\":\"2026-11-22T12:00:00Z\",\"batch\":{batch}}}");
    let percent = utf8_percent_encode(&batch, NON_ALPHANUMERIC);
    let base64 = STANDARD.encode(&batch).replace('+', "%2B");
    let format = |name, body: &[u8], json: &str| Format {
        name,
        body: body.to_vec(),
        json: json.to_owned(),
    };
    vec![
        format("one event", event().as_bytes(), &event()),
        format("an array of 100 events", batch.as_bytes(), &batch),
        format(
            "a batch of 100 events in an envelope",
            envelope.as_bytes(),
            &envelope,
        ),
        format("100 JSON lines", lines.as_bytes(), &batch),
        format("an array of 100 events in gzip", &gzip(batch.as_bytes()), &batch),
        format(
            "100 events in a field of a form",
            format!("v=2&e={percent}").as_bytes(),
            &batch,
        ),
        format(
            "100 events in base64 in a form",
            format!("data={base64}").as_bytes(),
            &batch,
        ),
    ]
}

fn decode(bytes: &[u8], site_key: &SiteKey) {
    let body = Body {
        bytes: Cow::Borrowed(bytes),
        broken: None,
    };
    let unpacked = beacon::unpack(&body, None);
    let decoded = beacon::decode(bytes, &unpacked, "", Ping::default()).unwrap();
    let sender = Sender {
        site_key,
        address: None,
        user_agent: "",
        hour: 0,
    };
    black_box(decoded.claims());
    black_box(beacon::beacon(&decoded, sender, &mut Uuid::now_v7).unwrap());
}

/// Time of one repetition.
fn per_turn(mut once: impl FnMut()) -> Duration {
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < TURN {
        once();
        count += 1;
    }
    began.elapsed() / count
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
