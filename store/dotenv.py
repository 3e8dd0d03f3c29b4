r"""Reads `.env` files: the part that its many dialects agree on, and a fault where they do not.

    # comment                      export KEY=value            KEY = value  # comment
    KEY='as it is, over lines'     KEY="with \n \t \" \\ \$"   KEY=value with spaces

Unquoted: to the end of the line or to white space and `#`, trimmed; a `#` elsewhere in it is a fault, for some cut
there. Single quotes: literally. Double quotes: the escapes shown, any other backslash stays. Nothing is interpolated:
`$X` is two characters, and where that is not what a file meant, the caller can tell from `Line.dollar`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_KEY: Final = re.compile(r"[ \t]*(?:export[ \t]+)?([^\s=#'\"]+)[ \t]*=[ \t]*")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SINGLE: Final = re.compile(r"'([^']*)'")
_REST: Final = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|$)")
_PLAIN: Final = re.compile(r"[^\n]*")
_COMMENT: Final = re.compile(r"[ \t]+#.*")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


class DotenvError(Exception):
    """A line that is read differently by different readers; the message has its number, and nothing of it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One assignment. `dollar`: unescaped, and others would interpolate it."""

    number: int
    key: str
    value: str = field(repr=False)
    dollar: bool


def parse(text: str) -> Iterator[Line]:
    """Yield the assignments; raises `DotenvError` at the first fault."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    at, number = 0, 1
    while at < len(text):
        if blank := _REST.match(text, at):
            number += blank[0].count("\n")
            at = blank.end() if blank.end() > at else len(text)
            continue
        head = _KEY.match(text, at)
        if head is None:
            raise DotenvError(f"line {number}: no KEY=value")
        line, at = _value(text, head, number)
        number += text.count("\n", head.start(), at)
        yield line


def _value(text: str, head: re.Match[str], number: int) -> tuple[Line, int]:
    at, key = head.end(), head[1]
    quote = text[at : at + 1]
    if quote not in {"'", '"'}:
        found = _PLAIN.match(text, at)
        raw = found[0] if found else ""
        value = _COMMENT.sub("", raw, count=1).rstrip(" \t")
        if "#" in value or (not value and "#" in raw):
            raise DotenvError(f"line {number}: a # in a value that is not quoted")
        return Line(number, key, value, "$" in value), min(at + len(raw) + 1, len(text))
    found = (_SINGLE if quote == "'" else _DOUBLE).match(text, at)
    if found is None:
        raise DotenvError(f"line {number}: a quote is not closed")
    rest = _REST.match(text, found.end())
    if rest is None:
        raise DotenvError(f"line {number}: there is more behind the closing quote")
    value = found[1] if quote == "'" else _unescape(found[1])
    dollar = quote == '"' and re.search(r"(?<!\\)(?:\\\\)*\$", found[1]) is not None
    return Line(number, key, value, dollar), rest.end()


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), text, flags=re.DOTALL)
