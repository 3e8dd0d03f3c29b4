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
    tail = pattern.endswith("*")
    parts = (pattern[:-1] if tail else pattern).split("*")
    if not path.startswith(parts[0]):
        return False
    return _rest(parts[1:], path[len(parts[0]) :], tail=tail)


def _rest(parts: list[str], path: str, *, tail: bool) -> bool:
    if not parts:
        return tail or not path
    reach = path.find("/") if "/" in path else len(path)
    for start in range(reach + 1):
        if path.startswith(parts[0], start) and _rest(parts[1:], path[start + len(parts[0]) :], tail=tail):
            return True
    return False


def covers_path(wide: str, narrow: str) -> bool:
    """Whether every path of `narrow` fits `wide`; False when that is not plain to see."""
    if wide == narrow:
        return True
    if wide.count("*") == 1 and wide.endswith("*"):
        return narrow.startswith(wide[:-1])
    return "*" not in narrow and matches_path(wide, narrow)
