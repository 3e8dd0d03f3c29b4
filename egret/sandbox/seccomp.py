"""The seccomp filter: classic BPF, built here, without a library.

It refuses what a namespace does not take away: keyrings (not namespaced), other socket families (AF_VSOCK reaches the
hypervisor's host), io_uring (whose work no filter sees), new user namespaces (kernel surface), and typing into the
terminal (TIOCSTI, TIOCLINUX). Other architectures' numbers are killed: an i386 call would be judged by the wrong table.

Sources: seccomp(2), include/uapi/linux/{seccomp,audit,filter}.h; numbers: arch/x86/entry/syscalls/syscall_64.tbl and
include/uapi/asm-generic/unistd.h.
"""

import errno
import platform
import struct
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER_AT, ARCH_AT, FIRST_ARGUMENT, SECOND_ARGUMENT = 0, 4, 16, 24
"""Offsets in struct seccomp_data; of an argument only the low 32 bits, as the kernel reads ioctl's and clone's."""

X32: Final = 0x40000000
"""The bit of x32 numbers, which x86_64's architecture value does not tell apart."""

NEW_NAMESPACES: Final = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""

TIOCSTI, TIOCLINUX = 0x5412, 0x541C

FAMILIES: Final = {"unix": 1, "inet": 2, "inet6": 10, "netlink": 16}
"""What socket() may open, and socketpair(), which TIPC has too: it would load the kernel's module for that."""

REFUSED: Final = {  # name: (x86_64, aarch64)
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "perf_event_open": (298, 241),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "acct": (163, 89),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "syslog": (103, 116),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "lookup_dcookie": (212, 18),
    "setns": (308, 268),
}
MOUNTS: Final = {
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
}
"""Refused unless user namespaces are allowed: programs that make sandboxes of their own mount in them."""

JUDGED: Final = {
    "socket": (41, 198), "socketpair": (53, 199), "ioctl": (16, 29), "clone": (56, 220), "unshare": (272, 97),
    "clone3": (435, 435),
}  # fmt: skip
"""Calls that are judged by an argument; clone3's are in memory, so it does not exist (ENOSYS: libraries use clone)."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """Which column of the tables, and the AUDIT_ARCH value."""

    column: int
    value: int


ARCHITECTURES: Final = {"x86_64": Architecture(0, 0xC000003E), "aarch64": Architecture(1, 0xC00000B7)}


def supported(machine: str | None = None) -> bool:
    """Whether there is a filter for this machine."""
    return (machine or platform.machine()) in ARCHITECTURES


def program(machine: str | None = None, *, userns: bool = False) -> bytes:
    """Return the filter as an array of struct sock_filter; KeyError for an architecture without one."""
    architecture = ARCHITECTURES[machine or platform.machine()]
    column = architecture.column
    code = [
        _step(LOAD, ARCH_AT),
        _step(EQUAL, architecture.value, 1, 0),
        _step(RETURN, KILL),
        _step(LOAD, NUMBER_AT),
        _step(AT_LEAST, X32, 0, 1),
        _step(RETURN, KILL),
    ]
    refused = REFUSED if userns else REFUSED | MOUNTS
    for numbers in refused.values():
        code += _on(numbers[column], [_deny(errno.EPERM)])
    code += _on(JUDGED["clone3"][column], [_deny(errno.ENOSYS)])
    if not userns:
        for name in ("clone", "unshare"):
            code += _on(JUDGED[name][column], [_step(LOAD, FIRST_ARGUMENT), *_unless_bits(NEW_NAMESPACES)])
    code += _on(JUDGED["ioctl"][column], [_step(LOAD, SECOND_ARGUMENT), *_unless_one_of((TIOCSTI, TIOCLINUX))])
    for name in ("socket", "socketpair"):
        code += _on(JUDGED[name][column], [_step(LOAD, FIRST_ARGUMENT), *_only(FAMILIES.values())])
    return b"".join([*code, _step(RETURN, ALLOW)])


def _step(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, true, false, value)


def _deny(number: int) -> bytes:
    return _step(RETURN, ERRNO | number)


def _on(number: int, body: list[bytes]) -> list[bytes]:
    """Run `body`, which always returns, for one call; the accumulator holds the number before and after."""
    return [_step(EQUAL, number, 0, len(body)), *body]


def _unless_bits(bits: int) -> list[bytes]:
    return [_step(ANY_BIT, bits, 0, 1), _deny(errno.EPERM), _step(RETURN, ALLOW)]


def _unless_one_of(values: Collection[int]) -> list[bytes]:
    tests = [_step(EQUAL, value, len(values) - place, 0) for place, value in enumerate(values)]
    return [*tests, _step(RETURN, ALLOW), _deny(errno.EPERM)]


def _only(values: Collection[int]) -> list[bytes]:
    tests = [_step(EQUAL, value, len(values) - place, 0) for place, value in enumerate(values)]
    return [*tests, _deny(errno.EAFNOSUPPORT), _step(RETURN, ALLOW)]
