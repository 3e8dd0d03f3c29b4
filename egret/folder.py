"""A folder's default dataset: `egret use DATASET` writes it to `.egret`, commands in the folder and below take it.

The file lies where code works that nobody trusts: a program in the sandbox may write to its working directory. It
could name another dataset there, and the next `egret secret put` would hand a value to that one. So a file is believed
only as `egret use` wrote it: what it wrote is kept, as a hash, among the logins, which no sandbox shows. A file that
was changed, added or taken away ends the command, for without a dataset a value would go to the whole project.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from egret.sandbox.places import config_home

NAME: Final = ".egret"


class NotBelieved(Exception):
    """There is a file that `egret use` did not write; the message says how to have it believed."""


@dataclass(frozen=True, slots=True)
class Default:
    """What a folder names. `file` is where it says so."""

    dataset: str
    project: str
    file: Path


def find(cwd: Path, environ: Mapping[str, str]) -> Default | None:
    """Return what the nearest file says, in `cwd` or above it; raises `NotBelieved`."""
    known = _known(environ)
    near = (each / NAME for each in (cwd, *cwd.parents))
    file = next((each for each in near if str(each) in known or each.is_file()), None)
    if file is None:
        return None
    try:
        text = file.read_bytes()
        if known.get(str(file)) == _hash(text):
            said = json.loads(text)
            return Default(str(said["dataset"]), str(said["project"]), file)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise NotBelieved(
        f"{file} is not as `egret use` of this user wrote it: say `egret use DATASET` in that folder, or name the "
        "dataset here"
    )


def write(cwd: Path, environ: Mapping[str, str], dataset: str, project: str) -> Default:
    """Make a dataset the default of `cwd`. Raises OSError."""
    file = cwd / NAME
    text = (json.dumps({"dataset": dataset, "project": project}) + "\n").encode()
    file.unlink(missing_ok=True)  # never through a link that somebody put there
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(text)
    _keep(environ, {**_known(environ), str(file): _hash(text)})
    return Default(dataset, project, file)


def forget(cwd: Path, environ: Mapping[str, str]) -> bool:
    """Remove the default of `cwd` itself; False when it has none. Raises OSError."""
    file, known = cwd / NAME, _known(environ)
    if not file.is_file() and str(file) not in known:
        return False
    file.unlink(missing_ok=True)
    _keep(environ, {path: digest for path, digest in known.items() if path != str(file)})
    return True


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _list(environ: Mapping[str, str]) -> Path:
    return config_home(environ) / "folders.json"


def _known(environ: Mapping[str, str]) -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(_list(environ).read_text("utf-8"))
        return {str(path): str(digest) for path, digest in found.items()} if isinstance(found, dict) else {}
    return {}


def _keep(environ: Mapping[str, str], known: Mapping[str, str]) -> None:
    file = _list(environ)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(dict(known), stream)
    fresh.replace(file)
