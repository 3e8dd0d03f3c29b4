"""W3C Trace Context: which trace a request says it is part of, and what its upstream is told instead. Pure.

https://www.w3.org/TR/trace-context/ (version 00). What a client sends is its own: ids in hexadecimal are all that is
taken of it, and `tracestate` and `baggage`, which may say anything, are passed on and never looked at.
"""

import re
import secrets
from itertools import chain
from typing import Final, NamedTuple

from proxy.core.message import Fields

_NAME: Final = b"traceparent"
_PARENT: Final = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")


def _drawn() -> list[str]:
    """Return new ids of spans, 64 at a time: each draw is a system call."""
    drawn = secrets.token_hex(8 * 64)
    return [drawn[start : start + 16] for start in range(0, len(drawn), 16)]


_spans: Final = chain.from_iterable(iter(_drawn, None))


class Trace(NamedTuple):
    """The trace of a request, the span that it came from, its flags, and the span that it is here."""

    id: str
    parent: str
    flags: str
    span: str


def followed(fields: Fields) -> Trace | None:
    """Return the trace that a request's one `traceparent` names; None where it names none, or is another version's."""
    found = [value for name, value in fields if len(name) == len(_NAME) and name.lower() == _NAME]
    match = _PARENT.fullmatch(found[0]) if len(found) == 1 else None
    if match is None:
        return None
    text = found[0].decode()
    return Trace(text[3:35], text[36:52], text[53:], next(_spans))


def passed_on(fields: Fields, trace: Trace) -> Fields:
    """Return fields with our span as the parent of what the upstream does; none is added where none is."""
    ours = f"00-{trace.id}-{trace.span}-{trace.flags}".encode()
    return tuple([(name, ours if name.lower() == _NAME else value) for name, value in fields])
