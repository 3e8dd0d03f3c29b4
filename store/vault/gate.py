"""What every verb of the vault passes: authorise, open one transaction, audit in it; denials are audited too."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from store.access import LOCAL, Invisible, Principal, require
from store.checks import is_plain
from store.database import rows
from store.database.engine import Database
from store.database.marks import Marking, write_mark
from store.database.schema import datasets, organisations, projects
from store.errors import Conflict, Forbidden, NotAuthenticated, NotFound, PreconditionFailed, Tampered
from store.keys.keyring import ControlKeys
from store.keys.sealing import Sealer
from store.keys.sealing_keys import DOCUMENT, SealingKeyList
from store.ledger.commit import Ledger, Transaction
from store.ledger.manifests import Draft, Kept
from store.ledger.stops import Stop
from store.lineage import Fetch, document_key, lives, member_of
from store.log.audit import Event
from store.log.folding import Folding
from store.model import Scope
from store.trust.mark import HighWater


class Gate:
    """Holds what the verbs need: the ledger (database and writer key), the sealer, a clock. No opening key is here."""

    def __init__(
        self,
        database: Database,
        keys: ControlKeys,
        clock: Callable[[], float] = time.time,
        mark: HighWater | None = None,
    ) -> None:
        self.database = database
        self.keys = keys
        self.ledger = Ledger(database, keys, clock, mark)
        self._sealer = Sealer(keys.public.sealing)
        self.clock = clock
        self.marking = Marking()
        self.folding = Folding(clock)

    def manifest(self, connection: Connection, scope: Scope) -> Kept:
        """Return what the head vouches for in a scope; raises `NotFound`, `Tampered`."""
        plain = all(is_plain(part) for part in (scope.organisation, scope.project, scope.dataset))
        found = self.ledger.manifest(connection, scope) if plain else None
        if found is None:
            raise nothing()
        return found

    def sealing_keys(self, connection: Connection) -> SealingKeyList:
        """Return the sealing keys that the head vouches for."""
        body = self.ledger.document(connection, DOCUMENT)
        if body is None:
            raise Tampered("the head vouches for no keyring")
        return SealingKeyList.parse(body)

    def sealing(self, connection: Connection) -> Sealer:
        """Return what seals to the active key; the head says which that is."""
        if self.ledger.head(connection).kid != self._sealer.kid.hex():
            self._sealer = Sealer(self.sealing_keys(connection).active.public)
        return self._sealer

    @contextmanager
    def change(self, principal: Principal, action: str, scope: Scope, target: str = "") -> Iterator[Transaction]:
        """Authorise, then one transaction that ends with its audit row."""
        with self._denials(principal, action, scope, target):
            require(principal, action, scope)
            with self.ledger.change() as transaction:
                _still_lives(fetching(self.ledger, transaction.connection), principal, self.clock())
                if self.marking.mark is not None:
                    write_mark(transaction.connection, self.marking.mark, transaction.now)
                yield transaction
                transaction.log(replace(_event(principal, action, scope, target), detail=transaction.told))

    @contextmanager
    def look(self, principal: Principal, action: str, scope: Scope, target: str = "") -> Iterator[Connection]:
        """Authorise, then one reading transaction."""
        with self._denials(principal, action, scope, target):
            require(principal, action, scope)
            with self.database.read() as connection:
                yield connection

    @contextmanager
    def _denials(self, principal: Principal, action: str, scope: Scope, target: str) -> Iterator[None]:
        try:
            yield
        except (Forbidden, Invisible) as error:
            outcome = "not_found" if isinstance(error, Invisible) else "forbidden"
            if self.folding.folds(principal):
                raise
            known = Scope(principal.organisation)  # a foreign scope's log is not the denied one's to write in
            with self.ledger.change() as transaction:
                transaction.log(_event(principal, action, known, f"{scope}:{target}"[:512], outcome))
            raise


def _event(principal: Principal, action: str, scope: Scope, target: str, outcome: str = "ok") -> Event:
    target = target.encode("ascii", "replace").decode()
    return Event(action, scope, target, outcome, principal.actor, principal.source, principal.request_id)


def fetching(ledger: Ledger, connection: Connection) -> Fetch:
    """Return what reads believed documents for `store.lineage`, each once."""
    known: dict[str, Any] = {}

    def fetch(key: str) -> Mapping[str, Any] | None:
        if key not in known:
            body = ledger.document(connection, key)
            known[key] = None if body is None else json.loads(body)
        found: Mapping[str, Any] | None = known[key]
        return found

    return fetch


def _still_lives(fetch: Fetch, principal: Principal, now: float) -> None:
    """Stop a change whose key, or member, ended since the request began: its body may have taken half a minute."""
    if principal.key == LOCAL:
        return
    key = fetch(document_key(principal.key))
    gone = key is None or not lives(key, fetch, now)
    if gone or (principal.member is not None and key is not None and member_of(key, fetch) is None):
        raise NotAuthenticated("The API key is missing, unknown, expired or revoked.")


class Verbs:
    """Verbs on one kind of thing, behind the one gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate


