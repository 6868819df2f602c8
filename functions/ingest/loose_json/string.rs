//! What stands between the quotation marks of a JSON string, in one allocation of the right size.
//!
//! In: a string's text, quotation marks included, whose escapes are valid. Out: its bytes. A body is such a string
//! in the gateway's event; a parser that grows its buffer as it reads takes four times as much for it. A lone
//! surrogate becomes three bytes that are no UTF-8.

use std::borrow::Cow;

/// Bytes of `\uXXXX`.
const UNIT_LENGTH: usize = 6;

/// The bytes of the string `json`; `None` where it is none.
pub fn unescaped(json: &[u8]) -> Option<Cow<'_, [u8]>> {
    let inside = json.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let Some(mut at) = memchr::memchr(b'\\', inside) else {
        return Some(Cow::Borrowed(inside));
    };
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside;
    loop {
        bytes.extend_from_slice(&rest[..at]);
        rest = &rest[at + escape(&rest[at..], &mut bytes)?..];
        at = match memchr::memchr(b'\\', rest) {
            Some(at) => at,
            None => break,
        };
    }
    bytes.extend_from_slice(rest);
    Some(Cow::Owned(bytes))
}

/// Writes what the escape at the beginning of `text` stands for. It gives the escape's length.
fn escape(text: &[u8], bytes: &mut Vec<u8>) -> Option<usize> {
    bytes.push(match text.get(1)? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'f' => 0x0c,
        b'u' => return character(text, bytes),
        itself => *itself,
    });
    Some(2)
}

fn character(text: &[u8], bytes: &mut Vec<u8>) -> Option<usize> {
    let first = unit(text)?;
    let second = text.get(UNIT_LENGTH..).and_then(unit);
    let units = [Some(first), second].into_iter().flatten();
    let (character, length) = match char::decode_utf16(units).next()? {
        Ok(character) => (character, character.len_utf16() * UNIT_LENGTH),
        Err(_) => {
            let [high, low] = first.to_be_bytes();
            let middle = (high & 0x0f) << 2 | low >> 6;
            bytes.extend_from_slice(&[0xe0 | high >> 4, 0x80 | middle, 0x80 | low & 0x3f]);
            return Some(UNIT_LENGTH);
        }
    };
    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Some(length)
}

/// The UTF-16 unit of the escape at the beginning of `text`.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.get(..UNIT_LENGTH)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_escape_stands_for_its_character() {
        for (json, expected) in [
            (&br#""""#[..], &b""[..]),
            (br#""plain""#, b"plain"),
            (br#""\"\\\/\n\r\t\b\f""#, b"\"\\/\n\r\t\x08\x0c"),
            (br#""a\u0041\u00e9\u20ac\ud83e\udd8az""#, "aAé€🦊z".as_bytes()),
            (br#""\\u0041""#, b"\\u0041"),
            (br#""\u0000""#, b"\0"),
            (br#""x\ud83ey""#, b"x\xed\xa0\xbey"),
            (br#""\udd8a\ud83e""#, b"\xed\xb6\x8a\xed\xa0\xbe"),
            (br#""\ud83e\u0041""#, b"\xed\xa0\xbeA"),
            (b"\"\xff\\n\"", b"\xff\n"),
        ] {
            assert_eq!(unescaped(json).unwrap(), expected, "{json:?}");
        }
        for json in [&b"1"[..], b"\"", b"", b"null"] {
            assert!(unescaped(json).is_none(), "{json:?}");
        }
    }

    #[test]
    fn what_serde_json_wrote_is_had_back() {
        for text in ["", "a\"b\\c/d", "\u{1}\u{1f}\n\t", "🦊é€", "\\u0041"] {
            let json = serde_json::to_string(text).unwrap();
            assert_eq!(unescaped(json.as_bytes()).unwrap(), text.as_bytes(), "{json}");
        }
    }
}
