"""The level for machines without user namespaces: files, TCP ports and other processes, by Landlock and the filter.

Landlock rules only allow, below a path; nothing can be taken out of what is allowed. So names in the working folder
cannot be kept read-only, sockets by path and UDP stay open, and this level is for those who ask for it.

Source: Documentation/userspace-api/landlock.rst; ABI 4 (Linux 6.7) for TCP ports, 6 (6.12) for signals and abstract
sockets.
"""

import ctypes
import os
import platform
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from egret.sandbox import seccomp, stops, system
from egret.sandbox.bubblewrap import JOIN_SESSION_KEYRING, KEYCTL
from egret.sandbox.levels import NoSandbox
from egret.sandbox.mounted import MOVED, Moved
from egret.sandbox.places import SYSTEM, real

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
PATH_BENEATH, NET_PORT = 1, 2
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
CONNECT_TCP: Final = 2
SCOPES: Final = 3
"""Abstract unix sockets, signals."""

READ: Final = EXECUTE | READ_FILE | READ_DIR
FILE: Final = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""What can be said of a path that is not a folder."""

FS_BY_ABI: Final = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 5: 0xFFFF}
DEVICES: Final = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm")
NO_NEW_PRIVS, SET_SECCOMP, FILTER_MODE = 38, 22, 2
CAPBSET_DROP, SET_SECUREBITS, NOROOT_LOCKED = 24, 28, 3


def abi() -> int:
    """Return the kernel's Landlock version; 0 where there is none."""
    got = ctypes.CDLL(None, use_errno=True).syscall(CREATE_RULESET, None, 0, 1)
    return max(0, int(got))


def confine(read: Iterable[Path], write: Iterable[Path], port: int) -> None:
    """Confine this process and what it starts: `read` and `write` are paths, `port` the only one to connect to.

    Raises `NoSandbox` where the kernel is too old, or where a link is on the way to one of the paths.
    """
    version = abi()
    if version < 4:
        raise NoSandbox(
            f"--sandbox landlock needs Linux 6.7 with Landlock (ABI 4); this kernel has {version or 'none'}"
        )
    every = FS_BY_ABI[max(known for known in FS_BY_ABI if known <= version)]
    ruleset = _call(CREATE_RULESET, struct.pack("QQQ", every, CONNECT_TCP, SCOPES if version >= 6 else 0), 24, 0)
    for path in read:
        _beneath(ruleset, path, READ)
    for path in write:
        _beneath(ruleset, path, every)
    _call(ADD_RULE, ruleset, NET_PORT, struct.pack("QQ", CONNECT_TCP, port), 0)
    _restrict(ruleset)


def readable(extra: Iterable[Path]) -> list[Path]:
    """Return what a command may read: the system, and of /etc what everybody may."""
    mounts = system.Mounts()
    system.tree(mounts, "/etc")
    options = mounts.options
    etc = [Path(options[place + 1]) for place, option in enumerate(options) if option.startswith("--ro-bind")]
    return [*(real(Path(name)) for name in (*SYSTEM, "/proc")), *map(real, etc), *extra]


def devices() -> list[Path]:
    """Return the devices that every program may use."""
    return [real(Path("/dev", name)) for name in DEVICES]


def become(program: str, words: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Replace this process by the command, with the filter, no new privileges, no descriptors and an empty keyring."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(KEYCTL[platform.machine()], JOIN_SESSION_KEYRING, None)
    _drop_capabilities(libc)
    os.closerange(3, 1 << 16)
    code = seccomp.program()
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    if libc.prctl(SET_SECCOMP, FILTER_MODE, header, 0, 0):
        raise NoSandbox("this kernel takes no seccomp filter")
    stops.clear()
    os.execve(program, list(words), dict(environ))  # noqa: S606  # the point of it


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Root's: with PERFMON every process's environment is readable, Landlock or not. For others it does nothing."""
    libc.prctl(SET_SECUREBITS, NOROOT_LOCKED, 0, 0, 0)  # else exec gives them back
    for number in range(64):
        libc.prctl(CAPBSET_DROP, number, 0, 0, 0)
    libc.capset(struct.pack("II", 0x20080522, 0), bytes(24))


def _beneath(ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # not there
        return
    try:
        opened = Path(f"/proc/self/fd/{descriptor}").readlink()
        if opened != path:  # a link was put there since: by code in another sandbox of the same folder
            raise Moved(MOVED.format(path))
        allowed = rights if opened.is_dir() else rights & FILE
        _call(ADD_RULE, ruleset, PATH_BENEATH, struct.pack("=Qi", allowed, descriptor), 0)
    finally:
        os.close(descriptor)


def _restrict(ruleset: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0)
    _call(RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _call(number: int, *arguments: int | bytes) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    got: int = libc.syscall(number, *arguments)
    if got < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return got
