"""A bound on the work that an upstream can make: it chooses the texts that are walked, and knows values it was sent.

Near misses cost a step each; a text in which every byte begins one, or that can be read in very many ways, would hold
the whole proxy for hours. Such a text is not searched to its end, and so it is not sent on.
"""

from typing import Final

from proxy.refusal import Refusal, Refused

_AT_ONCE: Final = 20_000
_BYTES_FOR_A_STEP: Final = 4
_FOR_A_PIECE: Final = 32  # a piece costs as much by itself, however short it is


class Effort:
    """What is left of the steps for one body, message or text. A step takes about a microsecond."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = _AT_ONCE

    def grant(self, length: int) -> None:
        """Allow for a piece of so many bytes."""
        self._left += length // _BYTES_FOR_A_STEP + _FOR_A_PIECE

    def spend(self, steps: int) -> None:
        """Count steps; raises `Refused` when there were too many."""
        self._left -= steps
        if self._left < 0:
            raise Refused(Refusal("unsupported_encoding", override=502))
