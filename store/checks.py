"""Checks of what is uploaded. Each fault has a pointer, a code and a remedy; none repeats the input."""

import re
from collections.abc import Callable, Iterable

from store.errors import Invalid, Problem
from store.model import DEFAULT_LOCATIONS, MAX_VALUE, MIN_SCRUBBED, NAME, WIDENED, Location
from store.records import Warned

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_ENVIRONMENT = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
DURATION = "[1-9][0-9]{0,6}[sm]|[1-9][0-9]{0,5}h|[1-9][0-9]{0,4}d|[1-9][0-9]{0,3}w"
"""Digits are limited by unit, so that every due date has a place in a calendar."""

_DURATION = re.compile(DURATION)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PLACEHOLDERS = (
    "changeme",
    "change-me",
    "change_me",
    "todo",
    "xxxx",
    "your-",
    "your_",
    "<",
    "#{",
    "example",
    "placeholder",
)


def problem(pointer: str, code: str, detail: str) -> Invalid:
    """Return an error with one problem."""
    return Invalid(Problem(pointer, code, detail))


class Faults:
    """Collects problems, so that an upload is told all its faults at once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, pointer: str, code: str, detail: str) -> None:
        """Note a fault."""
        self.problems.append(Problem(pointer, code, detail))

    def run[T](self, step: Callable[[], T]) -> T | None:
        """Take a step; its faults are noted, and then there is no result."""
        try:
            return step()
        except Invalid as error:
            self.problems.extend(error.problems)
            return None

    def stop(self) -> None:
        """Raise `Invalid` when there is any fault."""
        if self.problems:
            raise Invalid(*self.problems)


def check_name(name: str, pointer: str) -> None:
    """Check a secret's or variable's name."""
    if not NAME.fullmatch(name):
        hint = "A name starts with A-Z and goes on with A-Z, 0-9 and _, 128 characters at most."
        raise problem(pointer, "name_invalid", hint)


def check_value(value: bytes, pointer: str) -> None:
    """Check a value's bytes: 1 byte to 64 KiB; line feeds and tabs are the only control characters.

    CR and NUL end headers and strings for somebody down the line. A multi-line PEM with plain line feeds is kept, and
    refused where it cannot be written (a header).
    """
    if not value:
        raise problem(pointer, "value_empty", "A value has at least one byte.")
    if len(value) > MAX_VALUE:
        raise problem(pointer, "value_too_long", f"A value has at most {MAX_VALUE} bytes.")
    if any((byte < 0x20 and byte not in b"\n\t") or byte == 0x7F for byte in value):
        hint = "A value has no control characters but line feed and tab. Is it binary, or are its lines ended by CR LF?"
        raise problem(pointer, "value_control", hint)


def check_beside(text: object, value: bytes, pointer: str) -> None:
    """Check that what is kept in clear beside a value does not hold it: entered in the wrong field, or in two."""
    if isinstance(text, str) and len(value) >= MIN_SCRUBBED and value in text.encode("utf-8", "replace"):
        raise problem(pointer, "holds_value", "It holds the value, and is kept where everybody can read it.")


def is_plain(text: str) -> bool:
    """Whether a name from a URL could be one of ours at all; what is not goes to no database."""
    return len(text) <= 256 and text.isascii() and text.isprintable()


def check_id(text: str, pointer: str) -> None:
    """Check an id that a client chose."""
    if not _ID.fullmatch(text):
        raise problem(
            pointer, "id_invalid", "An id has 1 to 64 letters, digits, _ and -, and starts with a letter or digit."
        )


def check_text(text: str, pointer: str, longest: int = 256, *, empty: bool = True) -> None:
    """Check a label or description: printable, bounded."""
    if not empty and not text.strip():
        raise problem(pointer, "text_empty", "Write at least one visible character.")
    if len(text) > longest:
        raise problem(pointer, "text_too_long", f"At most {longest} characters.")
    if not all(char.isprintable() or char in "\n\t" for char in text):
        raise problem(pointer, "text_control", "No control characters.")


def check_environment(text: str, pointer: str) -> None:
    """Check an environment's name; "" is all environments."""
    if text and not _ENVIRONMENT.fullmatch(text):
        hint = "An environment such as dev, pre or prod has 1 to 32 lower-case letters, digits, _ and -."
        raise problem(pointer, "environment_invalid", hint)


def parse_duration(text: str, pointer: str) -> int:
    """Return the seconds of `90d`, `12h`, `30m`, `45s`, `2w`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise problem(pointer, "duration_invalid", "Write a duration such as 90d, 12h or 30m, within 200 years.")
    return int(match[0][:-1]) * _UNITS[match[0][-1]]


def format_duration(seconds: int) -> str:
    """Return the shortest text of a duration."""
    for unit in "wdhm":
        if seconds % _UNITS[unit] == 0:
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds}s"


def parse_locations(locations: Iterable[str] | None, pointer: str) -> list[str]:
    """Return sorted location names; None is the default set."""
    if locations is None:
        return sorted(DEFAULT_LOCATIONS)
    allowed = ", ".join(Location)
    names = list(locations)
    for index, name in enumerate(names):
        if name not in {*Location, WIDENED}:
            raise problem(f"{pointer}/{index}", "location_invalid", f"Locations are {allowed}.")
    if set(names) == {WIDENED}:  # whatever a preset says: all of them
        names += Location
    if not names:
        raise problem(pointer, "locations_empty", f"Name at least one of {allowed}, or leave it out.")
    return sorted(set(names))


_UNBOUND = "Without hosts it is kept, but injected nowhere: put it again with hosts, or a provider."
_ADDRESS = re.compile(rb"(?:https?|wss?)://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?/?")
"""Of a server and nothing of it: what has a path, a query or a name in front may well be a secret."""

NOTES = {
    "value_short": f"Values under {MIN_SCRUBBED} bytes are injected but not scrubbed.",
    "whitespace_edges": "The value starts or ends with white space; it is kept exactly so.",
    "looks_like_placeholder": "The value looks like a stand-in, not like a secret.",
    "looks_like_address": "The value is an address: code gets a placeholder, and connects nowhere. Put a variable.",
}
"""What may be remarkable about a value, each with its sentence."""


def notes_on(value: bytes) -> list[str]:
    """Return the codes of `NOTES` that fit a value; where it is sealed by its client, that client says them."""
    low = value.lower()
    found = {
        "value_short": len(value) < MIN_SCRUBBED,
        "whitespace_edges": value != value.strip(),
        "looks_like_placeholder": any(low.startswith(mark.encode()) for mark in _PLACEHOLDERS) or len(set(value)) < 3,
        "looks_like_address": _ADDRESS.fullmatch(low) is not None,
    }
    return [code for code in NOTES if found[code]]


def warnings_for(notes: Iterable[str], *, bound: bool) -> list[Warned]:
    """Return what the uploader should know."""
    found = [] if bound else [Warned("no_destinations", _UNBOUND)]
    return found + [Warned(code, NOTES[code]) for code in notes]
