"""Takes what verifies from any copy: the tree from the documents, the rest from a backup by its hash.

Nothing is believed because a backup has it: the head vouches for the tree and the log's last row, the tree for
documents, these for records and envelopes, each by its hash. So a backup of any age may be asked, and one that somebody
edited does no harm.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, select

from store.database import rows
from store.database.backup import copy_of
from store.database.schema import documents, entries, nodes, versions
from store.errors import Tampered
from store.ledger.commit import Ledger
from store.ledger.repair_log import mend_log
from store.ledger.sweep import Sweep
from store.ledger.upgrade import bring
from store.model import Scope
from store.trust import tree
from store.trust.entry import EntryState
from store.trust.signing import DOCUMENT, digest


@dataclass(slots=True)
class Repaired:
    """What was mended, and what is still not there."""

    heads: int = 0
    nodes: int = 0
    documents: int = 0
    envelopes: int = 0
    records: int = 0
    log: int = 0
    left: list[str] = field(default_factory=list)


def repair(ledger: Ledger, source: Path | None = None) -> Repaired:
    """Mend what can be mended, with a backup's help where one is given; raises `Tampered` over a forged head.

    Manifests of an earlier release are upgraded once they verify. Before that no row is touched: they do not say what
    rows shall be.
    """
    done = Repaired()
    with copy_of(source) as backup:
        _mend_tree(ledger, backup, done)
        with ledger.database.write() as here:
            done.log, lost = mend_log(ledger, here, backup)
            done.left += [lost] if lost else []
        try:
            bring(ledger)
        except Tampered as error:
            done.left.append(f"what an earlier release wrote; its rows were left as they are ({error.detail})")
            return done
        with ledger.database.write() as here:
            _mend_entries(ledger, here, backup, done)
    sweep = Sweep(ledger)
    for drop in (False, True, False):  # mend, then delete what is nobody's, then look again
        ledger.alarms.clear()
        sweep.drop = drop
        sweep.whole()
    done.left += ledger.alarms.present()
    return done


def _mend_tree(ledger: Ledger, backup: Connection | None, done: Repaired) -> None:
    """Mend nodes and documents; nodes that were covered, as long as there are such, are put below what came since."""
    while True:
        with ledger.database.write() as here:
            mender = _Mender(ledger, here, backup, done)
            mender.node("", bytes.fromhex(ledger.head(here, lock=True).root))
        if not mender.found:
            done.left += mender.left
            return
        for path, body in mender.found.items():
            with ledger.change() as transaction:
                transaction.uncover(path, body)
            done.nodes += 1


class _Mender:
    """Mends the tree from its root down: whatever has the hash that is asked for is right, wherever it comes from."""

    def __init__(self, ledger: Ledger, here: Connection, backup: Connection | None, done: Repaired) -> None:
        self._verifier = ledger.keys.public.verifier
        self._here, self._backup, self._done = here, backup, done
        hashes = {key: digest(body) for key, (body, _) in self._verified().items()}
        self._hashes: Mapping[str, str | None] = hashes
        self._made = tree.build(hashes)
        self.found: dict[str, bytes] = {}
        """What was lost and covered, by path."""
        self.left: list[str] = []

    def node(self, path: str, expected: bytes) -> None:
        """Mend a node and what is below it."""
        if expected == tree.EMPTY:
            return
        sources = (rows.read_node(self._here, path), self._made.get(path), self._there(rows.read_node, path))
        body = next((each for each in sources if each is not None and tree.node_hash(each) == expected), None)
        if body is None:
            self.left.append(f"node {path or 'of the root'}")
            return
        if body != sources[0]:
            rows.put(self._here, nodes, {"path": path}, {"body": body})
            self._done.nodes += 1
        if (cover := tree.Cover.of(body)) is not None:
            self._covered(path, cover)
            return
        if path.count("/"):
            for key, sha256 in tree.parse_bucket(body).items():
                self._document(key, sha256)
            return
        for step in range(tree.FAN):
            below = f"{path}/{step}" if path else f"{step}"
            self.node(below, body[step * 32 : step * 32 + 32])

    def _covered(self, path: str, cover: tree.Cover) -> None:
        """Look for what a cover stands for; the documents that changed since are mended in any case."""
        for key, (now, _) in cover.changed.items():
            if now != tree.NONE:
                self._document(key, now)
        before = {**self._hashes} | {key: self._before(key, then) for key, (_, then) in cover.changed.items()}
        made = tree.build({key: sha256 for key, sha256 in before.items() if sha256 is not None})
        for each in (made.get(path), self._there(rows.read_node, path)):
            if each is not None and tree.node_hash(each) == cover.lost:
                self.found[path] = each
                return
        self.left.append(f"node {path or 'of the root'}")

    def _before(self, key: str, sha256: str) -> str | None:
        """Return the hash that a document had before it changed: as it was noted then, or else as a backup has it."""
        if sha256 != tree.NONE:
            return sha256
        theirs = self._there(rows.read_document, key)
        return digest(theirs[0]) if theirs is not None and self._signed(key, *theirs) else None

    def _document(self, key: str, sha256: str) -> None:
        sources = (rows.read_document(self._here, key), self._there(rows.read_document, key))
        good = (each for each in sources if each is not None and digest(each[0]) == sha256)
        found = next((each for each in good if self._signed(key, *each)), None)
        if found is None:
            self.left.append(f"document {key}")
        elif found != sources[0]:
            rows.put(self._here, documents, {"key": key}, {"body": found[0], "signature": found[1]})
            self._done.documents += 1

    def _there[T](self, read: Callable[[Connection, str], T | None], name: str) -> T | None:
        return None if self._backup is None else read(self._backup, name)

    def _verified(self) -> dict[str, tuple[bytes, bytes]]:
        """Return the documents that are signed, here or else in the backup: what a lost node may be made of."""
        found: dict[str, tuple[bytes, bytes]] = {}
        for connection in (self._here, self._backup):
            stored = () if connection is None else connection.execute(select(documents)).all()
            for key, body, signature in stored:
                if key not in found and self._signed(key, body, signature):
                    found[key] = body, signature
        return found

    def _signed(self, key: str, body: bytes, signature: bytes) -> bool:
        try:
            self._verifier.check(signature, DOCUMENT, key.encode(), body)
        except Tampered:
            return False
        return True


def _mend_entries(ledger: Ledger, here: Connection, backup: Connection | None, done: Repaired) -> None:
    """Take records and envelopes that are not the ones named from the backup."""
    keys = here.execute(select(documents.c.key).where(documents.c.key.startswith("manifest/"))).scalars().all()
    for scope in [Scope(*key.split("/")[1:4]) for key in keys]:
        try:
            kept = ledger.manifest(here, scope)
        except Tampered:
            continue
        for id_ in kept.lines if kept is not None and backup is not None else ():
            wanted = kept.record(id_) if kept is not None else ""
            _mend_record(here, backup, (id_, wanted), done)
            _mend_bodies(here, backup, kept.entry(id_, _record(here, id_)) if kept is not None else None, done)


def _record(connection: Connection | None, id_: str) -> bytes | None:
    row = None if connection is None else rows.find(connection, entries, id=id_)
    return None if row is None or row["record"] is None else row["record"].encode()


def _mend_record(here: Connection, backup: Connection | None, line: tuple[str, str], done: Repaired) -> None:
    id_, wanted = line
    mine, theirs = _record(here, id_), _record(backup, id_)
    if (mine is None or digest(mine) != wanted) and theirs is not None and digest(theirs) == wanted:
        done.records += rows.change(here, entries, {"id": id_}, {"record": theirs.decode()})


def _mend_bodies(here: Connection, backup: Connection | None, state: EntryState | None, done: Repaired) -> None:
    for version in state.versions if state is not None and backup is not None else ():
        key = {"entry": state.id, "number": version.number} if state is not None else {}
        mine, theirs = rows.find(here, versions, **key), rows.find(backup, versions, **key) if backup else None
        if mine is not None and mine["body"] is not None and digest(mine["body"]) == version.sha256:
            continue
        if theirs is not None and theirs["body"] is not None and digest(theirs["body"]) == version.sha256:
            rows.put(here, versions, key, {name: theirs[name] for name in theirs if name not in key})
            done.envelopes += 1
