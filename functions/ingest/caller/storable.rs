//! A text of the request as it may be stored; pure.
//!
//! In: a header, a path, a query. Out: the same text without U+0000, which PostgreSQL does not know, and without the
//! site key, however it is spelled.

use std::borrow::Cow;

use crate::site_key::SiteKey;

/// `text` without U+0000 and without `site_key`.
pub fn storable<'t>(text: &'t str, site_key: &SiteKey) -> Cow<'t, str> {
    let text = match text.contains('\0') {
        true => Cow::Owned(text.replace('\0', "\u{fffd}")),
        false => Cow::Borrowed(text),
    };
    site_key.taken_from(&text).map_or(text, Cow::Owned)
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
