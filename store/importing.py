"""What other systems export, read into names and values. No message of this module has a value, or a piece of one.

    dotenv    KEY=value lines (`store.dotenv`)
    doppler   `doppler secrets download --no-file --format json`, or `doppler secrets --json`
    vault     `vault kv get -format=json PATH`, KV version 1 or 2, or its inner object
    github    `gh secret list`, with or without `--json name`, or the REST answer: names alone, values are asked for

A key becomes a name by upper case and `_` for each of `-`, `.`, `/` and space. A name must then be one (A-Z first, then
A-Z, 0-9, _), and two keys that become one name are a fault, never a choice.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from store import dotenv
from store.checks import check_value
from store.errors import Invalid
from store.model import NAME

_OWN: Final = {"DOPPLER_PROJECT", "DOPPLER_ENVIRONMENT", "DOPPLER_CONFIG"}
"""What Doppler adds of its own to each download."""


class ImportFault(Exception):
    """The file cannot be imported; nothing was sent. The message is a line per fault."""


@dataclass(frozen=True, slots=True)
class Item:
    """One secret to import. `value` None: there is only a name. `note` says what to look at."""

    name: str
    value: str | None = field(repr=False)
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    where: str
    key: str
    value: str | None = field(repr=False)
    note: str = ""


def read(form: str, text: str) -> list[Item]:
    """Return what a file holds, in its order; raises `ImportFault` with every fault."""
    found = list(FORMATS[form](text))
    faults = [fault for each in found for fault in _faults(each)]
    faults += _collisions(found)
    if faults:
        raise ImportFault("\n".join(faults))
    return [Item(to_name(each.key), each.value or None, each.note) for each in found]


def to_name(key: str) -> str:
    """Return the name that a key becomes; it may be none."""
    return re.sub(r"[-./ ]", "_", key).upper()


def _faults(found: _Found) -> Iterable[str]:
    if not NAME.fullmatch(to_name(found.key)):
        yield f"{found.where}: its key does not become a name (A-Z first, then A-Z, 0-9 and _, 128 at most)"
    if found.value:
        try:
            check_value(found.value.encode(), "")
        except Invalid as error:
            yield from (f"{found.where}: {each.detail}" for each in error.problems)
        except UnicodeEncodeError:
            yield f"{found.where}: its value is not UTF-8 text"


def _collisions(found: Sequence[_Found]) -> Iterable[str]:
    first: dict[str, str] = {}
    for each in found:
        before = first.setdefault(to_name(each.key), each.where)
        if before != each.where:
            yield f"{each.where}: its key becomes the same name as that of {before}; rename one of them"


def _dotenv(text: str) -> Iterable[_Found]:
    try:
        for line in dotenv.parse(text):
            notes = ["empty, left out"] if not line.value else ["has a $, kept as it is"] if line.dollar else [""]
            yield _Found(f"line {line.number}", line.key, line.value, notes[0])
    except dotenv.DotenvError as error:
        raise ImportFault(str(error)) from None


def _doppler(text: str) -> Iterable[_Found]:
    for number, (key, value) in enumerate(_object(text).items(), 1):
        if key in _OWN:
            continue
        where = f"entry {number}"
        inner = value.get("computed", value.get("raw")) if isinstance(value, dict) else value
        if inner is None:
            yield _Found(where, key, "", "Doppler does not show its value, left out")
        else:
            yield _Found(where, key, _text(inner, where), "" if inner else "empty, left out")


def _vault(text: str) -> Iterable[_Found]:
    inner: Any = _object(text)
    for _ in range(2):  # version 2 has data in data; version 1 has it once; an inner object has none
        if isinstance(inner.get("data"), dict):
            inner = inner["data"]
    for number, (key, value) in enumerate(inner.items(), 1):
        written = "" if value is None else _text(value, f"entry {number}")
        yield _Found(f"entry {number}", key, written, "" if written else "empty, left out")


def _github(text: str) -> Iterable[_Found]:
    if text.lstrip()[:1] not in {"[", "{"}:
        lines = [line.split("\t")[0].strip() for line in text.splitlines()]
        yield from (_Found(f"line {number}", line, None) for number, line in enumerate(lines, 1) if line)
        return
    document = _json(text)
    listed = document.get("secrets") if isinstance(document, dict) else document
    if not isinstance(listed, list):
        raise ImportFault("not a list of names as GitHub gives it")
    for number, each in enumerate(listed, 1):
        name = each.get("name") if isinstance(each, dict) else each
        if not isinstance(name, str):
            raise ImportFault(f"entry {number}: has no name")
        yield _Found(f"entry {number}", name, None)


FORMATS: Final[Mapping[str, Callable[[str], Iterable[_Found]]]] = {
    "dotenv": _dotenv,
    "doppler": _doppler,
    "vault": _vault,
    "github": _github,
}


def _text(value: object, where: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):  # numbers too: they were left as they were written
        return value
    raise ImportFault(f"{where}: its value is a list or object; an imported value is a text")


def _object(text: str) -> dict[str, Any]:
    document = _json(text)
    if not isinstance(document, dict):
        raise ImportFault("not a JSON object of names and values")
    return document


def _json(text: str) -> Any:  # noqa: ANN401
    """Parse; what is ambiguous (a key twice) is a fault, and numbers stay the text that they are."""
    try:
        return json.loads(
            text.removeprefix("\ufeff"),
            parse_int=str,
            parse_float=str,
            parse_constant=str,
            object_pairs_hook=_unique,
        )
    except (ValueError, RecursionError):
        raise ImportFault("not JSON") from None  # the parser's own words would quote the file


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ImportFault("a key stands in one object twice")
    return dict(pairs)
