"""What an API says that an answer cost: the `usage` members of JSON, ndjson and event streams, read as they pass. Pure.

Said by OpenAI (chat, responses, embeddings), Anthropic, Gemini and those that speak as they do. A member counts
wherever it stands in the document, but not inside a string, where its quotes are escaped; of several (a stream says it
as it grows) each number counts once, as its largest: what a model was made to write adds and takes nothing away.
"""

import json
import re
from typing import Final

MOST: Final = 4096
"""Bytes of a member's value; a longer one is passed over."""
LARGEST: Final = 1 << 40
_MEMBER: Final = re.compile(rb'(?<!\\)"(?:usage|usageMetadata)"[ \t\r\n]{0,16}:[ \t\r\n]{0,16}\{')
_TAIL: Final = 64
"""Longer than what `_MEMBER` finds."""
_DECODER: Final = json.JSONDecoder()
_TOTALS: Final = ("total_tokens", "totalTokenCount")
_PARTS: Final = (
    "prompt_tokens", "completion_tokens", "input_tokens", "output_tokens",
    "cache_creation_input_tokens", "cache_read_input_tokens",
)  # fmt: skip
"""What has no total: OpenAI's older words, Anthropic's."""


class Usage:
    """Reads one answer; `tokens` is what it said so far."""

    __slots__ = ("_held", "_said", "events")

    def __init__(self) -> None:
        self._held = b""
        self._said: dict[str, int] = {}
        self.events = 0
        """Of a stream: a piece of text each, mostly."""

    @property
    def tokens(self) -> int:
        """All tokens, in and out; 0 where nothing was said."""
        totals = [self._said[name] for name in _TOTALS if name in self._said]
        return max([*totals, sum(self._said.get(name, 0) for name in _PARTS)])

    def feed(self, data: bytes) -> None:
        """Read a piece of the answer."""
        self.events += data.count(b"data:")
        text, at = self._held + data, 0
        while (found := _MEMBER.search(text, at)) is not None:
            start = at = found.end() - 1
            value = text[start : start + MOST]
            try:
                said, _ = _DECODER.raw_decode(value.decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                if len(value) < MOST:  # the rest comes
                    self._held = text[max(found.start() - 1, 0) :]
                    return
            else:
                self._take(said)
        self._held = text[max(at, len(text) - _TAIL) :]

    def _take(self, said: dict[str, object]) -> None:
        for name in (*_TOTALS, *_PARTS):
            number = said.get(name)
            if type(number) is int and 0 <= number <= LARGEST:
                self._said[name] = max(number, self._said.get(name, 0))
