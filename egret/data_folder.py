"""Whether a data folder can be served, said before anything is started: a sentence, not five tries and a log."""

import os
from pathlib import Path
from typing import Final

LEAST: Final = 4 << 20
"""Bytes of free disk without which nothing is started; `/readyz` turns red long before."""

_SQLITE: Final = b"SQLite format 3\0"


class Unfit(Exception):
    """The folder cannot be served; the message names the remedy."""


def look(data: Path, url: str | None = None) -> None:
    """Look at a folder that is about to be served; raises `Unfit`. `url`: of the database, for who writes to it."""
    if not (data / "keys").is_dir():
        raise Unfit(f"{data} holds no store: make one with `egret init --data {data}`")
    _writable(data)
    if url is not None and url.startswith("sqlite:///"):
        _database(Path(url.removeprefix("sqlite:///")))


def _writable(data: Path) -> None:
    """Try it: what is allowed on paper may be on a disk that is mounted read-only."""
    probe = data / "serve.lock"
    try:
        os.close(os.open(probe, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        room = os.statvfs(data)
    except OSError as error:
        raise Unfit(
            f"{data} cannot be written ({error.strerror}): it must belong to the user that serves, on a disk that is "
            "not read-only"
        ) from None
    free = room.f_bavail * room.f_frsize
    if free < LEAST:
        raise Unfit(f"the disk of {data} is full ({free >> 10} KiB are left): make room first")


def _database(file: Path) -> None:
    try:
        with file.open("rb") as stream:
            begins = stream.read(len(_SQLITE))
    except FileNotFoundError:
        raise Unfit(f"{file} is missing: put a copy back with `egret restore`") from None
    except OSError as error:
        raise Unfit(f"{file} cannot be read ({error.strerror})") from None
    if begins != _SQLITE:
        raise Unfit(f"{file} is no database: put a copy back with `egret restore`")
