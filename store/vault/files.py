"""The file of a dataset: `draft` until it has arrived. The vault keeps the state, the API the bytes."""

from collections.abc import Callable, Mapping
from typing import Any

from store.access import Principal
from store.errors import Conflict
from store.log.audit import Event
from store.model import Scope
from store.vault.gate import Verbs, need_draft
from store.vault.views import dataset_etag


class Files(Verbs):
    """Verbs on a dataset's file. Who calls those without a principal was shown a signed URL for this scope and ETag."""

    def expect(self, scope: Scope, etag: str) -> None:
        """Return when the dataset waits for the file of that URL; raises `NotFound`, `Conflict`."""
        with self._gate.database.read() as connection:
            _waits(self._gate.manifest(connection, scope).settings, etag)

    def put(self, principal: Principal, scope: Scope, etag: str, keep: Callable[[], Mapping[str, object]]) -> None:
        """Do what `finish` does, for who may change the dataset and needs no URL."""
        with self._gate.change(principal, "datasets:write", scope, "file") as transaction:
            draft = need_draft(transaction, scope)
            revision = _waits(draft.settings, etag) + 1
            stamp = {"updated_at": transaction.now, "updated_by": principal.author}
            draft.set(stamp, state="ready", revision=revision)
            transaction.told |= keep()

    def finish(self, scope: Scope, etag: str, keep: Callable[[], Mapping[str, object]]) -> None:
        """Have `keep` put the file in its place and make the dataset ready; works once per URL."""
        with self._gate.ledger.change() as transaction:
            draft = need_draft(transaction, scope)
            revision = _waits(draft.settings, etag) + 1
            draft.set({"updated_at": transaction.now}, state="ready", revision=revision)
            transaction.log(Event("datasets:upload", scope, "file", actor="upload-url", detail=keep()))


def _waits(settings: Mapping[str, Any], etag: str) -> int:
    """Return the dataset's revision when its file is awaited."""
    if settings["state"] != "draft" or dataset_etag(settings) != etag:
        raise Conflict("This upload URL was used, or the dataset changed since.", code="upload_used")
    revision: int = settings["revision"]
    return revision
