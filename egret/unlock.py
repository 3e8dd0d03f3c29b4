"""What unwraps an opening key: a passphrase from a file or descriptor, a KMS token from a file.

Never argv, never a variable: both are shown to other processes, and children inherit them.
"""

import os
from collections.abc import Callable
from pathlib import Path

from egret.sections import Opening
from store.errors import KeyMismatch
from store.keys.keyring import read_private
from store.keys.wrapping import Unlock

LONGEST = 4096


def unlock(opening: Opening, descriptor: int | None = None) -> Unlock:
    """Return what the settings and an inherited descriptor give; nothing is read before it is needed."""
    passphrase: Callable[[], bytes] | None = None
    if descriptor is not None:
        passphrase = Once(descriptor)
    elif opening.passphrase_file is not None:
        passphrase = from_file(opening.passphrase_file)
    file = opening.vault_token_file
    token = None if file is None else lambda: read_private(file).decode("ascii", "replace").strip()
    return Unlock(passphrase, token)


def from_file(file: Path) -> Callable[[], bytes]:
    """Return what reads a passphrase from a file that nobody else may read."""
    return lambda: _line(read_private(file))


class Once:
    """Reads a passphrase from a descriptor at first use, and keeps it: a pipe gives it once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._found: bytes | None = None

    def __call__(self) -> bytes:
        """Return the passphrase."""
        if self._found is None:
            self._found = _line(read_descriptor(self._descriptor))
        return self._found


class Asked:
    """Asks at first use, and keeps the answer."""

    def __init__(self, ask: Callable[[], str]) -> None:
        self._ask = ask
        self._found: bytes | None = None

    def __call__(self) -> bytes:
        """Return the passphrase."""
        if self._found is None:
            self._found = self._ask().encode()
        return self._found


def read_descriptor(descriptor: int) -> bytes:
    """Return what a pipe or file holds; a file that several processes share is read from its beginning."""
    try:
        try:
            return os.pread(descriptor, LONGEST, 0)
        except OSError:
            found = b""
            while len(found) < LONGEST and (more := os.read(descriptor, LONGEST)):
                found += more
            return found
    except OSError as error:
        raise KeyMismatch(f"The passphrase cannot be read from its descriptor ({error.strerror}).") from None


def share(passphrase: bytes) -> int:
    """Return a descriptor that children may each read the passphrase from; it is memory, not a file."""
    if not hasattr(os, "memfd_create"):
        raise KeyMismatch("On this system a passphrase is given to `serve` in a file: opening.passphrase_file.")
    descriptor = os.memfd_create("egret-passphrase", 0)
    os.write(descriptor, passphrase)
    return descriptor


def _line(raw: bytes) -> bytes:
    return raw.removesuffix(b"\n").removesuffix(b"\r")
