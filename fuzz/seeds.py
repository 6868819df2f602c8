#!/usr/bin/env python3
"""Seeds of both fuzz targets, made of the cases under tests/events, of what real trackers were recorded to send, and
of small documents that have what those lack: fuzz/seeds.py <folder>.

Nothing here but Python's own library. A body that is larger than what the targets try is left out.
"""

import base64
import gzip
import hashlib
import json
import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parent.parent / "tests"
EVENTS = TESTS / "events"
RECORDED = TESTS / "browser" / "recorded"
sys.path.insert(0, str(EVENTS))
from recipe import build  # noqa: E402

SITE_KEY = "stk_AAAAAAAAAAAAAAAAAAAAAAAA21z7oP"
LARGEST = 4096
NAMES = {
    "{{site_key}}": SITE_KEY,
    "{{basic site_key}}": base64.b64encode(f"{SITE_KEY}:".encode()).decode(),
}
NAMES |= {f"{{{{id_{n}}}}}": f"01234567-89ab-4cde-8f01-23456789abc{n}" for n in range(1, 10)}

# A seed is changed more often, and still JSON more often, the smaller it is: each way to nest, each kind of number.
NESTED = (
    '{"a":{"b":{"c":{"d":{"e":0}}}}}',
    '{"a":[[[[[0,1.5,1e9]]]]],"b":-2,"c":-0.1E-5}',
    '[{"a":{"b":[{"c":{"d":1}},{"c":"x"}]}}]',
    '{"batch":[{"a":{"b":{"c":[1e308,2E+10]}}}],"v":1}',
    '{"a":{"b":{"c":{"d":"\\u00e9\\ud83d\\ude00"}}}}',
    '"{\\"a\\":{\\"b\\":{\\"c\\":{\\"d\\":1}}}}"',
    '{"a":{"b":{"c":{"d":1}}}}\n{"a":{"b":{"c":{"d":2}}}}',
)

# As targets/ladder.rs reads them.
CODINGS = {"": 0, "br": 1, "gzip": 2, "deflate": 3}
HAS_FROM, HAS_TO = 4, 8


def cases():
    for path in sorted((EVENTS / "corpus").glob("*/*.json")):
        text = path.read_text()
        for name, value in NAMES.items():
            text = text.replace(name, value)
        yield json.loads(text)["request"]


def recorded():
    for path in sorted(RECORDED.glob("*.json")):
        page = json.loads(path.read_text())
        key = page["site_key"]
        for sent in page["requests"]:
            request = {name: sent[name].replace(key, SITE_KEY) for name in ("method", "path", "query")}
            request["headers"] = dict(sent["headers"])
            body = base64.b64decode(sent["body_base64"])
            is_gzip = body.startswith(b"\x1f\x8b")
            plain = (gzip.decompress(body) if is_gzip else body).replace(key.encode(), SITE_KEY.encode())
            yield request, plain
            if is_gzip:
                yield request, gzip.compress(plain, mtime=0)


def ladder(request, body):
    headers = {name.lower(): value for name, value in request.get("headers", {}).items()}
    settings = CODINGS.get(headers.get("content-encoding", ""), 0)
    settings |= HAS_FROM * ("ping-from" in headers) | HAS_TO * ("ping-to" in headers)
    query = request.get("query", "").encode()[:255]
    return bytes([settings, len(query)]) + query + body


def gateway(request, body):
    event = {
        "version": "2.0",
        "rawPath": request["path"],
        "rawQueryString": request.get("query", ""),
        "headers": request.get("headers", {}),
        "requestContext": {"http": {"method": request["method"], "sourceIp": "203.0.113.7"}, "timeEpoch": 1795357800123},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }
    try:
        event |= {"body": body.decode(), "isBase64Encoded": False}
    except UnicodeDecodeError:
        pass
    return json.dumps(event, ensure_ascii=False).encode()


def keep(folder, seed):
    if len(seed) <= LARGEST:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)


def main(target):
    for request in cases():
        body = build(request["body"]) if request.get("body") else b""
        keep(target / "ladder", ladder(request, body))
        keep(target / "gateway", gateway(request, body))
    for request, body in recorded():
        keep(target / "ladder", ladder(request, body))
        keep(target / "gateway", gateway(request, body))
    for text in NESTED:
        keep(target / "ladder", ladder({}, text.encode()))
        keep(target / "gateway", gateway({"method": "POST", "path": f"/{SITE_KEY}"}, text.encode()))
    for path in EVENTS.glob("http_*.json"):
        event = json.loads(path.read_text().replace("SITE_KEY", SITE_KEY))
        keep(target / "gateway", json.dumps(event, ensure_ascii=True).encode())


main(pathlib.Path(sys.argv[1]))
