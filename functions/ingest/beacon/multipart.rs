//! The ladder's step for multipart bodies, what `sendBeacon` makes of `FormData`; pure.
//!
//! In: bytes that begin with a boundary, whatever label they have or lack: RFC 2046 puts the boundary into the first
//! line. Out: the fields, files among them, as a form's. A body that ends before its last boundary was cut off and
//! is none.

use std::borrow::Cow;

use memchr::memmem;

use super::super::failure::Flaw;
use super::document::Piece;
use super::fields::Fields;
use super::form::FIELDS_MAX;

/// Characters of a boundary, RFC 2046.
pub const BOUNDARY_MAX: usize = 70;

/// Headers of a part: a disposition, a type, an encoding, and some that nobody needs.
pub const HEADERS_MAX: usize = 8;

/// What a multipart body holds; `None` where it is none.
pub fn piece(bytes: &[u8]) -> Option<Piece<'_>> {
    let parts = parts(bytes)?;
    let mut fields = Fields::default();
    for (name, value) in parts {
        match std::str::from_utf8(value) {
            Ok(value) => fields.add(name, Cow::Borrowed(value)),
            Err(error) => {
                let begin = value.as_ptr() as usize - bytes.as_ptr() as usize;
                return Some(Piece::Garbage {
                    bytes,
                    flaw: Flaw::InvalidUtf8,
                    offset: begin + error.valid_up_to(),
                });
            }
        }
    }
    Some(Piece::Document(
        fields.document(bytes, |bytes| memchr::memchr(0, bytes).unwrap_or(0)),
    ))
}

fn parts(bytes: &[u8]) -> Option<Vec<(Cow<'_, str>, &[u8])>> {
    let first_line = memchr::memchr(b'\n', bytes)?;
    let dashed = bytes[..first_line].trim_ascii_end();
    let boundary = dashed.strip_prefix(b"--")?;
    if boundary.is_empty() || boundary.len() > BOUNDARY_MAX {
        return None;
    }
    let delimiter = [b"\r\n", dashed].concat();
    let finder = memmem::Finder::new(&delimiter);
    let mut parts = Vec::new();
    let mut rest = &bytes[first_line + 1..];
    loop {
        let end = finder.find(rest)?;
        parts.push(part(&rest[..end])?);
        rest = &rest[end + delimiter.len()..];
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        rest = next_line(rest)?;
        if parts.len() == FIELDS_MAX {
            return None;
        }
    }
}

fn part(part: &[u8]) -> Option<(Cow<'_, str>, &[u8])> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let httparse::Status::Complete((length, headers)) = httparse::parse_headers(part, &mut headers).ok()?
    else {
        return None;
    };
    let disposition = headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-disposition"))?;
    Some((name(disposition.value)?, &part[length..]))
}

/// The value of `name`. Browsers write quotation marks in it as `%22`.
fn name(disposition: &[u8]) -> Option<Cow<'_, str>> {
    let mut is_quoted = false;
    let mut parameters = disposition.split(|byte| {
        is_quoted ^= *byte == b'"';
        *byte == b';' && !is_quoted
    });
    let value = parameters.find_map(|parameter| parameter.trim_ascii().strip_prefix(b"name="))?;
    let value = match value.strip_prefix(b"\"") {
        Some(quoted) => &quoted[..memchr::memchr(b'"', quoted)?],
        None => value,
    };
    Some(String::from_utf8_lossy(value))
}

/// What follows the end of a line on which nothing stands.
fn next_line(rest: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(b'\n', rest)?;
    rest[..end].trim_ascii().is_empty().then(|| &rest[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &[u8]) -> Option<String> {
        match piece(body)? {
            Piece::Document(document) => Some(document.text.get().to_owned()),
            Piece::Garbage { flaw, offset, .. } => Some(format!("{flaw:?} at {offset}")),
        }
    }

    #[test]
    fn fields_are_those_of_a_form() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n2\r\n\r\n--b\r\n\
            content-disposition: form-data; filename=\"x; name=y.txt\"; name=t\r\nContent-Type: text/plain\r\n\r\n🫖\r\n--b--\r\n";
        assert_eq!(
            text(body.as_bytes()).unwrap(),
            "{\"a\":\"1\\r\\n2\\r\\n\",\"t\":\"🫖\"}"
        );
        let empty = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--b--";
        assert_eq!(text(empty.as_bytes()).unwrap(), r#"{"a":""}"#);
        let odd = b"--a b=c\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\xff\r\n--a b=c--";
        assert_eq!(text(odd).unwrap(), "InvalidUtf8 at 53");
        let odd = b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nxy\xff\r\n--b--";
        assert_eq!(text(odd).unwrap(), "InvalidUtf8 at 51");
    }

    #[test]
    fn limits_hold_at_their_edge() {
        for (boundary_bytes, is_taken) in [(1, true), (BOUNDARY_MAX, true), (BOUNDARY_MAX + 1, false)] {
            let dashed = format!("--{}", "b".repeat(boundary_bytes));
            let body = format!("{dashed}\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n{dashed}--");
            assert_eq!(piece(body.as_bytes()).is_some(), is_taken, "{boundary_bytes}");
        }
    }

    #[test]
    fn what_is_cut_off_or_no_form_is_none() {
        for body in [
            &b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1"[..],
            b"--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b",
            b"--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--",
            b"--b\r\nno header\r\n--b--",
            b"--\r\n\r\n--",
            b"--b",
            b"-- a note\nand more\n",
        ] {
            assert!(piece(body).is_none(), "{:?}", String::from_utf8_lossy(body));
        }
    }
}
