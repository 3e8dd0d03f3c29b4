"""What an API says that an answer cost: the `usage` members of JSON, ndjson and event streams, read as they pass. Pure.

Said by OpenAI (chat, responses, embeddings), Anthropic, Gemini and those that speak as they do. A member counts
wherever it stands in the document, but not inside a string, where its quotes are escaped; of several (a stream says it
as it grows) each number counts once, as its largest: what a model was made to write adds and takes nothing away.
"""

import json
import re
from typing import Final, NamedTuple

MOST: Final = 4096
"""Bytes of a member's value; a longer one is passed over."""
LARGEST: Final = 1 << 40
_MEMBER: Final = re.compile(rb'(?<!\\)"(?:usage|usageMetadata)"[ \t\r\n]{0,16}:[ \t\r\n]{0,16}\{')
_MODEL: Final = re.compile(rb'(?<!\\)"(?:model|modelVersion)"[ \t\r\n]{0,16}:[ \t\r\n]{0,16}"([^"\\\x00-\x1f]{1,128})"')
"""Which model answered. What is longer is none."""
MODELS: Final = 8
"""Names that are remembered; of more it is not known any more which are meant."""
_TAIL: Final = 192
"""Longer than what `_MEMBER` and `_MODEL` find."""
_DECODER: Final = json.JSONDecoder()
_TOTALS: Final = ("total_tokens", "totalTokenCount")
_PARTS: Final = (
    "prompt_tokens", "completion_tokens", "input_tokens", "output_tokens",
    "cache_creation_input_tokens", "cache_read_input_tokens",
)  # fmt: skip
"""What has no total: OpenAI's older words, Anthropic's."""


class Tokens(NamedTuple):
    """Tokens by what they cost: sent anew, read from a cache, put into one for minutes or for an hour; written."""

    fresh: int = 0
    cached: int = 0
    written: int = 0
    kept: int = 0
    output: int = 0

    @property
    def sent(self) -> int:
        """All but the output."""
        return sum(self[:4])

    def at_least(self, sent: int, output: int) -> "Tokens":
        """Return it with so many at least."""
        return self._replace(fresh=self.fresh + max(0, sent - self.sent), output=max(self.output, output))


class Usage:
    """Reads one answer; `tokens`, `split` and `models` are what it said so far."""

    __slots__ = ("_held", "_said", "events", "models", "split")

    def __init__(self) -> None:
        self._held = b""
        self._said: dict[str, int] = {}
        self.split = Tokens()
        """The tokens by kind; each kind counts as its largest, so that nothing written makes an answer cheaper."""
        self.models: dict[str, None] = {}
        """Those that it names; "" stands for more than `MODELS`."""
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
        for name in _MODEL.findall(text):
            self.models[name.decode("ascii", "replace") if len(self.models) < MODELS else ""] = None
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
        self.split = Tokens(*map(max, self.split, _split(said)))


def _split(said: dict[str, object]) -> Tokens:
    """Return one member's tokens by kind.

    OpenAI and Gemini count what came from a cache as a part of what was sent, Anthropic beside it. What a total has
    beyond its parts (Gemini's thoughts, where it does not say them) counts as output, the dearest.
    """
    whole = _sum(said, "prompt_tokens", "input_tokens", "promptTokenCount", "toolUsePromptTokenCount")
    within = _sum(said, "cachedContentTokenCount")
    for name in ("prompt_tokens_details", "input_tokens_details"):
        if isinstance(inner := said.get(name), dict):
            within += _sum(inner, "cached_tokens")
    within = min(within, whole)
    beside, stored = _sum(said, "cache_read_input_tokens"), _sum(said, "cache_creation_input_tokens")
    creation = said.get("cache_creation")
    kept = min(stored, _sum(creation, "ephemeral_1h_input_tokens")) if isinstance(creation, dict) else 0
    output = _sum(said, "completion_tokens", "output_tokens", "candidatesTokenCount", "thoughtsTokenCount")
    beyond = max(_sum(said, name) for name in _TOTALS) - whole - beside - stored
    return Tokens(whole - within, within + beside, stored - kept, kept, max(output, beyond))


def _sum(said: dict[str, object], *names: str) -> int:
    found = [said.get(name) for name in names]
    return sum(each for each in found if type(each) is int and 0 <= each <= LARGEST)
