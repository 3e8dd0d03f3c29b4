"""A line of use or refusal, as the data plane spools it: parsed strictly, cut to length."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from store.budgets import Spent
from store.leases import Told
from store.model import Scope

EVENTS = {"inject", "carry", "refuse", "tunnel", "unasked", "capture", "end", "token", "budget", "spent", "lease"}
_BIG = 2**53
"""Above every sequence and time; a number that a column cannot hold would stop its spool for ever."""
_KEPT = ("destination", "location", "method", "path", "code")


@dataclass(frozen=True, slots=True)
class Line:
    """One use or refusal, as spooled."""

    spool: str
    seq: int
    at: int
    event: str
    session: str
    scope: Scope
    names: tuple[str, ...]
    request_id: str
    detail: Mapping[str, object] = field(default_factory=dict)
    spent: Spent | None = None
    """No use, but what was drawn from a budget so far."""
    told: Told | None = None
    """No use, but what is said about a lease."""

    @property
    def is_use(self) -> bool:
        """Whether it is for the log."""
        return self.spent is None and self.told is None


def parse_line(raw: bytes | str, spool: str) -> Line | None:
    """Read a line; None when it is not one of this spool's."""
    try:
        members = json.loads(raw)
        scope = Scope(*(_text(members.get(name, "")) for name in ("organisation", "project", "dataset")))
        names = tuple(_text(name, 128) for name in members["secrets"][:1000])
        line = Line(
            _text(members["spool"]),
            int(members["seq"]),
            int(float(members["time"]) * 1000),
            _text(members["event"]),
            _text(members["session"]),
            scope,
            names,
            _text(members["request_id"]),
            {name: _text(members[name], 1024) for name in _KEPT if members.get(name)},
            Spent.parse(members["spent"]) if members["event"] == "spent" else None,
            Told.parse(members["lease"]) if members["event"] == "lease" else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None
    fits = 0 <= line.seq < _BIG and 0 <= line.at < _BIG
    return line if line.spool == spool and line.event in EVENTS and fits else None


def _text(value: object, longest: int = 256) -> str:
    if not isinstance(value, str):
        raise TypeError("text")
    text = value[:longest].replace("\x00", "?")  # PostgreSQL's text holds no NUL
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
