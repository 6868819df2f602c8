//! A body's recipe as bytes; the table stands in `tests/events/README.md`.

use std::io::Write;

use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use base64::Engine;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flate2::Compression;
use percent_encoding::{utf8_percent_encode, AsciiSet, NON_ALPHANUMERIC};
use serde_json::Value;

/// What RFC 3986 leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// # Panics
/// The recipe has a name that nobody knows.
pub fn build(recipe: &Value) -> Vec<u8> {
    let members = recipe
        .as_object()
        .unwrap_or_else(|| panic!("no recipe: {recipe}"));
    let is_argument = |name: &str| matches!(name, "times" | "by");
    let (name, value) = members.iter().find(|(name, _)| !is_argument(name)).unwrap();
    let argument = |name: &str| usize::try_from(recipe[name].as_u64().unwrap()).unwrap();
    let text = || value.as_str().unwrap();
    match name.as_str() {
        "utf8" => text().as_bytes().to_vec(),
        "json" => value.to_string().into_bytes(),
        "crlf" => lines(value).into_bytes(),
        "json_escaped" => text().chars().map(escape).collect::<String>().into_bytes(),
        "hex" => hex(text()),
        "base64" => STANDARD.decode(text()).unwrap(),
        "concat" => value.as_array().unwrap().iter().flat_map(build).collect(),
        "repeat" => build(value).repeat(argument("times")),
        "truncate" => {
            let mut bytes = build(value);
            bytes.truncate(bytes.len() - argument("by"));
            bytes
        }
        _ => wrapped(name, &build(value)),
    }
}

fn wrapped(name: &str, bytes: &[u8]) -> Vec<u8> {
    let text = || std::str::from_utf8(bytes).unwrap();
    match name {
        "gzip" => {
            let mut packer = GzEncoder::new(Vec::new(), Compression::default());
            packer.write_all(bytes).unwrap();
            packer.finish().unwrap()
        }
        "zlib" => {
            let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
            packer.write_all(bytes).unwrap();
            packer.finish().unwrap()
        }
        "deflate" => {
            let mut packer = DeflateEncoder::new(Vec::new(), Compression::default());
            packer.write_all(bytes).unwrap();
            packer.finish().unwrap()
        }
        "base64_of" => STANDARD.encode(bytes).into_bytes(),
        "base64url_of" => URL_SAFE_NO_PAD.encode(bytes).into_bytes(),
        "percent" => utf8_percent_encode(text(), UNRESERVED).to_string().into_bytes(),
        "json_string" => Value::from(text()).to_string().into_bytes(),
        _ => panic!("no recipe is called {name}"),
    }
}

fn lines(value: &Value) -> String {
    let lines = value.as_array().unwrap().iter();
    let lines: Vec<&str> = lines.map(|line| line.as_str().unwrap()).collect();
    lines.join("\r\n")
}

/// The escape of a character of the basic plane.
fn escape(character: char) -> String {
    format!("\\u{:04x}", u32::from(character))
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
    use serde_json::json;

    use super::*;

    #[test]
    fn each_recipe_yields_the_bytes_that_the_readme_says() {
        for (recipe, expected) in [
            (json!({ "utf8": "Zoë" }), &b"Zo\xc3\xab"[..]),
            (json!({ "json": { "a": [1, "b"] } }), br#"{"a":[1,"b"]}"#),
            (json!({ "crlf": ["a", "", "b"] }), b"a\r\n\r\nb"),
            (json!({ "json_escaped": "a_" }), br"\u0061\u005f"),
            (json!({ "hex": "00ff7f" }), b"\x00\xff\x7f"),
            (json!({ "base64": "aGk=" }), b"hi"),
            (json!({ "concat": [{ "utf8": "a" }, { "hex": "00" }] }), b"a\0"),
            (json!({ "repeat": { "utf8": "ab" }, "times": 3 }), b"ababab"),
            (json!({ "truncate": { "utf8": "abcd" }, "by": 3 }), b"a"),
            (json!({ "base64_of": { "hex": "fbff" } }), b"+/8="),
            (json!({ "base64url_of": { "hex": "fbff" } }), b"-_8"),
            (json!({ "percent": { "utf8": "a b+ö~" } }), b"a%20b%2B%C3%B6~"),
            (
                json!({ "json_string": { "utf8": "{\"a\":\"\\n\"}" } }),
                br#""{\"a\":\"\\n\"}""#,
            ),
        ] {
            assert_eq!(build(&recipe), expected, "{recipe}");
        }
    }

    #[test]
    fn what_is_compressed_is_had_back() {
        let packed = |name: &str| build(&json!({ name: { "utf8": "text" } }));
        let mut texts = [String::new(), String::new(), String::new()];
        MultiGzDecoder::new(&packed("gzip")[..])
            .read_to_string(&mut texts[0])
            .unwrap();
        ZlibDecoder::new(&packed("zlib")[..])
            .read_to_string(&mut texts[1])
            .unwrap();
        DeflateDecoder::new(&packed("deflate")[..])
            .read_to_string(&mut texts[2])
            .unwrap();
        assert_eq!(texts, ["text", "text", "text"]);
    }
}
