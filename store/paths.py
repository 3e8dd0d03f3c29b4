"""Path patterns of destination rules, matched against the path as it was sent, byte for byte.

`*` stands for the rest at the end of a pattern, and for one segment part elsewhere. A path that an upstream could read
as another one (dot segments, encoded slashes and backslashes, at any depth of encoding, overlong, full-width, between
blanks) matches no pattern: a rule `/v1/*` must not let `/v1/%2e%2e/admin` through. What many servers cut off (`#` and
all behind it, `;` and the rest of its segment) has to fit without it, too: `/files/key#.pdf` is no `/files/*.pdf`. Nor
does a request match that tells the upstream to take it for one of another method or path.
"""

import functools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import unquote_plus, unquote_to_bytes

_DEPTH = 8
_MARKS: Final = frozenset("./\\%;#?\u2044\u2215\u2216\u29f5\u29f8\u29f9\u3002")
"""And slashes, backslashes and full stops that some servers map to ASCII's (best fit), though Unicode does not."""
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})


def path_is_plain(path: str) -> bool:
    """Whether the path reads the same for every upstream."""
    raw = path.encode("latin-1", "replace")
    slashes = raw.count(b"/")
    for _ in range(_DEPTH):
        lower = raw.lower()
        if b"\\" in raw or raw.count(b"/") != slashes or b"%u" in lower or b"%c0" in lower or b"%c1" in lower:
            return False
        if any(byte < 0x20 or byte == 0x7F for byte in raw) or any(_is_dots(part) for part in raw.split(b"/")):
            return False
        if not raw.isascii() and not _is_clear(raw):
            return False
        decoded = unquote_to_bytes(raw)
        if decoded == raw:
            return True
        raw = decoded
    return False


_PLACEHOLDER: Final = re.compile(
    r"(?:#|%23)(?:\{|%7[Bb]|<|%3[Cc])(?:SECRETS|VARS)\.[A-Z][A-Z0-9_]{0,127}(?:\}|%7[Dd]|>|%3[Ee])"
)
"""As `proxy.core.placeholder` finds one in a path: what stands there when it leaves is written percent-encoded."""
_HIDDEN: Final = '"'  # in no pattern, so that only `*` stands for it
_CUT: Final = re.compile(r"(?:#|%(?:25)*(?:23|3[Ff])).*", re.DOTALL)
_PARAMETERS: Final = re.compile(r"(?:;|%(?:25)*3[Bb])[^/]*")


def _readings(path: str) -> set[str]:
    """Return what servers make of a plain path: some end it at `#` or `?`, some leave path parameters out."""
    text = _PLACEHOLDER.sub(_HIDDEN, path)
    cut = _CUT.sub("", text)
    return {text, cut, _PARAMETERS.sub("", text), _PARAMETERS.sub("", cut)}


def allows_path(patterns: Sequence[str], path: str) -> bool:
    """Whether a path fits a pattern, in whatever way an upstream reads it."""
    return path_is_plain(path) and all(
        any(matches_path(pattern, reading) for pattern in patterns) for reading in _readings(path)
    )


def _is_dots(segment: bytes) -> bool:
    """`..;x` is a dot segment for servers that cut path parameters off, `.. ` for those that cut blanks off."""
    return segment.partition(b";")[0].strip(b" +") in (b".", b"..")


def _is_clear(raw: bytes) -> bool:
    """Whether what is not ASCII is UTF-8 (no overlong form is), and nothing in it can be taken for a mark of paths."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return False
    return not any(_misleads(char) for char in text if not char.isascii())


def _misleads(char: str) -> bool:
    """Full-width and other forms of marks; blanks, and what is not seen, which may be left out."""
    return unicodedata.category(char) in _INVISIBLE or not _MARKS.isdisjoint(unicodedata.normalize("NFKC", char))


_SAYS_OTHERWISE: Final = re.compile(
    r".*override.*|(?!access-control-).*\b(method|ur[il]|path|prefix)|destination|.*script-name"
)
_QUERIES: Final = re.compile(r"(?s)-(http-)?method|.*method-?override.*|(x-)?http-method")
"""`.` is a line break, too: else each `override` before one is tried to the end, in square time."""


@functools.lru_cache(1024)
def _overrides(field: str) -> bool:
    return _SAYS_OTHERWISE.fullmatch(field) is not None


def says_otherwise(fields: Iterable[str], query: str) -> bool:
    """Whether a request says that it is one of another method or path: X-HTTP-Method-Override, X-Original-URL, _method.

    It goes by the kind of name, since there is no list: whatever has `override` in it, and whatever ends in `method`,
    `url`, `uri`, `path` or `prefix`. Servers that are given variables (CGI, WSGI) read `_` in a field's name as `-`.
    """
    if any(_overrides(field) for field in fields):
        return True
    keys = (unquote_plus(pair.partition("=")[0]) for pair in re.split("[&;]", query))
    return any(_QUERIES.fullmatch(key.strip(" []").lower().replace("_", "-")) for key in keys)


def matches_path(pattern: str, path: str) -> bool:
    """Whether a plain path fits the pattern."""
    wanted = pattern.split("/")
    given = path.split("/", len(wanted))  # whatever is left is one more
    if len(given) < len(wanted) or (len(given) > len(wanted) and not pattern.endswith("*")):
        return False
    # Some servers take `/a//b` for `/a/b`, and `/a/;x/b` too: an empty segment stands for none but the last.
    if any(one == "*" and not given[at].partition(";")[0] for at, one in enumerate(wanted[:-1])):
        return False
    return all(_matches_segment(one, other) for one, other in zip(wanted, given, strict=False))


def _matches_segment(pattern: str, segment: str) -> bool:
    first, *rest = pattern.split("*")
    if not rest:
        return segment == first
    last = rest.pop()
    if len(segment) < len(first) + len(last) or not (segment.startswith(first) and segment.endswith(last)):
        return False
    at, end = len(first), len(segment) - len(last)
    for part in rest:  # the leftmost place is as good as any other
        found = segment.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def meet(one: str, other: str) -> bool:
    """Whether a path could fit both patterns; True when that is not plain to see."""
    if "*" not in one or "*" not in other:
        return matches_path(other, one) if "*" not in one else matches_path(one, other)
    first, second = one.partition("*")[0], other.partition("*")[0]
    return first.startswith(second) or second.startswith(first)


def covers_path(wide: str, narrow: str) -> bool:
    """Whether every path of `narrow` fits `wide`; False when that is not plain to see."""
    if wide == narrow:
        return True
    if wide.count("*") == 1 and wide.endswith("*"):
        return narrow.startswith(wide[:-1])
    return "*" not in narrow and matches_path(wide, narrow)
