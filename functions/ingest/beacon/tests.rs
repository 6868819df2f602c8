//! Bytes in, events out: the whole of the pure stages.

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use serde_json::Value;

use super::super::api_event::Body;
use super::*;

pub const KEY: &str = "stk_AAAAAAAAAAAAAAAAAAAAAAAA21z7oP";

/// An event as it goes to the database.
#[derive(Debug)]
pub struct Held {
    pub index: usize,
    pub payload: String,
    pub key: Uuid,
    quarantined: Option<Flaw>,
}

impl Held {
    pub fn quarantined_bytes(&self) -> Option<Vec<u8>> {
        self.quarantined?;
        let payload: Value = serde_json::from_str(&self.payload).unwrap();
        Some(
            STANDARD
                .decode(payload["_quarantine"]["bytes"].as_str().unwrap())
                .unwrap(),
        )
    }

    /// Whether its bytes stood in `body` in a form's or a string's spelling.
    pub fn is_encoded_in(&self, body: &[u8]) -> bool {
        [&b"%"[..], b"\\", b"=", b"\x1f\x8b", b"\x78"]
            .iter()
            .any(|mark| memchr::memmem::find(body, mark).is_some())
    }
}

struct Read {
    events: Vec<Held>,
    refused: Vec<usize>,
    notes: Vec<&'static str>,
    step: Step,
}

fn read_with(bytes: &[u8], query: &str, ping: Ping<'_>) -> Result<Read, Refusal> {
    let body = Body {
        bytes: Cow::Borrowed(bytes),
        broken: None,
    };
    let unpacked = unpack(&body, None);
    let decoded = decode(bytes, &unpacked, query, ping)?;
    let sender = Sender {
        site_key: &SiteKey::parse(KEY).unwrap(),
        address: None,
        user_agent: "",
        hour: 480_000,
    };
    let beacon = beacon(&decoded, sender, &mut Uuid::now_v7)?;
    let events = beacon.events.into_iter().map(|event| Held {
        index: event.index,
        payload: event.payload.into_owned(),
        key: event.key,
        quarantined: event.quarantined.map(|(flaw, _)| flaw),
    });
    Ok(Read {
        events: events.collect(),
        refused: beacon.refused.iter().map(|refused| refused.index).collect(),
        notes: beacon.notes,
        step: decoded.step,
    })
}

fn read(bytes: impl AsRef<[u8]>) -> Result<Read, Refusal> {
    read_with(bytes.as_ref(), "", Ping::default())
}

/// The events of a body; none where it is refused.
pub fn beacon_of(bytes: &[u8]) -> Option<Vec<Held>> {
    read(bytes).ok().map(|read| read.events)
}

fn payloads(read: &Read) -> Vec<&str> {
    read.events.iter().map(|event| &*event.payload).collect()
}

