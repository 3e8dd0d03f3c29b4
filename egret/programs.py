"""The programs that Egret starts outside of a sandbox: by their whole path, with an environment that is named.

Never by PATH: a part of it that is empty or relative (`PATH=:./bin`) is the folder in which the user stands, where code
in a sandbox may have put a `git` or a `curl` of its own. Nothing else in Egret starts one, but the command itself.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

FOLDERS: Final = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
"""Where system programs are; some of these are not always in a user's PATH."""

PYTHON: Final = (sys.executable, "-P", "-s")
"""Our own interpreter: neither the folder that we stand in nor the user's packages are looked at for a module."""


class Relative(ValueError):
    """A program without its whole path: somebody else would choose what runs."""


def system(name: str) -> str | None:
    """Return the path of a system program, by folders that are root's; None where there is none."""
    return shutil.which(name, path=FOLDERS)


def run(argv: Sequence[str | Path], *, env: Mapping[str, str], **more: Any) -> subprocess.CompletedProcess[Any]:  # noqa: ANN401
    """Run a program to its end, as `subprocess.run` does; its exit code is the caller's. Raises `Relative`."""
    return subprocess.run(_whole(argv), env=env, check=False, **more)  # noqa: S603


def start(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    title: str | None = None,
    **more: Any,  # noqa: ANN401
) -> subprocess.Popen[Any]:
    """Start a program, as `subprocess.Popen` does; `title` is its name in lists of processes. Raises `Relative`."""
    program, *words = _whole(argv)
    return subprocess.Popen([title or program, *words], executable=program, env=env, **more)  # noqa: S603


def become(argv: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Replace this process by a program. Raises `Relative`, and OSError."""
    os.execve(argv[0], _whole(argv), dict(env))  # noqa: S606


def _whole(argv: Sequence[str | Path]) -> list[str]:
    words = [str(word) for word in argv]
    if not os.path.isabs(words[0]):  # noqa: PTH117
        raise Relative(f"{words[0]} is not the whole path of a program")
    return words
