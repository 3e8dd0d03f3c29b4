"""The file system inside: an allow-list, as options of bubblewrap."""

import contextlib
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from egret.sandbox import system
from egret.sandbox.own import above
from egret.sandbox.places import (
    EMPTY,
    SYSTEM,
    hidden,
    home,
    real,
    state_home,
    within,
)
from egret.sandbox.system import Mounts
from egret.sandbox.writable import Look, Unshareable, check, look, protected

WRITABLE_EMPTY: Final = ("/tmp", "/run", "/var/tmp", "/var/run", "/var/cache", "/var/log")  # noqa: S108
ROOTS_OWN: Final = (
    "/proc/sys",
    "/proc/sysrq-trigger",
    "/proc/irq",
    "/proc/bus",
    "/proc/acpi",
    "/proc/scsi",
    "/proc/fs",
)
"""What root may write without any capability, because the kernel asks for its number alone."""

DEVICES: Final = {"kvm": ("/dev/kvm",), "dri": ("/dev/dri",), "nvidia": ()}
"""`--device`: what is mounted from /dev; nvidia's nodes are looked for."""

OPT_DEPTH: Final = 3
"""How deep /opt is looked through: whole distributions live there."""

MOST_COVERED: Final = 60
"""More sockets, pipes and devices than this below a folder say that it is the wrong one."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What the user gives beside the allow-list; folders resolved."""

    cwd: Path
    share: Sequence[Path] = ()
    share_rw: Sequence[Path] = ()
    devices: Sequence[str] = ()

    @property
    def writable(self) -> list[Path]:
        """Return the writable folders, the outer ones first."""
        return sorted(dict.fromkeys([self.cwd, *self.share_rw]), key=lambda path: len(path.parts))


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look through the user's folders found."""

    looks: Mapping[Path, Look]
    covered: Sequence[Path]


def examine(shared: Shared, environ: Mapping[str, str]) -> Seen:
    """Judge every folder that the user shows; raises `Unshareable`."""
    found: dict[Path, Look] = {}
    away = hidden(environ)
    user = real(home(environ))
    for folder in [*shared.writable, *shared.share]:
        if not within(folder, SYSTEM) or folder in shared.writable:
            check(folder, user, away)
        writable = folder in shared.writable
        if within(folder, [one for one in found if found and (one in shared.writable) >= writable]) is None:
            found[folder] = look(folder, writable=writable)
    covered = [path for one in found.values() for path in one.covered]
    if len(covered) > MOST_COVERED:
        raise Unshareable(f"{len(covered)} sockets, pipes and devices are below {shared.cwd}: work in another folder")
    return Seen(found, covered)


def home_of(dataset: str, environ: Mapping[str, str]) -> Path:
    """Return the HOME that is kept for a dataset, made where it is missing. Never the user's own.

    `environ` is the user's own too: no word of an env file decides what is mounted. Raises `Unshareable` where the
    folder cannot be made, or is not ours: a link below the state folder would have something else mounted writable.
    """
    folder = state_home(environ)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = real(folder)
        for name in ("homes", Path(dataset).name or "none"):
            folder /= name
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            is_ours(folder)
    except OSError as error:
        raise Unshareable(f"no HOME for the command can be kept in {folder}: {error.strerror}") from None
    return folder


