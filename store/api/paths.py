"""Path parameters: what each name in a template may hold, and its entry in the OpenAPI document.

A segment that cannot be an id is not looked up: 404, as any other that is not there. The name in a PUT is input, so
there it is 422.
"""

import re
from collections.abc import Mapping
from typing import Any

from store.api.fields import ID, NAME
from store.api.problem import Fault
from store.errors import Invalid, Problem

_TEXTS = {
    "org": "Organisation id.",
    "project": "Project id.",
    "dataset": "Dataset id.",
    "session": "Session id, as shown at its creation.",
    "key": "API key id, the public part of the key.",
    "name": "Name of the secret or variable; but for PUT, its id does as well.",
    "version": "Number of a version.",
    "consumer": "Consumer id, chosen when it is declared.",
    "member": "Member id.",
    "group": "Group id.",
    "gap": "Id of a gap in the audit log.",
    "ticket": "The signed ticket of the upload URL.",
}
_INTEGER: Mapping[str, Any] = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
_VERSION = re.compile(r"[1-9][0-9]{0,9}")
_NAMED = f"^({NAME[1:-1]}|[A-Za-z0-9]{{16}})$"
"""A name, or an entry's id, which is none."""
_TICKET = r"^[A-Za-z0-9_.-]{1,512}$"


def parameter(name: str, *, put: bool = False) -> dict[str, Any]:
    """Return the OpenAPI entry of the path parameter `name`."""
    schema = _schema(name, put=put)
    made = {"name": name, "in": "path", "required": True, "description": _TEXTS[name], "schema": schema}
    return {**made, "example": "default"} if name in {"org", "project"} else made


def _schema(name: str, *, put: bool) -> dict[str, Any]:
    if name == "version":
        return dict(_INTEGER)
    return {"type": "string", "pattern": _pattern(name, put=put)}


def _pattern(name: str, *, put: bool) -> str:
    return {"name": NAME if put else _NAMED, "ticket": _TICKET}.get(name, ID)


def check(parameters: Mapping[str, str], *, put: bool) -> None:
    """Check the segments of a path; raises `Fault`: 404, or 422 for the name in a PUT."""
    for name, value in parameters.items():
        if name == "version":
            good = _VERSION.fullmatch(value) and int(value) <= _INTEGER["maximum"]
        else:
            good = re.fullmatch(_pattern(name, put=put)[1:-1], value)
        if good:
            continue
        if put and name == "name":
            sentence = "A name is A-Z, 0-9 and _, starts with a letter, and has 128 characters at most."
            raise Invalid(Problem("/name", "name_invalid", sentence))
        raise Fault("not_found")
