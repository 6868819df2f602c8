//! What beacons are drawn from.

use percent_encoding::{utf8_percent_encode, NON_ALPHANUMERIC};
use proptest::prelude::*;

/// Nesting that leaves room for an array around it and an object of ours.
const DEEP: usize = 500;

/// JSON that PostgreSQL accepts, as text: numbers beyond every type, odd escapes and characters, names that repeat,
/// deep nesting, any white space.
pub fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        1 => prop::sample::select(vec!["null", "true", "false", "-0", "0.0", "1E0"]).prop_map(str::to_owned),
        3 => number(),
        3 => string(),
    ];
    let shallow = leaf.prop_recursive(5, 40, 6, |inner| {
        let name = prop_oneof![3 => prop::sample::select(vec!["\"a\"", "\"b\"", "\"\""]).prop_map(str::to_owned), 1 => string()];
        let member = (name, inner.clone()).prop_map(|(name, value)| format!("{name}\t: {value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|all| format!("[{}]", all.join(" ,"))),
            prop::collection::vec(member, 0..6).prop_map(|all| format!("{{{}}}", all.join(",\r\n"))),
        ]
    });
    let deep = (shallow.clone(), 1..DEEP).prop_map(|(inside, depth)| {
        let (left, right) = (depth / 2, depth - depth / 2);
        format!(
            "{}{}{inside}{}{}",
            "[".repeat(left),
            "{\"a\":".repeat(right),
            "}".repeat(right),
            "]".repeat(left)
        )
    });
    prop_oneof![20 => shallow, 1 => deep.prop_filter("within our depth", |text| depth(text) < DEEP)]
}

fn depth(text: &str) -> usize {
    text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count()
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,30})",
        "-?(0|[1-9][0-9]{0,30})\\.[0-9]{1,30}",
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?[eE][+-]?[0-9]{1,3}",
        "[1-9][0-9]{900}",
    ]
}

fn string() -> impl Strategy<Value = String> {
    let escaped = prop::sample::select(vec![
        "\\\"",
        "\\\\",
        "\\/",
        "\\b",
        "\\f",
        "\\n",
        "\\r",
        "\\t",
        "\\u0001",
        "\\u00e9",
        "\\u00E9",
        "\\ud83e\\udd8a",
        "\\uD83D\\uDE00",
        "\\uffff",
        "\\ufeff",
        "\\u2028",
        "\\u202e",
        "\\\\u0000",
        "\\u005c",
    ])
    .prop_map(str::to_owned);
    let plain = "[^\u{0}-\u{1f}\"\\\\]{1,6}";
    prop::collection::vec(prop_oneof![plain, escaped], 0..5)
        .prop_map(|parts| format!("\"{}\"", parts.concat()))
}

/// Bytes that are nearly something.
pub fn bytes() -> impl Strategy<Value = Vec<u8>> {
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

/// One event of a beacon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Plain,
    /// `{}`: an error, and no row.
    Empty,
    /// U+0000.
    Nul,
    /// Half of a character.
    Half,
    /// A number that explodes on reading.
    Huge,
}

impl Event {
    pub fn is_odd(&self) -> bool {
        !matches!(self, Self::Plain | Self::Empty)
    }

    pub fn text(self, place: usize) -> String {
        match self {
            Self::Plain => format!("{{\"n\":{place}}}"),
            Self::Empty => "{}".to_owned(),
            Self::Nul => format!("{{\"n\":{place},\"odd\":\"\\u0000\"}}"),
            Self::Half => format!("{{\"odd\":\"\\ud83e!\",\"n\":{place}}}"),
            Self::Huge => format!("{{\"n\":{place} ,\"odd\":1e131071}}"),
        }
    }
}

/// Mostly plain.
pub fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => Just(Event::Plain),
        1 => Just(Event::Empty),
        1 => Just(Event::Nul),
        1 => Just(Event::Half),
        1 => Just(Event::Huge),
    ]
}

/// What holds the events of a beacon.
#[derive(Clone, Copy, Debug)]
pub enum Container {
    Array,
    Batch,
    Events,
    Data,
    Lines,
    Form,
}

pub fn container() -> impl Strategy<Value = Container> {
    use Container::{Array, Batch, Data, Events, Form, Lines};
    prop::sample::select(vec![Array, Batch, Events, Data, Lines, Form])
}

impl Container {
    pub fn body(self, events: &[Event]) -> Vec<u8> {
        let texts = events.iter().enumerate().map(|(place, event)| event.text(place));
        let texts: Vec<String> = texts.collect();
        let list = format!("[{}]", texts.join(","));
        let body = match self {
            Self::Array => list,
            Self::Batch => format!("{{\"v\":\"x\",\"batch\":{list}}}"),
            Self::Events => format!("{{\"events\":{list}}}"),
            Self::Data => format!("{{\"schema\":\"s\",\"data\":{list},\"sent_at\":1}}"),
            Self::Lines => texts.join("\r\n"),
            Self::Form => format!("e={}&v=1", utf8_percent_encode(&list, NON_ALPHANUMERIC)),
        };
        body.into_bytes()
    }
}
