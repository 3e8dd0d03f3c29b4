"""Folders of the user's that are shown inside: which are refused, and what in them is covered or kept read-only.

What is written inside runs outside later: git's configuration and hooks, editors' and agents' settings. Those names are
read-only inside, and made (empty) where missing, so that nothing can be put there; `Made` takes them away again.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from egret.sandbox.places import EMPTY, KERNEL, SYSTEM, entries, holds, is_data_folder, within

FILES: Final = (".gitmodules", ".egret", "egret.yaml", "egret.yml", ".envrc", ".mcp.json")
FOLDERS: Final = (
    ".vscode", ".idea", ".zed", ".fleet", ".claude", ".codex", ".gemini", ".cursor", ".windsurf", ".kiro",
    ".continue", ".roo", ".opencode",
)  # fmt: skip
"""Of editors and agents, which start what stands there when the folder is opened."""

KEPT: Final = frozenset({*FILES, *FOLDERS, ".git"})

GIT: Final = {"config": "", "config.worktree": "", "commondir": ".\n", "hooks": None}
"""What steers git in a repository, and what holds its place where it is missing; None: a folder.

With `commondir` the configuration would be read from elsewhere; `.` is where it is read from anyway.
"""


class Unshareable(Exception):
    """A folder cannot be shown inside; the message says why and what to do."""


@dataclass(slots=True)
class Look:
    """What was found in a folder: names to keep read-only, and sockets, FIFOs and devices to cover."""

    kept: list[Path] = field(default_factory=list)
    covered: list[Path] = field(default_factory=list)


def check(folder: Path, home: Path, hidden: Iterable[Path]) -> None:
    """Raise `Unshareable` for a folder (resolved) that must not be shown writable, or at all."""
    if not folder.is_dir():
        raise Unshareable(f"{folder} is not a folder")
    if holds(folder, (home, *SYSTEM, *EMPTY, "/etc", *KERNEL)) or within(folder, ("/etc", "/run", *KERNEL)):
        raise Unshareable(f"{folder} is not shown to the code in the sandbox: work in a folder of the project's own")
    if found := within(folder, hidden) or holds(folder, hidden):
        raise Unshareable(f"{folder} has to do with {found}, which is Egret's own: move one of them")


def look(folder: Path, *, writable: bool) -> Look:
    """Look through a tree; raises `Unshareable` where an Egret data folder is in it."""
    found = Look()
    waiting = [str(folder)]
    while waiting:
        here = waiting.pop()
        names = []
        for entry in entries(here):
            names.append(entry.name)
            if entry.is_file(follow_symlinks=False):  # first: nearly all are
                if writable and entry.name in KEPT:
                    found.kept.append(Path(entry.path))
            elif entry.is_symlink():
                _linked(entry, writable=writable)
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
                if writable and entry.name in KEPT:
                    found.kept += _kept(Path(entry.path))
            else:
                found.covered.append(Path(entry.path))
        if is_data_folder(names, here):
            raise Unshareable(
                f"{here} is an Egret data folder: move it out of {folder} (`egret serve --data` finds it anywhere), "
                "or run the command from another folder"
            )
    return found


def _linked(entry: os.DirEntry[str], *, writable: bool) -> None:
    if writable and entry.name in KEPT:
        raise Unshareable(f"{entry.path} is a symbolic link and cannot be kept read-only: put what it points to there")


def _kept(folder: Path) -> list[Path]:
    if folder.name != ".git":
        return [folder]
    inside = [folder / name for name in (*GIT, "modules")]
    for one in (one for one in inside if one.is_symlink()):
        raise Unshareable(f"{one} is a symbolic link and cannot be kept read-only: put what it points to there")
    return [one for one in inside if one.exists()]


def is_repository(git: Path) -> bool:
    """Whether a `.git` is a folder with a repository in it, not empty and no worktree's file."""
    return (git / "HEAD").exists()


def missing(folder: Path) -> list[tuple[Path, str | None]]:
    """Return what is to be made in a writable folder, parents first: (path, its text, or None for a folder)."""
    git = folder / ".git"
    wanted: list[tuple[Path, str | None]] = [(folder / name, None) for name in FOLDERS]
    wanted += [(folder / name, "") for name in FILES]
    if is_repository(git):
        wanted += [(git / name, text) for name, text in GIT.items()]
    return [one for one in [(git, None), *wanted] if not os.path.lexists(one[0])]


def protected(folder: Path) -> list[Path]:
    """Return what is read-only at the top of a writable folder, all of it being there now.

    An empty `.git` is read-only whole: a repository made in it would bring a configuration of its own.
    """
    git = folder / ".git"
    names = _kept(git) if is_repository(git) else [git]
    names += [folder / name for name in (*FOLDERS, *FILES)] + sorted(folder.glob("egret*.yaml"))
    return [one for one in dict.fromkeys(names) if one.exists()]
