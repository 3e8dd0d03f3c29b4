"""Which paths of the machine matter to the sandbox: what is shown to everybody, what is empty, what is hidden."""

import contextlib
import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/gnu/store")
"""Read-only inside, as they are; /etc too, which `system` looks through first."""

EMPTY: Final = ("/run", "/var", "/tmp", "/home", "/root", "/mnt", "/media", "/srv")  # noqa: S108
"""Empty inside, but for what is mounted below them."""

KERNEL: Final = ("/proc", "/sys", "/dev", "/boot")

HOSTNAME: Final = "sandbox"
"""The machine's name inside; its true name is for the resolver, like any other."""

MARKER: Final = "EGRET.DATA"
"""The file by which a data folder is known, whatever its name is. `egret init` writes it."""

MARKER_TEXT: Final = (
    "This folder holds the keys and the database of an Egret installation. `egret run` refuses to show it to the code "
    "that it runs: do not remove this file.\n"
)


def mark(data: Path) -> None:
    """Write the marker into a data folder that has none."""
    with contextlib.suppress(OSError):  # a read-only one is known by its keys
        descriptor = os.open(data / MARKER, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.write(descriptor, MARKER_TEXT.encode())
        os.close(descriptor)


def home(environ: Mapping[str, str]) -> Path:
    """Return the user's home folder."""
    return Path(environ.get("HOME") or "~").expanduser()


def _xdg(environ: Mapping[str, str], name: str, below: str) -> Path:
    base = environ.get(name, "")
    return (Path(base) if base.startswith("/") else home(environ) / below) / "egret"


def data_home(environ: Mapping[str, str]) -> Path:
    """Return where `egret init` and `egret serve` keep the data folder unless they are told (XDG base directories)."""
    return _xdg(environ, "XDG_DATA_HOME", ".local/share") / "data"


def config_home(environ: Mapping[str, str]) -> Path:
    """Return where logins, pinned keys and settings are."""
    return _xdg(environ, "XDG_CONFIG_HOME", ".config")


def state_home(environ: Mapping[str, str]) -> Path:
    """Return where the sandbox's own state is: the HOME of each dataset."""
    return _xdg(environ, "XDG_STATE_HOME", ".local/state")


def records(environ: Mapping[str, str]) -> Path:
    """Return where it is kept what was made in writable folders for the time of a run."""
    return state_home(environ) / "made"


def record(kept: Path, folder: Path) -> Path:
    """Return the record of a folder (resolved) that is, or once was, writable in a sandbox."""
    return kept / hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]


def hidden(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return every folder of Egret's of this user; each in both of its spellings, where a link is on the way."""
    found = [data_home(environ).parent, config_home(environ), state_home(environ)]
    return tuple(dict.fromkeys(path for one in found for path in (one, real(one))))


def real(path: Path) -> Path:
    """Resolve links, as far as the path exists."""
    return Path(os.path.realpath(path))


def within(path: Path | str, folders: Iterable[Path | str]) -> Path | None:
    """Return the first of `folders` that is `path` or above it."""
    text = str(path)
    return next((Path(one) for one in folders if _is_below(text, str(one))), None)


def holds(path: Path, others: Iterable[Path | str]) -> Path | None:
    """Return the first of `others` that is `path` or below it."""
    text = str(path)
    return next((Path(one) for one in others if _is_below(str(one), text)), None)


def _is_below(path: str, folder: str) -> bool:
    """Compare as text, both being normal: `Path.is_relative_to` was half of the time that all mounts took to plan."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def is_data_folder(names: Collection[str], folder: str) -> bool:
    """Whether a folder with these names in it is an Egret data folder; also one of before there was a marker."""
    return MARKER in names or ("keys" in names and os.path.isdir(os.path.join(folder, "keys", "data")))  # noqa: PTH112, PTH118  # called once per folder of a tree


def entries(folder: str) -> Iterator[os.DirEntry[str]]:
    """List a folder; nothing where it cannot be listed."""
    try:
        with os.scandir(folder) as listed:
            yield from listed
    except OSError:
        return
