"""One writing transaction: rows, manifests, documents, tree, head and audit change together or not at all."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, text

from store.database import rows
from store.database.engine import Database
from store.database.schema import documents, head
from store.database.schema import history as history_table
from store.errors import Tampered
from store.keys.keyring import ControlKeys
from store.ledger import stops
from store.ledger.alarms import Alarms
from store.ledger.heads import Heads
from store.ledger.manifests import Draft, Kept
from store.ledger.mirror import Mirror
from store.ledger.recent import Recent
from store.ledger.vouched import Vouched
from store.log import audit
from store.model import Scope
from store.trust import history, tree
from store.trust.documents import believed, believed_hash
from store.trust.head import Head, channel_of
from store.trust.manifest import manifest_key, stop_key
from store.trust.mark import HighWater
from store.trust.signing import DOCUMENT, canonical, digest

_RING = text("SELECT pg_notify(:channel, :revision)")
_ROOT: Final = Scope("default")


class Transaction:
    """What a verb of the vault writes through. `now` is Unix milliseconds."""

    def __init__(self, connection: Connection, keys: ControlKeys, last: Head, now: int, recent: Recent) -> None:
        self.connection = connection
        self.keys = keys
        self.now = now
        self.epoch = last.epoch
        self.kid = last.kid
        self._last = last
        self._recent = recent
        self.mirror = Mirror(connection, now, self.mended)
        root, verifier = bytes.fromhex(last.root), keys.public.verifier
        mended, damaged = (lambda path: self.mended(_ROOT, path, ["body"])), (lambda path: self.damaged(_ROOT, path))
        self.vouched = Vouched(connection, root, verifier, recent, mended=mended, damaged=damaged)
        """What the head that this transaction started from vouches for."""
        self._drafts: dict[Scope, Draft | None] = {}
        self._documents: dict[str, bytes | None] = {}
        self._root = last.root
        self._events: list[audit.Event] = []
        self.signature = b""
        """The new head's, once finished."""
        self.told: dict[str, object] = {}
        """What the change's row of the log says besides who, what and where."""

    @property
    def head(self) -> Head:
        """The head that this transaction started from."""
        return self._last

    def draft(self, scope: Scope) -> Draft | None:
        """Return a scope's manifest, to be changed; None where the head vouches for none. Raises `Tampered`."""
        if scope not in self._drafts:
            before = self._before(scope)
            draft = None if before is None else Draft(scope, before, before.settings, self.mirror)
            if draft is not None:
                self._do_stops(draft)
            self._drafts[scope] = draft
        return self._drafts[scope]

    def stop(self, scope: Scope, stop: stops.Stop) -> None:
        """Have something taken away as soon as the scope's manifest verifies; raises `Conflict`."""
        try:
            known = stops.parse(self.vouched.document(stop_key(scope)))
        except Tampered:  # damaged as well: the scope stays closed as long as it is there
            known = [stops.Stop("disable")]
        self.put_document(stop_key(scope), stops.written(known, stop))

    def _do_stops(self, draft: Draft) -> None:
        wanted = stops.parse(self.vouched.document(stop_key(draft.scope)))
        for each in wanted:
            stops.do(draft, each, self.now)
            target = f"{each.kind}s/{each.name}" if each.name else "disable"
            self.log(audit.Event("store:stop", draft.scope, target, actor="store", detail={"verb": each.verb}))
        if wanted:
            self.drop_document(stop_key(draft.scope))

    def found(self, scope: Scope, listed: Mapping[str, object] | None = None, **settings: object) -> Draft:
        """Begin the manifest of a scope that is new."""
        self._drafts[scope] = draft = Draft(scope, None, {}, self.mirror)
        draft.set(listed, **{"created_at": self.now, **settings})
        return draft

    def forget(self, scope: Scope) -> None:
        """Take a scope away: its manifest and its rows."""
        self._drafts[scope] = None
        self._documents[manifest_key(scope)] = None
        self.drop_document(stop_key(scope))
        self.mirror.forget_scope(scope)

    def put_document(self, key: str, body: object) -> None:
        """Publish a signed document."""
        self._documents[key] = canonical(body)

    def put_text(self, key: str, body: bytes) -> None:
        """Publish a document that was one before, byte for byte."""
        self._documents[key] = body

    def drop_document(self, key: str) -> None:
        """Withdraw a document: after the commit nobody can use its row again."""
        self._documents[key] = None

    def uncover(self, path: str, lost: bytes) -> None:
        """Put a node that was lost back, below what changed since, and change nothing else; raises `NodeLost`."""
        self._root = self.vouched.keep(*tree.uncover(self.vouched.node, bytes.fromhex(self._root), path, lost))

    def log(self, event: audit.Event) -> None:
        """Add an audit row to this transaction."""
        self._events.append(event)

    def finish(self, *, beats: bool = True) -> Head | None:
        """Write manifests, documents, tree, audit and the new head; None where the one that is there says it all.

        Without `beats` that is where nothing changed of what it vouches for.
        """
        for scope, draft in self._drafts.items():
            if draft is not None and draft.touched:
                draft.tidy(self.now)
                self._documents[manifest_key(scope)], kept = draft.body()
                self._recent.manifests.keep(kept)
        root = self._write_documents()
        seq, last = audit.append(self.connection, self._events, self.now, self._last.audit_seq, self._last.audit_hash)
        changed = (root, self.epoch, self.kid) != (self._last.root, self._last.epoch, self._last.kid)
        if not (beats or changed) and seq == self._last.audit_seq:
            return None
        new = self._last.later(
            revision=self._last.revision + changed,
            epoch=self.epoch,
            kid=self.kid,
            beat=self._last.beat + 1,
            issued_at=self.now,
            root=root,
            audit_seq=seq,
            audit_hash=last,
        )
        if changed:
            peaks, fresh = history.append(new.peaks, new.size, new.leaf())
            new = new.later(size=new.size + 1, history=" ".join(peak.hex() for peak in peaks))
            subtrees = [{"level": level, "number": number, "hash": hash_} for (level, number), hash_ in fresh.items()]
            rows.over(self.connection, history_table, subtrees)
        self.signature = write_head(self.connection, new, self.keys)
        if changed and self.connection.dialect.name == "postgresql":
            ring = {"channel": channel_of(self.keys.public.store_id), "revision": str(new.revision)}
            self.connection.execute(_RING, ring)
        return new

    def _before(self, scope: Scope) -> Kept | None:
        """Return the scope's manifest as the head that this transaction started from vouches for it."""
        key = manifest_key(scope)
        sha256 = self.vouched.hash(key)
        if sha256 is None:
            return None
        return self._recent.manifests.recall(scope, sha256, lambda: self.vouched.body(key, sha256))

    def mended(self, scope: Scope, target: str, columns: list[str]) -> None:
        """Raise the alarm over a row that was not as it was written."""
        self._recent.alarms.sound(f"a row was edited: {target.partition('/')[0]} of {scope}")
        self.log(audit.Event("store:mend", scope, target, "edited", "store", detail={"columns": columns}))

    def damaged(self, scope: Scope, target: str) -> None:
        """Raise the alarm over what only a backup can bring back."""
        self._recent.alarms.sound(f"damaged, see `egret store repair`: {target} of {scope}")

    def _write_documents(self) -> str:
        # Before the documents are written: a node may have to be made of them as they were.
        hashes = {key: None if body is None else digest(body) for key, body in self._documents.items()}
        changes = {key: sha256 for key, sha256 in hashes.items() if sha256 or self.vouched.is_there(key)}
        root, bodies = tree.update(self.vouched.node, bytes.fromhex(self._root), changes, self.vouched.before)
        for key, body in self._documents.items():
            if body is None:
                rows.remove(self.connection, documents, key=key)
                continue
            signature = self.keys.writer.sign(DOCUMENT, key.encode(), body)
            rows.put(self.connection, documents, {"key": key}, {"body": body, "signature": signature})
        return self.vouched.keep(root, bodies)


