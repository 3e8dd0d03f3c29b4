"""Shims: what makes the literal spelling of a placeholder, and the proxy, work in clients that know neither.

In a URL a raw `#` starts the fragment, so `https://host/path?token=#{SECRETS.X}` loses its end inside the client,
before anything outside can see it. Two small hooks repair that where the URL is still whole: `node/preload.cjs` for
Node, and `python/` for CPython. They also take clients to the proxy that would go past HTTPS_PROXY. docs/shims.md lists
which.

Interpreters are switched on by their own variables, so they pass through shells, `make` and test runners to whatever
child there is; nothing is written into anybody's installation.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent
"""Where the hooks are; a sandbox with a file system of its own needs a copy of it, and its path there."""


def environment(base_env: Mapping[str, str], folder: Path | str = FOLDER) -> dict[str, str]:
    """Return a copy of `base_env` in which Node and Python children load the shims.

    What is set already stays in force: NODE_OPTIONS is appended to, PYTHONPATH prepended to. Doing it twice changes
    nothing. `folder` is this package's folder as the children see it.
    """
    environ = dict(base_env)
    preload = _quoted(str(Path(folder, "node", "preload.cjs")))
    options = environ.get("NODE_OPTIONS", "")
    if preload not in options:
        environ["NODE_OPTIONS"] = f"{options} --require={preload}".strip()
    hook = str(Path(folder, "python"))
    paths = environ.get("PYTHONPATH", "")  # kept as it is: an empty entry in it means something
    if hook not in paths.split(os.pathsep) and os.pathsep not in hook:
        environ["PYTHONPATH"] = f"{hook}{os.pathsep}{paths}" if paths else hook
    return environ


def _quoted(path: str) -> str:
    """Quote a path as NODE_OPTIONS wants it, where there is a reason to."""
    if not set(path) & set(' "\\'):
        return path
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
