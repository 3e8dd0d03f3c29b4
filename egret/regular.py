"""Reading a file that somebody else may have put there: a regular one, of bounded size, without waiting."""

import os
import stat
from pathlib import Path


class Irregular(ValueError):
    """Not a file to read; the message says why, without its name."""


def contents(path: Path, most: int, *, links: bool = True) -> bytes:
    """Return what is in a regular file of at most `most` bytes; raises `OSError` and `Irregular`.

    A FIFO would be waited for, a device never ends. Without `links` none is followed at or below the working folder,
    nor is the file itself one: code that can write there would choose what is read.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    descriptor = os.open(path, flags) if links else _without_links(path, flags)
    with open(descriptor, "rb") as stream:  # noqa: PTH123
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Irregular("not a regular file")
        data = stream.read(most + 1)
    if len(data) > most:
        raise Irregular(f"longer than {most} bytes")
    return data


def _without_links(path: Path, flags: int) -> int:
    here = Path.cwd()
    absolute = here / path
    if absolute.is_relative_to(here):
        names = absolute.relative_to(here).parts
        folder = os.open(here, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    else:
        names = (absolute.name,)
        folder = os.open(absolute.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names[:-1]:
            below = _open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, folder)
            os.close(folder)
            folder = below
        return _open(names[-1], flags, folder)
    finally:
        os.close(folder)


def _open(name: str, flags: int, folder: int) -> int:
    try:
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=folder)
    except OSError:
        if stat.S_ISLNK(os.lstat(name, dir_fd=folder).st_mode):
            raise Irregular("a symbolic link is not followed: name the file that it points to") from None
        raise
