//! Streams inflated to their end, and no further than the limit.
//!
//! In: bytes that are to be one stream, or gzip members one after the other. Out: what is inside all of them, or the
//! byte at which they stop being streams, or that there is too much inside.

use std::io::Read;

use flate2::bufread::GzDecoder;
use flate2::{Decompress, FlushDecompress, Status};

use super::{Coding, GZIP_MARK, UNPACKED_MAX_BYTES};

/// What a body is guessed to unpack to, for the first allocation.
const USUAL_RATIO: usize = 4;

/// Bytes by which the output grows at least.
const GROWTH_MIN_BYTES: usize = 4096;

/// Why there is nothing.
pub enum Stop {
    /// The stream makes no sense, or ends, at this byte.
    Broken(usize),
    /// More than the limit is inside.
    TooLarge,
}

/// All members, one after the other; zeros or white space may follow the last.
pub fn gunzip(body: &[u8]) -> Result<Vec<u8>, Stop> {
    let mut inside = Vec::with_capacity(guess(body.len()));
    let mut rest = body;
    while !rest.is_empty() {
        if !rest.starts_with(GZIP_MARK) {
            let is_padding = rest.iter().all(|byte| *byte == 0 || byte.is_ascii_whitespace());
            let at = body.len() - rest.len();
            return if is_padding {
                Ok(inside)
            } else {
                Err(Stop::Broken(at))
            };
        }
        let mut member = GzDecoder::new(rest);
        let room = UNPACKED_MAX_BYTES - inside.len();
        let read = member.by_ref().take(room as u64 + 1).read_to_end(&mut inside);
        if inside.len() > UNPACKED_MAX_BYTES {
            return Err(Stop::TooLarge);
        }
        rest = member.into_inner();
        read.map_err(|_| Stop::Broken(body.len() - rest.len()))?;
    }
    Ok(inside)
}

/// One stream that is the whole of `body`.
pub fn inflate(body: &[u8], coding: Coding) -> Result<Vec<u8>, Stop> {
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
