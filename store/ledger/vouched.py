"""What a signed head vouches for, as one transaction reads it: documents by their keys, and the tree above them."""

from collections.abc import Callable

from sqlalchemy import Connection, select

from store.database import rows
from store.database.schema import documents, nodes
from store.errors import Tampered
from store.ledger.recent import Recent
from store.trust import tree
from store.trust.documents import believed, believed_hash
from store.trust.signing import Verifier, digest


class Vouched:
    """One head's tree. A node that was edited is made anew, for who edits it must not hold a revocation up."""

    def __init__(
        self,
        connection: Connection,
        root: bytes,
        verifier: Verifier,
        recent: Recent,
        mended: Callable[[str], None],
    ) -> None:
        self._connection, self._root, self._verifier, self._recent = connection, root, verifier, recent
        self._mended = mended
        """Told which node was made anew."""
        self._rebuilt: dict[str, bytes] | None = None

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
        """Return the keys in one bucket, whether rows of the documents are there or not; raises `Tampered`."""

        def node(path: str, expected: bytes) -> bytes:  # leaves are not kept: they would drive out all others
            body = rows.read_node(self._connection, path) if "/" in path else None
            return body if body is not None and tree.node_hash(body) == expected else self.node(path, expected)

        return sorted(tree.bucket(node, self._root, number))

    def every(self, prefix: str | tuple[str, ...]) -> list[str]:
        """Return every key with one of these prefixes; reads the whole tree. Raises `Tampered`."""
        return [key for n in range(tree.FAN**2) for key in self.bucket(n) if key.startswith(prefix)]

    def node(self, path: str, expected: bytes) -> bytes:
        """Return a node of the tree; raises `Tampered`."""
        try:
            return self._recent.node(self._connection, path, expected)
        except Tampered:
            if (path, expected) in self._recent.lost:
                raise
            body = self._made_anew().get(path)
            if body is None or tree.node_hash(body) != expected:  # a document is gone too: only a backup helps
                self._recent.lost.keep((path, expected), item=True)
                raise
        rows.put(self._connection, nodes, {"path": path}, {"body": body})
        self._recent.wrote(path, body)
        self._mended(f"nodes/{path or 'root'}")
        return body

    def _made_anew(self) -> dict[str, bytes]:
        if self._rebuilt is None:
            found = self._connection.execute(select(documents.c.key, documents.c.body))
            self._rebuilt = tree.build({key: digest(body) for key, body in found})
        return self._rebuilt
