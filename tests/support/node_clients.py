"""Node versions and npm clients for the tests of the preload, installed once from the lock file into a cache folder."""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent.parent / "egret" / "shims" / "node"
ARCHITECTURE = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), "")
VERSIONS = ("20", "22", "24", "26")


def installed() -> Path:
    """Return the folder with `node_modules` and the programs of HERE; install it when it is not there yet."""
    if shutil.which("npm") is None or not ARCHITECTURE:
        pytest.skip("needs npm on Linux (x64 or arm64): run tools/system-parts")
    lock = (HERE / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "egret-tests"
    folder = cache / f"node-{hashlib.sha256(lock).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (cache / "node.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, folder)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
            if done.returncode:
                pytest.skip(f"npm could not install the clients: {done.stderr[-500:]}")
            (folder / "complete").touch()
    return folder


def node(version: str) -> Path:
    """Return the Node of this major version."""
    return installed() / "node_modules" / f"node{version}-{ARCHITECTURE}" / "bin" / "node"
