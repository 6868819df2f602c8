//! Bytes in, events out: the whole of the pure stages.

use super::super::api_event::Body;
use super::*;

const KEY: &str = "stk_AAAAAAAAAAAAAAAAAAAAAAAA21z7oP";

#[derive(Debug, PartialEq)]
struct Read {
    payloads: Vec<String>,
    quarantined: Vec<(usize, Flaw)>,
    refused: Vec<usize>,
    step: Step,
}

fn read_with(bytes: &[u8], query: &str, ping: Ping<'_>) -> Result<Read, Refusal> {
    let body = Body {
        bytes: Cow::Borrowed(bytes),
        broken: None,
    };
    let unpacked = unpack(&body);
    let decoded = decode(bytes, &unpacked, query, ping)?;
    let sender = Sender {
        site_key: &SiteKey::parse(KEY).unwrap(),
        address: None,
        user_agent: "",
        hour: 480_000,
    };
    let beacon = beacon(&decoded, sender, &mut Uuid::now_v7)?;
    let quarantined = beacon
        .events
        .iter()
        .filter_map(|event| Some((event.index, event.quarantined?.0)));
    Ok(Read {
        payloads: beacon
            .events
            .iter()
            .map(|event| event.payload.clone().into_owned())
            .collect(),
        quarantined: quarantined.collect(),
        refused: beacon.refused.iter().map(|refused| refused.index).collect(),
        step: decoded.step,
    })
}

fn read(bytes: impl AsRef<[u8]>) -> Result<Read, Refusal> {
    read_with(bytes.as_ref(), "", Ping::default())
}

fn payloads(bytes: impl AsRef<[u8]>) -> Vec<String> {
    read(bytes).unwrap().payloads
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
        assert_eq!(payloads(body), expected, "{body}");
    }
}

#[test]
fn each_step_of_the_ladder_takes_what_it_knows() {
    let form_data = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--\r\n";
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
    ] {
        let read = read(body).unwrap();
        assert_eq!(
            (read.step, &read.payloads[..]),
            (step, &expected.map_owned()[..]),
            "{body}"
        );
    }
    let query = read_with(b" \n", "a=1", Ping::default()).unwrap();
    assert_eq!((query.step, &*query.payloads[0]), (Step::Query, r#"{"a":"1"}"#));
    let ping = Ping {
        from: Some("https://a/"),
        to: Some("https://b/"),
    };
    let ping = read_with(b"PING", "", ping).unwrap();
    assert_eq!(
        ping.payloads,
        [r#"{"ping_from":"https://a/","ping_to":"https://b/"}"#]
    );
}

trait MapOwned {
    fn map_owned(&self) -> Vec<String>;
}

impl MapOwned for Vec<&str> {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}
