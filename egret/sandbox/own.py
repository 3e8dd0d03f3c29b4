"""What runs outside next, with the API key: Egret's own installation, and the folders in which programs are looked for.

Where such a folder lies in one that is writable inside, code there would change the next `egret`, or put a `git` before
the system's. It is read-only inside, and so are not to be renamed the folders above it; where the writable folder is
itself one, nothing can be kept, and the start is refused.
"""

import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from egret import programs
from egret.sandbox.places import real, within
from egret.sandbox.writable import Unshareable

SOURCES: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("egret", "proxy", "store")


def kept(writable: Sequence[Path], environ: Mapping[str, str]) -> list[Path]:
    """Return the folders to keep read-only, outer ones first; some may not be there yet. `writable` are resolved.

    Raises `Unshareable` where that cannot be done.
    """
    found: set[Path] = set()
    for path, why in _folders(environ):
        there = real(path)
        for folder in writable:
            if there == folder:
                raise Unshareable(f"{folder} {why}: what code writes there would run outside. Work in another folder")
            if within(path, [folder]) and there != path:
                raise Unshareable(f"{path} {why}, and a link on the way cannot be kept read-only: name {there} itself")
            if within(there, [folder]):
                found.add(there)
    for inner in _installation():
        for folder in writable:
            if within(folder, [real(inner)]):
                raise Unshareable(f"{folder} is in Egret's own installation: work in another folder")
    ordered = sorted(found, key=lambda path: (len(path.parts), path))
    return [path for place, path in enumerate(ordered) if within(path, ordered[:place]) is None]


def above(path: Path, writable: Iterable[Path]) -> list[Path]:
    """Return the folders between a kept path and the innermost writable one that it is in, outer ones first."""
    top = max((folder for folder in writable if within(path, [folder])), key=lambda folder: len(folder.parts))
    return [one for one in reversed(path.parents) if one != top and within(one, [top])]


def missing(kept_here: Iterable[Path], folder: Path) -> list[tuple[Path, str | None]]:
    """Return the folders that are to be made in a writable one so that kept paths are there, parents first."""
    wanted = [one for path in kept_here if within(path, [folder]) for one in (*above(path, [folder]), path)]
    return [(one, None) for one in dict.fromkeys(wanted) if not os.path.lexists(one)]


def _folders(environ: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    for path in (Path(sys.prefix), Path(sys.exec_prefix), *_installation()):
        yield path, "is Egret's own installation"
    for name in sys.path:
        if name.startswith("/") and not Path(name).is_file():
            yield Path(os.path.normpath(name)), "is where Python looks for what Egret imports"
    for name in programs.FOLDERS.split(os.pathsep):
        yield Path(name), "is where Egret looks for the system's programs"
    for name in environ.get("PATH", "").split(os.pathsep):
        if name.startswith("/"):
            yield Path(os.path.normpath(name)), "is a folder of PATH"


def _installation() -> list[Path]:
    paths = sysconfig.get_paths()
    return [Path(paths[name]) for name in ("scripts", "purelib", "platlib")] + [SOURCES / name for name in PACKAGES]
