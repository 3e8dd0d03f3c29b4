"""What a command needs of the file system beside the system: its own folder, its interpreter, what PATH names.

A program is followed through its links, its `#!` line and its virtual environment to the installations that it stands
in. An installation is a folder with `bin` in it that looks like one (`lib`, `libexec`, `versions`, …): pyenv, nvm,
conda, a JDK, Go. Folders of PATH that are not part of one are shown by themselves: `~/.local/bin`, but not `~/.local`.

What the user's environment names is believed. A link, a `#!` line or a `pyvenv.cfg` is believed only where no sandbox
could write it (`trust`): code that plants `home = ~/.ssh/bin` would see `~/.ssh` in the next run. What such a one names
is shown only if it is an installation of a known kind; else it is left out, and said.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from egret.sandbox.places import EMPTY, KERNEL, SYSTEM, entries, hidden, holds, home, is_data_folder, real, within
from egret.sandbox.trust import Trust, known, private
from egret.sandbox.writable import Unshareable

DEPTH: Final = 8
SIGNS: Final = ("pyvenv.cfg", "lib", "libexec", "versions", "pkg", "jre", "tools")
COMPANIONS: Final = {"RUSTUP_HOME": ".rustup", "PYENV_ROOT": ".pyenv", "NVM_DIR": ".nvm", "VOLTA_HOME": ".volta"}
"""Installations that their programs look for below HOME, which is another one inside, unless a variable names them."""

_SHEBANG: Final = re.compile(rb"#!\s*(\S+)(?:\s+(?:-S\s+)?(\S+))?")

_PACKAGES: Final = frozenset({"__pycache__", "dist-packages", "node_modules", "site-packages"})
_FILLED: Final = re.compile(r".*/(share/(doc|man)|lib/python\d[\d.]*t?)")
"""As packages; a toolchain of Rust has 120,000 files in its documents, a Python 130 folders in its library."""

Named = tuple[Path, bool]
"""A path, and whether who names it is believed."""


@dataclass(slots=True)
class Roots:
    """What to show and what not.

    `shown`: folders and files to show read-only, and where each is without links: they are not resolved again, for
    links may change. `left`: what is named and there, but by whom nobody believes. `beside`: what of `shown` is not in
    a writable folder, which was looked through already.
    """

    shown: dict[Path, Path] = field(default_factory=dict)
    left: list[Path] = field(default_factory=list)
    beside: list[Path] = field(default_factory=list)


def of(program: str, environ: Mapping[str, str], cwd: Path, also: Iterable[Path] = ()) -> Roots:
    """Return what to show beside the system, for every level; `cwd` and `also` are the folders writable inside.

    `refuse_data` looks through what is shown, before the command may.
    """
    user, trust = real(home(environ)), Trust.of(environ, [cwd, *also])
    away = (*hidden(environ), *private(user))
    wanted = [
        (path, *trust.resolve(path, believed=believed))
        for path, believed in dict.fromkeys(_named(program, environ, cwd, trust))
    ]
    wanted = [(path, there, believed) for path, there, believed in wanted if _showable(path, there, user)]
    found = Roots()
    believed_in = [there for _, there, believed in wanted if believed and not _touches(there, away)]
    for path, there, believed in wanted:
        if _touches(path, away) or _touches(there, away):
            found.left += [] if believed else [path]
        elif believed or within(there, [*trust.writable, *believed_in]) or known(there, user, trust):
            found.shown[path] = there
        else:
            found.left.append(path)
    found.left = list(dict.fromkeys(found.left))
    found.beside = [there for there in found.shown.values() if within(there, trust.writable) is None]
    return found


def companions(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that have programs find their installation below the user's HOME, where it is there."""
    user = home(environ)
    wanted = {variable: user / below for variable, below in COMPANIONS.items() if not environ.get(variable)}
    return {variable: str(path) for variable, path in wanted.items() if path.is_dir()}


def _named(program: str, environ: Mapping[str, str], cwd: Path, trust: Trust) -> Iterator[Named]:
    user = home(environ)
    for path, believed in _program((Path(program), True), environ, trust):
        yield from _around((path, believed), user, trust)
    for name in environ.get("PATH", "").split(os.pathsep):
        if name.startswith("/") and os.path.isdir(name):  # noqa: PTH112  # a dozen per start
            yield from _around((Path(name) / "-", True), user, trust)
    for name in (environ.get("VIRTUAL_ENV", ""), str(cwd / ".venv"), str(cwd / "venv")):
        if name.startswith("/"):
            yield from _environment((Path(name), True), trust)
    named = {**companions(environ), **environ}
    for variable in ("JAVA_HOME", "GOROOT", "CONDA_PREFIX", "DENO_INSTALL", *COMPANIONS):
        if named.get(variable, "").startswith("/"):
            yield Path(named[variable]), True


