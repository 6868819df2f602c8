//! Characters beyond U+FFFF that an encoder wrote as two halves of three bytes each (CESU-8); pure.
//!
//! In: bytes. Out: the same bytes with each such pair as the one character that it is. A single half stays: it is
//! no UTF-8, and who reads the bytes next says so.

use std::borrow::Cow;

/// Both halves of a character.
const PAIR_BYTES: usize = 6;

/// `bytes` with pairs of halves put together.
pub fn joined(bytes: &[u8]) -> Cow<'_, [u8]> {
    if std::str::from_utf8(bytes).is_ok() {
        return Cow::Borrowed(bytes);
    }
    let mut joined = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(byte) = rest.first() {
        match rest.first_chunk::<PAIR_BYTES>().and_then(character) {
            Some(character) => {
                joined.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[PAIR_BYTES..];
            }
            None => {
                joined.push(*byte);
                rest = &rest[1..];
            }
        }
    }
    Cow::Owned(joined)
}

fn character(pair: &[u8; PAIR_BYTES]) -> Option<char> {
    let [0xed, high, high_end, 0xed, low, low_end] = *pair else {
        return None;
    };
    let is_pair = matches!(high, 0xa0..=0xaf) && matches!(low, 0xb0..=0xbf);
    let is_whole = [high_end, low_end].iter().all(|byte| matches!(byte, 0x80..=0xbf));
    let unit =
        |middle: u8, end: u8| u16::from_be_bytes([0xd0 | middle >> 2 & 0x0f, middle << 6 | end & 0x3f]);
    let units = [unit(high, high_end), unit(low, low_end)];
    let character = char::decode_utf16(units).next()?.ok();
    character.filter(|_| is_pair && is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_joined_and_everything_else_stays() {
        for (bytes, expected) in [
            (&b"a\xed\xa0\xbe\xed\xb6\x8ab"[..], "a🦊b".as_bytes()),
            (b"\xed\xa0\x80\xed\xb0\x80", "\u{10000}".as_bytes()),
            (b"\xed\xaf\xbf\xed\xbf\xbf", "\u{10ffff}".as_bytes()),
            (b"\xed\xa0\xbe", b"\xed\xa0\xbe"),
            (b"\xed\xb6\x8a\xed\xa0\xbe", b"\xed\xb6\x8a\xed\xa0\xbe"),
            (b"\xed\x20\xbe\xed\xb6\x8a", b"\xed\x20\xbe\xed\xb6\x8a"),
            (b"\xed\xa0\xbe\xed\x36\x8a", b"\xed\xa0\xbe\xed\x36\x8a"),
            (b"\xed\xa0\x3e\xed\xb6\x8a", b"\xed\xa0\x3e\xed\xb6\x8a"),
            (b"\xed\xa0\xbe\xed\xb6\x0a", b"\xed\xa0\xbe\xed\xb6\x0a"),
            (b"\xff\xed\x95\x9c", b"\xff\xed\x95\x9c"),
            ("🦊 한".as_bytes(), "🦊 한".as_bytes()),
        ] {
            assert_eq!(joined(bytes), expected, "{bytes:?}");
        }
    }
}
