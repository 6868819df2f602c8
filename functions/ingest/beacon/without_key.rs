//! A JSON text without the site key; pure.
//!
//! In: a valid JSON text. Out: the same text less each member that gives the key under a name of site keys; wherever
//! else the key stands, in a member of another name, a longer string, an array or a name, its random part is gone
//! and the rest is kept. A key that is spelled with escapes or percent sequences is the key. Everything else stays to
//! the byte.

use std::borrow::Cow;

use memchr::memmem;
use serde_json::value::RawValue;

use super::super::caller::KEY_NAMES;
use super::super::loose_json;
use crate::site_key::{encoded, SiteKey, PREFIX};

/// How an escape begins that can stand for a character of a site key, all of which are ASCII.
const ESCAPE: &str = "\\u00";

/// Bytes of `\uXXXX`.
const ESCAPE_LENGTH: usize = 6;

/// Whether a site key can stand in a JSON text, however it is spelled.
pub fn may_hold_key(text: &str) -> bool {
    let text = text.as_bytes();
    memmem::find(text, PREFIX.as_bytes()).is_some()
        || memmem::find_iter(text, ESCAPE).any(|at| spelled(&text[at..]).is_some())
        || memchr::memchr_iter(b'%', text).any(|at| encoded(&text[at..]).is_some())
}

/// `text` without `site_key`.
pub fn without_key<'t>(text: &'t str, site_key: &SiteKey) -> Cow<'t, str> {
    if !may_hold_key(text) {
        return Cow::Borrowed(text);
    }
    let plain = plain(text);
    if site_key.taken_from(&plain).is_none() {
        return Cow::Borrowed(text);
    }
    let mut writing = Writing {
        out: String::with_capacity(plain.len()),
        member: None,
        is_comma_skipped: false,
    };
    let mut rest = &*plain;
    while let Some(begin) = rest.find('"') {
        writing.between(&rest[..begin]);
        let end = begin + 1 + string_length(&rest.as_bytes()[begin + 1..]);
        writing.string(&rest[begin..end], site_key);
        rest = &rest[end..];
    }
    writing.between(rest);
    Cow::Owned(writing.out)
}

/// `text` with the characters of site keys spelled plainly: the same JSON.
fn plain(text: &str) -> Cow<'_, str> {
    if memmem::find(text.as_bytes(), ESCAPE.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        // What is escaped by a backslash begins no escape itself, another backslash least of all.
        let length = match spelled(rest.as_bytes()) {
            Some(character) => {
                plain.push(character);
                ESCAPE_LENGTH
            }
            None => {
                plain.push_str(&rest[..2]);
                2
            }
        };
        rest = &rest[length..];
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// The character of a spelled site key for which the escape at the beginning of `text` stands.
fn spelled(text: &[u8]) -> Option<char> {
    let digits = text.get(..ESCAPE_LENGTH)?.strip_prefix(ESCAPE.as_bytes())?;
    let byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'%')).then_some(char::from(byte))
}

struct Writing {
    out: String,
    /// Where the name of the member that is being written begins.
    member: Option<usize>,
    /// The member before a comma is gone, and nothing stands before it.
    is_comma_skipped: bool,
}

impl Writing {
    /// What is no string.
    fn between(&mut self, mut text: &str) {
        if std::mem::take(&mut self.is_comma_skipped) {
            let after = text.trim_start();
            text = after.strip_prefix(',').unwrap_or(after);
        }
        self.member = self.member.filter(|_| text.trim() == ":");
        self.out.push_str(text);
    }

    fn string(&mut self, string: &str, site_key: &SiteKey) {
        let without = site_key.taken_from(string);
        let left = without.as_deref().unwrap_or(string);
        match self.member.take() {
            Some(begin) if without.is_some() && self.is_named_key(begin) && is_key(string, site_key) => {
                self.drop_member(begin);
            }
            Some(_) => self.out.push_str(left),
            None => {
                self.member = Some(self.out.len());
                self.out.push_str(left);
            }
        }
    }

    /// The member that begins there has a name under which trackers send the key.
    fn is_named_key(&self, begin: usize) -> bool {
        let member = &self.out[begin..];
        let name = member
            .get(1..string_length(&member.as_bytes()[1..]))
            .unwrap_or_default();
        KEY_NAMES.contains(&name)
    }

