"""Whether bubblewrap mounted what was examined, seen before it is let go.

bubblewrap takes paths. Code in another sandbox of the same folder can put a link in the place of a folder between our
look and bubblewrap's, and back. So every mount inside is compared with the list by what the kernel says of it (device
and path in its file system, proc_pid_mountinfo(5)), not by walking paths that may change under us: it lies in a
source of the list, and is writable only where that source is.
"""

import bisect
import contextlib
import os
import re
import select
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from egret.sandbox.bubblewrap import StartError
from egret.sandbox.levels import NoSandbox
from egret.sandbox.places import KERNEL, SYSTEM, within

READ_ONLY: Final = ("--ro-bind", "--ro-bind-try")
WRITABLE: Final = ("--bind", "--dev-bind")
NODES: Final = ("null", "zero", "full", "random", "urandom", "tty")
"""What `--dev` of bubblewrap takes from the machine, beside the terminal."""

PATIENCE: Final = 20.0
"""Seconds for bubblewrap to make its mounts."""

BREATH: Final = 0.004
"""Seconds between two looks at its mounts, which come by the hundred: each look holds it up."""

AT_WORK: Final = re.compile(r"(?m)^(?:[^ \n]+ ){4}/(?:new|old)root ")
"""A line of where bubblewrap mounts things as long as it is not done."""

MOVED: Final = (
    "{} was changed while the sandbox was made, by a program that can write there: end what else runs in that folder, "
    "and try again"
)

DELETED: Final = "//deleted"
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


class Moved(NoSandbox):
    """Something else was mounted than was examined; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of mountinfo: the file system's device, the path in it, where it is mounted, and whether to write."""

    number: int
    device: str
    root: str
    point: str
    writable: bool


@dataclass(frozen=True, slots=True)
class Source:
    """A place of a file system that may be mounted, with what is below it."""

    device: str
    root: str
    writable: bool


def listed(text: str) -> list[Mount]:
    """Read mountinfo."""
    found = []
    for line in text.splitlines():
        fields = line.split(" ")
        root, point = (_plain(field) for field in fields[3:5])
        writable = "rw" in fields[5].split(",")
        found.append(Mount(int(fields[0]), fields[2], root.removesuffix(DELETED) or "/", point, writable))
    return found


def _plain(field: str) -> str:
    return _ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), field)


def _mountinfo(process: int | str) -> str:
    return Path(f"/proc/{process}/mountinfo").read_bytes().decode("utf-8", "surrogateescape")


def sources(options: Sequence[str], writable: Sequence[Path]) -> list[Source]:
    """Return what bubblewrap is told to mount, and what is mounted below that outside.

    What lies below the folders in `writable` is not looked at again, for it may have changed: its place follows from
    the folder's. Raises `Moved` where a link is on the way to one already.
    """
    wanted = [(options[at + 1], options[at] in WRITABLE) for at in range(len(options) - 1) if _is_bind(options[at])]
    wanted += [(f"/dev/{name}", True) for name in NODES]
    with contextlib.suppress(OSError):
        wanted.append((os.ttyname(1), True))
    ours = sorted(listed(_mountinfo("self")), key=lambda mount: mount.point)
    points = [mount.point for mount in ours]
    changing = [str(folder) for folder in writable]
    found = []
    for name, is_writable in dict.fromkeys(wanted):
        inner = within(name, changing)
        follows = inner is None and within(name, (*SYSTEM, *KERNEL, "/etc")) is not None
        there = _at(str(inner or name), ours, follows=follows)
        if there is None:
            continue  # not there: nothing of it can be mounted
        path, above = there
        if inner is not None:
            path, at = name, [one for one in ours if one.point == str(inner)]
            above = _last([above, *at, *_beneath(str(inner), ours, points)], name)
        found.append(Source(above.device, _joined(above.root, os.path.relpath(path, above.point)), is_writable))
        found += [Source(one.device, one.root, is_writable) for one in _beneath(path, ours, points)]
    return found


def _is_bind(option: str) -> bool:
    return option in (*READ_ONLY, *WRITABLE)