def is_ours(folder: Path) -> None:
    """Raise `Unshareable` unless this is a folder, no link, and the user's."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise Unshareable(f"{folder} is not a folder of this user's own: remove it")


def mount(
    roots: Mapping[Path, Path],
    shared: Shared,
    seen: Seen | None,
    *,
    kept_home: Path,
    extra: Iterable[Path],
    own: Sequence[Path] = (),
    trusted: Path | None = None,
) -> Mounts:
    """Return the mounts for a command that needs `roots`, each with where it is.

    `extra` are files and folders of ours that it needs, read-only; `own` what is read-only in writable folders because
    it runs outside (`own`); `trusted` is a PEM bundle in the place of the system's.
    """
    if seen is None:
        raise Unshareable("the folders were not looked through")
    is_ours(kept_home)
    made = Mounts()
    _system(made, kept_home)
    if trusted is not None:
        system.trust(made, trusted)
    _folders(made, {**roots, **{path: path for path in shared.share}}, "--ro-bind")
    _folders(made, {path: path for path in (kept_home, *shared.writable)}, "--bind")
    _own(made, own, shared.writable)
    for path in shared.share:  # below a writable folder they are read-only still
        if within(path, shared.writable):
            made.add("--ro-bind", path, path)
    _folders(made, {path: real(path) for path in extra}, "--ro-bind")
    _names(made, shared, [path for one in seen.looks.values() for path in one.kept], own)
    for path in seen.covered:
        made.add("--ro-bind", os.devnull, path)
    for name in shared.devices:
        _device(made, name)
    made.add("--remount-ro", "/")
    return made


def _system(made: Mounts, kept_home: Path) -> None:
    for name in SYSTEM:
        path = Path(name)
        if path.is_symlink():
            made.add("--symlink", path.readlink(), path)
        elif name == "/opt" and path.is_dir():
            system.tree(made, name, depth=OPT_DEPTH)
        elif path.is_dir():
            made.add("--ro-bind", path, path)
    made.add("--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp")  # noqa: S108
    for name in ROOTS_OWN if os.getuid() == 0 else ():
        made.add("--ro-bind-try", name, name)
    made.add("--tmpfs", "/run", "--dir", "/var", "--perms", "1777", "--tmpfs", "/var/tmp")  # noqa: S108
    for name in EMPTY[3:]:
        made.add("--dir", name)
    system.etc(made, kept_home)


def _folders(made: Mounts, wanted: Mapping[Path, Path], option: str) -> None:
    """Mount folders, outer ones first, each at its own path; through a link on the way, at both of its paths.

    Where they are without links is given: resolved once more, they might be elsewhere.
    """
    shown: list[Path] = []
    for path, resolved in sorted(wanted.items(), key=lambda item: len(item[0].parts)):
        if within(resolved, shown) is None:
            made.add(option, resolved, resolved)
        if resolved != path and within(real(path.parent), [*shown, *SYSTEM]) is None:
            _link(made, path, resolved)
        shown.append(resolved)


def _link(made: Mounts, path: Path, resolved: Path) -> None:
    if path.is_symlink() and real(path.parent) == path.parent:
        made.add("--symlink", path.readlink(), path)
    else:
        made.add("--ro-bind", resolved, path)


def _own(made: Mounts, own: Iterable[Path], writable: Sequence[Path]) -> None:
    """Mount folders read-only, and those above each as they are: a mount cannot be renamed, nor another put there."""
    for path in own:
        for one in above(path, writable):
            if one not in made.held:
                made.add("--bind", one, one)
                made.held.add(one)
        made.add("--ro-bind", path, path)


def _names(made: Mounts, shared: Shared, below: Iterable[Path], own: Sequence[Path]) -> None:
    """Mount the names that are kept in writable folders, at their top and `below`, read-only."""
    top = _protected(shared)
    for path in dict.fromkeys([*top, *below]):
        if within(path, own):
            continue
        if path.parent.name == ".git" and path.parent not in made.held:
            made.add("--bind", path.parent, path.parent)  # see `_own`
            made.held.add(path.parent)
        # Further down it may be gone by now: what held a place for a command in that folder, say.
        made.add("--ro-bind" if path in top else "--ro-bind-try", path, path)


def _protected(shared: Shared) -> list[Path]:
    return [path for folder in shared.writable for path in protected(folder)]


def _device(made: Mounts, name: str) -> None:
    nodes = DEVICES[name] or [str(path) for path in sorted(Path("/dev").glob("nvidia*"))]
    for node in nodes:
        if not Path(node).exists():
            raise Unshareable(f"--device {name}: this machine has no {node}")
        made.add("--dev-bind", node, node)
    if not nodes:
        raise Unshareable(f"--device {name}: this machine has none")
    if name in ("dri", "nvidia"):
        made.add("--ro-bind", "/sys", "/sys")
