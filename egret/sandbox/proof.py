"""`egret doctor --sandbox`: starts a sandbox like that of `egret run`, without a server, and tries it from inside.

The proxy is a socket of ours that nobody serves: what reached it lies in its buffer afterwards.
"""

import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from egret.finding import Finding
from egret.sandbox import launch, probe
from egret.sandbox.files import home_of
from egret.sandbox.levels import SAID, Level, NoSandbox
from egret.sandbox.places import hidden, home
from egret.sandbox.writable import Unshareable

TOKEN: Final = "egs_doctor"
SAYS: Final = {
    "files": "no Egret folder, login or HOME of the user's is there",
    "processes": "no process outside is seen, and no environment holds a key",
    "privileges": "no capability, no new privileges, a system call filter",
    "system calls": "user namespaces and keyrings are refused",
    "descriptors": "nothing was left open",
    "kept read-only": "git's configuration and editors' settings cannot be written",
    "loopback": "services of this machine are not reached",
    "addresses": "literal addresses are refused at once",
    "UDP": "datagrams are refused at once",
    "names": "names get addresses that stand for them, and nothing is looked up outside",
    "capture": "a connection that knows no proxy arrived there, with the session's token",
}


def prove(wishes: launch.Wishes, environ: Mapping[str, str], folder: Path) -> Iterator[Finding]:
    """Try every promise of the sandbox in an empty folder, which is removed at the end.

    This process cannot be used for much afterwards (it is undumpable). What runs inside is named like the folder.
    """
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        os.chdir(folder)
        said: list[str] = []
        try:
            chosen = launch.plan(wishes, environ)
            yield from _try(chosen, folder, proxy, environ, said)
        except (NoSandbox, Unshareable) as error:
            yield Finding("sandbox", ok=False, said=" ".join(str(error).splitlines()))
        finally:
            os.chdir("/")
            shutil.rmtree(folder, ignore_errors=True)


def _try(
    chosen: launch.Plan, folder: Path, proxy: socket.socket, environ: Mapping[str, str], said: list[str]
) -> Iterator[Finding]:
    if chosen.level not in launch.MOUNTED:
        yield Finding("sandbox", ok=None, said=f"level {chosen.level}: nothing was tried")
        return
    level = chosen.level
    _want(folder, level, proxy.getsockname()[1], environ)
    url = f"http://{TOKEN}:x@127.0.0.1:{proxy.getsockname()[1]}"
    inside = {"PATH": environ.get("PATH", ""), "HOME": str(home_of("doctor", environ))}
    words = [sys.executable, "-I", probe.__file__, "wanted.json", "found.json"]
    job = launch.Job(sys.executable, words, inside, url, [Path(probe.__file__)], environ, said.append, folder.name)
    code = launch.run(chosen, job)
    yield Finding("sandbox", ok=level is Level.FULL or None, said=said[0] if said else SAID[level])
    if code:
        yield Finding("inside", ok=False, said=f"the probe ended with code {code}")
        return
    found = json.loads((folder / "found.json").read_text())
    if "capture" in found and not found["capture"]:
        found["capture"] = _arrived(proxy)
    for name, wrong in found.items():
        yield Finding(name, ok=not wrong, said=wrong or SAYS[name])


def _want(folder: Path, level: Level, port: int, environ: Mapping[str, str]) -> None:
    user = home(environ)
    away = [str(path) for path in hidden(environ) if not path.is_relative_to(home_of("doctor", environ))]
    names = [name for name in (".ssh", ".bash_history", ".netrc", ".gitconfig", ".aws") if (user / name).exists()]
    wanted = {
        "hidden": [one for one in away if "state" not in one] + [str(user / name) for name in names],
        "read_only": [".envrc", ".mcp.json", ".vscode/tasks.json", ".git/config"],
        "port": port,
        "level": level,
    }
    (folder / "wanted.json").write_text(json.dumps(wanted))


def _arrived(proxy: socket.socket) -> str:
    proxy.setblocking(False)
    try:
        connection, _ = proxy.accept()
        with connection:
            got = connection.recv(4096)
    except OSError:
        return "nothing arrived at the proxy"
    asked = got.startswith(b"CONNECT doctor.egret.test:443 ") and TOKEN.encode() in got
    return "" if asked else "what arrived at the proxy was no CONNECT of the session"