def _at(path: str, mounts: Sequence[Mount], *, follows: bool) -> tuple[str, Mount] | None:
    """Return a path without links, and the mount that it is on; raises `Moved` where it has one, unless we follow."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC | (0 if follows else os.O_NOFOLLOW))
    except OSError:
        return None
    try:
        there = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115  # hundreds of paths
        if there != path and not follows:
            raise Moved(MOVED.format(path))
        number = os.fstat(descriptor).st_dev
        device = f"{os.major(number)}:{os.minor(number)}"
        candidates = [one for one in mounts if one.device == device]
        if len(candidates) == 1 and _below(there, candidates[0].point):  # overlayfs may tell another one's
            return there, candidates[0]
        with open(f"/proc/self/fdinfo/{descriptor}", "rb", buffering=0) as told:  # noqa: PTH123
            number = int(told.read().partition(b"mnt_id:")[2].split()[0])
        return next(((there, one) for one in mounts if one.number == number), None)  # none: mounted since
    finally:
        os.close(descriptor)


def _beneath(folder: str, mounts: Sequence[Mount], points: Sequence[str]) -> Sequence[Mount]:
    """Return the mounts below a folder; they are sorted by `points`, where they are mounted."""
    start = folder.rstrip("/") + "/"
    first = bisect.bisect_right(points, start)
    return mounts[first : bisect.bisect_left(points, start[:-1] + chr(ord("/") + 1), first)]


def _last(mounts: Sequence[Mount], path: str) -> Mount:
    """Return the innermost of the mounts that hold a path."""
    return max((one for one in mounts if _below(path, one.point)), key=lambda one: len(one.point))


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _joined(root: str, below: str) -> str:
    return os.path.normpath(f"{root}/{below}").replace("//", "/")


def compare(inside: Sequence[Mount], allowed: Sequence[Source]) -> None:
    """Raise `Moved` for a mount of the machine's file systems that is not (in) an allowed source."""
    ours = {mount.device for mount in listed(_mountinfo("self"))}
    writable: dict[tuple[str, str], bool] = {}
    for one in allowed:
        writable[one.device, one.root] = one.writable or writable.get((one.device, one.root), False)
    for mount in inside:
        if mount.device not in ours:
            continue  # bubblewrap's own: a proc, a tmpfs
        holding = (writable.get((mount.device, folder)) for folder in _upwards(mount.root))
        innermost = next((one for one in holding if one is not None), None)
        if innermost is None or (mount.writable and not innermost):
            raise Moved(MOVED.format(mount.point))


def _upwards(path: str) -> Iterator[str]:
    """Give a path, and each folder that it is in."""
    while path:  # what is no path, as of a namespace, has nothing above it
        yield path
        path = "" if path == "/" else os.path.dirname(path)  # noqa: PTH120  # hundreds of mounts


def wait(init: int) -> list[Mount]:
    """Return the mounts of process `init` once bubblewrap has made all of them; raises `StartError` when it ends.

    The last thing that it does is to make the root, which is another one than ours by then, read-only.
    """
    ended = time.monotonic() + PATIENCE
    for text in _changes(init, ended):
        if AT_WORK.search(text):
            continue
        mounts = listed(text)
        points = {mount.point: mount for mount in mounts}
        if "/" in points and not points["/"].writable:
            with contextlib.suppress(OSError):
                if not os.path.samestat(os.stat(f"/proc/{init}/root"), os.stat("/")):  # noqa: PTH116
                    return mounts
    raise StartError("it did not finish its mounts")


def _changes(init: int, until: float) -> Iterator[str]:
    """Give mountinfo as often as it changes; it ends with the process, or when the time is over.

    A file of mountinfo tells of changes, but shows what is below the root of the moment at which it was opened.
    """
    try:
        watched, process = os.open(f"/proc/{init}/mountinfo", os.O_RDONLY | os.O_CLOEXEC), os.pidfd_open(init)
    except OSError:
        return
    try:
        poll = select.poll()
        poll.register(watched, select.POLLPRI)
        poll.register(process, select.POLLIN)
        while (left := until - time.monotonic()) > 0:
            try:
                yield _mountinfo(init)
            except OSError:
                return
            if any(number == process for number, _ in poll.poll(left * 1000)):
                return
            time.sleep(BREATH)
    finally:
        os.close(watched)
        os.close(process)
