"""Which sealing key belongs to which server, so that nobody in between can put their own in its place.

Like SSH's known hosts: the fingerprint is given, or remembered when a server is first used; another one later is an
error with both fingerprints in it. The store's operator compares with `egret keyring ls`.
"""

import contextlib
import json
import os
from pathlib import Path

from egret.transport import ApiError


class SealingKeyChanged(ApiError):
    """The server shows another sealing key than it did before; nothing was sealed, nothing was sent."""


class Pins:
    """Remembers for as long as it lives; with `fingerprint`, that key and no other."""

    def __init__(self, fingerprint: str | None = None) -> None:
        self._only = fingerprint
        self._known: dict[str, str] = {}

    def check(self, url: str, fingerprint: str) -> None:
        """Return when this is the key of that server, or its first; raises `SealingKeyChanged`."""
        server = url.rstrip("/")
        pinned = self._only or self.find(server)
        if pinned is None:
            self.keep(server, fingerprint)
        elif pinned != fingerprint:
            raise SealingKeyChanged(0, "sealing_key_changed", _changed(pinned, fingerprint))

    def find(self, server: str) -> str | None:
        """Return what is remembered of a server."""
        return self._known.get(server)

    def keep(self, server: str, fingerprint: str) -> None:
        """Remember a server's key."""
        self._known[server] = fingerprint


class KnownStores(Pins):
    """Remembers in a file, which is the user's to read and edit: a JSON object from URLs to fingerprints.

    Where it cannot be written it is as if each use were the first; `unwritten` says so.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self.unwritten = False

    def find(self, server: str) -> str | None:
        """Return what is remembered of a server; a damaged file is an error, not a fresh start."""
        try:
            kept = json.loads(self._path.read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return super().find(server)
        except (OSError, ValueError):
            remedy = "mend or remove it, or set EGRET_SEALING_KEY to the key's fingerprint"
            raise SealingKeyChanged(0, "known_stores", f"{self._path} cannot be read; {remedy}.") from None
        found = kept.get(server) if isinstance(kept, dict) else None
        return str(found) if found is not None else super().find(server)

    def keep(self, server: str, fingerprint: str) -> None:
        """Write it beside the others, whole or not at all."""
        super().keep(server, fingerprint)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            kept: dict[str, str] = {}
            with contextlib.suppress(FileNotFoundError, ValueError):
                kept = json.loads(self._path.read_text("utf-8"))
            fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
            fresh.write_text(json.dumps({**kept, server: fingerprint}, indent=2) + "\n", "utf-8")
            fresh.replace(self._path)
        except OSError:
            self.unwritten = True


def _changed(pinned: str, shown: str) -> str:
    return (
        f"The server's sealing key is {shown}, and was {pinned}; nothing was sent. If its operator rotated the key "
        "(`egret keyring ls` shows it there), trust the new one: egret trust-key FINGERPRINT. If nobody did, somebody "
        "stands between you and the store."
    )
