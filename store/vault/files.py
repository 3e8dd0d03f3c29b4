"""The file of a dataset: `draft` until it has arrived. The vault keeps the state, the API the bytes."""

from collections.abc import Callable, Mapping

from sqlalchemy import update

from store.database import rows
from store.database.schema import datasets
from store.errors import Conflict
from store.log.audit import Event
from store.model import Scope
from store.vault.datasets import dataset_etag
from store.vault.gate import Verbs, find_scope


class Files(Verbs):
    """Verbs on a dataset's file. Who may call them was shown a signed URL for this scope and ETag."""

    def expect(self, scope: Scope, etag: str) -> None:
        """Return when the dataset waits for the file of that URL; raises `NotFound`, `Conflict`."""
        with self._gate.database.read() as connection:
            _waits(find_scope(connection, scope), etag)

    def finish(self, scope: Scope, etag: str, keep: Callable[[], Mapping[str, object]]) -> None:
        """Have `keep` put the file in its place and make the dataset ready; works once per URL."""
        with self._gate.ledger.change() as transaction:
            row = find_scope(transaction.connection, scope)
            revision = _waits(row, etag) + 1
            key = {"organisation": scope.organisation, "project": scope.project, "id": scope.dataset}
            where = [datasets.c[name] == value for name, value in key.items()]
            values = {"state": "ready", "revision": revision, "updated_at": transaction.now}
            transaction.connection.execute(update(datasets).where(*where).values(**values))
            transaction.touch(scope)
            transaction.log(Event("datasets:upload", scope, "file", actor="upload-url", detail=keep()))


def _waits(row: rows.Row | None, etag: str) -> int:
    """Return the dataset's revision when its file is awaited."""
    if row is None or row["state"] != "draft" or dataset_etag(row) != etag:
        raise Conflict("This upload URL was used, or the dataset changed since.", code="upload_used")
    revision: int = row["revision"]
    return revision
