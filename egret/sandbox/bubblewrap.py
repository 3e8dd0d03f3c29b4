"""Starting bubblewrap: it makes all namespaces and mounts, says which process is inside, and waits to be let go."""

import contextlib
import ctypes
import functools
import json
import os
import platform
import resource
import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from egret import programs
from egret.hardening import die_with
from egret.sandbox import leftovers, seccomp, stops
from egret.sandbox.machine import NAMESPACES, Machine
from egret.sandbox.places import HOSTNAME
from egret.sandbox.system import Mounts

KEYCTL: Final = {"x86_64": 250, "aarch64": 219}
JOIN_SESSION_KEYRING: Final = 1
ON_TERMINAL: Final = (signal.SIGINT, signal.SIGQUIT)
"""Blocked in bubblewrap itself on a terminal, where a Ctrl-C is for the command alone: else bubblewrap would end.

Not ignored: what is typed before the command has begun waits for it.
"""


class StartError(Exception):
    """bubblewrap did not come up; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Inside:
    """What is started: a program by its path, its arguments, its environment, where, and how."""

    program: str
    arguments: Sequence[str]
    environ: Mapping[str, str]
    cwd: Path
    terminal: bool
    userns: bool = False


class Bubblewrap:
    """One bubblewrap, made and waiting; `pid` is the process that we wait for.

    `mark` is the name of its processes, by which what a kill of ours leaves of them is found (`leftovers`).
    """

    def __init__(self, machine: Machine, mounts: Mounts, inside: Inside, mark: str) -> None:
        info, info_theirs = os.pipe()
        block, self._block = os.pipe()
        # Opened to write too: it would take the end of our pipe, when we are killed, for the word to start the command.
        block_theirs = os.open(f"/proc/self/fd/{block}", os.O_RDWR | os.O_CLOEXEC)
        os.close(block)
        options = _options(machine, mounts, inside, info_theirs, block_theirs)
        argv = [str(machine.bwrap), "--args", mounts.descriptor(b"\0".join(map(os.fsencode, options)) + b"\0")]
        quiet = functools.partial(_quiet, os.getpid(), ON_TERMINAL if inside.terminal else ())
        self._process = programs.start(
            [*argv, "--", *_command(inside)],
            title=mark,
            env={},  # bubblewrap runs outside: what LD_PRELOAD names in an --env-file would too
            pass_fds=[info_theirs, block_theirs, *mounts.descriptors],
            process_group=0,  # what is typed is for the command, and for us where it has no terminal
            preexec_fn=quiet,  # no threads here
        )
        for number in (info_theirs, block_theirs):
            os.close(number)
        mounts.close()
        self.pid, self._mark = self._process.pid, mark
        self._info = info
        self._init: int | None = None

    def child(self) -> int:
        """Return the host's number of the process that is PID 1 inside; raises `StartError`."""
        if self._init is not None:
            return self._init
        said = b""
        while b"}" not in said:
            if not (more := os.read(self._info, 4096)):
                raise StartError(f"exit code {self._process.wait()}")
            said += more
        os.close(self._info)
        self._init = int(json.loads(said)["child-pid"])
        return self._init

    def release(self) -> None:
        """Let it start the command."""
        with contextlib.suppress(OSError):
            os.write(self._block, b"x")
        self._let_go()

    def abandon(self) -> None:
        """End it without having let it go: bubblewrap has PID 1 inside die with its parent only from the word on."""
        self._process.kill()
        self._process.wait()
        leftovers.end(self._mark)
        self._let_go()

    def _let_go(self) -> None:
        if self._block >= 0:
            os.close(self._block)
            self._block = -1


def _command(inside: Inside) -> list[str]:
    """On a terminal the command gets what bubblewrap blocks, by way of env (coreutils 8.31)."""
    if not inside.terminal:
        return [inside.program, *inside.arguments]
    names = ",".join(number.name.removeprefix("SIG") for number in ON_TERMINAL)
    env = ["/usr/bin/env", f"--default-signal={names}"]
    if "=" in inside.program:  # env would take it for an assignment
        return [*env, "/bin/sh", "-c", 'exec "$0" "$@"', inside.program, *inside.arguments]
    return [*env, inside.program, *inside.arguments]


def _options(machine: Machine, mounts: Mounts, inside: Inside, info: int, block: int) -> list[str]:
    options = [f"--unshare-{name}" for name in NAMESPACES]
    options += ["--unshare-cgroup-try", "--hostname", HOSTNAME, "--uid", str(os.getuid()), "--gid", str(os.getgid())]
    options += ["--die-with-parent", "--cap-drop", "ALL", "--info-fd", str(info), "--block-fd", str(block)]
    if machine.disables and not inside.userns:
        options += ["--disable-userns"]
    if not inside.terminal:
        options += ["--new-session"]
    options += ["--seccomp", mounts.descriptor(seccomp.program(userns=inside.userns))]
    for name, value in inside.environ.items():
        options += ["--setenv", name, value]
    return [*options, *mounts.options, "--chdir", str(inside.cwd)]


def _quiet(parent: int, blocked: Collection[int]) -> None:
    """Run before exec: no core, and a session keyring of its own, because the user's passes over fork and exec.

    And it dies with us: bubblewrap sees to that too, but only once it has made its namespaces.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None)
    libc.syscall(KEYCTL[platform.machine()], JOIN_SESSION_KEYRING, None)
    die_with(parent)
    stops.clear(but=blocked)
