"""Tokens that the processes of a data folder share, a file each: every one searches for what another has made.

A file is encrypted under a key that follows from the opening key, bound to the version that was traded and to its
times: who may write to the folder without that key adds nothing, and who reads the disk learns as much as of the store.
A file is there before its token is used for the first time, and is found within a tenth of a second, as a change of the
store is.
"""

import contextlib
import json
import os
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from store.reach import STRONG_FOR

_NAME: Final = re.compile(r"([0-9a-f]{64})\.[0-9a-f]{16}")
_SETTLED: Final = 1.0
"""Seconds after which a folder's time of change tells all: two changes can fall into one tick of its clock."""
_MOST: Final = 64 << 10


class Shelved(NamedTuple):
    """A token, encrypted under what follows from the opening key `kid`. Times are Unix seconds."""

    copy: bytes
    kid: bytes
    made: int
    renews: int
    ends: int

    def binding(self, identity: str) -> bytes:
        """Return what the copy is bound to."""
        return f"{identity} {self.made} {self.renews} {self.ends}".encode()


class Shelf:
    """The files, for one process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: set[str] = set()
        self._changed = 0

    def put(self, identity: str, token: Shelved, mark: str = "") -> None:
        """Write a file, whole; raises `OSError`. It is no news here.

        `mark`: 16 hexadecimal digits that another process gives the same token; of both there is one file.
        """
        drawn = secrets.token_hex(8)
        name = f"{identity}.{mark or drawn}"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / name
        unready = path.with_name(f".{identity}.{drawn}")
        text = json.dumps({**token._asdict(), "copy": b64encode(token.copy).decode(), "kid": token.kid.hex()})
        try:
            with open(os.open(unready, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:  # noqa: PTH123
                stream.write(text)
            unready.rename(path)
        except OSError:
            unready.unlink(missing_ok=True)
            raise
        self._known.add(name)

    def later(self, name: str) -> None:
        """Take a file for news again."""
        self._known.discard(name)
        self._changed = 0

    def news(self, now: float) -> Iterator[tuple[str, str, Shelved]]:
        """Yield what others have put there since the last time: file, identity, token. `now`: Unix seconds.

        Cheap where nothing has changed.
        """
        try:
            changed = self._folder.stat().st_mtime_ns
            if changed == self._changed and now > changed / 1e9 + _SETTLED:
                return
            names = {name for name in os.listdir(self._folder) if _NAME.fullmatch(name)}  # noqa: PTH208  # names
        except OSError:
            return
        self._changed = changed
        fresh, self._known = names - self._known, names
        for name in fresh:
            token = self._read(name)
            if token is not None:
                yield name, name.partition(".")[0], token

    def _read(self, name: str) -> Shelved | None:
        """Return what is in a file, not yet proven; None for what nobody here has written."""
        try:
            with (self._folder / name).open("rb") as stream:
                found = json.loads(stream.read(_MOST))
            key = bytes.fromhex(found["kid"])
            return Shelved(b64decode(found["copy"]), key, int(found["made"]), int(found["renews"]), int(found["ends"]))
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return None

    def sweep(self, now: float) -> None:
        """Delete what nobody searches for any more. `now`: Unix seconds."""
        for name in list(self._known):
            token = self._read(name)
            if token is None or now > token.ends + STRONG_FOR:
                with contextlib.suppress(OSError):
                    (self._folder / name).unlink()