def write_head(connection: Connection, new: Head, keys: ControlKeys) -> bytes:
    """Sign and write the head row; returns the signature."""
    signature = new.sign(keys.writer)
    rows.put(connection, head, {"id": 1}, {"body": new.body(), "signature": signature})
    return signature


class Ledger:
    """Opens transactions on the head, which it verifies each time, so that it never signs over a forged one."""

    def __init__(
        self,
        database: Database,
        keys: ControlKeys,
        clock: Callable[[], float] = time.time,
        mark: HighWater | None = None,
    ) -> None:
        self.database = database
        self.keys = keys
        self.clock = clock
        self._heads = Heads(database, keys.public, keys.writer, clock, mark)
        self._writing: Transaction | None = None
        self._recent = Recent()
        database.shape.report = self._recent.alarms.sound

    @contextmanager
    def change(self, *, beats: bool = True) -> Iterator[Transaction]:
        """One transaction; commits on success. `beats`: with a new head, whether anything changed or not.

        Every new head is read and verified by each process of the data plane.
        """
        with self.database.write() as connection:
            last, lost = self._heads.locked(connection)
            transaction = Transaction(connection, self.keys, last, int(self.clock() * 1000), self._recent)
            if lost:
                transaction.mended(_ROOT, "head", ["body"])
            self._writing = transaction
            try:
                yield transaction
                new = transaction.finish(beats=beats)
            finally:
                self._writing = None
        if new is not None:
            self._heads.wrote(last, new, transaction.signature)

    def head(self, connection: Connection, *, lock: bool = False) -> Head:
        """Return the verified head; with `lock` as a writer does, whom nothing older satisfies (`Heads.locked`)."""
        return self._heads.locked(connection)[0] if lock else self._heads.read(connection)

    def document(self, connection: Connection, key: str) -> bytes | None:
        """Return a document that the head vouches for; raises `Tampered`."""
        sha256 = self.hash(connection, key)
        if sha256 is None:
            return None
        fetch, verifier = (lambda name: rows.read_document(connection, name)), self.keys.public.verifier
        return believed(fetch, key, sha256, verifier, self._recent.signed)

    def manifest(self, connection: Connection, scope: Scope) -> Kept | None:
        """Return a scope's manifest as the head vouches for it; raises `Tampered`."""
        key = manifest_key(scope)
        sha256 = self.hash(connection, key)
        if sha256 is None:
            return None
        verifier = self.keys.public.verifier
        fetch = lambda: believed(lambda name: rows.read_document(connection, name), key, sha256, verifier)  # noqa: E731
        return self._recent.manifests.recall(scope, sha256, fetch)

    def hash(self, connection: Connection, key: str) -> str | None:
        """Return the hash that the head vouches for under a key; raises `NodeLost`.

        A transaction makes nodes that were edited anew on the way.
        """
        writing = self._writing
        if writing is not None and writing.connection is connection:
            return writing.vouched.hash(key)
        root = self.head(connection).root
        return believed_hash(lambda path, expected: self._recent.node(connection, path, expected), root, key)

    @property
    def alarms(self) -> Alarms:
        """What did not fit what is signed."""
        return self._recent.alarms

    def beat(self) -> None:
        """Renew the head, so that the data plane knows that the store is alive."""
        with self.change():
            pass
