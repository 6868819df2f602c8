#!/usr/bin/env python3
"""Sends the corpus to a collector and compares what it answers, and what it stored, with each case.

    tests/events/run.py --url http://127.0.0.1:9000 --site-key stk_... [--psql "psql -d tracking"]

Needs Python 3.9 and nothing else. Cases that need a key which was not given, and those that only a gateway can
send, are named as not run. Ends with 1 where a case failed. README.md has the format.
"""

import argparse
import base64
import hashlib
import http.client
import json
import pathlib
import re
import secrets
import subprocess
import sys
import urllib.parse
import uuid

sys.dont_write_bytecode = True

from recipe import build  # noqa: E402

CORPUS = pathlib.Path(__file__).parent / "corpus"
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
USER_AGENT = "conformance-kit/1"
GIF_BYTES = 43

# What every answer says that is not an image, by whether its status is 200.
UNIVERSAL = {True: {"code": 200, "status": 1, "success": True, "result": "Success"}, False: {"success": False}}

# An answer that takes longer is none.
TIMEOUT_S = 30

# For another collector's table this is the statement to change: one JSON object for each row of the receipts.
ROWS = """
select coalesce(json_agg(json_build_object(
    'status', r.processing_status,
    'quarantine', r.raw_payload -> '_quarantine',
    'matches', (
        select coalesce(json_agg(e.place - 1), '[]')
        from jsonb_array_elements(c.text::jsonb #> '{{expect,rows}}') with ordinality e(expected, place)
        where e.expected -> 'payload' = r.raw_payload
          and (not e.expected ? 'request' or r.request @> (e.expected -> 'request'))))), '[]')
from (values ($kit${case}$kit$)) c(text)
join raw.site_tracking_events_r r on r.batch_id in ({receipts})
"""


def main():
    options = arguments()
    failed, passed, not_run = [], 0, []
    for file in sorted(CORPUS.glob(options.only)):
        text, missing = filled(file.read_text(), options)
        case = json.loads(text)
        why = case.get("gateway_only") or missing or unset(case.get("settings", {}), options.settings)
        if why:
            not_run.append(f"{name_of(file)}: {why}")
            continue
        differences = run(text, case, options)
        if differences:
            failed.append(f"{name_of(file)}: {case['about']}\n    " + "\n    ".join(differences))
        else:
            passed += 1
    for line in failed:
        print(f"FAILED {line}")
    for line in not_run:
        print(f"not run {line}")
    print(f"{passed} passed, {len(failed)} failed, {len(not_run)} not run")
    return 1 if failed or not passed else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="where the collector listens, a path in front included")
    parser.add_argument("--site-key", required=True, help="an active key that takes any origin; new for each run")
    for name in ("revoked-key", "origin-key", "required-origin-key", "orphan-key"):
        parser.add_argument(f"--{name}", help="README.md says which")
    parser.add_argument("--settings", default="{}", type=json.loads, help="what the collector runs with, as in '{\"explain\": \"on\"}'")
    parser.add_argument("--psql", help="a command that takes SQL on its standard input; without it no row is looked at")
    parser.add_argument("--only", default="*/*.json", help="a pattern of files, as in 'pixel/*.json'")
    return parser.parse_args()


def unset(needed, settings):
    """Why a collector with `settings` cannot be sent a case that needs others."""
    return None if needed == settings else f"is for a collector with the settings {json.dumps(needed)}"


def name_of(file):
    return str(file.relative_to(CORPUS.parent))


def filled(text, options):
    """The case with its placeholders replaced, and which of them could not be."""
    keys = {
        "site_key": options.site_key,
        "other_key": unknown_key(),
        "revoked_key": options.revoked_key,
        "origin_key": options.origin_key,
        "required_origin_key": options.required_origin_key,
        "orphan_key": options.orphan_key,
    }
    values = {f"id_{number}": str(uuid.uuid4()) for number in range(1, 10)}
    for name, key in keys.items():
        values[name] = key
        values[f"basic {name}"] = key and base64.b64encode(f"{key}:".encode()).decode()
    missing = [name for name in re.findall(r"{{([a-z0-9_ ]+)}}", text) if values[name] is None]
    text = re.sub(r"{{([a-z0-9_ ]+)}}", lambda match: values[match[1]] or "", text)
    return text, f"needs --{missing[0].replace('_', '-')}" if missing else None


def unknown_key():
    """A site key of the right form that nobody made."""
    head = "stk_" + "".join(secrets.choice(BASE62) for _ in range(24))
    rest = int.from_bytes(hashlib.sha256(head.encode()).digest()[:4], "big")
    tail = ""
    for _ in range(6):
        rest, digit = divmod(rest, 62)
        tail = BASE62[digit] + tail
    return head + tail


