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
use super::{BODY_MAX_BYTES, BYTE_ORDER_MARK};
pub use inflate::STREAMS_MAX;

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

/// A raw deflate stream has none either, but inflates to its end by chance hardly ever.
const DEFLATE_NAME: &str = "deflate";

/// What JSON that can hold an odd byte begins with.
const JSON_BEGINS: [u8; 3] = [b'{', b'[', b'"'];

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
    let is_plain = !is_said(said, BROTLI_NAME) && !has_zlib_header(&body.bytes);
    match is_plain && std::str::from_utf8(&body.bytes).is_ok() {
        true => body.bytes.len(),
        false => UNPACKED_MAX_BYTES,
    }
}

/// Takes off what compression there is. `said` is what the sender says of it.
pub fn unpack<'a>(body: &'a Body<'_>, said: Option<&str>) -> Unpacked<'a> {
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
        match layer(&unpacked.bytes, said) {
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

fn layer(body: &[u8], said: Option<&str>) -> Result<Option<(Coding, Vec<u8>)>, Stopped> {
    let marked = MARKS.iter().find(|(mark, _)| body.starts_with(mark));
    if let Some((_, coding)) = marked {
        return taken(*coding, inflate(body, *coding));
    }
    let is_zlib = has_zlib_header(body);
    let candidates = [
        (is_zlib, Coding::Zlib),
        (is_said(said, BROTLI_NAME), Coding::Brotli),
        (std::str::from_utf8(body).is_err(), Coding::Deflate),
    ];
    for (_, coding) in candidates.into_iter().filter(|(is_candidate, _)| *is_candidate) {
        match inflate(body, coding) {
            Ok(inside) if is_text(&inside) || (is_announced(coding, said) && begins_json(&inside)) => {
                return Ok(Some((coding, inside)));
            }
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

/// Where the sender says what it is, one odd byte inside must not cost the others.
fn begins_json(inside: &[u8]) -> bool {
    let inside = inside.strip_prefix(BYTE_ORDER_MARK).unwrap_or(inside);
    inside
        .trim_ascii_start()
        .first()
        .is_some_and(|byte| JSON_BEGINS.contains(byte))
}

fn is_announced(coding: Coding, said: Option<&str>) -> bool {
    match coding {
        Coding::Brotli => is_said(said, BROTLI_NAME),
        Coding::Deflate => is_said(said, DEFLATE_NAME),
        Coding::Gzip | Coding::Zlib | Coding::Zstd => false,
    }
}

fn is_said(said: Option<&str>, name: &str) -> bool {
    said.is_some_and(|said| said.to_ascii_lowercase().contains(name))
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
mod tests;