    fn drop_member(&mut self, begin: usize) {
        self.out.truncate(begin);
        // White space is trimmed once, or as much of it as a sender likes would be looked at for each member.
        self.out.truncate(self.out.trim_end().len());
        if self.out.ends_with(',') {
            self.out.pop();
        } else {
            self.is_comma_skipped = true;
        }
    }
}

fn is_key(string: &str, site_key: &SiteKey) -> bool {
    let text = serde_json::from_str::<&RawValue>(string)
        .ok()
        .and_then(loose_json::text);
    text.is_some_and(|text| text.trim() == site_key.expose())
}

/// Bytes up to the quotation mark that ends a string, and itself.
fn string_length(bytes: &[u8]) -> usize {
    let mut from = 0;
    while let Some(at) = memchr::memchr2(b'"', b'\\', &bytes[from..]) {
        from += at + 1;
        if bytes[from - 1] == b'"' {
            return from;
        }
        from = (from + 1).min(bytes.len());
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "stk_AAAAAAAAAAAAAAAAAAAAAAAA21z7oP";

    #[test]
    fn the_key_is_gone_and_the_rest_stays() {
        let key = SiteKey::parse(KEY).unwrap();
        for (text, expected) in [
            (r#"{"token":"K"}"#, "{}"),
            (r#"{"token":"K","a":1}"#, r#"{"a":1}"#),
            (r#"{"token" : " K " , "a":1.10 }"#, r#"{ "a":1.10 }"#),
            (r#"{  "token":"K", "k":"K", "a":1}"#, r#"{ "a":1}"#),
            (r#"{"a":1,"token":"K"}"#, r#"{"a":1}"#),
            (r#"{"a":1 , "token":"K","b":2}"#, r#"{"a":1 ,"b":2}"#),
            (r#"{"k":"K","token":"K"}"#, "{}"),
            (r#"{"k":"K","token":"K","a":"x"}"#, r#"{"a":"x"}"#),
            (r#"{"a":{"k":"K"},"b":[{"k":"K"},1]}"#, r#"{"a":{},"b":[{},1]}"#),
            (r#"["K","a"]"#, r#"["stk_...","a"]"#),
            (
                r#"{"u":"https://x/?k=K\n\"","a":"\\"}"#,
                r#"{"u":"https://x/?k=stk_...\n\"","a":"\\"}"#,
            ),
            (r#"{"K":1}"#, r#"{"stk_...":1}"#),
            (r#"{"K":"K","a":1}"#, r#"{"stk_...":"stk_...","a":1}"#),
            (r#"{"a":"b","c":["d"],"key":"K"}"#, r#"{"a":"b","c":["d"]}"#),
            (r#"{"x":"K"}"#, r#"{"x":"stk_..."}"#),
            (r#"{"x": " K\n","token":"K"}"#, r#"{"x": " stk_...\n"}"#),
            (r#"{"token":"K and more"}"#, r#"{"token":"stk_... and more"}"#),
            (r#"{"token":{"x":"K"}}"#, r#"{"token":{"x":"stk_..."}}"#),
            (
                r#"{"token":"\u0073tkL","a":"\u00e9\u003c"}"#,
                r#"{"a":"\u00e9\u003c"}"#,
            ),
            (r#"{"\u0074oken":"s\u0074kL"}"#, "{}"),
            (
                r#"["\u0073tkL","\\u0073tkL","\\\u0073tkL"]"#,
                r#"["stk_...","\\u0073tkL","\\stk_..."]"#,
            ),
            (r#"{"a":"\u0073\u0074k_other"}"#, r#"{"a":"\u0073\u0074k_other"}"#),
            (r#"{"a":"stk_other"}"#, r#"{"a":"stk_other"}"#),
            (r#"{"u":"k=stk%5FM&q=%41"}"#, r#"{"u":"k=stk_...&q=%41"}"#),
            (r#"{"u":"%73tk_M","token":"K"}"#, r#"{"u":"stk_..."}"#),
            (r#"{"u":"stk\u00255fM\u0025"}"#, r#"{"u":"stk_...%"}"#),
            (r#"{"u":"%73tk_other"}"#, r#"{"u":"%73tk_other"}"#),
        ] {
            let whole = |text: &str| {
                text.replace('K', KEY)
                    .replace('L', &KEY[3..])
                    .replace('M', &KEY[4..])
            };
            let (text, expected) = (whole(text), whole(expected));
            let left = without_key(&text, &key);
            assert_eq!(left, expected, "{text}");
            serde_json::from_str::<serde_json::Value>(&left).unwrap();
        }
    }
}
