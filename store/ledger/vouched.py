"""What a signed head vouches for, as one transaction reads it: documents by their keys, and the tree above them."""

import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Final

from sqlalchemy import Connection, select

from store.database import rows
from store.database.schema import documents, nodes
from store.errors import NodeLost, Tampered
from store.ledger.recent import Recent
from store.trust import tree
from store.trust.documents import believed, believed_hash
from store.trust.signing import DOCUMENT, Verifier, digest

_UNKNOWN: Final = bytes(tree.FAN)
GUESSES: Final = 4096
"""Ways to put a lost node together from what is below it; each costs a hash of two kilobytes."""


class Vouched:
    """One head's tree. A node that was edited is made anew, for who edits it must not hold a revocation up."""

    def __init__(
        self,
        connection: Connection,
        root: bytes,
        verifier: Verifier,
        recent: Recent,
        *,
        mended: Callable[[str], None],
        damaged: Callable[[str], None],
    ) -> None:
        self._connection, self._root, self._verifier, self._recent = connection, root, verifier, recent
        self._told, self._lost = mended, damaged
        """Told which node was made anew, and which nobody can."""
        self._looked = dict[str, bytes]()
        """Nodes above the leaves whose rows were looked at: under one root each has one hash."""
        self._empty = dict[str, bytes]()
        """Of each of those, which steps have nothing below: most have not, and a sweep asks for all."""

    def document(self, key: str) -> bytes | None:
        """Return a document; None where there is none. Raises `Tampered`."""
        sha256 = self.hash(key)
        return None if sha256 is None else self.body(key, sha256)

    def hash(self, key: str) -> str | None:
        """Return a document's hash; None where there is none. Raises `Tampered`."""
        return believed_hash(self.node, self._root.hex(), key)

    def body(self, key: str, sha256: str) -> bytes:
        """Return the document of a hash; raises `Tampered`."""
        return believed(lambda name: rows.read_document(self._connection, name), key, sha256, self._verifier)

    def bucket(self, number: int) -> list[str]:
        """Return the keys in one bucket, whether rows of the documents are there or not; raises `Tampered`.

        The rows of the nodes are looked at, whatever is remembered of them: proxies read those.
        """
        first, second = divmod(number, tree.FAN)
        if self._empty.get("", _UNKNOWN)[first] or self._empty.get(f"{first}", _UNKNOWN)[second]:
            return []

        def node(path: str, expected: bytes) -> bytes:
            if (looked := self._looked.get(path)) is not None:
                return looked
            body = rows.read_node(self._connection, path)
            if body is None or tree.node_hash(body) != expected:
                body = self._mended(path, expected)
            if "/" not in path:
                self._looked[path] = body
                self._empty[path] = tree.empty_steps(body)
            return body

        try:
            return sorted(tree.bucket(node, self._root, number))
        except NodeLost:
            self._lost("nodes")
            raise

    def every(self, prefix: str | tuple[str, ...]) -> list[str]:
        """Return every key with one of these prefixes; reads the whole tree. Raises `Tampered`."""
        return [key for n in range(tree.FAN**2) for key in self.bucket(n) if key.startswith(prefix)]

    def node(self, path: str, expected: bytes) -> bytes:
        """Return a node of the tree; raises `NodeLost`."""
        try:
            return self._recent.node(self._connection, path, expected)
        except NodeLost:
            return self._mended(path, expected)

    def is_there(self, key: str) -> bool:
        """Whether a document may be there: what is below a lost node may."""
        try:
            return self.hash(key) is not None
        except NodeLost:
            return True

    def keep(self, root: bytes, bodies: Mapping[str, bytes]) -> str:
        """Write the nodes of a tree that comes of this one; returns its root."""
        for path, body in bodies.items():
            rows.put(self._connection, nodes, {"path": path}, {"body": body})
            self._recent.wrote(path, body)
            if tree.Cover.of(body) is not None:
                self._lost(f"nodes/{path or 'root'}")
        return root.hex()

    def before(self, key: str) -> str:
        """Return the hash of what stands under a key, as far as the writer signed it once, for `tree.update`."""
        stored = rows.read_document(self._connection, key)
        with contextlib.suppress(Tampered):
            if stored is not None:
                self._verifier.check(stored[1], DOCUMENT, key.encode(), stored[0])
                return digest(stored[0])
        return tree.NONE

    def _mended(self, path: str, expected: bytes) -> bytes:
        """Write a node anew: as it is remembered, or as what is below it has it; raises `NodeLost`."""
        body = self._recent.remembered(path, expected)
        if body is None and (path, expected) not in self._recent.lost:
            body = next((each for each in self._guesses(path) if tree.node_hash(each) == expected), None)
        if body is None:
            self._recent.lost.keep((path, expected), item=True)
            self._lost(f"nodes/{path or 'root'}")
            return tree.checked(None, expected)
        rows.put(self._connection, nodes, {"path": path}, {"body": body})
        self._recent.wrote(path, body)
        self._told(f"nodes/{path or 'root'}")
        return body

    def _guesses(self, path: str) -> Iterator[bytes]:
        """Give what a lost node may have been: of the documents, or of the nodes below, as they stand or are made."""
        if path in self._made:
            yield self._made[path]
        if "/" in path:
            return
        below = [f"{path}/{step}".lstrip("/") for step in range(tree.FAN)]
        counted = [Counter(tree.node_hash(each) for each in self._stand(name)).most_common() for name in below]
        options = [[hash_ for hash_, _ in each] for each in counted]  # what most of them say comes first
        for choice in itertools.islice(itertools.product(*options), GUESSES):
            yield b"".join(choice)

    def _stand(self, path: str) -> Iterator[bytes]:
        """Give what may stand in a node: its row, what documents make it, and what its rows below make it."""
        yield self._rows.get(path, b"")
        yield self._made.get(path, b"")
        if "/" not in path:
            body = b"".join(tree.node_hash(self._rows.get(f"{path}/{step}", b"")) for step in range(tree.FAN))
            yield body if any(body) else b""

    @cached_property
    def _rows(self) -> Mapping[str, bytes]:
        return {path: body for path, body in self._connection.execute(select(nodes.c.path, nodes.c.body))}  # noqa: C416

    @cached_property
    def _made(self) -> Mapping[str, bytes]:
        found = self._connection.execute(select(documents.c.key, documents.c.body))
        return tree.build({key: digest(body) for key, body in found})
