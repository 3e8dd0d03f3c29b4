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
    """Look at a folder that is about to be served; raises `Unfit`.

    `url`: of the database, for who writes to it and to the folder itself. A data plane, whose user may be another,
    writes to two folders in it.
    """
    if not (data / "keys").is_dir():
        raise Unfit(f"{data} holds no store: make one with `egret init --data {data}`")
    for folder in (data / "spool", data / "state") if url is None else (data,):
        _writable(folder, data)
    if url is not None and url.startswith("sqlite:///"):
        _database(Path(url.removeprefix("sqlite:///")))


def _writable(folder: Path, data: Path) -> None:
    if folder.is_dir() and not os.access(folder, os.W_OK):  # a disk that is read-only counts, for root too
        raise Unfit(
            f"{folder} cannot be written: it must belong to the user that serves, on a disk that is not read-only"
        )
    room = os.statvfs(data)
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
