//! The ladder's step for JSON: bytes that are one JSON text; pure.
//!
//! In: bytes without a byte order mark. Out: the document, or the byte at which they stop being one. Bytes that
//! are no UTF-8 are masked, so that the text's structure is still found. A text that is a string which holds an
//! object or an array was encoded twice: it is unwrapped, once. Depth has no limit here and no number is looked at.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::super::loose_json;
use super::document::{Document, Exact};
use super::surrogates;

/// What stands in the place of a byte that is no UTF-8: fine in a string, an error everywhere else.
const MASK: u8 = b'?';

/// The document that `bytes` are.
///
/// # Errors
/// The byte at which they are no JSON any more.
pub fn document(bytes: &[u8]) -> Result<Document<'_>, usize> {
    let document = plain(bytes)?;
    if !document.text.get().starts_with('"') {
        return Ok(document);
    }
    Ok(inside(&document).unwrap_or(document))
}

/// The object or array that `bytes` are, which stood encoded in something else. Half characters of three bytes,
/// as old encoders write those beyond U+FFFF, are put together.
pub fn container(bytes: &[u8]) -> Option<Document<'static>> {
    let bytes = bytes.trim_ascii();
    if !matches!(bytes.first(), Some(b'{' | b'[')) {
        return None;
    }
    let joined = surrogates::joined(bytes);
    let (text, exact) = match std::str::from_utf8(&joined) {
        Ok(text) => (text.to_owned(), Exact::Text),
        Err(_) => (masked(&joined), Exact::Masked(Cow::Owned(joined.to_vec()))),
    };
    Some(Document {
        text: Cow::Owned(RawValue::from_string(text).ok()?),
        exact,
        beside: None,
    })
}

fn plain(bytes: &[u8]) -> Result<Document<'_>, usize> {
    let before = bytes.len() - bytes.trim_ascii_start().len();
    let trimmed = bytes.trim_ascii();
    let at = |offset: usize| before + offset;
    match std::str::from_utf8(trimmed) {
        Ok(text) => {
            let raw = serde_json::from_str(text).map_err(|error| at(offset_of(text, &error)))?;
            Ok(Document::new(Cow::Borrowed(raw)))
        }
        Err(_) => {
            let text = masked(trimmed);
            let error_at = |error| at(offset_of(&masked(trimmed), &error));
            let raw = RawValue::from_string(text).map_err(error_at)?;
            Ok(Document {
                text: Cow::Owned(raw),
                exact: Exact::Masked(Cow::Borrowed(trimmed)),
                beside: None,
            })
        }
    }
}

/// What a string holds, if it is an object or an array.
fn inside<'a>(outer: &Document<'a>) -> Option<Document<'a>> {
    match &outer.exact {
        Exact::Masked(bytes) => container(&loose_json::bytes_of(bytes)?),
        _ => container(&loose_json::bytes(&outer.text)?),
    }
}

/// The text of `bytes`, as long as they are.
fn masked(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::from(MASK)));
    }
    text
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
        for (body, offset) in [
            (&b"{\"a\":1,}"[..], 7),
            (b"{\"a\":NaN}", 5),
            (b"a=1&b=2", 0),
            (b"{\"a\":1}\n{\"b\":2}", 8),
            (b"{\"a\":\n\n  01}", 10),
            (b"  {\"a\":", 7),
            (b"{\"a\":\"\x01\"}", 6),
            (b"{\"a\":\xff}", 5),
            (b"{\"a\":\"\xff\",}", 9),
            (b"\x1f\x8b\x08", 0),
            (b"", 0),
        ] {
            assert_eq!(document(body).unwrap_err(), offset, "{body:?}");
        }
    }

    #[test]
    fn a_byte_that_is_no_utf8_is_masked_and_kept() {
        let bytes = b" [{\"a\":\"gr\xfcn\"},{\"b\":1}]";
        let document = document(bytes).unwrap();
        assert_eq!(document.text.get(), r#"[{"a":"gr?n"},{"b":1}]"#);
        let parts = loose_json::elements(&document.text);
        assert_eq!(document.exact_of(parts[0]), Some(&b"{\"a\":\"gr\xfcn\"}"[..]));
        assert_eq!(document.exact_of(parts[1]), None);
    }

    #[test]
    fn a_string_that_holds_an_object_or_an_array_is_unwrapped_once() {
        for (body, expected) in [
            (r#""{\"a\":1.10}""#, r#"{"a":1.10}"#),
            (r#""[1,2]""#, "[1,2]"),
            (r#"" {\"a\":\"\\\"\"} ""#, r#"{"a":"\""}"#),
            (r#""hello""#, r#""hello""#),
            (r#""12""#, r#""12""#),
            (r#""{\"a\"""#, r#""{\"a\"""#),
            (r#""\"{\\\"a\\\":1}\"""#, r#""\"{\\\"a\\\":1}\"""#),
        ] {
            assert_eq!(document(body.as_bytes()).unwrap().text.get(), expected, "{body}");
        }
    }

    #[test]
    fn a_byte_that_is_no_utf8_is_kept_inside_a_string_too() {
        let document = document(b"\"{\\\"a\\\":\\\"gr\xfcn\\\"}\"").unwrap();
        assert_eq!(document.text.get(), r#"{"a":"gr?n"}"#);
        let exact = document.exact_of(&document.text);
        assert_eq!(exact, Some(&b"{\"a\":\"gr\xfcn\"}"[..]));
    }

    #[test]
    fn halves_of_a_character_are_put_together_and_a_single_one_is_masked() {
        let document = container(b"[{\"a\":\"\xed\xa0\xbe\xed\xb6\x8a\"},{\"a\":\"\xed\xa0\xbe\"}]").unwrap();
        assert_eq!(document.text.get(), "[{\"a\":\"🦊\"},{\"a\":\"???\"}]");
        let parts = loose_json::elements(&document.text);
        assert_eq!(document.exact_of(parts[0]), None);
        assert_eq!(
            document.exact_of(parts[1]),
            Some(&b"{\"a\":\"\xed\xa0\xbe\"}"[..])
        );
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        assert!(document(deep.as_bytes()).is_ok());
    }
}
