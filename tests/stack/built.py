"""Says of what `sam build` made: the machine that each program is for, its size, and, where that is this machine's, what
it answers to one event. Fails where a program is for another machine, or answers otherwise than it should.

    python tests/stack/built.py BUILD_DIRECTORY arm64|x86_64
"""

import http.server
import json
import os
import pathlib
import platform
import struct
import subprocess
import sys
import threading
import time

MACHINES = {"x86_64": 62, "arm64": 183}
PATIENCE_S = 30

HEALTH = {
    "version": "2.0",
    "rawPath": "/health",
    "rawQueryString": "",
    "headers": {},
    "requestContext": {"http": {"method": "GET", "path": "/health", "sourceIp": "192.0.2.1"}, "stage": "$default"},
    "isBase64Encoded": False,
}

# The event that each program is given, and whether an answer is the right one: there is no database here.
EVENTS = {
    "IngestFunction": (HEALTH, lambda answer: answer.get("statusCode") == 200),
    "MigrateFunction": ({"action": "status"}, lambda answer: answer.get("ok") is False and "error" in answer),
}


def answer(program, event):
    """What the program answers, under a Runtime API that has this one event."""
    answers, given = [], threading.Event()

    class Runtime(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if given.is_set():
                time.sleep(PATIENCE_S)
            given.set()
            body = json.dumps(event).encode()
            self.send_response(200)
            self.send_header("Lambda-Runtime-Aws-Request-Id", "1")
            self.send_header("Lambda-Runtime-Deadline-Ms", str(int((time.time() + PATIENCE_S) * 1000)))
            self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:f")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()
            process.kill()

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Runtime)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    variables = {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_address[1]}",
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_LOG_GROUP_NAME": "g",
        "AWS_LAMBDA_LOG_STREAM_NAME": "s",
        "DB_HOST": "127.0.0.1",
        "DB_PORT": "1",
        "DB_NAME": "none",
        "DB_USER": "nobody",
        "DB_MIGRATOR_USER": "nobody",
        "DB_AUTH": "password",
        "DB_PASSWORD": "none",
        "DB_MIGRATOR_PASSWORD": "none",
    }
    process = subprocess.Popen([program], env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        said, _ = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
    if not answers:
        sys.exit(f"error: {program} answers nothing; it wrote:\n{said.decode(errors='replace')}")
    return answers[0]


def main(folder, architecture):
    for function, (event, is_right) in EVENTS.items():
        program = pathlib.Path(folder) / function / "bootstrap"
        head = program.read_bytes()[:20]
        (machine,) = struct.unpack("<H", head[18:20])
        if head[:4] != b"\x7fELF" or machine != MACHINES[architecture]:
            sys.exit(f"error: {program} is no program for {architecture}: machine {machine}")
        if b"libssl.so" in program.read_bytes():
            sys.exit(f"error: {program} needs an OpenSSL that the runtime may not have: build it with --cfg vendored_openssl")
        told = f"{function}: {architecture}, {os.path.getsize(program) / 1e6:.1f} MB"
        if platform.machine() == architecture.replace("arm64", "aarch64"):
            answered = answer(program, event)
            if not is_right(answered):
                sys.exit(f"error: {program} answers {answered}")
            told += ", answers an event"
        print(told)


main(*sys.argv[1:])
