//! Each limit at its edge: one less and the limit itself are taken whole, one more meets what the table says.
//!
//! The table is `limits::ALL`; README.md shows it, and each row has its test here.

use std::io::Write;
use std::time::Instant;

use flate2::write::GzEncoder;
use flate2::Compression;
use serde_json::{json, Value};
use site_tracking::ingest::limits::ALL;

use crate::support::gateway::{Answer, Request, Shape};
use crate::support::site::{Site, Watched};
use crate::support::tools;
use crate::INGEST;

/// What becomes of a request whose measure is `n`.
struct Probe<'s> {
    site: &'s Site,
    ingest: &'s Watched,
    name: &'static str,
    n: usize,
}

impl Probe<'_> {
    fn post(&self, body: &str) -> Request {
        Request::post(Shape::V2, self.site.key.expose(), body)
    }

    /// The answer, and the newest row without its payload.
    async fn send(&self, request: &Request) -> (Answer, Option<Value>) {
        let answer = self.ingest.send(request).await;
        let newest = "select jsonb_build_object('user_agent', user_agent, 'request', request,
                          'quarantine', raw_payload #>> '{_quarantine,tag}', 'has_envelope', raw_payload ? '_envelope')
                      from raw.site_tracking_events_r order by raw_event_id desc limit 1";
        let row = self.site.admin.query_opt(newest, &[]).await.unwrap();
        let all = "delete from raw.site_tracking_events_r";
        self.site.admin.batch_execute(all).await.unwrap();
        (answer, row.map(|row| row.get(0)))
    }

    async fn is_refused(&self, request: &Request, tag: &str, is_beyond: bool) {
        let (answer, row) = self.send(request).await;
        let expected = if is_beyond { (413, tag) } else { (200, "") };
        let label = format!("{} {}: {:?}", self.name, self.n, answer.body);
        assert_eq!((answer.status, answer.tag()), expected, "{label}");
        assert_eq!(row.is_none(), is_beyond, "{label}");
        if is_beyond {
            let message = answer.body["message"].as_str().unwrap();
            assert!(
                message.contains(&value_of(self.name).to_string()),
                "the limit is named: {message}"
            );
        }
    }

    async fn is_cut(&self, request: &Request, member: &str, note: &str, is_beyond: bool) {
        let (answer, row) = self.send(request).await;
        assert_eq!(answer.status, 200, "{} {}", self.name, self.n);
        let row = row.unwrap();
        let kept = row.pointer(member).and_then(Value::as_str).unwrap().len();
        assert_eq!(kept, self.n.min(value_of(self.name)), "{} {}", self.name, self.n);
        let notes = row["request"].get("notes").cloned().unwrap_or(json!([]));
        let is_noted = notes.as_array().unwrap().contains(&json!(note));
        assert_eq!(is_noted, is_beyond, "{} {}: {notes}", self.name, self.n);
    }

    async fn is_undecodable(&self, body: &[u8], is_beyond: bool) {
        let (answer, row) = self.send(&self.post("").base64(body)).await;
        let label = format!("{} {}: {:?}", self.name, self.n, answer.body);
        let (status, tag) = if is_beyond {
            (400, "undecodable")
        } else {
            (200, "")
        };
        assert_eq!((answer.status, answer.tag()), (status, tag), "{label}");
        let quarantine = if is_beyond { json!(tag) } else { Value::Null };
        assert_eq!(row.unwrap()["quarantine"], quarantine, "{label}");
    }

    async fn is_quarantined(&self, event: &str, tag: &str, is_beyond: bool) {
        let (answer, row) = self.send(&self.post(event)).await;
        let label = format!("{} {}: {:?}", self.name, self.n, answer.body);
        let counted = ["stored", "quarantined"].map(|name| answer.body[name].as_u64().unwrap());
        let expected = if is_beyond { [0, 1] } else { [1, 0] };
        assert_eq!((answer.status, counted), (200, expected), "{label}");
        let expected = if is_beyond { json!(tag) } else { Value::Null };
        assert_eq!(row.unwrap()["quarantine"], expected, "{label}");
    }
}

