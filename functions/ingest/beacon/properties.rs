//! What holds for every body, tried with bodies that nobody thought of.

use std::collections::HashSet;
use std::io::Write;

use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flate2::Compression;
use proptest::prelude::*;
use serde_json::Value;

use super::super::api_event::Body;
use super::tests::{beacon_of, Held};
use super::*;

/// Any JSON that PostgreSQL takes, as text: numbers of any size and precision, any white space.
fn json() -> impl Strategy<Value = String> {
    let number = "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?";
    let string = "[^\u{0}]{0,12}".prop_map(|text| Value::from(text).to_string());
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        number,
        string.clone()
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        let member = (string.clone(), inner.clone()).prop_map(|(name, value)| format!("{name} :{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|all| format!("[{}]", all.join(" ,"))),
            prop::collection::vec(member, 0..6).prop_map(|all| format!("{{{}}}", all.join(",\n"))),
        ]
    })
}

/// Bytes that are nearly something.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let mark = prop::sample::select(vec![
        &b"{\"a\":"[..],
        b"[{",
        b"}]",
        b"\"",
        b"\\u0000",
        b"\\ud800",
        b"\n",
        b"data=",
        b"&e=%5B%7B",
        b"%00",
        b"=",
        b"--b\r\n",
        b"Content-Disposition: form-data; name=\"a\"\r\n\r\n",
        b"\r\n--b--",
        b"\x1f\x8b\x08\x00",
        b"\x78\x9c",
        b"\xef\xbb\xbf",
        b"1e131071",
        b"\"batch\":[{",
        b"\xed\xa0\xbe",
        b",",
        b"}",
        b"eyJhIjoxfQ==",
    ]);
    let any = prop::collection::vec(any::<u8>(), 0..12);
    let part = prop_oneof![3 => mark.prop_map(<[u8]>::to_vec), 1 => any];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

/// Streams of each coding, and what may have become of them on the way.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let inside = "[ -~]{0,200}".prop_map(|text| format!("{{\"a\":{}}}", Value::from(text)));
    let packed = (inside, 0..4).prop_map(|(inside, coding)| {
        let inside = inside.as_bytes();
        match coding {
            0 => packed(
                GzEncoder::new(Vec::new(), Compression::default()),
                inside,
                GzEncoder::finish,
            ),
            1 => packed(
                ZlibEncoder::new(Vec::new(), Compression::fast()),
                inside,
                ZlibEncoder::finish,
            ),
            2 => packed(
                DeflateEncoder::new(Vec::new(), Compression::best()),
                inside,
                DeflateEncoder::finish,
            ),
            _ => ruzstd::encoding::compress_to_vec(inside, ruzstd::encoding::CompressionLevel::Fastest),
        }
    });
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (packed, changes, any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(mut stream, changes, cut, is_cut)| {
            for (at, byte) in changes {
                let at = at.index(stream.len());
                stream[at] = byte;
            }
            let end = if is_cut {
                cut.index(stream.len())
            } else {
                stream.len()
            };
            stream[..end].to_vec()
        },
    )
}

fn packed<W: Write>(mut encoder: W, inside: &[u8], finish: fn(W) -> std::io::Result<Vec<u8>>) -> Vec<u8> {
    encoder.write_all(inside).unwrap();
    finish(encoder).unwrap()
}

fn events(body: &[u8]) -> Vec<Held> {
    beacon_of(body).unwrap_or_default()
}

proptest! {
    #[test]
    fn json_comes_back_as_it_was_written(text in json()) {
        let body = format!("[{text}]");
        let held = events(body.as_bytes());
        let stored = if text.starts_with('{') { text.clone() } else { format!("{{\"value\":{text}}}") };
        match held.as_slice() {
            [] => prop_assert_eq!(text.as_str(), "{}"),
            [held] => prop_assert_eq!(&held.payload, &stored),
            more => prop_assert!(false, "{} events", more.len()),
        }
    }

    #[test]
    fn any_bytes_have_a_verdict_and_are_had_back_if_quarantined(body in bytes()) {
        for held in events(&body) {
            let payload: Value = serde_json::from_str(&held.payload).unwrap();
            prop_assert!(payload.as_object().is_some_and(|object| !object.is_empty()));
            let Some(kept) = held.quarantined_bytes() else {
                prop_assert_eq!(storable::flaw(&held.payload, &mut usize::MAX.clone()), None);
                continue;
            };
            let is_part = kept.is_empty() || memchr::memmem::find(&body, &kept).is_some();
            prop_assert!(is_part || held.is_encoded_in(&body), "{:?} of {:?}", kept, body);
        }
    }

    #[test]
    fn a_changed_stream_is_read_or_kept_as_it_came(stream in streams(), said in prop::option::of(Just("br"))) {
        let body = Body { bytes: Cow::Borrowed(&stream), broken: None };
        let unpacked = unpack(&body, said);
        prop_assert!(unpacked.bytes.len() <= UNPACKED_MAX_BYTES);
        prop_assert!(unpacked.coding.is_some() || unpacked.bytes == stream);
        for held in events(&stream) {
            let kept = held.quarantined_bytes();
            prop_assert!(unpacked.stopped.is_none() || kept.as_ref() == Some(&stream));
        }
    }

    #[test]
    fn splitting_neither_loses_nor_invents_an_event(count in 0_usize..40, odd in any::<u64>(), how in 0..5) {
        let event = |n: usize| match odd >> n & 1 {
            0 => format!("{{\"n\":{n}}}"),
            _ => format!("{{\"n\":{n},\"odd\":\"\\u0000\"}}"),
        };
        let all: Vec<String> = (0..count).map(event).collect();
        let body = match how {
            0 => format!("[{}]", all.join(",")),
            1 => format!("{{\"v\":1,\"batch\":[{}]}}", all.join(",")),
            2 => format!("{{\"events\":[{}]}}", all.join(" , ")),
            3 => format!("e=[{}]&v=1", all.join(",")),
            _ => all.join("\r\n"),
        };
        let is_split = how == 0 || count > 0;
        let held = if is_split { events(body.as_bytes()) } else { Vec::new() };
        prop_assert_eq!(held.len(), count);
        let keys: HashSet<_> = held.iter().map(|held| held.key).collect();
        prop_assert_eq!(keys.len(), count);
        for (n, held) in held.iter().enumerate() {
            prop_assert_eq!(held.index, n);
            let is_odd = odd >> n & 1 == 1;
            prop_assert_eq!(held.quarantined_bytes(), is_odd.then(|| event(n).into_bytes()));
            let beginning = format!("{{\"n\":{n}");
            prop_assert!(is_odd || held.payload.starts_with(&beginning));
        }
    }

    #[test]
    fn the_site_key_is_in_nothing_that_waits_to_be_processed(name in "[a-z_]{1,8}", text in json(), at in 0..4) {
        let key = super::tests::KEY;
        let body = match at {
            0 => format!("{{\"{name}\":\"{key}\",\"x\":{text}}}"),
            1 => format!("{{\"x\":{text},\"{name}\":\" {key}\"}}"),
            2 => format!("{{\"batch\":[{{\"x\":{text},\"y\":[\"{key}\"]}}],\"{name}\":\"{key}\"}}"),
            _ => format!("{name}={key}&x=1&u=https://a/?k={key}"),
        };
        for held in events(body.as_bytes()) {
            prop_assert!(held.quarantined_bytes().is_none());
            prop_assert!(!held.payload.contains(key), "{}", held.payload);
            serde_json::from_str::<&RawValue>(&held.payload).unwrap();
        }
    }
}
