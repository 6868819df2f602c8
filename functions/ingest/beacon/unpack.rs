//! The ladder's first step: compression taken off; pure.
//!
//! In: a body as it was sent. Out: what is inside, and which coding it was in. The first bytes tell, whatever a
//! header says: gzip (of several members too) and zlib begin with marks of their own, a raw deflate stream is what
//! is no text and inflates to the end into text. The output is capped while it streams, so that a small body that
//! unpacks into a large one costs no more than the limit.

use std::borrow::Cow;

mod inflate;

use super::super::api_event::Body;
use super::super::failure::{Refusal, Undecodable};
use super::BODY_MAX_BYTES;
use inflate::{gunzip, inflate, Stop};

/// Bytes that a body may unpack to: twice what may be sent plain. Browsers send 64 KiB at most while a page goes
/// away, and a batch of JSON shrinks to a tenth; twenty of these at once stay below 128 MB of memory, since only
/// one is unpacked at a time.
pub const UNPACKED_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Codings on top of each other that are taken off: a tracker's own, and that of a proxy behind it.
const LAYERS_MAX: usize = 2;

/// What each gzip member begins with.
const GZIP_MARK: &[u8] = &[0x1f, 0x8b];

/// A body without its compression.
#[derive(Debug)]
pub struct Unpacked<'a> {
    /// What is inside; what was sent, where nothing could be taken off.
    pub bytes: Cow<'a, [u8]>,
    /// Coding of the outermost layer.
    pub coding: Option<Coding>,
    /// Why nothing, or nothing more, was taken off a body that seems to be compressed.
    pub stopped: Option<Stopped>,
}

/// What ends the unpacking.
#[derive(Debug, PartialEq, Eq)]
pub enum Stopped {
    /// A stream that begins rightly and stops being one.
    Broken(Undecodable),
    /// The body is too large.
    Refused(Refusal),
}

/// How a body was compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, what HTTP calls deflate.
    Zlib,
    /// RFC 1951, what some libraries call deflate.
    Deflate,
}

impl Coding {
    /// A word for logs.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
            Self::Deflate => "deflate",
        }
    }
}

/// Takes off what compression there is.
pub fn unpack<'a>(body: &'a Body<'_>) -> Unpacked<'a> {
    let mut unpacked = Unpacked {
        bytes: Cow::Borrowed(&body.bytes),
        coding: None,
        stopped: body.broken.clone().map(Stopped::Broken),
    };
    if body.bytes.len() > BODY_MAX_BYTES {
        unpacked.stopped = Some(Stopped::Refused(Refusal::TooLarge(body.bytes.len())));
    }
    for _ in 0..LAYERS_MAX {
        if unpacked.stopped.is_some() {
            break;
        }
        match layer(&unpacked.bytes) {
            Ok(None) => break,
            Ok(Some((coding, inside))) => {
                unpacked.bytes = Cow::Owned(inside);
                unpacked.coding.get_or_insert(coding);
            }
            Err(stopped) => unpacked.stopped = Some(stopped),
        }
    }
    unpacked
}

fn layer(body: &[u8]) -> Result<Option<(Coding, Vec<u8>)>, Stopped> {
    if body.starts_with(GZIP_MARK) {
        return taken(Coding::Gzip, gunzip(body));
    }
    let is_zlib = has_zlib_header(body);
    if is_zlib {
        match inflate(body, Coding::Zlib) {
            Err(Stop::Broken(_)) => {}
            whole => return taken(Coding::Zlib, whole),
        }
    }
    if std::str::from_utf8(body).is_ok() {
        return Ok(None);
    }
    match inflate(body, Coding::Deflate) {
        Ok(inside) if !inside.is_empty() && std::str::from_utf8(&inside).is_ok() => {
            Ok(Some((Coding::Deflate, inside)))
        }
        _ if is_zlib => taken(Coding::Zlib, inflate(body, Coding::Zlib)),
        Err(Stop::TooLarge) => Err(Stopped::Refused(Refusal::UnpacksTooLarge)),
        _ => Ok(None),
    }
}

fn taken(coding: Coding, inside: Result<Vec<u8>, Stop>) -> Result<Option<(Coding, Vec<u8>)>, Stopped> {
    match inside {
        Ok(inside) => Ok(Some((coding, inside))),
        Err(Stop::TooLarge) => Err(Stopped::Refused(Refusal::UnpacksTooLarge)),
        Err(Stop::Broken(offset)) => Err(Stopped::Broken(Undecodable {
            what: match coding {
                Coding::Gzip => "broken gzip",
                Coding::Zlib => "broken zlib",
                Coding::Deflate => "broken deflate",
            },
            offset,
        })),
    }
}

