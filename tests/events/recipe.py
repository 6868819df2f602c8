"""A body's recipe as bytes. README.md has the table; nothing here but Python's own library."""

import base64
import json
import urllib.parse
import zlib

ZLIB_WITH_GZIP_HEADER = 31
RAW_DEFLATE = -15


def build(recipe):
    """The bytes that `recipe`, an object with one name (and `times` or `by`), stands for."""
    name = next(name for name in recipe if name not in ("times", "by"))
    value = recipe[name]
    if name in LITERAL:
        return LITERAL[name](value)
    if name == "concat":
        return b"".join(build(part) for part in value)
    inner = build(value)
    if name == "repeat":
        return inner * recipe["times"]
    if name == "truncate":
        return inner[: -recipe["by"]]
    return WRAPPED[name](inner)


def compressed(data, window):
    packer = zlib.compressobj(wbits=window)
    return packer.compress(data) + packer.flush()


LITERAL = {
    "utf8": lambda text: text.encode(),
    "json": lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(),
    "crlf": lambda lines: "\r\n".join(lines).encode(),
    "json_escaped": lambda text: "".join(f"\\u{ord(character):04x}" for character in text).encode(),
    "hex": bytes.fromhex,
    "base64": base64.b64decode,
}

WRAPPED = {
    "gzip": lambda data: compressed(data, ZLIB_WITH_GZIP_HEADER),
    "zlib": lambda data: compressed(data, zlib.MAX_WBITS),
    "deflate": lambda data: compressed(data, RAW_DEFLATE),
    "base64_of": base64.b64encode,
    "base64url_of": lambda data: base64.urlsafe_b64encode(data).rstrip(b"="),
    "percent": lambda data: urllib.parse.quote_from_bytes(data, safe="").encode(),
    "json_string": lambda data: json.dumps(data.decode()).encode(),
}
