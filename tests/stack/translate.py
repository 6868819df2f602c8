"""Prints a template as the SAM transform hands it to CloudFormation, for defaults of all parameters but those given.

Usage: translate.py template.yaml [Parameter=value ...]

What SAM leaves to CloudFormation (conditions, intrinsic functions, rules) is left; the tests evaluate it.
"""

import json
import os
import pathlib
import sys
import warnings

warnings.filterwarnings("ignore")
os.environ["AWS_DEFAULT_REGION"] = "eu-west-1"

from samtranslator.translator.transform import transform  # noqa: E402
from samtranslator.yaml_helper import yaml_parse  # noqa: E402


class NoManagedPolicies:
    """The template names none; where SAM needs one it knows its ARN."""

    def load(self):
        return {}


template = yaml_parse(pathlib.Path(sys.argv[1]).read_text())
# As `sam deploy` leaves it behind: the code is in a bucket.
template["Globals"]["Function"]["CodeUri"] = "s3://bucket/code.zip"
parameters = dict(pair.split("=", 1) for pair in sys.argv[2:])
json.dump(transform(template, parameters, NoManagedPolicies()), sys.stdout)
