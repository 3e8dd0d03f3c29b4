"""Bytes to JSON and JSON to models, strictly and without echo.

Python's reader takes more than JSON (NaN, duplicate keys of which the last wins, numbers of any length). Two readers
that differ on one document are a hole (CWE-436), so whatever is ambiguous is refused.

Places are told by JSON pointer (RFC 6901). A key that no model declares is written `?`: people paste secrets into the
wrong side of the colon.
"""

import functools
import json
import re
from collections.abc import Sequence
from typing import NoReturn

from pydantic import BaseModel, ValidationError

from store.api.problem import Fault
from store.errors import Invalid, Problem

MAX_DIGITS = 19
"""Digits of an integer: enough for 64 bits, too few for a quadratic parse."""

EXACT = 2**53
"""Below this every whole number is itself as a float."""

_SURROGATE = re.compile("[\ud800-\udfff]")

MAX_DEPTH = 32
"""Levels of a document; the deepest model has four."""


def read_json(data: bytes) -> object:
    """Return the document in `data`; raises `Fault("bad_json")` for all that is not plain, unambiguous JSON."""
    try:
        document = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_pairs,
            parse_constant=_refuse,
            parse_int=_integer,
            parse_float=_number,
        )
    except (ValueError, RecursionError):
        # `from None`: JSONDecodeError.doc holds the whole body, a traceback would carry it into a log.
        raise Fault("bad_json") from None
    if not _is_sound(document):
        raise Fault("bad_json")
    return document


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError
    return made


def _refuse(_: str) -> NoReturn:
    raise ValueError


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError
    return int(text)


def _number(text: str) -> float | int:
    """Read `5.0` and `5e0` as 5: JSON has one kind of number, and OpenAPI calls these integers."""
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise ValueError
    return int(number) if number.is_integer() and abs(number) < EXACT else number


def _is_sound(document: object) -> bool:
    """Whether no level is too deep and no text has a lone surrogate, which is no character (RFC 7493 2.1)."""
    level: list[object] = [document]
    for _ in range(MAX_DEPTH):
        if not all(_is_text(node) for node in level if isinstance(node, str)):
            return False
        level = [child for node in level for child in _children(node)]
        if not level:
            return True
    return False


def _is_text(text: str) -> bool:
    return text.isascii() or _SURROGATE.search(text) is None


def _children(node: object) -> Sequence[object]:
    if isinstance(node, dict):
        return [*node, *node.values()]
    return node if isinstance(node, list) else ()


def check[M: BaseModel](model: type[M], document: object) -> M:
    """Return `document` as a `model`; raises `Invalid` with a place and a reason for each fault."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        problems = _problems(model, error)
    # Outside of `except`, so that no context with the input hangs on the error.
    raise Invalid(*problems)


def _problems(model: type[BaseModel], error: ValidationError) -> tuple[Problem, ...]:
    known = declared(model)
    found: dict[str, Problem] = {}
    for each in error.errors(include_input=False, include_url=False, include_context=False):
        extra = each["type"] == "extra_forbidden"
        place = pointer(each["loc"], known, extra=extra)
        code, detail = _reason(each["type"], each["msg"])
        found.setdefault(place, Problem(place, code, detail))
    return tuple(found.values())


@functools.cache  # a schema takes milliseconds, and bodies that are refused are cheap to send
def declared(model: type[BaseModel]) -> frozenset[str]:
    """Return all names of fields of `model` and of the models in it, as the wire spells them."""
    schema = model.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return frozenset(name for part in parts for name in part.get("properties", {}))


def pointer(place: Sequence[str | int], known: frozenset[str], *, extra: bool) -> str:
    """Return `place` as a JSON pointer; what no model declares becomes `?`, names of union branches go."""
    *path, last = place or ("",)
    steps = [str(step) for step in path if isinstance(step, int) or step in known]
    if extra:
        steps.append("?")
    elif isinstance(last, int) or last in known:
        steps.append(str(last))
    return "".join(f"/{step}" for step in steps)


# pydantic's sentences for these are made from the schema alone; all others get a fixed one.
_FROM_SCHEMA = {
    "string_too_long": "too_long",
    "string_too_short": "too_short",
    "too_long": "too_long",
    "too_short": "too_short",
    "literal_error": "not_allowed",
    "greater_than_equal": "out_of_range",
    "less_than_equal": "out_of_range",
}

_FIXED = {
    "missing": ("required", "This field is required."),
    "extra_forbidden": ("unknown_field", "There is no such field here."),
    "string_pattern_mismatch": ("form_invalid", "The text does not have the form that /openapi.json states."),
}


def _reason(kind: str, message: str) -> tuple[str, str]:
    if kind in _FROM_SCHEMA:
        return _FROM_SCHEMA[kind], message
    if kind in _FIXED:
        return _FIXED[kind]
    if kind.startswith("egret_"):  # raised by our own validators (fields.py), fixed sentences
        return kind.removeprefix("egret_"), message
    return "wrong_type", "The field does not have the type that /openapi.json states."
