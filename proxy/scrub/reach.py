"""How much of each value the automaton searches for: enough that other texts seldom begin alike.

Every hit costs Python a microsecond or more. Eight bytes tell a random key from everything else; URLs, tokens and PEM
blocks differ only later, a hundred keys of one provider after its prefix, and a run of one character where it ends.
"""

import itertools
import re
from collections.abc import Sequence
from typing import Final

from proxy.scrub.needle import HEAD, period
from proxy.scrub.walk import common

LONGEST: Final = 48
"""Bytes; longer beginnings in common cost time instead of memory."""

_COMMON: Final = re.compile(
    rb"-----BEGIN [A-Z0-9 ]{1,30}-----\s{0,2}|eyJ[A-Za-z0-9_-]{9,60}\.|[A-Za-z][a-z0-9+]{1,15}://[\w.-]{0,36}[/:@]?"
    rb"|(?:bearer|basic|token|api[-_]?key) {0,2}|\W{0,4}(?:password|passwd|secret|username|account|default)\W{0,4}"
    rb"|sk-(?:proj|ant|live|test)-|github_pat_|glpat-|[\[{]\s{0,4}\"\w{1,20}\":\s?",
    re.IGNORECASE,
)
_BEYOND: Final = 5


def reaches(values: Sequence[bytes]) -> list[int]:
    """Return for each value how many of its first bytes to search for."""
    shared = _shared(values)
    return [min(LONGEST, max(HEAD, _usual(value), shared[value])) for value in values]


def _usual(value: bytes) -> int:
    """Return where a value differs from what is common, or from a run."""
    found = _COMMON.match(value)
    size = found.end() + HEAD if found else HEAD
    step = period(value[:HEAD])
    while step and size < len(value) and value[size - step] == value[size]:
        size += 1
    return size + 1 if step else size


def _shared(values: Sequence[bytes]) -> dict[bytes, int]:
    """Return where each value differs from its neighbours in order, which are most like it."""
    order = sorted(set(values))
    found = dict.fromkeys(order, 0)
    for one, other in itertools.pairwise(order):
        same = common(one[:LONGEST], other[:LONGEST])
        for value in (one, other) if same >= HEAD else ():
            found[value] = max(found[value], same + _BEYOND)
    return found
