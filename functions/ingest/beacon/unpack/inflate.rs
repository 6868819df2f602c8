//! Streams inflated to their end, and no further than the limit.
//!
//! In: bytes that are to be one stream, or gzip members one after the other. Out: what is inside all of them, or the
//! byte at which they stop being streams, or that there is too much inside.

use std::io::{self, Read};

use flate2::bufread::GzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use ruzstd::decoding::StreamingDecoder;

use super::{Coding, GZIP_MARK, UNPACKED_MAX_BYTES, ZSTD_MARK};

/// What a body is guessed to unpack to, for the first allocation.
const USUAL_RATIO: usize = 4;

/// Bytes by which the output grows at least.
const GROWTH_MIN_BYTES: usize = 4096;

/// What the decoder reads at a time; the body is in memory already.
const BROTLI_BUFFER_BYTES: usize = 4096;

/// Gzip members, or zstd frames, that stand one after the other. Each costs some microseconds also where it is empty,
/// and thousands of empty ones are a few bytes when they are compressed once more.
pub const STREAMS_MAX: usize = 1_000;

/// Why there is nothing.
pub enum Stop {
    /// The stream makes no sense, or ends, at this byte.
    Broken(usize),
    /// More than the limit is inside.
    TooLarge,
}

/// What is inside `body`, all of which is in one coding.
pub fn inflate(body: &[u8], coding: Coding) -> Result<Vec<u8>, Stop> {
    match coding {
        Coding::Gzip => members(body, GZIP_MARK, |rest, inside| {
            let mut member = GzDecoder::new(rest);
            let read = read(&mut member, inside);
            (member.into_inner(), read)
        }),
        Coding::Zstd => members(body, ZSTD_MARK, |mut rest, inside| {
            let frame = StreamingDecoder::new_with_max_window_size(&mut rest, UNPACKED_MAX_BYTES as u64);
            let read = frame
                .map_err(io::Error::other)
                .and_then(|mut frame| read(&mut frame, inside));
            (rest, read)
        }),
        Coding::Brotli => {
            let mut inside = Vec::with_capacity(guess(body.len()));
            let mut stream = brotli_decompressor::Decompressor::new(body, BROTLI_BUFFER_BYTES);
            read(&mut stream, &mut inside).map_err(|_| Stop::Broken(0))?;
            within_limit(inside)
        }
        Coding::Zlib | Coding::Deflate => deflated(body, coding),
    }
}

/// All members, one after the other; zeros or white space may follow the last. `member` reads one, and gives what
/// follows it.
fn members(
    body: &[u8],
    mark: &[u8],
    member: impl for<'b> Fn(&'b [u8], &mut Vec<u8>) -> (&'b [u8], io::Result<()>),
) -> Result<Vec<u8>, Stop> {
    let mut inside = Vec::with_capacity(guess(body.len()));
    let mut rest = body;
    let mut count = 0;
    while rest.starts_with(mark) {
        count += 1;
        if count > STREAMS_MAX {
            return Err(Stop::Broken(body.len() - rest.len()));
        }
        let (after, read) = member(rest, &mut inside);
        if inside.len() > UNPACKED_MAX_BYTES {
            return Err(Stop::TooLarge);
        }
        rest = after;
        read.map_err(|_| Stop::Broken(body.len() - rest.len()))?;
    }
    let is_padding = rest.iter().all(|byte| *byte == 0 || byte.is_ascii_whitespace());
    is_padding
        .then_some(inside)
        .ok_or(Stop::Broken(body.len() - rest.len()))
}

/// Reads to the end, or one byte past the limit.
fn read(stream: &mut impl Read, inside: &mut Vec<u8>) -> io::Result<()> {
    let room = UNPACKED_MAX_BYTES + 1 - inside.len();
    stream.take(room as u64).read_to_end(inside).map(|_| ())
}

fn within_limit(inside: Vec<u8>) -> Result<Vec<u8>, Stop> {
    (inside.len() <= UNPACKED_MAX_BYTES)
        .then_some(inside)
        .ok_or(Stop::TooLarge)
}

/// One stream that is the whole of `body`.
fn deflated(body: &[u8], coding: Coding) -> Result<Vec<u8>, Stop> {
    let mut inflater = Decompress::new(coding == Coding::Zlib);
    let mut inside = Vec::with_capacity(guess(body.len()));
    let mut read = 0;
    loop {
        if inside.len() == inside.capacity() {
            let room = UNPACKED_MAX_BYTES + 1 - inside.len();
            inside.reserve_exact(inside.len().max(GROWTH_MIN_BYTES).min(room));
        }
        let before = (read, inside.len());
        let status = inflater
            .decompress_vec(&body[read..], &mut inside, FlushDecompress::None)
            .map_err(|_| Stop::Broken(read))?;
        read = usize::try_from(inflater.total_in()).unwrap_or(body.len());
        if inside.len() > UNPACKED_MAX_BYTES {
            return Err(Stop::TooLarge);
        }
        match status {
            Status::StreamEnd if read == body.len() => return Ok(inside),
            Status::StreamEnd => return Err(Stop::Broken(read)),
            _ if before == (read, inside.len()) => return Err(Stop::Broken(read)),
            _ => {}
        }
    }
}

fn guess(packed_bytes: usize) -> usize {
    packed_bytes.saturating_mul(USUAL_RATIO).min(UNPACKED_MAX_BYTES)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::ZlibEncoder;
    use flate2::Compression;

    use super::*;

    #[test]
    fn a_second_member_has_only_the_room_that_is_left() {
        let mut inside = vec![0; 10];
        read(&mut io::repeat(0), &mut inside).unwrap();
        assert_eq!(inside.len(), UNPACKED_MAX_BYTES + 1);
    }

    #[test]
    fn no_more_is_allocated_than_the_limit() {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&vec![b' '; UNPACKED_MAX_BYTES]).unwrap();
        let packed = encoder.finish().unwrap();
        let Ok(inside) = inflate(&packed, Coding::Zlib) else {
            panic!("not inflated")
        };
        assert_eq!(inside.len(), UNPACKED_MAX_BYTES);
        assert!(
            inside.capacity() <= UNPACKED_MAX_BYTES + 1,
            "{}",
            inside.capacity()
        );
    }
}