#[test]
fn what_is_no_object_becomes_one_and_text_stays_exact() {
    for (body, expected) in [
        (r#"{"a": 1}"#, vec![r#"{"a": 1}"#]),
        (r#" [{"a":1} , {"b":2}] "#, vec![r#"{"a":1}"#, r#"{"b":2}"#]),
        (
            r#"[1,"x",null,[2]]"#,
            vec![
                r#"{"value":1}"#,
                r#"{"value":"x"}"#,
                r#"{"value":null}"#,
                r#"{"value":[2]}"#,
            ],
        ),
        ("7", vec![r#"{"value":7}"#]),
        ("[]", vec![]),
        ("\u{feff}{\"a\":1.10e2}", vec![r#"{"a":1.10e2}"#]),
        (
            r#"{"n":18446744073709551616.10}"#,
            vec![r#"{"n":18446744073709551616.10}"#],
        ),
    ] {
        assert_eq!(payloads(&read(body).unwrap()), expected, "{body}");
    }
}

#[test]
fn each_step_of_the_ladder_takes_what_it_knows() {
    let form_data = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--\r\n";
    let ping = Ping {
        from: Some("https://a/"),
        to: Some("https://b/"),
    };
    for (body, step, expected) in [
        (r#"{"a":1}"#, Step::Json, vec![r#"{"a":1}"#]),
        (r#""{\"a\":1}""#, Step::Json, vec![r#"{"a":1}"#]),
        (
            "{\"a\":1}\n{\"b\":2}",
            Step::JsonLines,
            vec![r#"{"a":1}"#, r#"{"b":2}"#],
        ),
        (form_data, Step::Multipart, vec![r#"{"a":"1"}"#]),
        ("a=1&b=2", Step::Form, vec![r#"{"a":"1","b":"2"}"#]),
        ("a=1\nb=2", Step::Form, vec![r#"{"a":"1"}"#, r#"{"b":"2"}"#]),
        (
            "e=[{\"a\":1}]&v=2",
            Step::Form,
            vec![r#"{"a":1,"_envelope":{"v":"2"}}"#],
        ),
        (
            "PING",
            Step::Ping,
            vec![r#"{"ping_from":"https://a/","ping_to":"https://b/"}"#],
        ),
        (" \n", Step::Query, vec![r#"{"q":"1"}"#]),
    ] {
        let read = read_with(body.as_bytes(), "q=1", ping).unwrap();
        assert_eq!((read.step, payloads(&read)), (step, expected), "{body}");
    }
}

#[test]
fn an_odd_event_is_quarantined_in_its_place_and_an_empty_one_left_out() {
    let read = read(r#"[{"a":1},{},{"b":"\u0000"},{"c":"\\u0000"}]"#).unwrap();
    assert_eq!(read.refused, [1]);
    let flaws: Vec<_> = read
        .events
        .iter()
        .map(|event| (event.index, event.quarantined))
        .collect();
    assert_eq!(flaws, [(0, None), (2, Some(Flaw::Nul)), (3, None)]);
    assert_eq!(read.events[1].quarantined_bytes().unwrap(), br#"{"b":"\u0000"}"#);
}

#[test]
fn a_body_that_no_step_takes_is_one_quarantined_event() {
    for body in [
        &b"hello world"[..],
        b"<p class=\"a\">",
        b"{\"a\":1,}",
        b"\x00\xff",
        b"\x1f\x8b",
        b"PING",
    ] {
        let read = read(body).unwrap();
        assert_eq!((read.step, read.events.len()), (Step::Quarantine, 1), "{body:?}");
        assert_eq!(read.events[0].quarantined_bytes().unwrap(), body, "{body:?}");
    }
}

#[test]
fn nothing_is_no_event() {
    for (body, query) in [
        ("", ""),
        (" \r\n", ""),
        ("\u{feff}", "&"),
        ("", &*format!("k={KEY}")),
    ] {
        let refusal = read_with(body.as_bytes(), query, Ping::default()).err();
        assert_eq!(refusal, Some(Refusal::NoEvent), "{body:?} {query:?}");
    }
    let form = read(format!("token={KEY}")).err().map(|refusal| refusal.tag());
    assert_eq!(form, Some("empty_event"));
}

#[test]
fn the_names_and_values_of_all_copies_of_an_envelope_count() {
    const EVENTS: usize = 1_000;
    // An event has three, an envelope three and its list's.
    let read = |list: usize| {
        let events = vec![r#"{"a":1}"#; EVENTS].join(",");
        read(format!(
            "{{\"v\":[{}],\"batch\":[{events}]}}",
            vec!["1"; list].join(",")
        ))
        .unwrap()
    };
    let each = VALUES_MAX / EVENTS - 6;
    for (list, quarantined, is_first_alone) in [(each, 0, false), (each + 1, 334, false), (each + 4, 0, true)]
    {
        let read = read(list);
        let found = read.events.iter().filter(|event| event.quarantined.is_some());
        assert_eq!(found.count(), quarantined, "{list}");
        assert_eq!(
            read.notes.contains(&"envelope_beside_first"),
            is_first_alone,
            "{list}"
        );
    }
}

#[test]
fn a_site_key_that_a_query_gives_twice_is_no_event() {
    let query = format!("k={KEY}&k={KEY}");
    let read = read_with(b"", &query, Ping::default());
    assert_eq!(read.err(), Some(Refusal::NoEvent));
}

#[test]
fn one_odd_byte_in_an_announced_deflate_stream_costs_one_event() {
    use std::io::Write;
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    deflate
        .write_all(b"[{\"a\":1},{\"b\":\"gr\xfcn\"},{\"c\":2}]")
        .unwrap();
    let bytes = deflate.finish().unwrap();
    let body = Body {
        bytes: Cow::Borrowed(&bytes),
        broken: None,
    };
    assert_eq!(unpack(&body, Some("deflate")).coding, Some(Coding::Deflate));
    assert_eq!(unpack(&body, None).coding, None);
}

#[test]
fn a_quarantine_tells_the_byte_at_which_its_own_bytes_go_wrong() {
    let many_fields: Vec<String> = (0..=MEMBERS_MAX).map(|n| format!("f{n}=1")).collect();
    for (body, offset) in [
        (r#"{"a":"x\u0000"}"#, 7),
        (r#"[{"b":1},{"a":"\u0000"}]"#, 6),
        ("a=xyz%00&b=1", 5),
        (&many_fields.join("&"), 0),
    ] {
        let read = read_with(body.as_bytes(), "", Ping::default()).unwrap();
        let quarantined = read.events.iter().find(|event| event.quarantined.is_some());
        let payload: Value = serde_json::from_str(&quarantined.unwrap().payload).unwrap();
        assert_eq!(payload["_quarantine"]["offset"], offset, "{body}");
    }
}

#[test]
fn the_largest_body_is_most_of_what_a_gateway_hands_over() {
    const EVENT_BYTES: usize = 6 * 1024 * 1024;
    let in_base64 = BODY_MAX_BYTES.div_ceil(3) * 4;
    assert!(
        in_base64 < EVENT_BYTES && in_base64 > EVENT_BYTES * 3 / 4,
        "{in_base64}"
    );
    // Twice as much unpacked, and as much again twice over for copies of an envelope.
    assert_eq!(UNPACKED_MAX_BYTES, 2 * BODY_MAX_BYTES);
    assert_eq!(ENVELOPES_MAX_BYTES, 4 * BODY_MAX_BYTES);
}

#[test]
fn limits_hold_at_their_edge() {
    let events = |n: usize| format!("[{}]", vec![r#"{"a":1}"#; n].join(","));
    assert_eq!(read(events(EVENTS_MAX)).unwrap().events.len(), EVENTS_MAX);
    let too_many = Some(Refusal::TooMany(EVENTS_MAX + 1));
    assert_eq!(read(events(EVENTS_MAX + 1)).err(), too_many);
    assert_eq!(
        read(format!("{{\"batch\":{}}}", events(EVENTS_MAX + 1))).err(),
        too_many
    );
    let sized = |n: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(n - 8));
    assert_eq!(read(sized(BODY_MAX_BYTES)).unwrap().events.len(), 1);
    assert_eq!(
        read(sized(BODY_MAX_BYTES + 1)).err(),
        Some(Refusal::TooLarge(BODY_MAX_BYTES + 1))
    );
}

#[test]
fn an_envelope_too_large_for_each_event_stands_beside_the_first() {
    let envelope = "x".repeat(beside::ENVELOPES_MAX_BYTES / 20);
    let body = format!(
        r#"{{"v":"{envelope}","batch":[{}]}}"#,
        vec![r#"{"a":1}"#; 21].join(",")
    );
    let read = read(body).unwrap();
    let beside = read
        .events
        .iter()
        .filter(|event| event.payload.contains("_envelope"));
    assert_eq!(beside.map(|event| event.index).collect::<Vec<_>>(), [0]);
    assert_eq!(read.notes, ["envelope_beside_first"]);
}
