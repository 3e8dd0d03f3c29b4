"""/etc as the command sees it: without what others cannot read, and with a resolver, hosts and home of its own.

Where everything in a folder may be read by everybody, the folder is mounted as one. Where something may not (for root,
mostly: `shadow`, `ssl/private`), the rest of that folder is shown piece by piece, because a mask over a path vanishes
when a new file is renamed over it: folders are mounted, small files copied as they are now. bubblewrap looks at all
mounts for each mount that it makes; a hundred files of /etc as mounts were most of the time of a start.
"""

import os
import pwd
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from egret.sandbox.places import HOSTNAME, MARKER, SYSTEM, entries, real, within
from egret.trust import KNOWN

NEVER: Final = ("/etc/egret", "/etc/kubernetes", "/etc/rancher")
COPIED: Final = 64 << 10
"""Bytes of a file that is copied at most."""

COPIES: Final = 200
"""Copies at most: each has a descriptor until bubblewrap runs, and of those a process may have 1,024 as a rule."""

NSSWITCH: Final = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n"
RESOLV: Final = "nameserver 127.0.0.1\noptions ndots:0 edns0\n"


@dataclass(slots=True)
class Mounts:
    """Options of bubblewrap, in order, and the descriptors that they name."""

    options: list[str] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    held: set[Path] = field(default_factory=set)

    def add(self, *options: str | Path) -> None:
        """Append one option with its arguments."""
        self.options += [str(option) for option in options]

    def descriptor(self, data: bytes) -> str:
        """Keep bytes in an anonymous file for bubblewrap to read; return its number."""
        made = os.memfd_create("egret", os.MFD_CLOEXEC)
        os.write(made, data)
        os.lseek(made, 0, os.SEEK_SET)
        self.descriptors.append(made)
        return str(made)

    def data(self, path: Path | str, text: str) -> None:
        """Mount a read-only file of our own over a path."""
        self.add("--ro-bind-data", self.descriptor(text.encode()), path)

    def close(self) -> None:
        """Close the descriptors, once bubblewrap has them."""
        for number in self.descriptors:
            os.close(number)
        self.descriptors = []


def tree(mounts: Mounts, folder: str, never: tuple[str, ...] = NEVER, depth: int = 100) -> None:
    """Mount a folder of the system's read-only, without what others cannot read but we can, down to a depth."""
    secret = _secret(folder, never, depth)
    if secret is not None:
        _mount(mounts, folder, secret)


def _secret(folder: str, never: tuple[str, ...], depth: int) -> set[str] | None:
    """Return paths in and below `folder` that are left out, and those above them; None: the folder itself is."""
    found: set[str] = set()
    for entry in entries(folder):
        if entry.is_symlink():
            continue
        if entry.name == MARKER:
            return None
        if entry.path in never or _is_ours_alone(entry):
            found |= {folder, f"-{entry.path}"}
        elif depth and entry.is_dir(follow_symlinks=False):
            below = _secret(entry.path, never, depth - 1)
            found |= {folder, f"-{entry.path}"} if below is None else {folder, *below} if below else set()
    return found


def _is_ours_alone(entry: os.DirEntry[str]) -> bool:
    try:
        mode = entry.stat(follow_symlinks=False).st_mode
    except OSError:
        return True
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return True  # a socket, FIFO or device: passes through a read-only mount
    everybody = stat.S_IROTH | stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
    return mode & everybody != everybody and os.access(entry.path, os.R_OK)


def _mount(mounts: Mounts, folder: str, secret: set[str]) -> None:
    if folder not in secret:
        mounts.add("--ro-bind", folder, folder)
        return
    mounts.add("--dir", folder)
    for entry in sorted(entries(folder), key=lambda one: one.name):
        if f"-{entry.path}" in secret:
            continue
        if entry.is_symlink():
            mounts.add("--symlink", Path(entry.path).readlink(), entry.path)
        elif entry.is_dir(follow_symlinks=False):
            _mount(mounts, entry.path, secret)
        else:
            _file(mounts, entry.path)


def _file(mounts: Mounts, path: str) -> None:
    """Copy a file, or mount one that is too long; it may be gone meanwhile, where a program saves by renaming."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123
            mode = os.fstat(descriptor).st_mode
            data = file.read(COPIED + 1) if stat.S_ISREG(mode) and mode & stat.S_IROTH else None
    except OSError:
        return
    if data is not None and len(data) <= COPIED and len(mounts.descriptors) < COPIES:
        mounts.add("--perms", f"{stat.S_IMODE(mode) & 0o555:o}", "--file", mounts.descriptor(data), path)
    elif data is not None:
        mounts.add("--ro-bind-try", path, path)


def etc(mounts: Mounts, home: Path) -> None:
    """Mount /etc, then our own files over it: no name service that would look up outside, our resolver, our HOME."""
    tree(mounts, "/etc")
    own = {"resolv.conf": RESOLV, "hosts": _hosts(), "nsswitch.conf": NSSWITCH, "passwd": _passwd(home)}
    for name, text in own.items():
        target = os.path.realpath(f"/etc/{name}")
        below_run = target.startswith("/run/")  # systemd-resolved: mounted where the link points
        if below_run or os.path.exists(target):  # noqa: PTH110
            mounts.data(target, text)


def trust(mounts: Mounts, bundle: Path) -> None:
    """Mount a PEM bundle over the system's own ones: for programs that read these and know no variable (GnuTLS)."""
    for target in dict.fromkeys(map(real, map(Path, KNOWN))):
        if target.is_file() and within(target, ("/etc", *SYSTEM)):
            mounts.add("--ro-bind", bundle, target)


def _hosts() -> str:
    return f"127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 {HOSTNAME}\n"


def _passwd(home: Path) -> str:
    """Return the machine's users, ourselves with the sandbox's HOME (and there, if a directory service knows us)."""
    try:
        lines = Path("/etc/passwd").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = "user"
    others = [line for line in lines if line.split(":")[2:3] != [str(uid)]]
    return "\n".join([f"{name}:x:{uid}:{os.getgid()}::{home}:/bin/sh", *others]) + "\n"