def _showable(path: Path, there: Path, user: Path) -> bool:
    """Leave out what is shown anyway, what is not there, and folders that hold more than an installation."""
    if not path.exists() or within(path, ("/etc", "/run", *KERNEL)) or within(there, ("/etc", "/run", *KERNEL)):
        return False
    if within(path, SYSTEM) and within(there, SYSTEM):
        return False
    return not (holds(there, (user, *SYSTEM, *EMPTY)) or there == user / ".local")


def _touches(path: Path, away: Iterable[Path]) -> bool:
    return any(within(path, [one]) or holds(path, [one]) for one in away)


def refuse_data(roots: Iterable[Path]) -> None:
    """Raise `Unshareable` where somebody keeps Egret's data in `roots`, however deep: it would be shown with the rest.

    Folders that package managers fill are not looked through: nobody keeps data there, and of the folders of an
    installation nine in ten are below them.
    """
    waiting = [str(root) for root in roots if root.is_dir()]
    looked: set[str] = set()
    while waiting:
        here = waiting.pop()
        if here in looked:
            continue
        looked.add(here)
        there = list(entries(here))
        if is_data_folder([one.name for one in there], here):
            raise Unshareable(f"{here} is an Egret data folder, in what the command or PATH needs: move it")
        folders = [one for one in there if one.is_dir(follow_symlinks=False) and one.name not in _PACKAGES]
        waiting += [one.path for one in folders if not _FILLED.fullmatch(one.path)]


def _program(named: Named, environ: Mapping[str, str], trust: Trust, depth: int = DEPTH) -> Iterator[Named]:
    """Give every file on the way from a program's name to what the kernel starts."""
    path, believed = named
    for _ in range(DEPTH):
        yield path, believed
        if not path.is_symlink():
            break
        believed = believed and trust.believes(path.parent)
        path = Path(os.path.normpath(path.parent / path.readlink()))
    there, believed = trust.resolve(path, believed=believed)
    line = _begin(there, 256).partition(b"\n")[0]
    if depth and (shebang := _SHEBANG.match(line)):
        names = [part.decode(errors="replace") for part in shebang.groups() if part]
        by_env = len(names) > 1 and names[0].endswith("/env")
        interpreter = _which(names[1], environ) if by_env else names[0]
        if interpreter:
            by_path = by_env and os.sep not in names[1]
            believed = by_path or (believed and trust.believes(there))
            yield from _program((Path(interpreter), believed), environ, trust, depth - 1)


def _begin(path: Path, most: int) -> bytes:
    """Return how a file begins; nothing where it cannot be read. A pipe is not waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as stream:  # noqa: PTH123
            return stream.read(most) or b""
    except OSError:
        return b""


def _which(name: str, environ: Mapping[str, str]) -> str | None:
    import shutil  # noqa: PLC0415

    return shutil.which(name, path=environ.get("PATH"))


def _around(named: Named, user: Path, trust: Trust) -> list[Named]:
    """Return the installation that a program stands in, else its folder (a program straight in HOME: itself)."""
    program, believed = named
    folder = program.parent
    installation = folder.parent
    if folder.name in ("bin", "sbin", "shims", "Scripts") and _is_installation(installation, user):
        return [(installation, believed), (folder, believed), *_environment((installation, believed), trust)]
    if folder == user or holds(folder, (user, *SYSTEM, *EMPTY)):
        return [named]
    return [(folder, believed)]


def _is_installation(folder: Path, user: Path) -> bool:
    if folder in (user, user / ".local", user / "go") or holds(folder, (user, *EMPTY, *SYSTEM)):
        return False
    return any((folder / sign).exists() for sign in SIGNS)


def _environment(named: Named, trust: Trust) -> list[Named]:
    """Return a virtual environment and the installation that it was made from (PEP 405)."""
    folder, believed = named
    there, written = trust.resolve(folder / "pyvenv.cfg", believed=believed)
    if not there.is_file():
        return []
    text = _begin(there, 1 << 16).replace(b"\0", b"").decode("utf-8", "replace")
    bases: Iterable[str] = re.findall(r"(?m)^home\s*=\s*(/.*?)\s*$", text)
    written = written and trust.believes(there)
    return [
        named,
        *((path, written) for base in bases for path in (Path(base).parent, real(Path(base)).parent)),
    ]
