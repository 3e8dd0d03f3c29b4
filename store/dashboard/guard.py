"""Forms: where a request comes from, and what is in it."""

import asyncio
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from store.api import strict
from store.api.problem import Fault
from store.api.uploads import Received
from store.errors import Forbidden, Invalid, Problem
from store.records import Rule

MAX_FORM = 512 << 10
"""Bytes: the longest value, percent-encoded, with room for the rest."""

TIMEOUT = 30.0


def same_origin(request: web.Request) -> None:
    """Return for a request that our own page, or the person, made; raises `Forbidden`.

    Browsers say where a request comes from in Sec-Fetch-Site, which no page can set; those that do not say it send
    Origin with every POST. A request with neither is not from a browser of the last years.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        if site in {"same-origin", "none"}:
            return
    elif urlsplit(request.headers.get("Origin", "")).netloc == request.headers.get("Host", "") != "":
        return
    raise Forbidden("The form was not sent by a page of this dashboard.", code="cross_site")


VALUE: Final = re.compile(r"value(_\d+)?|lines|env(_file)?")
"""Fields in which people enter what no page may show again."""

_LEAST: Final = 4
"""Characters of a value that is looked for inside of other fields: one that is shorter stands in many words."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that came with a form: its name, and what was received."""

    name: str
    received: Received


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form. Its repr shows none: one of them may be a value."""

    fields: dict[str, str] = field(repr=False)
    file: File | None = field(default=None, repr=False)

    def text(self, name: str) -> str:
        """Return a field without the white space around it; "" when it is absent."""
        return self.fields.get(name, "").strip()

    def optional(self, name: str) -> str | None:
        """Return a field, None when it is empty."""
        return self.text(name) or None

    def words(self, name: str) -> list[str]:
        """Return the words of a field: one per line, or separated by commas or blanks."""
        return self.fields.get(name, "").replace(",", " ").split()

    def lines(self, name: str) -> list[str]:
        """Return the lines of a field that have something in them."""
        return [line.strip() for line in self.fields.get(name, "").splitlines() if line.strip()]

    def rules(self, name: str) -> list[Rule]:
        """Return destination rules: words, or an object in JSON on a line of its own; raises `Invalid`."""
        found: list[Rule] = []
        for line in self.lines(name):
            found += [_object(line, f"/{name}")] if line.startswith("{") else line.replace(",", " ").split()
        return found

    def value(self, name: str) -> bytes:
        """Return a value as it was meant: browsers send each line end of a text area as CR LF."""
        return self.fields.get(name, "").replace("\r\n", "\n").encode()

    def kept(self, names: Iterable[str]) -> dict[str, str]:
        """Return the fields that a page may show again: none in which a value stands that was entered in another."""
        typed = {part for name, text in self.fields.items() if VALUE.fullmatch(name) for part in _typed(name, text)}
        shown = {name: self.text(name) for name in names if not VALUE.fullmatch(name)}
        return {name: "" if any(_stands_in(value, text) for value in typed) else text for name, text in shown.items()}


def _typed(name: str, text: str) -> Iterator[str]:
    """Yield the values that a field holds, as far as that can be told of a file with faults."""
    parts = re.split(r"[\r\n]+", text) if name != "value" else [text]
    for part in parts:
        value = part.partition("=")[2] if name.startswith("env") and "=" in part else part
        if bare := value.strip().strip("'\""):
            yield bare


def _stands_in(value: str, text: str) -> bool:
    return value == text or (len(value) >= _LEAST and value in text)


def _object(line: str, pointer: str) -> Rule:
    try:
        found = strict.read_json(line.encode())
    except Fault:
        found = None
    if not isinstance(found, dict):
        raise Invalid(
            Problem(pointer, "host_invalid", 'Write a rule as one line of JSON: {"host": "…", "methods": […]}.')
        )
    return found


async def read_form(request: web.Request) -> Form:
    """Read an urlencoded form; raises `Fault`."""
    if request.content_type != "application/x-www-form-urlencoded" or "Content-Encoding" in request.headers:
        raise Fault("unsupported_media_type", detail="Send the form as it is on the page.")
    if (request.content_length or 0) > MAX_FORM:
        raise Fault("body_too_large")
    with as_fault():
        async with asyncio.timeout(TIMEOUT):
            data = await request.content.read(MAX_FORM + 1)
            while len(data) <= MAX_FORM and (more := await request.content.read(MAX_FORM + 1 - len(data))):
                data += more
        if len(data) > MAX_FORM:
            raise Fault("body_too_large")
        pairs = parse_qsl(data.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=32)
    return Form(dict(pairs))


@contextmanager
def as_fault() -> Iterator[None]:
    """Tell what goes wrong while a form is read, and nothing of it."""
    try:
        yield
    except TimeoutError:
        raise Fault("request_timeout") from None
    except ValueError:
        raise Fault("bad_request", detail="The form cannot be read.") from None