/// Deflate with a window of up to 32 KiB, no preset dictionary, and a check that one in 31 bytes passes by chance.
fn has_zlib_header(body: &[u8]) -> bool {
    let Some([method, flags]) = body.first_chunk() else {
        return false;
    };
    let is_deflate = method & 0x0f == 8 && method >> 4 <= 7;
    let has_dictionary = flags & 0x20 != 0;
    is_deflate && !has_dictionary && u16::from_be_bytes([*method, *flags]) % 31 == 0
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use flate2::Compression;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    const JSON: &[u8] = br#"{"event":"view","text":"the quick brown fox jumps over the lazy dog"}"#;

    fn body(bytes: &[u8]) -> Body<'_> {
        Body {
            bytes: Cow::Borrowed(bytes),
            broken: None,
        }
    }

    #[test]
    fn each_coding_is_known_by_its_bytes() {
        for (bytes, coding) in [
            (JSON.to_vec(), None),
            (gzip(JSON), Some(Coding::Gzip)),
            ([gzip(&JSON[..9]), gzip(&JSON[9..])].concat(), Some(Coding::Gzip)),
            ([gzip(JSON), b"\0\0\r\n".to_vec()].concat(), Some(Coding::Gzip)),
            (zlib(JSON), Some(Coding::Zlib)),
            (deflate(JSON), Some(Coding::Deflate)),
            (gzip(&gzip(JSON)), Some(Coding::Gzip)),
            (gzip(&zlib(JSON)), Some(Coding::Gzip)),
        ] {
            let body = body(&bytes);
            let unpacked = unpack(&body);
            assert_eq!((&*unpacked.bytes, unpacked.coding), (JSON, coding));
            assert_eq!(unpacked.stopped, None);
        }
    }

    #[test]
    fn text_that_looks_compressed_stays_text() {
        for text in ["x\u{1}=1", "x^a=b", "8=1", "", "h\u{81}", "a=ü", "{\"a\":\"ü"] {
            let body = body(text.as_bytes());
            let unpacked = unpack(&body);
            assert_eq!(
                (&*unpacked.bytes, unpacked.coding),
                (text.as_bytes(), None),
                "{text:?}"
            );
            assert_eq!(unpacked.stopped, None, "{text:?}");
        }
    }

    #[test]
    fn a_stream_that_was_cut_or_changed_is_broken_and_stays_as_it_was_sent() {
        let (gz, zl) = (gzip(JSON), zlib(JSON));
        let mut wrong_sum = gz.clone();
        let at = wrong_sum.len() - 8;
        wrong_sum[at] ^= 1;
        for bytes in [
            &gz[..gz.len() - 9],
            &gz[..5],
            &[&gz[..], b"garbage"].concat(),
            &wrong_sum,
            &[&gz[..], &gz[..20]].concat(),
            &zl[..zl.len() - 6],
        ] {
            let body = body(bytes);
            let unpacked = unpack(&body);
            assert_eq!(&*unpacked.bytes, bytes);
            assert!(matches!(unpacked.stopped, Some(Stopped::Broken(at)) if at.offset <= bytes.len()));
        }
        assert_eq!(unpack(&body(&deflate(JSON)[..30])).bytes, &deflate(JSON)[..30]);
    }

    #[test]
    fn what_is_too_much_is_refused_at_the_limit() {
        let spaces = vec![b' '; UNPACKED_MAX_BYTES + 1];
        let too_large = || Some(Stopped::Refused(Refusal::UnpacksTooLarge));
        for pack in [gzip, zlib, deflate] {
            assert_eq!(unpack(&body(&pack(&spaces[1..]))).bytes.len(), UNPACKED_MAX_BYTES);
            assert_eq!(unpack(&body(&pack(&spaces))).stopped, too_large());
        }
        let members = gzip(&spaces[..UNPACKED_MAX_BYTES / 2 + 1]).repeat(2);
        assert_eq!(unpack(&body(&members)).stopped, too_large());
        assert_eq!(unpack(&body(&spaces[..BODY_MAX_BYTES])).stopped, None);
        let sent = Some(Stopped::Refused(Refusal::TooLarge(BODY_MAX_BYTES + 1)));
        assert_eq!(unpack(&body(&spaces[..BODY_MAX_BYTES + 1])).stopped, sent);
    }
}
