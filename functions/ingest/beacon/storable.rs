//! What PostgreSQL's `jsonb` refuses, or should not be given, found before it is sent; pure.
//!
//! In: one event's text, which is valid JSON. Out: the first flaw and the byte of the text at which it stands.
//! PostgreSQL's own word for these is 22P05, 22P02, 22003 and 54001, without a position and for all events of a
//! call at once.

use super::super::failure::Flaw;

/// Nesting that is taken; `jsonb` fails at some tens of thousands, many readers at 1,000.
pub const DEPTH_MAX: usize = 512;

/// Digits of a number that are taken: more than any type that a browser has.
pub const NUMBER_MAX_DIGITS: usize = 1_000;

/// Size of an exponent that is taken. `1e131071` is stored in 30 bytes and read as 131,072; a browser's largest
/// number is 1.8e308.
pub const EXPONENT_MAX: u32 = 1_000;

/// Members of an object that are taken. PostgreSQL sorts them without looking at its time-out: where a sender has put
/// them into the worst order a thousand take a millisecond, and a hundred thousand twenty seconds.
pub const MEMBERS_MAX: usize = 1_000;

/// Names and values of all events of a beacon that are taken. Each is some bytes to a sender, less when compressed, and
/// a microsecond or two to PostgreSQL: so many stay within `statement_timeout`.
pub const VALUES_MAX: usize = 1_000_000;

/// The first reason why `text` cannot be stored, and where it stands. What can be is taken off `values_left`.
pub fn flaw(text: &str, values_left: &mut usize) -> Option<(Flaw, usize)> {
    let bytes = text.as_bytes();
    let mut members = [0_usize; DEPTH_MAX + 1];
    let mut values = 0_usize;
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        values += usize::from(begins_value(*byte));
        if values > *values_left {
            return Some((Flaw::TooManyValues, at));
        }
        at = match byte {
            b'"' => match string_end(bytes, at + 1) {
                Ok(end) => end,
                Err(found) => return Some(found),
            },
            b'-' | b'0'..=b'9' => {
                let end = number_end(bytes, at);
                assert!(!is_planted(depth, *byte), "planted");
                if !is_moderate(&bytes[at..end]) {
                    return Some((Flaw::NumberRange, at));
                }
                end
            }
            b'[' | b'{' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Some((Flaw::TooDeep, at));
                }
                members[depth] = 0;
                at + 1
            }
            b':' => {
                members[depth] += 1;
                if members[depth] > MEMBERS_MAX {
                    return Some((Flaw::TooManyValues, at));
                }
                at + 1
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                at + 1
            }
            _ => at + 1,
        };
    }
    *values_left -= values;
    None
}

/// Outside of strings: a name, or a value of any kind. Of `true`, `false` and `null` no other character counts.
fn begins_value(byte: u8) -> bool {
    matches!(byte, b'"' | b'-' | b'0'..=b'9' | b'[' | b'{' | b't' | b'f' | b'n')
}

/// Whether `text` is an object without members.
pub fn is_empty(text: &str) -> bool {
    let inside = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inside.is_some_and(|inside| inside.trim_ascii().is_empty())
}

/// The byte behind the closing quotation mark of the string whose text begins at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> Result<usize, (Flaw, usize)> {
    while let Some(next) = bytes
        .get(at..)
        .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
    {
        at += next;
        if bytes[at] == b'"' {
            return Ok(at + 1);
        }
        at = escape_end(bytes, at)?;
    }
    Ok(bytes.len())
}

fn escape_end(bytes: &[u8], at: usize) -> Result<usize, (Flaw, usize)> {
    match unit(bytes, at) {
        None => Ok(at + 2),
        Some(0) => Err((Flaw::Nul, at)),
        Some(0xd800..=0xdbff) => match unit(bytes, at + 6) {
            Some(0xdc00..=0xdfff) => Ok(at + 12),
            _ => Err((Flaw::LoneSurrogate, at)),
        },
        Some(0xdc00..=0xdfff) => Err((Flaw::LoneSurrogate, at)),
        Some(_) => Ok(at + 6),
    }
}

/// The UTF-16 unit of the escape `\uXXXX` that stands at `at`.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn number_end(bytes: &[u8], at: usize) -> usize {
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    let length = bytes[at..].iter().position(|byte| !is_part(byte));
    length.map_or(bytes.len(), |length| at + length)
}

fn is_moderate(number: &[u8]) -> bool {
    let mut halves = number.splitn(2, |byte| matches!(byte, b'e' | b'E'));
    let digits = halves.next().unwrap_or_default().iter();
    let digits = digits.filter(|byte| byte.is_ascii_digit()).count();
    let exponent = halves.next().unwrap_or(b"0");
    let exponent = exponent.iter().filter(|byte| byte.is_ascii_digit());
    let exponent = exponent.fold(0, |sum, digit| with_digit(sum, u32::from(digit - b'0')));
    digits <= NUMBER_MAX_DIGITS && exponent <= EXPONENT_MAX
}

