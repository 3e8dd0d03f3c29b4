"""docs/api.md, held to the sources: every route, every code."""

import ast
import re
from pathlib import Path

import store
from store.api import app, strict
from store.api.problem import CODES

ROOT = Path(store.__file__).parent
TEXT = (ROOT.parent / "docs" / "api.md").read_text()
INTERNAL = {
    "missing",
    "not_sqlite",
    "too_new",
    "rolled_back",
    "not_enrolled",
    "cursor_invalid",
    "limit_invalid",
    "cross_site",
    "member_unclear",
    "sign_in_refused",
    "provider_unavailable",
    "url_invalid",
}
"""Not for clients: start-up, the data plane, what the API checks before the vault does, the dashboard."""


def test_every_route_is_documented():
    """Each operation has a row with its method and path; those under other prefixes share the dataset's, if it has one."""
    rows = set(re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", TEXT, re.MULTILINE))
    listed = app.operations()
    shared = {each.handler for each in listed if each.suffix == "_of_dataset"}
    served = {
        f"{each.method} {each.path}"
        for each in listed
        if each.suffix in ("", "_of_dataset") or each.handler not in shared
    }
    assert rows == served


def test_every_code_of_an_answer_is_documented():
    """Each code has a row with its status and its sentence."""
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (.*) \|$", TEXT, re.MULTILINE)
    assert rows == [(code, str(status), text) for code, (status, text) in CODES.items()]


def codes_in_sources():
    """Codes of faults and conflicts, as the sources spell them."""
    place = {"problem": 1, "_fail": 1, "add": 1, "Problem": 1, "fault": 1}
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            yield from (
                each.value.value for each in node.keywords if each.arg == "code" and hasattr(each.value, "value")
            )
            if name == "PydanticCustomError":
                yield node.args[0].value.removeprefix("egret_")
            elif name in place and len(node.args) > place[name] and isinstance(node.args[place[name]], ast.Constant):
                yield node.args[place[name]].value
    yield from strict._FROM_SCHEMA.values()
    yield from (code for code, _ in strict._FIXED.values())


def test_every_finer_code_is_documented():
    """Each code that stands in `errors` has a row, and no row is left of one that is gone."""
    found = {code for code in codes_in_sources() if isinstance(code, str) and code.isidentifier()}
    rows = set(re.findall(r"^\| `(\w+)` \| [^|]*\|$", TEXT, re.MULTILINE)) - {
        "full",
        "read_only",
        "rater_only",
        "restricted",
        "owner",
        "admin",
        "developer",
        "viewer",
        "metadata",
        "use",
        "write",
    }
    conflicts = set(CODES) & found
    assert found - conflicts - INTERNAL - rows == set()
    assert rows - found - {"too_many"} == set()
