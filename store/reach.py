"""Where a value can come back from, and so where answers are searched for it (spec 3).

An answer of another host is not searched at all: a stranger's server must never meet the search, or it tests guesses
with it. What counts is what was sealed with the value, whatever was narrowed since; scheme and port count for nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from store.hosts import registrable
from store.model import SecretValue
from store.rules import DestinationRule
from store.strength import strong

STRONG_FOR: Final = 86_400.0
"""Seconds for which a strong value that was rotated out, or deleted, is still searched for."""

WEAK_FOR: Final = 3600.0
"""The same for a weak one."""


@dataclass(slots=True)
class Stored:
    """A value that counts, and where it can reach. Its strength is known here alone: it is neither stored nor shown.

    `free`: no rule binds it and it may go anywhere. `age`: seconds since it was rotated out or deleted; 0: it was not.
    """

    name: str
    value: SecretValue
    rules: Sequence[DestinationRule] = ()
    free: bool = False
    age: float = 0.0
    strong: bool = field(init=False)
    _domains: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.strong = strong(self.value.reveal())
        self._domains = frozenset(registrable(rule.host) for rule in self.rules) if self.strong else frozenset()

    @property
    def counts(self) -> bool:
        """Whether it is still searched for."""
        return self.age < (STRONG_FOR if self.strong else WEAK_FOR)

    def reaches(self, host: str) -> bool:
        """Say whether it can come back from a host (as `Destination.host`)."""
        return self.free or registrable(host) in self._domains or any(rule.names(host) for rule in self.rules)


@dataclass(frozen=True, slots=True)
class Traded:
    """A version that is traded for tokens, and where they can come back from. `identity` is that of its grants."""

    name: str
    identity: str
    rules: Sequence[DestinationRule] = ()
    free: bool = False
    kid: bytes = b""
    """The opening key that the version was sealed to."""
    active: bool = True
    """Whether it may be used; one that was rotated out is searched for alone."""


def among(host: str, listed: Iterable[str]) -> bool:
    """Say whether a host is in a dataset's `scrub_hosts`: names, and `*.name` for what is below one."""
    return any(host.endswith(one[1:]) if one.startswith("*.") else host == one for one in listed)


def scrub_hosts(egress: Mapping[str, object]) -> tuple[str, ...]:
    """Return the hosts that an egress document adds to those searched."""
    found = egress.get("scrub_hosts", ())
    return tuple(map(str, found)) if isinstance(found, list | tuple) else ()
