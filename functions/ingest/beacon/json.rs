//! The ladder's step for JSON: bytes that are one JSON text; pure.
//!
//! A byte order mark in front is passed over. What is no JSON is refused with the byte at which it stops being it.
//! Depth has no limit here and no number is looked at.

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::super::failure::{Refusal, Undecodable};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// # Errors
/// Nothing was sent, or it is no JSON.
pub fn document(body: &[u8]) -> Result<&RawValue, Refusal> {
    let bytes = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if bytes.trim_ascii().is_empty() {
        return Err(Refusal::NoEvent);
    }
    let before = body.len() - bytes.len();
    let undecodable = |what, at| {
        Refusal::Undecodable(Undecodable {
            what,
            offset: before + at,
        })
    };
    let text =
        std::str::from_utf8(bytes).map_err(|error| undecodable("invalid UTF-8", error.valid_up_to()))?;
    serde_json::from_str(text).map_err(|error| undecodable("invalid JSON", offset_of(text, &error)))
}

/// serde_json counts lines and columns from 1; the column is that of the byte that it read last, or, where it only
/// looked at the next one, one before that.
fn offset_of(text: &str, error: &serde_json::Error) -> usize {
    if error.is_eof() {
        return text.len();
    }
    let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    let read_last = lines.map(str::len).sum::<usize>() + error.column().saturating_sub(1);
    let so_far = text.as_bytes().get(..=read_last).unwrap_or_default();
    let is_unfinished =
        serde_json::from_slice::<IgnoredAny>(so_far).map_or_else(|error| error.is_eof(), |_| true);
    read_last + usize::from(is_unfinished)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_refused_with_its_position() {
        for (body, expected) in [
            (&b"{\"a\":1,}"[..], Some(7)),
            (b"{\"a\":NaN}", Some(5)),
            (b"a=1&b=2", Some(0)),
            (b"{\"a\":1}\n{\"b\":2}", Some(8)),
            (b"{\"a\":\n\n  01}", Some(10)),
            (b"{\"a\":", Some(5)),
            (b"{\"a\":\"\x01\"}", Some(6)),
            (b"{\"a\":\"\xff\"}", Some(6)),
            (b"\xef\xbb\xbf{\"a\":\"\xff\"}", Some(9)),
            (b"\x1f\x8b\x08", Some(1)),
            (b"", None),
            (b" \n\t", None),
            (b"\xef\xbb\xbf", None),
        ] {
            let expected = match expected {
                Some(offset) => offset,
                None => {
                    assert_eq!(document(body).unwrap_err(), Refusal::NoEvent);
                    continue;
                }
            };
            match document(body) {
                Err(Refusal::Undecodable(Undecodable { offset, .. })) => {
                    assert_eq!(offset, expected, "{body:?}")
                }
                other => panic!("{body:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        assert!(document(deep.as_bytes()).is_ok());
    }
}
