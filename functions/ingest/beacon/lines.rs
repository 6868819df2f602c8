//! The ladder's step for lines: a body of several lines, each of which is a JSON text or a form; pure.
//!
//! In: bytes that are no JSON text as a whole. Out: one piece for each line that is not blank, or nothing where the
//! lines are no events. A line that is none among others that are is kept as it stands.

use super::super::failure::{Flaw, Refusal};
use super::document::Piece;
use super::{form, json, EVENTS_MAX};

/// The JSON texts of a body whose first line, or every second one at least, is an object or an array.
///
/// # Errors
/// There are more of them than a beacon may have.
pub fn of_json(bytes: &[u8]) -> Result<Option<Vec<Piece<'_>>>, Refusal> {
    let count = lines(bytes).count();
    let begins_as_json = |line: &&[u8]| matches!(line[0], b'{' | b'[');
    let candidates = lines(bytes).filter(begins_as_json).count();
    if count < 2 || candidates == 0 {
        return Ok(None);
    }
    if count > EVENTS_MAX {
        let is_json = lines(bytes)
            .next()
            .is_some_and(|line| json::document(line).is_ok());
        return if is_json {
            Err(Refusal::TooMany(count))
        } else {
            Ok(None)
        };
    }
    let pieces: Vec<Piece<'_>> = lines(bytes).map(piece).collect();
    let is_container = |piece: &Piece<'_>| match piece {
        Piece::Document(document) => document.text.get().starts_with(['{', '[']),
        Piece::Garbage { .. } => false,
    };
    let containers = pieces.iter().filter(|piece| is_container(piece)).count();
    let are_events = is_container(&pieces[0]) || containers * 2 >= count;
    Ok(are_events.then_some(pieces))
}

/// The forms of a body in which every line is one.
///
/// # Errors
/// There are more of them than a beacon may have.
pub fn of_forms(bytes: &[u8]) -> Result<Option<Vec<Piece<'_>>>, Refusal> {
    let count = lines(bytes).count();
    if count < 2 || !lines(bytes).all(form::is_form) {
        return Ok(None);
    }
    if count > EVENTS_MAX {
        return Err(Refusal::TooMany(count));
    }
    Ok(Some(lines(bytes).map(form::piece).collect()))
}

fn piece(line: &[u8]) -> Piece<'_> {
    match json::document(line) {
        Ok(document) => Piece::Document(document),
        Err(offset) => Piece::Garbage {
            bytes: line,
            flaw: Flaw::NotJson,
            offset,
        },
    }
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(body: &str) -> Option<String> {
        let pieces = of_json(body.as_bytes()).unwrap()?;
        let shape = pieces.iter().map(|piece| match piece {
            Piece::Document(_) => 'd',
            Piece::Garbage { .. } => 'g',
        });
        Some(shape.collect())
    }

    #[test]
    fn lines_are_events_where_the_first_or_half_of_them_are() {
        for (body, expected) in [
            ("{\"a\":1}\n{\"b\":2}", Some("dd")),
            ("{\"a\":1}\r\n\r\n \t\n[2]\r\n", Some("dd")),
            ("{\"a\":1}\noops\nworse", Some("dgg")),
            ("oops\n{\"a\":1}", Some("gd")),
            ("{\"a\":NaN}\n{\"b\":2}\n{\"b\":3}", Some("gdd")),
            ("{\"a\":1}\n2\n\"x\"", Some("ddd")),
            ("1\n2", None),
            ("{\n\"a\": 1,\n}", None),
            ("[\n{\"a\":1},\n{\"b\":2}\n", None),
            ("one\ntwo", None),
            ("{\"a\":1}", None),
        ] {
            assert_eq!(shape(body).as_deref(), expected, "{body:?}");
        }
    }

    #[test]
    fn each_line_of_a_gtag_batch_is_a_form() {
        assert_eq!(
            of_forms(b"en=scroll&x=1\r\nen=click\r\n").unwrap().unwrap().len(),
            2
        );
        assert!(of_forms(b"en=scroll\nhello world").unwrap().is_none());
        assert!(of_forms(b"en=scroll").unwrap().is_none());
    }

    #[test]
    fn more_lines_than_events_are_too_many() {
        let most = "{\"a\":1}\n".repeat(EVENTS_MAX);
        assert_eq!(of_json(most.as_bytes()).unwrap().unwrap().len(), EVENTS_MAX);
        let most = "a=1\n".repeat(EVENTS_MAX);
        assert_eq!(of_forms(most.as_bytes()).unwrap().unwrap().len(), EVENTS_MAX);
        let lines = "{\"a\":1}\n".repeat(EVENTS_MAX + 1);
        assert_eq!(
            of_json(lines.as_bytes()).unwrap_err(),
            Refusal::TooMany(EVENTS_MAX + 1)
        );
        let forms = "a=1\n".repeat(EVENTS_MAX + 1);
        assert_eq!(
            of_forms(forms.as_bytes()).unwrap_err(),
            Refusal::TooMany(EVENTS_MAX + 1)
        );
    }
}
