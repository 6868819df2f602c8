//! Changes of an input that leave it JSON: one value of it is nested, negated, made extreme, doubled or exchanged.
//!
//! libFuzzer's own changes are of bytes, and most of these end the text's being JSON, so that what lies behind the
//! parser is reached a hundred times less often. A value is found by its looks; one that is a member's name may be
//! taken for one, and is a fault of the sender's then, like any other.

/// What a number or a string may be that somebody has to think of.
const ODD: [&str; 16] = [
    "0",
    "-0",
    "-1",
    "1e308",
    "1e400",
    "-1e-1001",
    "1e99999999999",
    "0.1E-99999999999",
    "18446744073709551616",
    "0.1234567890123456789012345678901234567890",
    r#""""#,
    r#""\u0000""#,
    r#""\ud83d""#,
    r#""\ud83d\ude00""#,
    "{}",
    "[]",
];

/// Levels by which a value is nested at most, in one change.
const NESTED_MAX: usize = 8;

/// `input` with one value changed, as `draw` says; `None` if it has none, or would be longer than `most` bytes.
pub fn changed(input: &[u8], most: usize, draw: u32) -> Option<Vec<u8>> {
    let values = values(input);
    let draw = usize::try_from(draw).unwrap_or_default();
    let nth = |draw: usize| values.get(draw % values.len().max(1)).copied();
    let (begin, end) = nth(draw / 7)?;
    let value = &input[begin..end];
    let levels = 1 + (draw / 3) % NESTED_MAX;
    let instead = match draw % 7 {
        0 => [b"-", value].concat(),
        1 | 2 => ODD[(draw / 11) % ODD.len()].into(),
        3 => [&b"[".repeat(levels)[..], value, &b"]".repeat(levels)].concat(),
        4 => [&br#"{"a":"#.repeat(levels)[..], value, &b"}".repeat(levels)].concat(),
        5 => [value, b",", value].concat(),
        _ => {
            let (begin, end) = nth(draw / 13)?;
            input[begin..end].to_vec()
        }
    };
    let changed = [&input[..begin], &instead, &input[end..]].concat();
    (changed.len() <= most).then_some(changed)
}

/// Where what looks like a number, a word or a string begins and ends.
fn values(input: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < input.len() {
        let end = match input[at] {
            b'"' => string_end(input, at),
            byte if is_of_word(byte) => at + input[at..].iter().take_while(|byte| is_of_word(**byte)).count(),
            _ => {
                at += 1;
                continue;
            }
        };
        found.push((at, end));
        at = end;
    }
    found
}

fn string_end(input: &[u8], begin: usize) -> usize {
    let mut at = begin + 1;
    while at < input.len() && input[at] != b'"' {
        at += 1 + usize::from(input[at] == b'\\');
    }
    (at + 1).min(input.len())
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}
