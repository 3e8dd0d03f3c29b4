import re
import subprocess
import sys
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from store.api import app
from store.api.problem import CODES
from store.kinds import KINDS

pytestmark = pytest.mark.long

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
ONE_LEVEL = "^/(projects/(\\{project\\}/(consumers|datasets(?!.*/groups/))/.*)?|keys.*|members.*|groups.*|audit.*|uploads.*|[a-z.-]+)$"
"""Secrets of a project and of an organisation have the same handlers as those of a dataset."""


@pytest.fixture(scope="module")
def document(shared):
    return shared("GET", "/openapi.json", key=None).json


def test_document_is_valid(document):
    """The document is OpenAPI 3.1 by the standard's own schema."""
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_document_has_every_route(document):
    """Every operation that is served is described, and nothing else."""
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(each.method, each.path) for each in app.operations()}


def test_names_are_unique(document):
    """No two operations have one operationId."""
    names = [each["operationId"] for methods in document["paths"].values() for each in methods.values()]
    assert len(names) == len(set(names))


def test_values_are_write_only(document):
    """A secret's value has a place in inputs, marked as a password, and in no answer."""
    schemas = document["components"]["schemas"]
    assert schemas["SecretIn"]["properties"]["value"]["anyOf"][0]["writeOnly"] is True
    answers = {name for name in schemas if name.endswith(("Out", "List", "Made", "Opened", "Short"))}
    holders = {name for name in answers if {"value", "sealed"} & set(schemas[name].get("properties", {}))}
    assert holders == {"VariableOut"}


def test_failures_name_their_codes(document):
    """Each error answer is a problem document and names codes of the table."""
    for methods in document["paths"].values():
        for each in methods.values():
            for status, answer in each["responses"].items():
                if int(status) >= 400:
                    codes = re.findall(r"`(\w+)`", answer["description"])
                    assert codes and all(CODES[code][0] == int(status) for code in codes)
                    assert list(answer["content"]) == ["application/problem+json"]


@pytest.mark.timeout(900)
def test_schemathesis_finds_nothing(shared, tmp_path):
    """All checks of schemathesis hold: schemas, statuses, refusals of bad data, authentication, use after delete.

    But for what a schema cannot say: that the text of a value of kind `aws` is JSON with two members or three, and so on; that
    the parts of a template fit each other; that of several budgets each is for something else; that no host lets by what another
    one captures.
    """
    command = [
        SCHEMATHESIS, "run", f"{shared.url}/openapi.json", "-H", f"Authorization: Api-Key {shared.key}",
        "--checks", "all", "--max-examples", "2", "--include-path-regex", ONE_LEVEL, "--generation-deterministic",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=880)
    found = set(re.findall(r"^ *- (ST\d.*)$", done.stdout, re.MULTILINE))
    codes = set(re.findall(r'"pointer": "[^"]*", "code": "(\w+)"', done.stdout))
    assert done.returncode == 0 or (found == {"ST202 Schema-valid request rejected"} and codes <= {"budget_duplicate", "capture_overlaps", "parameter_invalid", *(f"value_not_{kind}" for kind in KINDS)}), done.stdout[-6000:]  # fmt: skip
    assert int(re.search(r"(\d+) generated", done.stdout)[1]) > 1000
