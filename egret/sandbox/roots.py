"""What a command needs of the file system beside the system: its own folder, its interpreter, what PATH names.

A program is followed through its links, its `#!` line and its virtual environment to the installations that it stands
in. An installation is a folder with `bin` in it that looks like one (`lib`, `libexec`, `versions`, …): pyenv, nvm,
conda, a JDK, Go. Folders of PATH that are not part of one are shown by themselves: `~/.local/bin`, but not `~/.local`.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from egret.sandbox.places import EMPTY, KERNEL, SYSTEM, holds, home, real, within

DEPTH: Final = 8
SIGNS: Final = ("pyvenv.cfg", "lib", "libexec", "versions", "pkg", "jre", "tools")
COMPANIONS: Final = {"RUSTUP_HOME": ".rustup", "PYENV_ROOT": ".pyenv", "NVM_DIR": ".nvm", "VOLTA_HOME": ".volta"}
"""Installations that their programs look for below HOME, which is another one inside, unless a variable names them."""

_SHEBANG: Final = re.compile(rb"#!\s*(\S+)(?:\s+(?:-S\s+)?(\S+))?")


def of(program: str, environ: Mapping[str, str], cwd: Path) -> list[Path]:
    """Return folders and files to show read-only, outside of the system's, resolved where they are links."""
    user = home(environ)
    found: list[Path] = []
    for path in _program(Path(program), environ):
        found += _around(path, user)
    for name in environ.get("PATH", "").split(os.pathsep):
        if name.startswith("/") and os.path.isdir(name):  # noqa: PTH112  # a dozen per start
            found += _around(Path(name) / "-", user)
    for name in (environ.get("VIRTUAL_ENV", ""), str(cwd / ".venv"), str(cwd / "venv")):
        if name.startswith("/"):
            found += _environment(Path(name))
    named = {**companions(environ), **environ}
    for variable in ("JAVA_HOME", "GOROOT", "CONDA_PREFIX", "DENO_INSTALL", *COMPANIONS):
        if named.get(variable, "").startswith("/"):
            found.append(Path(named[variable]))
    return [path for path in dict.fromkeys(found) if _showable(path, user)]


def companions(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that have programs find their installation below the user's HOME, where it is there."""
    user = home(environ)
    wanted = {variable: user / below for variable, below in COMPANIONS.items() if not environ.get(variable)}
    return {variable: str(path) for variable, path in wanted.items() if path.is_dir()}


def _showable(path: Path, user: Path) -> bool:
    """Leave out what is shown anyway, what is not there, and folders that hold more than an installation."""
    if not path.exists() or within(path, ("/etc", "/run", *KERNEL)):
        return False
    resolved = real(path)
    if within(path, SYSTEM) and within(resolved, SYSTEM):
        return False
    return not (holds(resolved, (user, *SYSTEM, *EMPTY)) or resolved == user / ".local")


def _program(path: Path, environ: Mapping[str, str], depth: int = DEPTH) -> Iterator[Path]:
    """Give every file on the way from a program's name to what the kernel starts."""
    for _ in range(DEPTH):
        yield path
        if not path.is_symlink():
            break
        path = Path(os.path.normpath(path.parent / path.readlink()))
    try:
        with path.open("rb") as stream:
            line = stream.readline(256)
    except OSError:
        return
    if depth and (shebang := _SHEBANG.match(line)):
        names = [part.decode(errors="replace") for part in shebang.groups() if part]
        by_env = len(names) > 1 and names[0].endswith("/env")
        interpreter = _which(names[1], environ) if by_env else names[0]
        if interpreter:
            yield from _program(Path(interpreter), environ, depth - 1)


def _which(name: str, environ: Mapping[str, str]) -> str | None:
    import shutil  # noqa: PLC0415

    return shutil.which(name, path=environ.get("PATH"))


def _around(program: Path, user: Path) -> list[Path]:
    """Return the installation that a program stands in, else its folder (a program straight in HOME: itself)."""
    folder = program.parent
    installation = folder.parent
    if folder.name in ("bin", "sbin", "shims", "Scripts") and _is_installation(installation, user):
        return [installation, folder, *_environment(installation)]
    if folder == user or holds(folder, (user, *SYSTEM, *EMPTY)):
        return [program]
    return [folder]


def _is_installation(folder: Path, user: Path) -> bool:
    if folder in (user, user / ".local", user / "go") or holds(folder, (user, *EMPTY, *SYSTEM)):
        return False
    return any((folder / sign).exists() for sign in SIGNS)


def _environment(folder: Path) -> list[Path]:
    """Return a virtual environment and the installation that it was made from (PEP 405)."""
    try:
        text = (folder / "pyvenv.cfg").read_text("utf-8", "replace")
    except OSError:
        return []
    bases: Iterable[str] = re.findall(r"(?m)^home\s*=\s*(/.*?)\s*$", text)
    return [folder, *(path for base in bases for path in (Path(base).parent, real(Path(base)).parent))]
