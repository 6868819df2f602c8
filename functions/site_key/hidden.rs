//! A site key in somebody's text, found and taken out; pure.
//!
//! In: any text. Out: where the key stood, `stk_...`; the rest stays to the byte. A key some characters of which are
//! percent-encoded, as in an address that was written by a careful encoder, is the key.

/// What stands in the place of the key.
const SHORTENED: &str = "stk_...";

/// Bytes of `%XX`.
const SEQUENCE_LENGTH: usize = 3;

/// `text` with `key` shortened wherever it stands; `None` where it does not.
pub fn without(text: &str, key: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let first = *key.as_bytes().first()?;
    let mut left = String::new();
    let mut kept = 0;
    let mut at = 0;
    while let Some(next) = memchr::memchr2(first, b'%', &bytes[at..]) {
        at += next;
        let Some(length) = spelled_length(&bytes[at..], key.as_bytes()) else {
            at += 1;
            continue;
        };
        left.push_str(&text[kept..at]);
        left.push_str(SHORTENED);
        at += length;
        kept = at;
    }
    if kept == 0 {
        return None;
    }
    left.push_str(&text[kept..]);
    Some(left)
}

/// The character of a site key that a percent sequence at the beginning of `text` encodes.
pub fn encoded(text: &[u8]) -> Option<u8> {
    let digits = text.get(..SEQUENCE_LENGTH)?.strip_prefix(b"%")?;
    let byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (byte.is_ascii_alphanumeric() || byte == b'_').then_some(byte)
}

/// Bytes at the beginning of `text` that spell `key`.
fn spelled_length(text: &[u8], key: &[u8]) -> Option<usize> {
    let mut length = 0;
    for character in key {
        length += match text.get(length..)? {
            [byte, ..] if byte == character => 1,
            rest if encoded(rest) == Some(*character) => SEQUENCE_LENGTH,
            _ => return None,
        };
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_gone_in_each_spelling_and_the_rest_stays() {
        let key = "stk_s1A";
        let all = "%73%74%6b%5F%73%31%41";
        for (text, left) in [
            ("stk_s1A", "stk_..."),
            ("a%5Fstk_s1Ab%41", "a%5Fstk_...b%41"),
            ("stk%5Fs1A stk%5fs%31A", "stk_... stk_..."),
            (
                "/%7E/stk_s1A?k=%73%74%6b%5F%73%31%41&é",
                "/%7E/stk_...?k=stk_...&é",
            ),
            ("sstk_s1A%73tk_s1A%", "sstk_...stk_...%"),
        ] {
            assert_eq!(without(text, key).as_deref(), Some(left), "{text}");
        }
        assert_eq!(without(all, key).as_deref(), Some("stk_..."));
        for text in [
            "",
            "%",
            "%7",
            "stk_",
            "stk_s1",
            "stk_s1%4",
            "stk_s1%éA",
            "%éstk_s1B",
            "stk%255Fs1A",
            "stk_s1a",
        ] {
            assert_eq!(without(text, key), None, "{text}");
        }
    }
}