def nothing() -> NotFound:
    """Return the one answer for what is not there and for what nobody may know of."""
    return NotFound("There is no such object, or this key may not see it.")


def find_scope(connection: Connection, scope: Scope) -> rows.Row | None:
    """Return the dataset's row (None for wider scopes); raises `NotFound` where the scope does not exist."""
    missing = nothing()
    if not all(is_plain(part) for part in (scope.organisation, scope.project, scope.dataset)):
        raise missing
    if scope.dataset:
        found = rows.find(
            connection, datasets, organisation=scope.organisation, project=scope.project, id=scope.dataset
        )
        if found is None:
            raise missing
        return found
    table, key = (
        (projects, {"organisation": scope.organisation, "id": scope.project})
        if scope.project
        else (
            organisations,
            {"id": scope.organisation},
        )
    )
    if rows.find(connection, table, **key) is None:
        raise missing
    return None


def need_draft(transaction: Transaction, scope: Scope) -> Draft:
    """Return the manifest of a scope, to be changed; raises `NotFound` where there is none, `Tampered`."""
    plain = all(is_plain(part) for part in (scope.organisation, scope.project, scope.dataset))
    draft = transaction.draft(scope) if plain else None
    if draft is None:
        raise nothing()
    return draft


def need_scope(transaction: Transaction, scope: Scope) -> None:
    """Return where the scope is there, as its manifest says: a row that is gone holds no change up."""
    with contextlib.suppress(Tampered):  # the head vouches for one that does not verify: the scope is there
        need_draft(transaction, scope)


def stop_in(gate: Gate, principal: Principal, action: str, scope: Scope, stop: Stop) -> None:
    """Have something taken away in a scope whose manifest does not verify; raises `Tampered` for whom groups bind.

    For what groups may do is in the manifest too.
    """
    target = f"stop/{stop.kind}s/{stop.name}" if stop.name else "stop"
    with gate.change(principal, action, scope, target) as transaction:
        if not principal.above_groups(scope) or not principal.holds(action, scope):
            raise Tampered("the signed manifest is damaged")
        transaction.stop(scope, stop)


def check_match(etag: str | None, if_match: str | None, *, if_none_match: str | None = None) -> None:
    """Hold If-Match and If-None-Match against the object's ETag (None: it is not there)."""
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    if etag is not None and (etag in tags or "*" in tags):
        raise PreconditionFailed("It exists already, or is as If-None-Match says; leave that out to replace it.")
    if if_match not in {None, "*", etag}:
        raise PreconditionFailed("It was changed meanwhile; read it again and repeat with its new ETag.")
    if if_match == "*" and etag is None:
        raise PreconditionFailed("It does not exist.")


def refuse_immutable(draft: Draft) -> None:
    """Stop changes of an immutable dataset's secrets."""
    if draft.settings.get("immutable"):
        raise Conflict(
            "The dataset is immutable: replace it by a new upload (PUT), or disable the secret.", code="immutable"
        )
