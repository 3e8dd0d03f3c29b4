"""Python interpreters and clients for the tests of the hook."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent.parent / "egret" / "shims" / "python"


def interpreters() -> list[str]:
    """Every CPython 3 that is installed beside the one that runs the tests."""
    found = {sys.executable: None}
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    names = [shutil.which(f"python3.{minor}") for minor in range(7, 20)]
    for path in [*map(str, sorted(pyenv.glob("3*/bin/python3"))), "/usr/bin/python3", *filter(None, names)]:
        if os.path.exists(path) and "/shims/" not in path:
            found[os.path.realpath(path)] = None
    return list(found)


def separate(here: Path = HERE) -> Path:
    """Return the Python of a virtual environment with the clients of clients.txt; made once, in the cache folder."""
    lock = (here / "clients.txt").read_bytes() + sys.version.encode()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "egret-tests"
    folder = cache / f"python-{hashlib.sha256(lock).hexdigest()[:16]}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "python.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            command = [folder / "bin" / "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
            command += ["--require-hashes", "-r", here / "clients.txt"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=600)
            if done.returncode:
                pytest.skip(f"pip could not install the clients: {done.stderr[-500:]}")
            (folder / "complete").touch()
    return folder / "bin" / "python"
