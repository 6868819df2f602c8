//! Compression found, taken off, refused.

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
fn so_many_members_and_no_more_are_gone_through() {
    let most = gzip(b"1").repeat(STREAMS_MAX);
    assert_eq!(*unpack(&body(&most), None).bytes, b"1".repeat(STREAMS_MAX));
    let more = [most.clone(), gzip(b"1")].concat();
    let packed = body(&more);
    let stopped = unpack(&packed, None).stopped;
    // It stops at the first that is too many.
    assert!(
        matches!(&stopped, Some(Stopped::Broken(at)) if at.offset == most.len()),
        "{stopped:?}"
    );
}

#[test]
fn a_coding_is_told_by_its_name() {
    for (coding, tag, broken) in [
        (Coding::Gzip, "gzip", "broken gzip"),
        (Coding::Zlib, "zlib", "broken zlib"),
        (Coding::Deflate, "deflate", "broken deflate"),
        (Coding::Zstd, "zstd", "broken zstd"),
        (Coding::Brotli, "br", "broken brotli"),
    ] {
        assert_eq!((coding.tag(), coding.broken()), (tag, broken));
    }
}

#[test]
fn room_is_asked_for_what_a_body_may_become() {
    for (bytes, said, expected) in [
        (JSON, None, JSON.len()),
        (JSON, Some("gzip"), JSON.len()),
        (JSON, Some("br"), UNPACKED_MAX_BYTES),
        (&gzip(JSON), None, UNPACKED_MAX_BYTES),
        (b"x\x01=1", None, UNPACKED_MAX_BYTES),
        (b"\xff\xfe", None, UNPACKED_MAX_BYTES),
    ] {
        assert_eq!(most_bytes(&body(bytes), said), expected, "{bytes:?}, {said:?}");
    }
}

#[test]
fn bytes_that_unpack_by_chance_stay_bytes() {
    let stored_empty = b"\x01\0\0\xff\xff";
    for bytes in [&deflate(b"\xff\xfe\xff"), &stored_empty[..], b"\xff\xfe"] {
        let body = body(bytes);
        let unpacked = unpack(&body, None);
        assert_eq!((&*unpacked.bytes, unpacked.coding), (bytes, None));
        assert_eq!(unpacked.stopped, None);
    }
}

#[test]
fn a_header_of_zlib_is_one_of_its_method_window_and_sum() {
    for (bytes, expected) in [
        (&b"\x78\x9c"[..], true),
        (b"\x08\x1d", true),
        (b"\x78\x9d", false),
        (b"\x88\x1c", false),
        (b"\x79\x18", false),
        (b"\x78\x20", false),
        (b"\xff\xfe", false),
        (b"\x78", false),
    ] {
        assert_eq!(has_zlib_header(bytes), expected, "{bytes:02x?}");
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
        &[&zl[..], b"garbage"].concat(),
        &[&gz[..10], &[0xff; 40]].concat(),
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
