"""What the writer remembers between transactions. It counts only under the hash that is asked for."""

import threading
from typing import Final

from sqlalchemy import Connection

from store.cache import Bounded
from store.database import rows
from store.ledger.alarms import Alarms
from store.ledger.manifests import Manifests
from store.trust import tree

NODES: Final = 1024
"""Nodes of the hash tree: about two megabytes."""


class Signatures(dict[str, tuple[str, bytes]]):
    """Hash and signature of documents that were verified, by key; for any thread."""

    def __setitem__(self, key: str, item: tuple[str, bytes]) -> None:
        """Remember one more; at the bound all are forgotten, which costs a verification each."""
        if len(self) >= NODES:
            self.clear()
        super().__setitem__(key, item)


class Recent:
    """Manifests, nodes and alarms, for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.manifests = Manifests()
        self.alarms = Alarms()
        self.signed = Signatures()
        self.lost: Bounded[tuple[str, bytes], bool] = Bounded(NODES)
        """Nodes that could not be made anew. For the writer alone."""
        self._nodes: Bounded[str, tuple[bytes, bytes]] = Bounded(NODES)

    def node(self, connection: Connection, path: str, expected: bytes) -> bytes:
        """Return a verified node; raises `Tampered`."""
        known = self.remembered(path, expected)
        if known is not None:
            return known
        body = tree.checked(rows.read_node(connection, path), expected)
        with self._lock:
            self._nodes.keep(path, (expected, body))
        return body

    def remembered(self, path: str, expected: bytes) -> bytes | None:
        """Return a node that is remembered."""
        with self._lock:
            cached = self._nodes.look(path)
        return cached[1] if cached is not None and cached[0] == expected else None

    def wrote(self, path: str, body: bytes) -> None:
        """Remember a node that was written just now."""
        with self._lock:
            self._nodes.keep(path, (tree.node_hash(body), body))
