"""Path patterns of destination rules, matched against the path as it was sent, byte for byte.

`*` stands for the rest at the end of a pattern, and for one segment part elsewhere. A path that an upstream could read
as another one (dot segments, encoded slashes and backslashes, at any depth of encoding) matches no pattern: a rule
`/v1/*` must not let `/v1/%2e%2e/admin` through.
"""

from urllib.parse import unquote_to_bytes

_DEPTH = 8


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
        decoded = unquote_to_bytes(raw)
        if decoded == raw:
            return True
        raw = decoded
    return False


def _is_dots(segment: bytes) -> bool:
    """`..;x` is a dot segment for servers that cut path parameters off."""
    return segment.partition(b";")[0] in (b".", b"..")


def matches_path(pattern: str, path: str) -> bool:
    """Whether a plain path fits the pattern."""
    wanted, given = pattern.split("/"), path.split("/")
    if len(given) < len(wanted) or (len(given) > len(wanted) and not pattern.endswith("*")):
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


def covers_path(wide: str, narrow: str) -> bool:
    """Whether every path of `narrow` fits `wide`; False when that is not plain to see."""
    if wide == narrow:
        return True
    if wide.count("*") == 1 and wide.endswith("*"):
        return narrow.startswith(wide[:-1])
    return "*" not in narrow and matches_path(wide, narrow)
