"""What searches the answers of some hosts: values that can reach them, and what the session may know of their names."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final, Self, overload

from proxy.core.limits import DEFAULT, Limits
from proxy.core.message import Fields
from proxy.core.scrub.body import BodyScrub
from proxy.core.scrub.fields import drop_validators as drop_validators  # noqa: PLC0414  where adapters look for it
from proxy.core.scrub.search import Search
from proxy.core.scrub.stream import Stream
from store.model import SecretValue

_BETWEEN: Final = b"\n\0\n"
_STATUS: Final = len(b":status200") + 32
_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding", b"connection"))


Note = Callable[[str, SecretValue], None]
"""Told a value that was found, and its name."""


class Scrubber:
    """Shared by all requests that the same values reach. Holds values, so it is never printed."""

    __slots__ = ("_values", "empty", "search", "texts")

    def __init__(self, values: Sequence[tuple[str, SecretValue]]) -> None:
        names = [name for name, _ in values]
        self._use(Search([value.reveal() for _, value in values]), values, _texts(names))

    @classmethod
    def told(cls, search: Search, values: Sequence[tuple[str, SecretValue]], names: Sequence[str]) -> Self:
        """Return one for a search of `values` that exists, with the names that they are told by."""
        made = cls.__new__(cls)
        made._use(search, values, _texts(names))  # noqa: SLF001  its own
        return made

    def noting(self, note: Note) -> Self:
        """Return the same for one exchange, which is told of each value before what replaces it is sent on."""
        made = type(self).__new__(type(self))
        made._use(self.search, self._values, _Noted(self.texts, self._values, note))  # noqa: SLF001  its own
        return made

    def _use(self, search: Search, values: Sequence[tuple[str, SecretValue]], texts: Sequence[bytes]) -> None:
        self.search = search
        self._values = values
        self.texts = texts
        self.empty = search.empty
        """Whether there is nothing to search for: all passes as it is."""

    def __repr__(self) -> str:
        return "Scrubber(…)"

    def text(self, data: bytes) -> bytes:
        """Scrub something whole: a reason phrase, a target, a close reason."""
        return data if self.empty else Stream(self).feed(data, final=True)

    def control(self, data: bytes, limit: int = 125) -> bytes:
        """Scrub the payload of a control frame or a close reason, and keep it within its limit (RFC 6455 5.5).

        It is cut after it was scrubbed, and never inside a UTF-8 character.
        """
        data = self.text(data)
        if len(data) <= limit:
            return data
        while data[limit] & 0xC0 == 0x80:
            limit -= 1
        return data[:limit]

    def fields(self, fields: Fields) -> tuple[Fields, bool]:
        """Scrub names and values of fields; say whether anything changed. A name keeps to the characters of names."""
        if self.empty:
            return fields, False
        parts = [part for field in fields for part in field]
        matches, _ = self.search.matches(_BETWEEN.join(parts))
        if not matches:
            return fields, False
        ends = list(accumulate(len(part) + len(_BETWEEN) for part in parts))
        reached = 0
        for start, end, *_ in matches:  # thousands of fields may come with one hit: the others are not looked at again
            begin = max(reached, bisect_right(ends, start))
            reached = max(reached, bisect_left(ends, end) + 1)
            for index in range(begin, reached):
                name, before = fields[index // 2][0], parts[index]
                if name.lower() not in _FRAMING:
                    text = self.text(before)
                    parts[index] = text if index % 2 else _as_name(before, text)
        scrubbed = tuple(zip(parts[::2], parts[1::2], strict=True))
        return scrubbed, scrubbed != fields

    def size(self, fields: Fields, reason: bytes = b"") -> int:
        """Return the size of a head or of trailers (RFC 9113 6.5.2), values in it counted by their shapes."""
        parts = [reason, *(part for field in fields for part in field)]
        text = _BETWEEN.join(parts)
        surplus = sum(map(self.search.surplus, self.search.matches(text)[0]))
        return _STATUS + sum(map(len, parts)) + 32 * len(fields) + surplus

    def body(self, fields: Fields, limits: Limits = DEFAULT) -> BodyScrub | None:
        """Return what scrubs a response body with these fields; `None` when there is nothing to search for.

        Raises `Refused` (502) for a body that cannot be searched: the adapter withholds it.
        """
        return None if self.empty else BodyScrub(self, fields, limits)

    def message(self) -> "MessageScrub":
        """Return what scrubs one WebSocket message."""
        return MessageScrub(self)


class _Noted(Sequence[bytes]):
    """Placeholders; one is asked for where its value was found whole, and nowhere else."""

    __slots__ = ("_note", "_texts", "_values")

    def __init__(self, texts: Sequence[bytes], values: Sequence[tuple[str, SecretValue]], note: Note) -> None:
        self._texts, self._values, self._note = texts, values, note

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(index, int):
            self._note(*self._values[index])
        return self._texts[index]


def _texts(names: Sequence[str]) -> list[bytes]:
    return [b"#{SECRETS.%s}" % name.encode() for name in names]


NOTHING: Final = Scrubber([])
"""For hosts that no value reaches: their answers are not searched at all."""


def _as_name(before: bytes, after: bytes) -> bytes:
    """Spell the placeholders in a header name so that it stays a token (RFC 9110 5.6.2)."""
    if before == after:
        return before
    return after.replace(b"#{", b"%23%7B").replace(b"}", b"%7D").replace(b"*", b"%2A")


class MessageScrub:
    """A WebSocket message on its way to the client, in fragments; text or binary."""

    __slots__ = ("_stream",)

    def __init__(self, scrubber: Scrubber) -> None:
        self._stream = None if scrubber.empty else Stream(scrubber)

    @property
    def size(self) -> int:
        """How long the message is so far, values in it counted by their shapes."""
        return 0 if self._stream is None else self._stream.fed + self._stream.surplus

    def feed(self, data: bytes, *, final: bool) -> bytes:
        """Scrub a fragment; `final` ends the message."""
        return data if self._stream is None else self._stream.feed(data, final=final)
