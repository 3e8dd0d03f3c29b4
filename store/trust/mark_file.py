"""The files of a mark: read, replaced and locked without following what somebody put in their place.

Root comes here (`egret trust-epoch`) to folders that a plane's user may write: a link there would have root empty a
file of the system, or give it to that user. A FIFO would be waited for.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from store.errors import Damaged, Unavailable

MOST: Final = 1 << 20
"""Bytes of a file that is a mark."""
_ODD: Final = "{0} is not a file that a plane of Egret wrote: look why, take it away, then `egret trust-epoch`."
_CLOSED: Final = (
    "{0} may not be read or written by the user of this plane: give it to that user (mode 0600, its folder 0700)."
)
_PASSING: Final = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR}
"""What a restart, or waiting, may mend."""


def read(path: Path) -> bytes | None:
    """Return what a mark's file holds, None where there is none; raises `OSError`, `Damaged`."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise Damaged(_ODD.format(path))
    with open(handle, "rb") as stream:  # noqa: PTH123
        found = stream.read(MOST + 1)
    if len(found) > MOST:
        raise Damaged(_ODD.format(path))
    return found


def replace(path: Path, data: bytes) -> None:
    """Put a file there, on disk when this returns; raises `OSError`."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _give(handle, fresh)
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a mark; what its files cannot do is `Damaged`, or `Unavailable` where waiting may mend it."""
    lock = path.with_suffix(".lock")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        handle = os.open(lock, flags, 0o600)
        try:
            _give(handle, lock)
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
    except OSError as error:
        raise refusal(error, path) from error


def refusal(error: OSError, path: Path) -> Unavailable:
    """Return what to raise where a file of a mark cannot be had."""
    name = error.filename or path
    if error.errno in _PASSING:
        return Unavailable(f"{name} cannot be written: its disk is full, or failing.")
    closed = {errno.EACCES, errno.EPERM, errno.EROFS}
    return Damaged((_CLOSED if error.errno in closed else _ODD).format(name))


def _give(handle: int, path: Path) -> None:
    """Leave what root writes (`egret trust-epoch`) to the user of the plane, who must be able to read it.

    But never a file that was there before under another name: that user would have chosen it.
    """
    found, folder = os.fstat(handle), path.parent.stat()
    if not stat.S_ISREG(found.st_mode):
        raise Damaged(_ODD.format(path))
    if os.geteuid() == 0 and (found.st_uid, found.st_gid) != (folder.st_uid, folder.st_gid):
        if found.st_nlink > 1:
            raise Damaged(_ODD.format(path))
        os.fchown(handle, folder.st_uid, folder.st_gid)
