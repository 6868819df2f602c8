"""Answers `sam deploy --guided` as the README says, up to where SAM first asks AWS for something.

Usage: guided.py SAM. Exit code 1 where a question comes that the README has no answer for.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from samtranslator.yaml_helper import yaml_parse

# Where SAM asks for it, and what the README says to answer; Enter is right for all others.
QUESTION = "Do you want to sign your code?"
ANSWER = "n"
# Stack name and region before the parameters; changes, roles and rollback behind them.
BEFORE, BEHIND = 2, 3
# Whether, where and under which name the answers are kept.
KEPT = 3
REACHED = "Looking for resources needed for deployment"
# Nobody listens there.
NOWHERE = "http://127.0.0.1:1"
LIMIT_S = 120

project = pathlib.Path(__file__).parents[2]
readme = (project / "README.md").read_text()
if f"`{ANSWER}` to \"{QUESTION}\"" not in readme:
    sys.exit(f"the README does not answer {QUESTION!r}")
parameters = yaml_parse((project / "template.yaml").read_text())["Parameters"]
answers = [""] * (BEFORE + len(parameters) + BEHIND) + [ANSWER] + [""] * KEPT
with tempfile.TemporaryDirectory() as folder:
    for name in ["template.yaml", "samconfig.toml"]:
        shutil.copy(project / name, folder)
    environment = {
        **os.environ,
        "SAM_CLI_TELEMETRY": "0",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_ENDPOINT_URL": NOWHERE,
        "AWS_MAX_ATTEMPTS": "1",
    }
    asked = subprocess.run(
        [str(pathlib.Path(sys.argv[1]).absolute()), "deploy", "--guided", "--template", "template.yaml"],
        input="\n".join(answers) + "\n",
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
said = asked.stdout + asked.stderr
if REACHED not in said or said.count("?") != 1 or QUESTION not in said:
    sys.exit(f"another dialogue than the README's:\n{said}")