fn value_of(name: &str) -> usize {
    ALL.iter().find(|limit| limit.name == name).unwrap().value
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// A multipart body whose boundary and whose part's headers are so many.
fn multipart(boundary: usize, headers: usize) -> Vec<u8> {
    let boundary = "b".repeat(boundary);
    let others = "x-other: 1\r\n".repeat(headers - 1);
    let disposition = "content-disposition: form-data; name=\"a\"\r\n";
    format!("--{boundary}\r\n{others}{disposition}\r\n1\r\n--{boundary}--\r\n").into_bytes()
}

/// An event of `n` bytes.
fn sized(n: usize) -> String {
    format!("{{\"a\":\"{}\"}}", "x".repeat(n - 8))
}

async fn probe(probe: &Probe<'_>, is_beyond: bool) {
    let n = probe.n;
    let small = probe.post(r#"{"a":1}"#);
    let long = |header: &str, prefix: &str| {
        let value = prefix.to_owned() + &"x".repeat(n - prefix.len());
        small.clone().header(header, Some(&value))
    };
    match probe.name {
        "BODY_MAX_BYTES" => {
            probe
                .is_refused(&probe.post(&sized(n)), "too_large", is_beyond)
                .await;
            let encoded = probe.post("").base64(sized(n).as_bytes());
            probe.is_refused(&encoded, "too_large", is_beyond).await;
        }
        "UNPACKED_MAX_BYTES" => {
            let packed = probe.post("").base64(&gzip(sized(n).as_bytes()));
            probe.is_refused(&packed, "too_large", is_beyond).await;
        }
        "EVENTS_MAX" => {
            let events = vec![r#"{"a":1}"#; n].join(",");
            probe
                .is_refused(&probe.post(&format!("[{events}]")), "too_many", is_beyond)
                .await;
        }
        "FIELDS_MAX" => {
            let form = format!("a=1{}", "&a=1".repeat(n - 1));
            probe.is_undecodable(form.as_bytes(), is_beyond).await;
        }
        "ENVELOPES_MAX_BYTES" => {
            let events = (8..).find(|events| n.is_multiple_of(*events)).unwrap();
            let envelope = "x".repeat(n / events - r#"{"v":""}"#.len());
            let batch = vec![r#"{"a":1}"#; events].join(",");
            let body = format!(r#"{{"v":"{envelope}","batch":[{batch}]}}"#);
            let (answer, last) = probe.send(&probe.post(&body)).await;
            assert_eq!(answer.body["stored"], json!(events), "ENVELOPES_MAX_BYTES {n}");
            assert_eq!(
                last.unwrap()["has_envelope"],
                json!(!is_beyond),
                "ENVELOPES_MAX_BYTES {n}"
            );
        }
        "DEPTH_MAX" => {
            let event = format!("{{\"a\":{}{}}}", "[".repeat(n - 1), "]".repeat(n - 1));
            probe.is_quarantined(&event, "too_deep", is_beyond).await;
        }
        "MEMBERS_MAX" => {
            let members: Vec<_> = (0..n).map(|n| format!("\"{n}\":1")).collect();
            let event = format!("{{{}}}", members.join(","));
            probe.is_quarantined(&event, "too_many_values", is_beyond).await;
        }
        "VALUES_MAX" => {
            let event = format!("{{\"a\":[1{}]}}", ",1".repeat(n - 4));
            probe.is_quarantined(&event, "too_many_values", is_beyond).await;
        }
        "NUMBER_MAX_DIGITS" => {
            for event in [
                format!("{{\"a\":{}}}", "1".repeat(n)),
                format!("{{\"a\":-1.{}}}", "1".repeat(n - 1)),
            ] {
                probe.is_quarantined(&event, "number_range", is_beyond).await;
            }
        }
        "EXPONENT_MAX" => {
            for event in [format!("{{\"a\":1e{n}}}"), format!("{{\"a\":-1E-{n}}}")] {
                probe.is_quarantined(&event, "number_range", is_beyond).await;
            }
        }
        "USER_AGENT_MAX_BYTES" => {
            probe
                .is_cut(
                    &long("user-agent", ""),
                    "/user_agent",
                    "user_agent_cut",
                    is_beyond,
                )
                .await;
        }
        "ORIGIN_MAX_BYTES" => {
            let request = long("origin", "https://");
            let (answer, row) = probe.send(&request).await;
            let notes = row.unwrap()["request"].get("notes").cloned().unwrap_or_default();
            assert_eq!(answer.status, 200, "ORIGIN_MAX_BYTES {n}");
            assert_eq!(
                notes.to_string().contains("origin_cut"),
                is_beyond,
                "ORIGIN_MAX_BYTES {n}: {notes}"
            );
        }
        "PATH_MAX_BYTES" => {
            let request = small.path(&format!("/{}", "p".repeat(n - 1)));
            probe
                .is_cut(&request, "/request/path", "path_cut", is_beyond)
                .await;
        }
        "QUERY_MAX_BYTES" => {
            let request = small.query(&"q".repeat(n));
            probe
                .is_cut(&request, "/request/query", "query_cut", is_beyond)
                .await;
        }
        "HEADER_MAX_BYTES" => {
            let request = long("referer", "https://");
            probe
                .is_cut(&request, "/request/referrer", "header_cut", is_beyond)
                .await;
        }
        "LAYERS_MAX" => {
            let packed = (0..n).fold(sized(20).into_bytes(), |inside, _| gzip(&inside));
            probe.is_undecodable(&packed, is_beyond).await;
        }
        "STREAMS_MAX" => {
            let streams = [gzip(b"").repeat(n - 1), gzip(&sized(20).into_bytes())].concat();
            probe.is_undecodable(&streams, is_beyond).await;
        }
        "NAMED_MAX" => {
            let body = format!("[{{\"a\":1}}{}]", r#",{"a":"\ud800"}"#.repeat(n));
            let (answer, _) = probe.send(&probe.post(&body)).await;
            let left_out = answer.body["errors_left_out"].as_u64().unwrap_or_default();
            let named = answer.body["errors"].as_array().unwrap().len() as u64;
            assert_eq!(
                (answer.status, named + left_out),
                (200, n as u64),
                "NAMED_MAX {n}"
            );
            assert_eq!(left_out, u64::from(is_beyond), "NAMED_MAX {n}");
        }
        "BOUNDARY_MAX" => probe.is_undecodable(&multipart(n, 1), is_beyond).await,
        "HEADERS_MAX" => probe.is_undecodable(&multipart(3, n), is_beyond).await,
        "ECHO_MAX_BYTES" => {
            for (header, told, echo, usual) in [
                ("origin", "https://", "access-control-allow-origin", "*"),
                (
                    "access-control-request-headers",
                    "",
                    "access-control-allow-headers",
                    "Content-Type",
                ),
            ] {
                let (answer, _) = probe.send(&long(header, told).method("OPTIONS")).await;
                let is_usual = answer.header(echo) == usual;
                assert_eq!((answer.status, is_usual), (204, is_beyond), "{header} {n}");
                assert_eq!(answer.header(echo).len() == n, !is_beyond, "{header} {n}");
            }
        }
        other => panic!("{other} has no probe: say what happens at its edge"),
    }
}

#[tokio::test]
async fn each_limit_holds_at_its_edge() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    for limit in ALL {
        for (n, is_beyond) in [
            (limit.value - 1, false),
            (limit.value, false),
            (limit.value + 1, true),
        ] {
            let name = limit.name;
            let at = Probe {
                site: &site,
                ingest: &ingest,
                name,
                n,
            };
            probe(&at, is_beyond).await;
        }
    }
    ingest.stop().await;
}

#[tokio::test]
async fn the_largest_beacon_is_stored_in_one_request() {
    let site = Site::new().await;
    let ingest = site.start(INGEST).await;
    let most = value_of("EVENTS_MAX");
    let event = |n: usize| {
        format!(
            "{{\"event\":\"canary\",\"n\":{n},\"text\":\"{}\"}}",
            "x".repeat(370)
        )
    };
    let body = format!("[{}]", (0..most).map(event).collect::<Vec<_>>().join(","));
    let began = Instant::now();
    let answer = ingest
        .send(&Request::post(Shape::V2, site.key.expose(), &body))
        .await;
    let took = began.elapsed();
    assert_eq!(
        (answer.status, &answer.body["stored"]),
        (200, &json!(most)),
        "{answer:?}"
    );
    assert_eq!(site.count().await, most);
    println!(
        "{most} events of {} bytes in {took:?}: {:?} for each",
        body.len() / most,
        took / u32::try_from(most).unwrap()
    );
    ingest.stop().await;
}

#[test]
fn the_readme_has_the_table_of_limits() {
    let readme = std::fs::read_to_string(tools::project().join("README.md")).unwrap();
    let (_, behind) = readme
        .split_once("| limit | value | of | beyond it |\n")
        .expect("the table");
    let found: Vec<&str> = behind
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let rows = ALL.iter().map(|limit| {
        format!(
            "| `{}` | {} | {} | {} |",
            limit.name, limit.value, limit.of, limit.beyond
        )
    });
    let expected: Vec<String> = rows.collect();
    assert_eq!(found, expected, "the table should read\n{}", expected.join("\n"));
}
