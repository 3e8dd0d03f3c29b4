"""Starting bubblewrap: it makes all namespaces and mounts, says which process is inside, and waits to be let go."""

import contextlib
import ctypes
import json
import os
import platform
import resource
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from egret.sandbox import seccomp
from egret.sandbox.machine import NAMESPACES, Machine
from egret.sandbox.places import HOSTNAME
from egret.sandbox.system import Mounts

KEYCTL: Final = {"x86_64": 250, "aarch64": 219}
JOIN_SESSION_KEYRING: Final = 1
ON_TERMINAL: Final = (signal.SIGINT, signal.SIGQUIT)
"""Ignored by bubblewrap itself on a terminal, where a Ctrl-C is for the command alone: else bubblewrap would end."""


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
    """One bubblewrap, made and waiting; `pid` is the process that we wait for."""

    def __init__(self, machine: Machine, mounts: Mounts, inside: Inside) -> None:
        info, info_theirs = os.pipe()
        block_theirs, self._block = os.pipe()
        options = _options(machine, mounts, inside, info_theirs, block_theirs)
        argv = [str(machine.bwrap), "--args", mounts.descriptor(b"\0".join(map(os.fsencode, options)) + b"\0")]
        self._process = subprocess.Popen(  # noqa: S603
            [*argv, "--", *_command(inside)],
            env=dict(inside.environ),
            pass_fds=[info_theirs, block_theirs, *mounts.descriptors],
            process_group=0 if inside.terminal else None,
            preexec_fn=_quiet_on_terminal if inside.terminal else _quiet,  # noqa: PLW1509  # no threads here
        )
        for number in (info_theirs, block_theirs):
            os.close(number)
        mounts.close()
        self.pid = self._process.pid
        self._info = info

    def child(self) -> int:
        """Return the host's number of the process that is PID 1 inside; raises `StartError`."""
        said = b""
        while b"}" not in said:
            if not (more := os.read(self._info, 4096)):
                raise StartError(f"exit code {self._process.wait()}")
            said += more
        os.close(self._info)
        return int(json.loads(said)["child-pid"])

    def release(self) -> None:
        """Let it start the command."""
        with contextlib.suppress(OSError):
            os.write(self._block, b"x")
        os.close(self._block)

    def abandon(self) -> None:
        """End it without having let it go."""
        self._process.kill()
        self._process.wait()
        os.close(self._block)


def _command(inside: Inside) -> list[str]:
    """On a terminal the command gets back what bubblewrap ignores, by way of env (coreutils 8.31)."""
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
    return [*options, *mounts.options, "--chdir", str(inside.cwd)]


def _quiet() -> None:
    """Run before exec: no core, and a session keyring of its own, because the user's passes over fork and exec."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).syscall(KEYCTL[platform.machine()], JOIN_SESSION_KEYRING, None)


def _quiet_on_terminal() -> None:
    _quiet()
    for number in ON_TERMINAL:
        signal.signal(number, signal.SIG_IGN)
