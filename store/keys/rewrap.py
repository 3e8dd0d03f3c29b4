"""Wrapping, unwrapping and re-wrapping the opening keys of a data folder; the keys themselves stay what they are.

A new file is tried before it takes the old one's place, so that a mistyped passphrase or a key policy that encrypts but
does not decrypt is found now and not at the next start.
"""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from store.errors import KeyMismatch
from store.keys import wrapping
from store.keys.envelope import key_id
from store.keys.keyring import PublicKeys, read_private, write_private
from store.keys.opening import key_files, opening_keys, read_seed
from store.keys.wrapping import About, Method, Unlock


@dataclass(frozen=True, slots=True)
class KeyFile:
    """One opening key in its file. `method` is `none` for raw bytes; `kid` is empty where it takes opening to know."""

    path: Path
    method: str
    kid: str


def list_files(data: Path) -> list[KeyFile]:
    """Return what is in keys/data, without opening anything that is wrapped."""
    return [_about(path) for path in key_files(data)]


def rewrap(data: Path, unlock: Unlock, method: Method | None) -> Sequence[str]:
    """Wrap every opening key by `method`, None for raw bytes; returns their ids. Raises before anything is changed.

    Run again after an interruption: each file is either as before or as it should be.
    """
    store_id = PublicKeys.load(data).store_id
    done: dict[Path, tuple[bytes, str]] = {}
    for path in key_files(data):
        seed = read_seed(read_private(path), unlock)
        about = About(store_id, key_id(opening_keys(seed)[1]))
        done[path] = (_wrapped(seed, about, method), about.kid.hex())
    for path, (file, _) in done.items():
        replace(path, file)
    return [kid for _, kid in done.values()]


def wrap_alike(data: Path, seed: bytes, kid: bytes, unlock: Unlock) -> bytes:
    """Return the file of a new key, wrapped as the present ones are."""
    store_id = PublicKeys.load(data).store_id
    for path in key_files(data):
        raw = read_private(path)
        if wrapping.is_wrapped(raw):
            method = wrapping.method_of(wrapping.read(raw)[0], unlock)
            method.unwrap(*wrapping.read(raw))  # the same passphrase, not just any
            return _wrapped(seed, About(store_id, kid), method)
    return seed


def replace(path: Path, file: bytes) -> None:
    """Put a file in place of another, whole or not at all; the old bytes are overwritten, where the disk does that."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    write_private(fresh, file)
    with contextlib.ExitStack() as opened:
        old = opened.enter_context(path.open("r+b"))
        size = os.fstat(old.fileno()).st_size
        fresh.replace(path)
        if os.fstat(old.fileno()).st_nlink == 0:  # else it is somebody's backup, by a hard link
            old.write(bytes(size))
            old.flush()
            os.fsync(old.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _wrapped(seed: bytes, about: About, method: Method | None) -> bytes:
    if method is None:
        return seed
    file = wrapping.wrap(method, seed, about)
    if method.unwrap(*wrapping.read(file)) != seed:
        raise KeyMismatch("What was wrapped does not unwrap to the same key; nothing was changed.")
    return file


def _about(path: Path) -> KeyFile:
    raw = read_private(path)
    if wrapping.is_wrapped(raw):
        document, about = wrapping.read(raw)
        return KeyFile(path, str(document["method"]), about.kid.hex())
    return KeyFile(path, "none", key_id(opening_keys(raw)[1]).hex())
