"""The dataset's file: one PUT to a signed URL that works once and soon (no API key in it, so it can go to a browser).

    ticket = base64url(JSON [organisation, project, dataset, etag, expires]) "." base64url(HMAC-SHA256)

Single use comes from the ETag: a finished upload moves the dataset on, a new PUT of the dataset does too. The file is
streamed to a temporary file beside its place and renamed, so that a broken transfer leaves what was there.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from store.api.problem import Fault
from store.model import Scope
from store.records import DatasetInfo

LIFETIME = 15 * 60
MAX_FILE = 1 << 30
"""Bytes of a dataset's file."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What an upload URL stands for."""

    scope: Scope
    etag: str


@dataclass(frozen=True, slots=True)
class Received:
    """A file that has arrived but is not in its place yet."""

    path: Path
    size: int
    sha256: str


class Uploads:
    """Makes and reads upload URLs, and keeps the files under DATA/uploads."""

    def __init__(self, key: bytes, folder: Path, admin_url: str) -> None:
        self._key = key
        self._folder = folder
        self._url = admin_url

    def url(self, organisation: str, info: DatasetInfo) -> str | None:
        """Return the URL for a dataset that waits for its file, else None."""
        if info.state != "draft":
            return None
        parts = [organisation, info.project, info.id, info.etag, int(time.time()) + LIFETIME]
        body = _encode(json.dumps(parts, separators=(",", ":")).encode())
        return f"{self._url}/uploads/{body}.{_encode(self._mac(body))}"

    def read(self, ticket: str) -> Ticket:
        """Return what a ticket stands for; raises `Fault("not_found")` when it is forged or expired."""
        body, _, mac = ticket.partition(".")
        try:
            if hmac.compare_digest(_decode(mac), self._mac(body)):
                organisation, project, dataset, etag, expires = json.loads(_decode(body))
                if time.time() < expires:
                    return Ticket(Scope(organisation, project, dataset), etag)
        except (ValueError, binascii.Error):
            pass
        raise Fault("not_found")

    def _mac(self, body: str) -> bytes:
        return hmac.digest(self._key, b"upload\0" + body.encode(), "sha256")

    async def receive(self, chunks: AsyncIterator[bytes]) -> Received:
        """Stream a body to a temporary file; raises `Fault("body_too_large")`."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._folder, prefix=".part-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                size, sha256 = await _copy(chunks, file)
        except BaseException:
            os.unlink(name)  # noqa: PTH108 - in async code ruff takes pathlib for slow I/O
            raise
        return Received(Path(name), size, sha256)

    def keeper(self, received: Received, scope: Scope) -> Callable[[], dict[str, object]]:
        """Return what puts the file in its place, durably; the vault calls it inside its transaction."""

        def keep() -> dict[str, object]:
            place = self.place(scope)
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with received.path.open("rb") as file:
                os.fsync(file.fileno())
            received.path.replace(place)
            return {"size": received.size, "sha256": received.sha256}

        return keep

    def remove(self, scope: Scope) -> None:
        """Remove the file of a dataset, if there is one."""
        self.place(scope).unlink(missing_ok=True)

    def place(self, scope: Scope) -> Path:
        """Where a dataset's file is. Ids have no slashes and no dots."""
        return self._folder / scope.organisation / scope.project / scope.dataset


async def _copy(chunks: AsyncIterator[bytes], file: BinaryIO) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    async for chunk in chunks:
        size += len(chunk)
        if size > MAX_FILE:
            raise Fault("body_too_large")
        digest.update(chunk)
        file.write(chunk)
    return size, digest.hexdigest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
