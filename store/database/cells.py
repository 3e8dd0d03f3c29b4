"""The types of the schema's columns: what is read is of its column's type, whatever somebody put there.

SQLite keeps any storage class in any column, so who writes the file could put bytes where text belongs, or a word where
a number does; a genuine row never has that. A cell of the wrong class reads as what is no genuine value: it differs
from what is signed, as any edited one, and nothing that reads rows has to expect it.
"""

import datetime as dt
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import BigInteger, Dialect, Integer, LargeBinary, Text

MOST: Final = int(dt.datetime(9999, 12, 31, tzinfo=dt.UTC).timestamp()) * 1000
"""No time (Unix milliseconds) or count of ours is beyond; a later time has no date in an answer."""
STRANGE: Final = "\N{REPLACEMENT CHARACTER}"
"""Begins what was no text: it equals nothing that was written, so no key, name or id that only looks alike."""

type Read = Callable[[Any], Any]


def _text(value: object) -> str | None:
    if type(value) is str or value is None:
        return value
    return STRANGE + (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))


def _bytes(value: object) -> bytes | None:
    if type(value) is bytes or value is None:
        return value
    return value.encode("utf-8", "replace") if isinstance(value, str) else b""


def _number(value: object) -> int | None:
    if value is None or (type(value) is int and 0 <= value <= MOST):
        return value
    return -1


class Words(Text):
    """Text, valid UTF-8."""

    def result_processor(self, dialect: Dialect, coltype: object) -> Read | None:
        """Check what SQLite gives; PostgreSQL keeps text alone."""
        return _text if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


class Octets(LargeBinary):
    """Bytes. Text of the same bytes is as good: what they are worth is asked of a hash or a signature."""

    def result_processor(self, dialect: Dialect, coltype: object) -> Read | None:  # noqa: ARG002
        """Check what the database gives."""
        return _bytes  # psycopg gives bytes as well


class Number(BigInteger):
    """A count or a time, 0 to `MOST`; what is none reads as -1."""

    def result_processor(self, dialect: Dialect, coltype: object) -> Read | None:  # noqa: ARG002
        """Check what the database gives."""
        return _number


class Small(Integer):
    """A `Number` of half the size."""

    def result_processor(self, dialect: Dialect, coltype: object) -> Read | None:  # noqa: ARG002
        """Check what the database gives."""
        return _number