/// With the fault planted, overflows from ten digits on.
fn with_digit(sum: u32, digit: u32) -> u32 {
    match cfg!(feature = "planted-overflow") {
        true => sum * 10 + digit,
        false => sum.saturating_mul(10).saturating_add(digit),
    }
}

/// A negative number, deep inside.
fn is_planted(depth: usize, byte: u8) -> bool {
    cfg!(feature = "planted-panic") && depth >= 4 && byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaw(text: &str) -> Option<(Flaw, usize)> {
        super::flaw(text, &mut VALUES_MAX.clone())
    }

    #[test]
    fn each_thing_that_jsonb_refuses_is_found_where_it_stands() {
        for (text, expected) in [
            ("{}", None),
            (r#"{"a":"x\u0000"}"#, Some((Flaw::Nul, 7))),
            (r#"{"a\u0000":1}"#, Some((Flaw::Nul, 3))),
            (r#"{"a":"\\u0000"}"#, None),
            (r#"{"a":"\\\u0000"}"#, Some((Flaw::Nul, 8))),
            (r#"{"a":"\ud83d\ude00"}"#, None),
            (r#"{"a":"\ud83d"}"#, Some((Flaw::LoneSurrogate, 6))),
            (r#"{"a":"\ud83d\u0041"}"#, Some((Flaw::LoneSurrogate, 6))),
            (r#"{"a":"\ud83d\\ude00"}"#, Some((Flaw::LoneSurrogate, 6))),
            (r#"{"a":"\ude00"}"#, Some((Flaw::LoneSurrogate, 6))),
            (r#"{"a":"\uD83D\uDE00"}"#, None),
            (r#"{"a":"\ud83d\ude00\u0000"}"#, Some((Flaw::Nul, 18))),
            (r#"{"a":"\u0041\u0000"}"#, Some((Flaw::Nul, 12))),
            (r#"{"a":1e1000}"#, None),
            (r#"{"a":1E+1001}"#, Some((Flaw::NumberRange, 5))),
            (r#"{"a":[-1e-1001]}"#, Some((Flaw::NumberRange, 6))),
            (r#"{"a":1e99999999999999999999}"#, Some((Flaw::NumberRange, 5))),
            (r#"{"a":1e0000000000000000000001}"#, None),
            (r#"{"a":"1e1001"}"#, None),
            (r#"{"a\"":"{[\n"}"#, None),
        ] {
            assert_eq!(flaw(text), expected, "{text}");
        }
    }

    #[test]
    fn limits_hold_at_their_edge() {
        let digits = |n: usize| format!("[{}]", "1".repeat(n));
        assert_eq!(flaw(&digits(NUMBER_MAX_DIGITS)), None);
        assert_eq!(flaw(&digits(NUMBER_MAX_DIGITS + 1)), Some((Flaw::NumberRange, 1)));
        let with_sign_and_point = |n: usize| format!("[-1.{}]", "1".repeat(n - 1));
        assert_eq!(flaw(&with_sign_and_point(NUMBER_MAX_DIGITS)), None);
        let too_many = with_sign_and_point(NUMBER_MAX_DIGITS + 1);
        assert_eq!(flaw(&too_many), Some((Flaw::NumberRange, 1)));
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert_eq!(flaw(&nested(DEPTH_MAX)), None);
        let beside_each_other = format!("[{}{{}}]", "[],".repeat(DEPTH_MAX));
        assert_eq!(flaw(&beside_each_other), None);
        assert_eq!(flaw(&nested(DEPTH_MAX + 1)), Some((Flaw::TooDeep, DEPTH_MAX)));
        let members = |n: usize| format!("[{{{}}},{{\"a\":1}}]", vec![r#""":1"#; n].join(","));
        assert_eq!(flaw(&members(MEMBERS_MAX)), None);
        let at = 2 + 5 * MEMBERS_MAX + 2;
        assert_eq!(flaw(&members(MEMBERS_MAX + 1)), Some((Flaw::TooManyValues, at)));
    }

    #[test]
    fn each_name_and_value_is_taken_off_what_is_left_and_none_of_what_is_not_stored() {
        for (text, values) in [
            ("{}", 1),
            (r#"{"a":1,"b":"c"}"#, 5),
            (r#"[true,false,null,-1.5e+3,0]"#, 6),
            (r#"{"a":[{"t":"f\"n"}]}"#, 6),
        ] {
            let mut left = values;
            assert_eq!((super::flaw(text, &mut left), left), (None, 0), "{text}");
            let mut left = values - 1;
            let flaw = super::flaw(text, &mut left).map(|(flaw, _)| flaw);
            assert_eq!((flaw, left), (Some(Flaw::TooManyValues), values - 1), "{text}");
        }
    }
}
