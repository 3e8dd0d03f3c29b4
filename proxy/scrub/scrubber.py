"""Search for every form of every value, replace what is found, hold back only what may still become one."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

from proxy.coding import Decoder, Encoder, codings
from proxy.limits import DEFAULT, Limits
from proxy.message import Fields
from proxy.scrub.forms import forms
from store.model import MIN_SCRUBBED, SecretValue

_VALIDATORS: Final = frozenset((b"etag", b"digest", b"content-md5", b"content-digest", b"repr-digest"))


class Scrubber:
    """Built once for a view of the store, shared by all its requests. Holds values, so it is never printed."""

    __slots__ = ("_by_form", "_forms", "_longest", "_search")

    def __init__(self, values: Sequence[tuple[str, SecretValue]]) -> None:
        self._by_form: dict[bytes, bytes] = {}
        for name, value in values:
            if len(value) >= MIN_SCRUBBED:
                for form in forms(value.reveal()):
                    self._by_form.setdefault(form, b"#{SECRETS.%s}" % name.encode())
        self._forms = sorted(self._by_form)
        self._longest = max(map(len, self._forms), default=0)
        self._search = (
            BytesAhoCorasick(self._forms, MatchKind.LeftmostLongest, Implementation.DFA) if self._forms else None
        )

    def __repr__(self) -> str:
        return "Scrubber(…)"

    @property
    def empty(self) -> bool:
        """Whether there is nothing to search for."""
        return self._search is None

    def text(self, data: bytes) -> bytes:
        """Scrub something whole: a reason phrase, a target, a close reason."""
        out, _ = self.cut(data, final=True)
        return out

    def fields(self, fields: Fields) -> tuple[Fields, bool]:
        """Scrub the values of fields; say whether anything changed."""
        scrubbed = tuple((name, self.text(value)) for name, value in fields)
        return scrubbed, scrubbed != fields

    def body(self, fields: Fields, limits: Limits = DEFAULT) -> "BodyScrub | None":
        """Return what scrubs a response body with these fields; `None` when there is nothing to search for."""
        return None if self.empty else BodyScrub(self, fields, limits)

    def message(self) -> "MessageScrub":
        """Return what scrubs one WebSocket message."""
        return MessageScrub(self)

    def cut(self, data: bytes, *, final: bool) -> tuple[bytes, bytes]:
        """Return (scrubbed, held back)."""
        if self._search is None:
            return data, b""
        end = len(data) if final else self._pending(data)
        pieces, done = [], 0
        for form, start, stop in self._search.find_matches_as_indexes(data):
            if start >= end:
                break
            pieces += [data[done:start], self._by_form[self._forms[form]]]
            done = stop
        end = max(end, done)
        pieces.append(data[done:end] if done or end < len(data) else data)
        return b"".join(pieces) if len(pieces) > 1 else pieces[0], data[end:]

    def _pending(self, data: bytes) -> int:
        for start in range(max(0, len(data) - self._longest + 1), len(data)):
            tail = data[start:]
            place = bisect_left(self._forms, tail)
            if place < len(self._forms) and self._forms[place] != tail and self._forms[place].startswith(tail):
                return start
        return len(data)


class BodyScrub:
    """A response body on its way to the client. `changed`: whether anything was replaced so far."""

    __slots__ = ("_decoder", "_encoder", "_held", "_scrubber", "changed")

    def __init__(self, scrubber: Scrubber, fields: Fields, limits: Limits) -> None:
        chain = codings(fields)
        self._scrubber = scrubber
        self._decoder = Decoder(chain, limits)
        self._encoder = Encoder(chain)
        self._held = b""
        self.changed = False

    def feed(self, data: bytes) -> bytes:
        """Scrub a piece; raises `Refused` for a body that does not decode."""
        return self._encoder.feed(self._scrub(self._decoder.feed(data), final=False))

    def finish(self) -> bytes:
        """Return what is left; raises `Refused` when the encoded body is cut off."""
        return self._encoder.feed(self._scrub(self._decoder.finish(), final=True)) + self._encoder.finish()

    def _scrub(self, data: bytes, *, final: bool) -> bytes:
        data = self._held + data if self._held else data
        out, self._held = self._scrubber.cut(data, final=final)
        self.changed = self.changed or out + self._held != data
        return out


class MessageScrub:
    """A WebSocket message on its way to the client, in fragments."""

    __slots__ = ("_held", "_scrubber")

    def __init__(self, scrubber: Scrubber) -> None:
        self._scrubber = scrubber
        self._held = b""

    def feed(self, data: bytes, *, final: bool) -> bytes:
        """Scrub a fragment; `final` ends the message."""
        out, self._held = self._scrubber.cut(self._held + data, final=final)
        return out


def drop_validators(fields: Fields) -> Fields:
    """Leave out the fields that describe bytes which are no longer sent."""
    return tuple((name, value) for name, value in fields if name.lower() not in _VALIDATORS)
