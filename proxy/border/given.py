"""A token as a process keeps it: encrypted, with its times, and what a request is given of it."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from proxy.core.refusal import Refusal
from store.kinds import WRITTEN, Credential
from store.model import Caller, Grant, Kind, SecretValue
from store.reach import STRONG_FOR
from store.reader import Locker

ELDER: Final = 16
"""Tokens before the present one that are searched for, at least; those whose time is not over are, all."""


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """One token, encrypted; times on the clock of `Tokens`."""

    copy: bytes = field(repr=False)
    binding: bytes
    locker: Locker
    made: float
    renews: float
    ends: float

    def open(self) -> SecretValue:
        """Decrypt it."""
        return self.locker.open(self.copy, self.binding)


@dataclass(frozen=True, slots=True)
class Given:
    """Permission to write a token, in the place of the grant that it was made by."""

    grant: Grant = field(repr=False)
    token: Token

    @property
    def name(self) -> str:
        """The secret's."""
        return self.grant.name

    @property
    def kind(self) -> Kind:
        """Secret."""
        return self.grant.kind

    @property
    def version(self) -> int:
        """That of the value that was traded."""
        return self.grant.version

    @property
    def identity(self) -> str:
        """That of the value that was traded."""
        return self.grant.identity

    @property
    def credential(self) -> Credential:
        """A token is written as it is."""
        return WRITTEN

    def open(self) -> SecretValue:
        """Decrypt the token."""
        return self.token.open()


@dataclass(slots=True, eq=False)
class Kept:
    """What is known of one version of a secret. `mark` changes with what is searched for."""

    caller: Caller | None
    """Who used it last; None: another process."""
    used: float
    live: Token | None = None
    elder: list[tuple[Token, float]] = field(default_factory=list)
    """Tokens that are not used any more, and since when."""
    mark: int = 0
    task: "asyncio.Task[None] | None" = None
    refusal: Refusal | None = None
    again: float = 0.0
    """When the endpoint may be asked again, after a failure."""
    failures: int = 0
    granted: tuple[str, ...] | None = None
    """What the present token is for, as far as this process was told (`proxy.core.trading.Answered`)."""

    def told(self, name: str, now: float) -> Refusal:
        """Return what one of those who asked is told of a failure: under the name that it has for the secret."""
        code = "internal" if self.refusal is None else self.refusal.code
        wait = max(1, int(self.again - now) + 1) if code == "token_unavailable" else None
        return Refusal(code, None if code == "internal" else name, retry_after=wait)

    def retire(self, now: float) -> None:
        """Use the present token no longer; it stays among those that are searched for."""
        if self.live is not None:
            self.elder.append((self.live, now))
            self.live = None

    def prune(self, now: float) -> bool:
        """Forget what is not searched for any more; say whether there was any."""
        left = [
            (token, since)
            for index, (token, since) in enumerate(reversed(self.elder))
            if now < since + STRONG_FOR and (index < ELDER or now < token.ends)
        ]
        gone = len(left) < len(self.elder)
        self.elder = left[::-1]
        return gone

    def tokens(self, now: float) -> Iterator[tuple[Token, float]]:
        """Yield all that is searched for, and for how many seconds each was not used any more."""
        if self.live is not None:
            yield self.live, 0.0
        for token, since in self.elder:
            yield token, now - since
