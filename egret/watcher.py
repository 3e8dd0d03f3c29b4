"""Opens a session for a command and revokes it when that ends, although the command has replaced us, or we were killed.

`egret run` becomes its command by exec, so that signals and the exit code are the command's own. Before that it leaves
a watcher behind: a process that is nobody's child, holds a file descriptor of ours (pidfd, Linux 5.3), and wakes up
when we are gone. It opens the session and makes the folder itself: so there is no moment at which a kill of ours leaves
one of them behind. It holds an API key beside untrusted code of the same user, so it makes itself undumpable first: the
kernel then refuses ptrace and /proc to that user.
"""

import contextlib
import json
import os
import select
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from egret.client import Client
from egret.hardening import close_others, undumpable
from egret.sandbox import leftovers, stops
from egret.sandbox.made import sweep
from egret.transport import REACTIONS, ApiError, Document, Unavailable

ERRORS: Final[Mapping[str, type[ApiError]]] = {"ApiError": ApiError} | {one.__name__: one for one in REACTIONS.values()}


@dataclass(frozen=True, slots=True)
class Opening:
    """What session to open: whose client asks, where, and with which options."""

    client: Client
    dataset: str
    project: str
    options: Document

    def open(self) -> tuple[Document, Path]:
        """Open it, and make a folder; raises `ApiError`, OSError."""
        folder = Path(tempfile.mkdtemp(prefix="egret-run-"))
        try:
            return self.client.open_session(self.dataset, self.project, **self.options), folder
        except BaseException:
            folder.rmdir()
            raise

    def revoke(self, session: str) -> None:
        """Revoke it, if the server can be reached."""
        with contextlib.suppress(ApiError):
            self.client.revoke_session(session, self.dataset, self.project)

    def close(self) -> None:
        """Let go of the connection, which another process goes on with."""
        self.client.close()


class Alone:
    """No session: a folder, for a sandbox that asks no server (`egret doctor --sandbox`)."""

    def open(self) -> tuple[Document, Path]:
        """Make a folder; raises OSError."""
        return {"id": ""}, Path(tempfile.mkdtemp(prefix="egret-run-"))

    def revoke(self, session: str) -> None:
        """There is nothing to revoke."""

    def close(self) -> None:
        """There is nothing to close."""


def opened(opening: Opening | Alone, records: Path) -> tuple[Document, Path]:
    """Open a session and make a folder; both end with us, where that can be seen to. Raises `ApiError`, OSError.

    What a sandbox made for the time of its run (`egret.sandbox.made`) is removed too, by its `records`, and what is
    left of a sandbox whose processes are named like the folder. Signals that the caller blocks stay blocked in the
    watcher (`egret.sandbox.stops`): those that end us, a Ctrl-C or the end of a service, come to the whole group, and
    it is there for the time after them. While it opens the session they are heeded.
    """
    watched = _ourselves()
    if watched is None:
        return opening.open()
    said, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            _watch(watched, theirs, opening, records)
        os._exit(0)
    os.close(theirs)
    os.close(watched)
    os.waitpid(child, 0)
    opening.close()  # the watcher goes on with the connection
    with stops.heeded(), open(said, "rb") as answer:  # noqa: PTH123
        return _heard(answer.read())


def _ourselves() -> int | None:
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(os.getpid())
    except OSError:
        return None


def _watch(watched: int, said: int, opening: Opening | Alone, records: Path) -> NoReturn:
    """Open, tell, wait, revoke, remove, end; whatever happens, never return into the caller's code."""
    try:
        undumpable()
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        session, folder = _told(said, opening)
        os.chdir("/")
        opening.close()
        close_others({0, 1, 2, watched})  # else a pipe that the command closes would stay open here
        select.select([watched], [], [])
        leftovers.end(folder.name)
        opening.revoke(session)
        shutil.rmtree(folder, ignore_errors=True)
        sweep(records)
    finally:
        os._exit(0)


def _told(said: int, opening: Opening | Alone) -> tuple[str, Path]:
    """Open, and tell what came of it to whoever waits; nobody may be there any more."""
    try:
        session, folder = opening.open()
    except ApiError as error:
        fields = (error.status, error.code, error.detail, list(error.errors), error.request_id)
        _tell(said, {"refused": type(error).__name__, "with": fields})
        raise
    except OSError as error:
        _tell(said, {"failed": (error.errno, error.strerror)})
        raise
    _tell(said, {"session": session, "folder": str(folder)})
    return session["id"], folder


def _tell(said: int, what: Document) -> None:
    with contextlib.suppress(BrokenPipeError), open(said, "wb") as answer:
        answer.write(json.dumps(what).encode())


def _heard(said: bytes) -> tuple[Document, Path]:
    told = json.loads(said or b"{}")
    if "refused" in told:
        raise ERRORS[told["refused"]](*told["with"])
    if "failed" in told:
        raise OSError(*told["failed"])
    if "session" not in told:
        raise Unavailable(0, "unreachable", "Nobody opened the session: the process that was to do it has ended.")
    return told["session"], Path(told["folder"])
