"""Revokes a session when a command ends, although the command has replaced us.

`egret run` becomes its command by exec, so that signals and the exit code are the command's own. Before that it leaves
a watcher behind: a process that is nobody's child, holds a file descriptor of ours (pidfd, Linux 5.3), and wakes up
when we are gone. It holds an API key beside untrusted code of the same user, so it makes itself undumpable first: the
kernel then refuses ptrace and /proc to that user.
"""

import contextlib
import os
import select
import shutil
import sys
from pathlib import Path

from egret.client import ApiError, Client
from egret.hardening import close_others, undumpable
from egret.sandbox.made import sweep


def leave_behind(client: Client, revoke: tuple[str, str, str], folder: Path, records: Path) -> bool:
    """Fork the watcher; False where that cannot work. `revoke` is (session, dataset, project).

    It removes `folder`, and what a sandbox made for the time of its run (`egret.sandbox.made`), by its `records`.
    Signals that the caller blocks stay blocked in it (`egret.sandbox.stops`): those that end us, a Ctrl-C or the end
    of a service, come to the whole group, and it is there for the time after them.
    """
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return False
    try:
        watched = os.pidfd_open(os.getpid())
    except OSError:
        return False
    client.close()  # the watcher makes its own connection
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            _watch(watched, client, revoke, folder, records)
        os._exit(0)
    os.waitpid(child, 0)
    os.close(watched)
    return True


def _watch(watched: int, client: Client, revoke: tuple[str, str, str], folder: Path, records: Path) -> None:
    """Wait, revoke, remove, end; whatever happens, never return into the caller's code."""
    try:
        undumpable()
        os.setsid()
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        close_others({0, 1, 2, watched})  # else a pipe that the command closes would stay open here
        select.select([watched], [], [])
        with contextlib.suppress(ApiError):
            client.revoke_session(*revoke)
        shutil.rmtree(folder, ignore_errors=True)
        sweep(records)
    finally:
        os._exit(0)
