"""What `egret doctor --sandbox` runs inside: tries each promise from there, and writes what it found.

Alone, with the standard library: `python -I probe.py WANTED FOUND`, both JSON files in the working folder.
"""

import contextlib
import ctypes
import json
import os
import platform
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

LIMIT = 2.0
"""Seconds in which something is refused "at once"."""

NUMBERS = {"x86_64": (272, 250), "aarch64": (97, 219)}
"""unshare, keyctl."""


def gone(paths: list[str]) -> str:
    """Return which of the paths can be seen; an empty text is what is wanted, here and below."""
    return ", ".join(path for path in paths if os.path.lexists(path))


def processes() -> str:
    """Return what PID 1 is, unless it is bubblewrap, and a key in any environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"EGRET_API_KEY=" in (entry / "environ").read_bytes():
                found.append(f"a key in the environment of process {entry.name}")
    name = Path("/proc/1/comm").read_text().strip()
    return ", ".join(found) if name == "bwrap" else f"PID 1 is {name}"


def privileges() -> str:
    """Return what this process may do that it should not."""
    fields = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    wrong = [name for name in ("CapPrm", "CapEff", "CapBnd") if int(fields[name], 16)]
    return ", ".join(wrong + [name for name, want in (("NoNewPrivs", "1"), ("Seccomp", "2")) if fields[name] != want])


def calls() -> str:
    """Return which system calls succeed: a user namespace, the keyring."""
    unshare, keyctl = NUMBERS[platform.machine()]
    libc = ctypes.CDLL(None, use_errno=True)
    tried = {"unshare": libc.syscall(unshare, 0x10000000), "keyctl": libc.syscall(keyctl, 0, -3, 0)}
    return ", ".join(name for name, got in tried.items() if got >= 0)


def descriptors() -> str:
    """Return what was left open by who started us."""
    return ", ".join(name for name in os.listdir("/proc/self/fd") if int(name) > 3)  # noqa: PTH208  # 3 lists them


def unwritable(paths: list[str]) -> str:
    """Return which of the paths can be written."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError), open(path, "a"):  # noqa: PTH123
            found.append(path)
    return ", ".join(found)


def unreached(host: str, port: int) -> str:
    """Return what is heard from an address, or that nobody said no in time."""
    began = time.monotonic()
    try:
        with socket.create_connection((host, port), 5) as it:
            it.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            got = it.recv(100)
            if got and b" 403 " not in got:
                return f"{host} answered"
    except OSError:
        pass
    return "" if time.monotonic() - began < LIMIT else f"{host} was not refused at once"


def datagrams() -> str:
    """Return how a datagram to the internet fared, if not by a refusal."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as it:
        it.settimeout(LIMIT)
        try:
            it.connect(("192.0.2.1", 123))
            it.send(b"x")
            it.recv(10)
        except TimeoutError:
            return "it was dropped, not refused"
        except OSError:
            return ""
    return "it was answered"


def name() -> str:
    """Return what a name resolves to, if not to an address that stands for it."""
    found = socket.gethostbyname("doctor.egret.test")
    return "" if found.startswith(("198.18.", "198.19.")) else found


def captured() -> str:
    """Make a connection that knows no proxy; whether it arrived there is seen outside."""
    with socket.create_connection(("doctor.egret.test", 443), 5) as it:
        it.sendall(b"\x16\x03\x01\x00\x05hello")
        time.sleep(0.2)
    return ""


def main() -> None:
    """Try everything."""
    wanted = json.loads(Path(sys.argv[1]).read_text())
    tries: dict[str, Callable[[], str]] = {
        "files": lambda: gone(wanted["hidden"]),
        "processes": processes,
        "privileges": privileges,
        "system calls": calls,
        "descriptors": descriptors,
        "kept read-only": lambda: unwritable(wanted["read_only"]),
        "loopback": lambda: unreached("127.0.0.1", wanted["port"]),
        "addresses": lambda: unreached("192.0.2.1", 80),
        "UDP": datagrams,
    }
    if wanted["level"] == "full":
        tries |= {"names": name, "capture": captured}
    found = {}
    for title, attempt in tries.items():
        try:
            found[title] = attempt()
        except Exception as error:  # noqa: BLE001  # one that breaks is one that fails
            found[title] = f"{type(error).__name__}: {error}"
    Path(sys.argv[2]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
