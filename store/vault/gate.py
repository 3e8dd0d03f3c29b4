"""What every verb of the vault passes: authorise, open one transaction, audit in it; denials are audited too."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from sqlalchemy import Connection

from store.access import LOCAL, Invisible, Principal, require
from store.checks import is_plain
from store.database import rows
from store.database.backup import backup
from store.database.engine import Database, file_of
from store.database.leader import Leader
from store.database.marks import Marking, write_mark
from store.database.migrations import migrate
from store.database.schema import api_keys, datasets, members, organisations, projects
from store.errors import Conflict, Forbidden, NotAuthenticated, NotFound, PreconditionFailed, Tampered
from store.keys.keyring import ControlKeys
from store.keys.sealing import Sealer
from store.keys.sealing_keys import DOCUMENT, Seals
from store.ledger.commit import Ledger, Transaction
from store.ledger.housekeeping import flush_key_use, tend
from store.ledger.intake import Intake
from store.log.audit import Event
from store.log.checkpoints import Checkpoints
from store.log.folding import Folding
from store.model import Scope
from store.trust.head import Head


class Gate:
    """Holds what the verbs need: the ledger (database and writer key), the sealer, a clock. No opening key is here."""

    def __init__(self, database: Database, keys: ControlKeys, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._keys = keys
        self._ledger = Ledger(database, keys, clock)
        self._sealer = Sealer(keys.public.sealing)
        self._clock = clock
        self._used_keys: dict[str, int] = {}
        self._marking = Marking()
        self._folding = Folding(clock)

    @classmethod
    def open(cls, url: str, data: Path, clock: Callable[[], float] = time.time) -> Self:
        """Read the keys, migrate the database, check that they belong together; raises `KeyMismatch`."""
        keys = ControlKeys.load(data)
        database = Database(url)
        with database.write() as connection:
            migrate(connection)
        gate = cls(database, keys, clock)
        with database.read() as connection:
            gate._ledger.head(connection)
        return gate

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def beat(self) -> None:
        """Renew the signed head (call every two seconds); raises `Unavailable`."""
        self._ledger.beat()

    @property
    def sqlite(self) -> bool:
        """Whether the store is on SQLite, and therefore the only one."""
        return self._database.sqlite

    def leader(self) -> Leader:
        """Return what says whether this store leads the others."""
        return Leader(self._database, self._keys.public.store_id)

    def head_age(self) -> float:
        """Return how many seconds ago the head was written last, by whichever store."""
        with self._database.read() as connection:
            return self._clock() - self._ledger.head(connection).issued_at / 1000

    def intake(self, data: Path) -> Intake:
        """Return what takes the data plane's spools in."""
        return Intake(self._ledger, data)

    def checkpoints(self, data: Path) -> Checkpoints:
        """Return what writes checkpoints of the audit log."""
        return Checkpoints(data, self._keys.writer)

    def audit_head(self) -> Head:
        """Return the verified head, which names the log's last row."""
        with self._database.read() as connection:
            return self._ledger.head(connection)

    def backup(self, target: Path) -> None:
        """Write a consistent copy of the database beside the running store (SQLite)."""
        backup(file_of(self._database.url), target)

    def tend(self) -> int:
        """Clean up: expired sessions, deleted values, last use of keys (call every minute or so)."""
        used, self._used_keys = self._used_keys, {}
        if used:
            flush_key_use(self._ledger, used)
        if folded := self._folding.take():
            with self._ledger.change() as transaction:
                for event in folded:
                    transaction.log(event)
        return tend(self._ledger)

    def _seals(self, connection: Connection) -> Seals:
        """Return the sealing keys that the head vouches for."""
        body = self._ledger.document(connection, DOCUMENT)
        if body is None:
            raise Tampered("the head vouches for no keyring")
        return Seals.parse(body)

    def _sealing(self, connection: Connection) -> Sealer:
        """Return what seals to the active key; the head says which that is."""
        if self._ledger.head(connection).kid != self._sealer.kid.hex():
            self._sealer = Sealer(self._seals(connection).active.public)
        return self._sealer

    @contextmanager
    def _change(self, principal: Principal, action: str, scope: Scope, target: str = "") -> Iterator[Transaction]:
        """Authorise, then one transaction that ends with its audit row."""
        with self._denials(principal, action, scope, target):
            require(principal, action, scope)
            with self._ledger.change() as transaction:
                _still_lives(transaction.connection, principal)
                if self._marking.mark is not None:
                    write_mark(transaction.connection, self._marking.mark, transaction.now)
                yield transaction
                transaction.log(_event(principal, action, scope, target))

    @contextmanager
    def _look(self, principal: Principal, action: str, scope: Scope, target: str = "") -> Iterator[Connection]:
        """Authorise, then one reading transaction."""
        with self._denials(principal, action, scope, target):
            require(principal, action, scope)
            with self._database.read() as connection:
                yield connection

    @contextmanager
    def _denials(self, principal: Principal, action: str, scope: Scope, target: str) -> Iterator[None]:
        try:
            yield
        except (Forbidden, Invisible) as error:
            outcome = "not_found" if isinstance(error, Invisible) else "forbidden"
            if self._folding.folds(principal):
                raise
            known = Scope(principal.organisation)  # a foreign scope's log is not the denied one's to write in
            with self._ledger.change() as transaction:
                transaction.log(_event(principal, action, known, f"{scope}:{target}"[:512], outcome))
            raise


def _event(principal: Principal, action: str, scope: Scope, target: str, outcome: str = "ok") -> Event:
    target = target.encode("ascii", "replace").decode()
    return Event(action, scope, target, outcome, principal.actor, principal.source, principal.request_id)


def _still_lives(connection: Connection, principal: Principal) -> None:
    """Stop a change whose key, or member, ended since the request began: its body may have taken half a minute."""
    if principal.key == LOCAL:
        return
    gone = rows.find(connection, api_keys, id=principal.key) is None
    if principal.member is not None and not gone:
        key = {"organisation": principal.organisation, "id": principal.member.id}
        gone = rows.find(connection, members, **key) is None
    if gone:
        raise NotAuthenticated("The API key is missing, unknown, expired or revoked.")


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


def check_match(etag: str | None, if_match: str | None, *, if_none_match: bool = False) -> None:
    """Hold If-Match and If-None-Match: * against the object's ETag (None: it is not there)."""
    if if_none_match and etag is not None:
        raise PreconditionFailed("It exists already; leave If-None-Match out to replace it.")
    if if_match not in {None, "*", etag}:
        raise PreconditionFailed("It was changed meanwhile; read it again and repeat with its new ETag.")
    if if_match == "*" and etag is None:
        raise PreconditionFailed("It does not exist.")


def refuse_immutable(dataset: rows.Row | None) -> None:
    """Stop changes of an immutable dataset's secrets."""
    if dataset is not None and dataset["immutable"]:
        raise Conflict(
            "The dataset is immutable: replace it by a new upload (PUT), or disable the secret.", code="immutable"
        )