def run(text, case, options):
    try:
        answers = [send(case["request"], options.url) for _ in range(case["request"].get("times", 1))]
    except (OSError, http.client.HTTPException) as error:
        return [f"no answer from {options.url}: {error}"]
    differences = answer_differences(case["expect"], *answers[-1])
    if options.psql:
        receipts = {receipt_of(*answer) for answer in answers} - {None}
        differences += row_differences(text, case["expect"]["rows"], receipts, options.psql)
    return differences


def send(request, url):
    """Status, headers by their names in small letters, body."""
    base = urllib.parse.urlsplit(url)
    connect = http.client.HTTPSConnection if base.scheme == "https" else http.client.HTTPConnection
    connection = connect(base.netloc, timeout=TIMEOUT_S)
    target = base.path.rstrip("/") + request["path"]
    if "query" in request:
        target += "?" + request["query"]
    body = build(request["body"]) if "body" in request else None
    headers = {"user-agent": USER_AGENT, **request.get("headers", {})}
    connection.putrequest(request["method"], target, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    if body is not None or request["method"] in ("POST", "PUT", "PATCH"):
        connection.putheader("content-length", str(len(body or b"")))
    connection.endheaders(body)
    response = connection.getresponse()
    answer = response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    connection.close()
    return answer


def answer_differences(expect, status, headers, body):
    allowed = expect["status"] if isinstance(expect["status"], list) else [expect["status"]]
    found = [] if status in allowed else [f"status {status}, expected {expect['status']}: {body[:200]!r}"]
    for name, value in expect.get("headers", {}).items():
        if name not in headers or value not in ("*", headers[name]):
            found.append(f"header {name}: {headers.get(name)!r}, expected {value!r}")
    if found:
        return found
    if expect["answer"] is None:
        return [f"a body of {len(body)} bytes, expected none"] if body else []
    if expect["answer"] == "gif":
        is_gif = body.startswith(b"GIF89a") and len(body) == GIF_BYTES and headers.get("content-type") == "image/gif"
        return [] if is_gif else [f"expected a GIF of {GIF_BYTES} bytes, got {body[:100]!r}"]
    try:
        answer = json.loads(body)
    except ValueError:
        return [f"the answer is no JSON: {body[:200]!r}"]
    if expect["answer"].get("explained"):
        return part_differences("answer", expect["answer"], answer)
    return part_differences("answer", {**UNIVERSAL[status == 200], **expect["answer"]}, answer)


def part_differences(where, expected, actual):
    """`actual` may say more than `expected`, but nothing else."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        parts = [part_differences(f"{where}.{name}", value, actual.get(name)) for name, value in expected.items()]
        return sum(parts, [])
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        return sum((part_differences(f"{where}[{i}]", e, a) for i, (e, a) in enumerate(zip(expected, actual))), [])
    return [] if expected == actual else [f"{where}: {actual!r}, expected {expected!r}"]


def receipt_of(_status, headers, body):
    try:
        return json.loads(body).get("receipt")
    except (ValueError, AttributeError):
        return headers.get("x-ingest-receipt")


def row_differences(text, expected, receipts, psql):
    names = ", ".join(f"'{uuid.UUID(receipt)}'" for receipt in receipts) or "null"
    sql = ROWS.format(case=text, receipts=names)
    command = f"{psql} -X -A -t -v ON_ERROR_STOP=1"
    asked = subprocess.run(command, shell=True, input=sql, text=True, capture_output=True, check=False)
    if asked.returncode:
        return [f"psql: {asked.stderr.strip()}"]
    rows, left = json.loads(asked.stdout), list(enumerate(expected))
    found = []
    for row in rows:
        match = next((pair for pair in left if is_match(*pair, row)), None)
        if match is None:
            found.append(f"a row that no expectation matches: {json.dumps(row)[:300]}")
        else:
            left.remove(match)
    return found + [f"no row for {json.dumps(row)[:300]}" for _, row in left]


def is_match(place, expected, row):
    if "payload" in expected:
        return row["status"] == "PENDING" and place in row["matches"]
    told, kept = expected["quarantined"], row["quarantine"]
    if row["status"] != "ERROR" or not kept or kept.get("tag") != told["tag"]:
        return False
    if "offset" in told and kept.get("offset") != told["offset"]:
        return False
    return base64.b64decode(kept["bytes"]) == build(told["bytes"])


if __name__ == "__main__":
    sys.exit(main())
