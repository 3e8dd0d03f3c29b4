"""Whether what a file or link says was written by the user, or can have been written by code in a sandbox.

Every folder that was writable in a sandbox has a record (`made`), which stays; what lies in such a folder is doubted
from then on, in runs that work elsewhere too.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from egret import programs
from egret.sandbox.places import real, record, records, within

LINKS: Final = 40
"""As many links as the kernel follows on one way."""

PRIVATE: Final = (
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".password-store",
    ".mozilla",
    ".local/share/keyrings",
    ".claude",
    ".codex",
    ".gemini",
)
"""Folders of HOME that hold credentials: never shown as part of an installation."""

INSTALLATIONS: Final = (
    ".pyenv/versions/*", ".rye/py/*", ".local/share/uv/python/*", ".local/share/uv/tools/*",
    ".local/share/pipx/venvs/*", ".local/pipx/venvs/*", ".conda/envs/*",
    "miniconda3", "anaconda3", "miniforge3", "mambaforge",
    ".nvm/versions/node/*", ".nodenv/versions/*", ".volta/tools/image/*/*", ".rbenv/versions/*", ".rustup/toolchains/*",
    ".asdf/installs/*/*", ".local/share/mise/installs/*/*", ".sdkman/candidates/*/*",
)  # fmt: skip
"""Where version managers put installations below HOME."""


@dataclass(frozen=True, slots=True)
class Trust:
    """`writable`: folders writable in this run, resolved; `kept`: the records of those of earlier runs."""

    writable: tuple[Path, ...]
    kept: Path

    @classmethod
    def of(cls, environ: Mapping[str, str], writable: Iterable[Path]) -> "Trust":
        """Return whom to believe for a user and the folders of a run."""
        return cls(tuple(map(real, writable)), records(environ))

    def believes(self, path: Path) -> bool:
        """Whether nobody in a sandbox could write what is at `path`."""
        found = real(path)
        return within(found, self.writable) is None and not any(
            record(self.kept, one).exists() for one in (found, *found.parents)
        )

    def resolve(self, path: Path, *, believed: bool) -> tuple[Path, bool]:
        """Resolve links; return where they lead, and whether each of them (and `path` itself) is believed."""
        here, names, links = Path("/"), list(reversed(path.parts[1:])), 0
        while names:
            name = names.pop()
            if name == "..":
                here = here.parent
                continue
            there = here / name
            if not there.is_symlink():
                here = there
                continue
            links += 1
            if links > LINKS:
                return there, False
            believed = believed and self.believes(here)
            target = there.readlink()
            here = Path("/") if target.is_absolute() else here
            names += reversed(target.parts[1:] if target.is_absolute() else target.parts)
        return here, believed


def program(name: str, environ: Mapping[str, str]) -> str | None:
    """Return where a program is that may run outside: the system's, beside our interpreter, or in a folder of PATH.

    Of PATH only whole paths count, and what no code in a sandbox could write, here or in an earlier run.
    """
    trust = Trust.of(environ, [Path.cwd()])
    wanted = [part for part in environ.get("PATH", "").split(os.pathsep) if part.startswith("/")]
    for folder in (*programs.FOLDERS.split(os.pathsep), os.path.dirname(sys.executable), *wanted):  # noqa: PTH120
        there, believed = trust.resolve(Path(folder, name), believed=True)
        if believed and there.is_file() and os.access(there, os.X_OK) and trust.believes(there):
            return os.path.join(folder, name)  # noqa: PTH118  # by its own name, which some programs heed
    return None


def private(user: Path) -> Iterator[Path]:
    """Give the folders of a HOME that hold credentials, in both spellings where a link is on the way."""
    for name in PRIVATE:
        yield from dict.fromkeys((user / name, real(user / name)))


def known(path: Path, user: Path, trust: Trust) -> bool:
    """Whether a resolved path is (in) an installation of a known kind: no word of a doubted file is needed for that."""
    if within(path, (real(Path(sys.prefix)), real(Path(sys.base_prefix)))):
        return True
    if not trust.believes(path):
        return False
    if within(path, [user]) is None:
        return _is_the_systems(path)
    below = path.relative_to(user)
    above = [Path(*below.parts[:count]) for count in range(1, len(below.parts) + 1)]
    return any(
        one.match(pattern) and len(one.parts) == pattern.count("/") + 1 for one in above for pattern in INSTALLATIONS
    )


def _is_the_systems(path: Path) -> bool:
    """Whether root, who is not the user, put an interpreter there."""
    try:
        owned = os.getuid() != 0 and path.stat().st_uid == 0 and not os.access(path, os.W_OK)
    except OSError:
        return False
    return owned and any(os.access(path / name, os.X_OK) for name in ("bin/python3", "bin/node", "bin/java"))
