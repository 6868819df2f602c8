//! A text of the request as it may be stored; pure.
//!
//! In: a header, a path, a query. Out: the same text without U+0000, which PostgreSQL does not know, and without the
//! site key. A key some characters of which are percent-encoded, as in an address that was written by a careful
//! encoder, is the key.

use std::borrow::Cow;

use crate::site_key::SiteKey;

/// What stands in the place of the key.
const SHORTENED: &str = "stk_...";

/// Bytes of `%XX`.
const SEQUENCE_LENGTH: usize = 3;

/// `text` without U+0000 and without `site_key`.
pub fn storable<'t>(text: &'t str, site_key: &SiteKey) -> Cow<'t, str> {
    let text = match text.contains('\0') {
        true => Cow::Owned(text.replace('\0', "\u{fffd}")),
        false => Cow::Borrowed(text),
    };
    if text.contains(site_key.expose()) {
        return Cow::Owned(shortened(&text, site_key));
    }
    match plain(&text) {
        Some(plain) if plain.contains(site_key.expose()) => Cow::Owned(shortened(&plain, site_key)),
        _ => text,
    }
}

/// What the key leaves when it is gone in one spelling may still hold it in the other.
fn shortened(text: &str, site_key: &SiteKey) -> String {
    let text = text.replace(site_key.expose(), SHORTENED);
    match plain(&text) {
        Some(plain) if plain.contains(site_key.expose()) => plain.replace(site_key.expose(), SHORTENED),
        _ => text,
    }
}

/// `text` with the characters of site keys written plainly, which is the same address; `None` where they are.
fn plain(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match spelled(rest.as_bytes()) {
            Some(character) => {
                plain.push(character);
                SEQUENCE_LENGTH
            }
            None => {
                plain.push('%');
                1
            }
        };
        rest = &rest[length..];
    }
    plain.push_str(rest);
    (plain.len() < text.len()).then_some(plain)
}

/// The character of a site key that the sequence at the beginning of `text` encodes.
fn spelled(text: &[u8]) -> Option<char> {
    let digits = text.get(1..SEQUENCE_LENGTH)?;
    let byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (byte.is_ascii_alphanumeric() || byte == b'_').then_some(char::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_holds_no_nul_and_no_key() {
        let key = SiteKey::generate().unwrap();
        let plain = key.expose().to_owned();
        let careful = plain.replace('_', "%5F");
        let all: String = plain.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for (text, expected) in [
            (format!("a\0b {plain} c"), "a\u{fffd}b stk_... c"),
            (format!("/x/{careful}/%7Ea%2Fb"), "/x/stk_.../%7Ea%2Fb"),
            (format!("k={all}&%"), "k=stk_...&%"),
            (format!("{plain}?{all}"), "stk_...?stk_..."),
            ("a%20b%41%+f%zz%4".to_owned(), "a%20b%41%+f%zz%4"),
            ("%é%4é".to_owned(), "%é%4é"),
        ] {
            assert_eq!(storable(&text, &key), expected, "{text}");
        }
    }
}
