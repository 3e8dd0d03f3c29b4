"""Holds every row against what is signed, so that an edit is found and mended though nobody changes anything there."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy import select

from store.database import rows
from store.database.schema import datasets, documents, entries, organisations, projects, shares
from store.errors import StoreError, Tampered
from store.keys.sealing import is_signed, sign_envelope
from store.ledger import lists
from store.ledger.binding import binding_of
from store.ledger.commit import Ledger, Transaction
from store.model import Kind, Scope
from store.trust.entry import EntryState
from store.trust.signing import digest

SLICE: Final = 100
"""Entries of one transaction: the head's heartbeat waits behind."""


class Sweep:
    """Goes round all scopes, a slice at a time. For the writer's thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.drop = False
        """Whether rows of which nothing signed knows are deleted; only after a round that mended the others."""
        self._round: Iterator[Callable[[Transaction], None]] = iter(())

    def turn(self) -> bool:
        """Look at one slice; returns whether the round goes on."""
        work = next(self._round, None)
        if work is None:
            self._round = self._looks()
            return False
        try:
            with self._ledger.change(beats=False) as transaction:
                work(transaction)
        except StoreError as error:
            self._ledger.alarms.sound(error.detail)
        return True

    def whole(self) -> None:
        """Go round once, from the beginning."""
        self._round = self._looks()
        while self.turn():
            pass

    def _looks(self) -> Iterator[Callable[[Transaction], None]]:
        for scope in _scopes(self._ledger):
            left = [Part(scope, ())]
            while left:
                yield partial(self._look, left.pop(), left)
        yield from lists.documents()
        yield from lists.listed()

    def _look(self, part: "Part", left: "list[Part]", transaction: Transaction) -> None:
        left += _look(transaction, part, drop=self.drop)


@dataclass(frozen=True, slots=True)
class Part:
    """A scope, and which of its entries are left; none: all of them."""

    scope: Scope
    ids: Sequence[str]


def _look(transaction: Transaction, part: Part, *, drop: bool) -> list[Part]:
    """Look at a part of a scope; returns what is left of it."""
    scope, rest = part.scope, part.ids
    try:
        draft, mirror = transaction.draft(scope), transaction.mirror
    except Tampered as error:
        raise Tampered(f"{error.detail} ({scope})") from error
    if not rest:
        mirror.strangers(scope, None if draft is None else draft.ids, drop=drop)
    if draft is None:
        return []
    ids = rest or sorted(draft.ids)
    mirror.load(ids[:SLICE])
    for id_ in ids[:SLICE]:
        state = draft.entry(id_)
        if state is not None:
            _check_bodies(transaction, state)
    left = ids[SLICE:]
    return [Part(scope, left)] if left else []


def _check_bodies(transaction: Transaction, state: EntryState) -> None:
    """Hold envelopes against the hashes that the record names; a signature that is gone is made anew."""
    wanted = {(state.id, each.number): each for each in state.versions}
    stored = rows.read_versions(transaction.connection, [*wanted])
    found = {(id_, number): (body, signature) for id_, number, body, signature in stored}
    for key, version in wanted.items():
        body, signature = found.get(key, (None, None))
        if body is None or digest(body) != version.sha256:
            transaction.damaged(state.scope, f"versions/{key[0]}/{key[1]}")
        elif state.kind == Kind.SECRET:
            binding = binding_of(transaction.keys.public.store_id, state, version)
            if not is_signed(transaction.keys.public.verifier, signature, body, binding):
                fresh = sign_envelope(transaction.keys.writer, body, binding)
                transaction.mirror.resign(state, version.number, fresh)


def _scopes(ledger: Ledger) -> list[Scope]:
    """Return every scope that is signed or listed."""
    found: set[Scope] = set()
    with ledger.database.read() as connection:
        keys = connection.execute(select(documents.c.key).where(documents.c.key.startswith("manifest/"))).scalars()
        found |= {Scope(*key.split("/")[1:4]) for key in keys}
        for table in (organisations, projects, datasets, entries, shares):
            place = (
                ("organisation", "project", "dataset") if "dataset" in table.c else ("organisation", "project", "id")
            )
            columns = [table.c[name] for name in place if name in table.c]
            found |= {Scope(*row) for row in connection.execute(select(*columns).distinct())}
    return sorted(found, key=str)
