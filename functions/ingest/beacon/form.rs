//! The ladder's step for forms, and for the query where it is the event; pure.
//!
//! In: pairs as URLs and forms write them, however they are labelled. Out: one object of strings; a name that
//! stands twice holds an array. Nothing is given up: a percent sequence that encodes nothing, or no UTF-8, stays as
//! it came. Which field holds the events, if one does, is `fields`' to say.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::super::failure::Flaw;
use super::document::{Document, Piece};
use super::fields::Fields;

/// Pairs of a form. A browser's longest have some hundreds; past it a body is no form but something with ampersands.
pub const FIELDS_MAX: usize = 10_000;

/// Characters beside letters and digits that names have, encoded or not.
const NAME_CHARACTERS: &[u8] = b"-_.*+%[]$@:~!'(),;/|^{}?";

const ENCODED_NUL: &[u8] = b"%00";

/// Whether `bytes` begin as a form does, with a name and an equals sign.
pub fn is_form(bytes: &[u8]) -> bool {
    let bytes = bytes.trim_ascii();
    let first = bytes.split(|byte| *byte == b'&').find(|pair| !pair.is_empty());
    let Some(equals) = first.and_then(|pair| pair.iter().position(|byte| *byte == b'=')) else {
        return false;
    };
    let name = &first.unwrap_or_default()[..equals];
    let is_name =
        |byte: &u8| byte.is_ascii_alphanumeric() || NAME_CHARACTERS.contains(byte) || !byte.is_ascii();
    let begins_as_name = name
        .first()
        .is_some_and(|byte| !matches!(byte, b'{' | b'}' | b'\''));
    let pairs = bytes.iter().filter(|byte| **byte == b'&').count() + 1;
    begins_as_name && name.iter().all(is_name) && pairs <= FIELDS_MAX
}

/// What `bytes`, which begin as a form does, hold.
pub fn piece(bytes: &[u8]) -> Piece<'_> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Piece::Document(fields(text.trim().trim_start_matches('?')).document(bytes, nul_at)),
        Err(error) => Piece::Garbage {
            bytes,
            flaw: Flaw::InvalidUtf8,
            offset: error.valid_up_to(),
        },
    }
}

/// What a query holds. Trackers add theirs with a question mark to an address that has one already.
pub fn query(query: &str) -> Document<'_> {
    let mut fields = Fields::default();
    for (name, value) in query
        .trim_start_matches('?')
        .split('&')
        .flat_map(second_query)
        .filter_map(pair)
    {
        fields.add(name, value);
    }
    fields.document(query.as_bytes(), nul_at)
}

fn fields(form: &str) -> Fields<'_> {
    let mut fields = Fields::default();
    for (name, value) in form.split('&').filter_map(pair) {
        fields.add(name, value);
    }
    fields
}

fn pair(pair: &str) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (!pair.is_empty()).then(|| (decoded(name), decoded(value)))
}

/// Where the first U+0000 of a form or query stands, encoded or not.
fn nul_at(form: &[u8]) -> usize {
    let is_one = |at: &usize| form[*at] == 0 || form[*at..].starts_with(ENCODED_NUL);
    (0..form.len()).find(is_one).unwrap_or(0)
}

/// `k=1?e=pv` is two pairs, `url=/a?b=c` is one: what comes before the question mark of a second query is a plain
/// word, never an address.
fn second_query(pair: &str) -> impl Iterator<Item = &str> {
    let is_word = |text: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'%');
        !text.is_empty() && text.bytes().all(is_plain)
    };
    let divided = pair.split_once('=').and_then(|(name, rest)| {
        let (value, second) = rest.split_once('?')?;
        let (second_name, _) = second.split_once('=')?;
        let is_divided = is_word(value) && is_word(second_name);
        is_divided.then(|| (&pair[..name.len() + 1 + value.len()], second))
    });
    let (first, second) = divided.map_or((pair, None), |(first, second)| (first, Some(second)));
    std::iter::once(first).chain(second)
}

/// Plus signs are spaces.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(decoded) => Cow::Owned(decoded.into_owned()),
        Err(_) => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(piece: Piece<'_>) -> String {
        match piece {
            Piece::Document(document) => document.text.get().to_owned(),
            Piece::Garbage { flaw, offset, .. } => format!("{flaw:?} at {offset}"),
        }
    }

    #[test]
    fn a_form_is_an_object_of_strings() {
        for (form, expected) in [
            ("a=1&b=x%20y+z", r#"{"a":"1","b":"x y z"}"#),
            ("?a=1", r#"{"a":"1"}"#),
            ("a=1&b=2&a=3", r#"{"a":["1","3"],"b":"2"}"#),
            ("a=&b&&c=1=2", r#"{"a":"","b":"","c":"1=2"}"#),
            (
                "sale=50%&bad=%zz&cut=%4",
                r#"{"sale":"50%","bad":"%zz","cut":"%4"}"#,
            ),
            ("n=Z%FCrich+a", r#"{"n":"Z%FCrich+a"}"#),
            ("t=%F0%9F%AB%96&s=1%2B1", r#"{"t":"🫖","s":"1+1"}"#),
            ("cd%5Bvalue%5D=9&x[y]=1", r#"{"cd[value]":"9","x[y]":"1"}"#),
            ("u=https://a.example/?b=c", r#"{"u":"https://a.example/?b=c"}"#),
        ] {
            assert!(is_form(form.as_bytes()), "{form}");
            assert_eq!(text(piece(form.as_bytes())), expected, "{form}");
        }
        assert_eq!(text(piece(b"a=\xff")), "InvalidUtf8 at 2");
    }

    #[test]
    fn a_second_query_is_part_of_the_first_and_an_address_is_none() {
        for (sent, expected) in [
            ("k=1?e=pv&p=web", r#"{"k":"1","e":"pv","p":"web"}"#),
            ("?e=pv", r#"{"e":"pv"}"#),
            (
                "url=https://a.example/?a=b&n=1",
                r#"{"url":"https://a.example/?a=b","n":"1"}"#,
            ),
            ("url=/tea?a=b", r#"{"url":"/tea?a=b"}"#),
            ("q=really?", r#"{"q":"really?"}"#),
            ("flag", r#"{"flag":""}"#),
        ] {
            assert_eq!(query(sent).text.get(), expected, "{sent}");
        }
    }

    #[test]
    fn what_begins_otherwise_is_no_form() {
        let many = format!("a=1{}", "&a=1".repeat(FIELDS_MAX));
        for body in [
            "hello world",
            "hello",
            "<p class=\"a\">",
            "<?xml version=\"1.0\"?>",
            "{\"a\":\"=\"}",
            "{a=1}",
            "=1",
            "a b=1",
            "\"a=1",
            "--x\r\nContent-Disposition: form-data; name=\"a\"",
            &many,
        ] {
            assert!(!is_form(body.as_bytes()), "{}", &body[..body.len().min(40)]);
        }
        assert!(is_form(&many.as_bytes()[4..]));
    }
}
