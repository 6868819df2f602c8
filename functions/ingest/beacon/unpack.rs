//! The ladder's first step: compression taken off; pure.
//!
//! In: a body as it was sent. Out: what is inside, and which coding it was in. The first bytes tell, whatever a
//! header says: gzip (of several members too), zstd and zlib begin with marks of their own, a raw deflate stream is
//! what is no text and inflates to the end into text. Brotli alone has to be announced. The output is capped while
//! it streams, so that a small body that unpacks into a large one costs no more than the limit.

use std::borrow::Cow;

mod inflate;

use super::super::api_event::Body;
use super::super::failure::{Refusal, Undecodable};
use super::BODY_MAX_BYTES;
use inflate::{inflate, Stop};

/// Bytes that a body may unpack to: twice what may be sent plain. Browsers send 64 KiB at most while a page goes
/// away, and a batch of JSON shrinks to a tenth.
pub const UNPACKED_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Codings on top of each other that are taken off: a tracker's own, and that of a proxy behind it.
pub const LAYERS_MAX: usize = 2;

/// What streams that nothing else begins like begin with.
const MARKS: [(&[u8], Coding); 2] = [(GZIP_MARK, Coding::Gzip), (ZSTD_MARK, Coding::Zstd)];
const GZIP_MARK: &[u8] = &[0x1f, 0x8b];
const ZSTD_MARK: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Brotli has no mark: it is tried where the sender says so.
const BROTLI_NAME: &str = "br";

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
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
}

impl Coding {
    /// A word for logs.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
            Self::Brotli => "br",
        }
    }

    fn broken(self) -> &'static str {
        match self {
            Self::Gzip => "broken gzip",
            Self::Zlib => "broken zlib",
            Self::Deflate => "broken deflate",
            Self::Zstd => "broken zstd",
            Self::Brotli => "broken brotli",
        }
    }
}

/// How many bytes a body may have inside; nothing has been taken off yet. `said` is what the sender says of its
/// compression.
pub fn most_bytes(body: &Body<'_>, said: Option<&str>) -> usize {
    let is_plain = !is_brotli_said(said) && !has_zlib_header(&body.bytes);
    match is_plain && std::str::from_utf8(&body.bytes).is_ok() {
        true => body.bytes.len(),
        false => UNPACKED_MAX_BYTES,
    }
}

/// Takes off what compression there is. `said` is what the sender says of it.
pub fn unpack<'a>(body: &'a Body<'_>, said: Option<&str>) -> Unpacked<'a> {
    let may_be_brotli = is_brotli_said(said);
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
        match layer(&unpacked.bytes, may_be_brotli) {
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

fn layer(body: &[u8], may_be_brotli: bool) -> Result<Option<(Coding, Vec<u8>)>, Stopped> {
    let marked = MARKS.iter().find(|(mark, _)| body.starts_with(mark));
    if let Some((_, coding)) = marked {
        return taken(*coding, inflate(body, *coding));
    }
    let is_zlib = has_zlib_header(body);
    let candidates = [
        (is_zlib, Coding::Zlib),
        (may_be_brotli, Coding::Brotli),
        (std::str::from_utf8(body).is_err(), Coding::Deflate),
    ];
    for (_, coding) in candidates.into_iter().filter(|(is_candidate, _)| *is_candidate) {
        match inflate(body, coding) {
            Ok(inside) if is_text(&inside) => return Ok(Some((coding, inside))),
            Err(Stop::TooLarge) => return taken(coding, Err(Stop::TooLarge)),
            _ => {}
        }
    }
    if is_zlib && std::str::from_utf8(body).is_err() {
        return taken(Coding::Zlib, inflate(body, Coding::Zlib));
    }
    Ok(None)
}

/// What a body that has no mark of its own, or a short one, has to be inside, so that nothing is taken for
/// compressed by chance.
fn is_text(inside: &[u8]) -> bool {
    !inside.is_empty()
        && (std::str::from_utf8(inside).is_ok() || MARKS.iter().any(|(mark, _)| inside.starts_with(mark)))
}

fn taken(coding: Coding, inside: Result<Vec<u8>, Stop>) -> Result<Option<(Coding, Vec<u8>)>, Stopped> {
    match inside {
        Ok(inside) => Ok(Some((coding, inside))),
        Err(Stop::TooLarge) => Err(Stopped::Refused(Refusal::UnpacksTooLarge)),
        Err(Stop::Broken(offset)) => Err(Stopped::Broken(Undecodable {
            what: coding.broken(),
            offset,
        })),
    }
}

fn is_brotli_said(said: Option<&str>) -> bool {
    said.is_some_and(|said| said.to_ascii_lowercase().contains(BROTLI_NAME))
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

    /// `{"a":1}` as Node.js packs it.
    const BROTLI: &[u8] = b"\x60\x00\x10{\"a\":1}\x03";

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
            let unpacked = unpack(&body, None);
            assert_eq!((&*unpacked.bytes, unpacked.coding), (JSON, coding));
            assert_eq!(unpacked.stopped, None);
        }
    }

    #[test]
    fn text_that_looks_compressed_stays_text() {
        for text in ["x\u{1}=1", "x^a=b", "8=1", "", "h\u{81}", "a=ü", "{\"a\":\"ü"] {
            let body = body(text.as_bytes());
            let unpacked = unpack(&body, None);
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
            let unpacked = unpack(&body, None);
            assert_eq!(&*unpacked.bytes, bytes);
            assert!(matches!(unpacked.stopped, Some(Stopped::Broken(at)) if at.offset <= bytes.len()));
        }
        assert_eq!(
            unpack(&body(&deflate(JSON)[..30]), None).bytes,
            &deflate(JSON)[..30]
        );
    }

    #[test]
    fn zstd_is_known_by_its_mark_and_brotli_where_it_is_announced() {
        let zstd = ruzstd::encoding::compress_to_vec(JSON, ruzstd::encoding::CompressionLevel::Fastest);
        assert_eq!(unpack(&body(&zstd), None).bytes, JSON);
        assert!(matches!(
            unpack(&body(&zstd[..20]), None).stopped,
            Some(Stopped::Broken(_))
        ));
        assert_eq!(*unpack(&body(BROTLI), Some("BR")).bytes, *br#"{"a":1}"#);
        assert_eq!(unpack(&body(BROTLI), None).bytes, BROTLI);
        for plain in [JSON, b"a=1&b=2", b"\xff\xfe"] {
            assert_eq!(unpack(&body(plain), Some("br")).bytes, plain);
        }
    }

    #[test]
    fn what_is_too_much_is_refused_at_the_limit() {
        let spaces = vec![b' '; UNPACKED_MAX_BYTES + 1];
        let too_large = || Some(Stopped::Refused(Refusal::UnpacksTooLarge));
        for pack in [gzip, zlib, deflate] {
            assert_eq!(
                unpack(&body(&pack(&spaces[1..])), None).bytes.len(),
                UNPACKED_MAX_BYTES
            );
            assert_eq!(unpack(&body(&pack(&spaces)), None).stopped, too_large());
        }
        let members = gzip(&spaces[..UNPACKED_MAX_BYTES / 2 + 1]).repeat(2);
        assert_eq!(unpack(&body(&members), None).stopped, too_large());
        assert_eq!(unpack(&body(&spaces[..BODY_MAX_BYTES]), None).stopped, None);
        let sent = Some(Stopped::Refused(Refusal::TooLarge(BODY_MAX_BYTES + 1)));
        assert_eq!(unpack(&body(&spaces[..BODY_MAX_BYTES + 1]), None).stopped, sent);
    }
}
