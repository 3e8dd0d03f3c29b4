"""Which parts of Egret are installed here, and the command that gets the others.

The client comes with the wheel, the server's libraries with the extra `server`. The engine `mitmproxy` caps some of
them below releases that fix security bugs, so that no resolver puts it beside them: it comes by the lock that the
wheel carries, version by version and hash by hash.
"""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Final

DISTRIBUTION: Final = "egret-proxy"
OURS: Final = {"egret", "proxy", "store"}
SERVER: Final = "pip install 'egret-proxy[server]'"
ENGINE: Final = "egret install mitmproxy"


def lock() -> Path:
    """Return the file that pins what a whole Egret runs with: in the wheel, or in requirements/ of a checkout."""
    from importlib.resources import files  # noqa: PLC0415

    packaged = Path(str(files("egret") / "runtime.lock"))
    return packaged if packaged.is_file() else Path(__file__).parent.parent / "requirements" / "runtime.lock"


def has_engine(engine: str) -> bool:
    """Whether the forward proxy can run with this engine here."""
    return engine != "mitmproxy" or find_spec("mitmproxy") is not None


def lacks_server() -> str:
    """Return what to tell who wants to serve where the server's libraries are missing, else nothing."""
    missing = sorted(name for name in _server() if not _is_installed(name))
    if not missing:
        return ""
    named = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
    return f"this is the client alone ({named}: not installed); get the server with: {SERVER}"


def lacks_engine(engine: str) -> str:
    """Return what to tell who chose an engine that is missing, else nothing."""
    if has_engine(engine):
        return ""
    return f"the engine {engine} is not installed: get it with `{ENGINE}`, or set proxy.engine: express"


def lacks_module(error: ModuleNotFoundError) -> str:
    """Return what to tell who ran into a library that is missing; nothing when what is missing is our own."""
    name = (error.name or "").partition(".")[0]
    if name in OURS or not name:
        return ""
    if name == "mitmproxy":
        return lacks_engine(name)
    return lacks_server() or f"{name} is not installed: install Egret anew"


def _server() -> list[str]:
    """Names of the distributions of the extra `server`, as the installed metadata says them."""
    from importlib.metadata import requires  # noqa: PLC0415  # 15 ms, for those who serve or lack something

    said = requires(DISTRIBUTION) or []
    return [re.split(r"[^A-Za-z0-9._-]", line)[0] for line in said if re.search(r"extra == ['\"]server['\"]", line)]


def _is_installed(name: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
