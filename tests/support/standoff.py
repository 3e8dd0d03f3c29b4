"""A server with everything worth taking beside it, and hostile code under `egret run`: once confined, once not.

    python standoff.py FOLDER [other]      prints {"auto": …, "off": …, "stayed": …} as JSON

A program, so that all of it can run as an ordinary user; with `other` only the code does.
"""

import contextlib
import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

from otheruser import as_other
from served import EGRET, Egret

HOSTILE = Path(__file__).parents[1] / "clients" / "hostile"
CANARY = "canary-2Vx8mQz4"
LIBC = ctypes.CDLL(None, use_errno=True)
KEYCTL = (219, 217) if os.uname().machine == "aarch64" else (250, 248)


class Targets:
    """Sockets, files, memory and keys of the machine; whoever reaches one gets the canary."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.arrived: list[str] = []
        self._open: list[socket.socket] = []
        self.tcp = self._serve(self._bound(socket.AF_INET6, "::", socket.SOCK_STREAM), "tcp")
        self.udp = self._answer(self._bound(socket.AF_INET, "0.0.0.0", socket.SOCK_DGRAM), "udp")
        self.dns = self._answer(self._bound(socket.AF_INET, "127.0.0.1", socket.SOCK_DGRAM), "dns")
        self.abstract = f"egret-test-{os.getpid()}"
        self.paths = {name: str(folder / f"{name}.sock") for name in ("socket", "docker", "bus", "agent")}
        for path in (*self.paths.values(), "\0" + self.abstract):
            self.unix(path)
        self.shm = f"egret-test-{os.getpid()}"
        Path("/dev/shm", self.shm).write_text(CANARY)
        self.tmp_file = folder.with_name(folder.name + "-file")
        self.tmp_file.write_text(CANARY)
        self.ipc = os.getpid()
        self.segment = LIBC.shmget(self.ipc, 4096, 0o1666)
        LIBC.syscall(KEYCTL[1], b"user", self.shm.encode(), CANARY.encode(), len(CANARY), -3)

    def _bound(self, family: int, host: str, kind: int) -> socket.socket:
        it = socket.socket(family, kind)
        if family == socket.AF_INET6:
            it.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        it.bind((host, 0))
        self._open.append(it)
        return it

    def unix(self, path: str) -> None:
        it = socket.socket(socket.AF_UNIX)
        it.bind(path)
        self._open.append(it)
        if not path.startswith("\0"):
            os.chmod(path, 0o777)
        self._serve(it, path)

    def _serve(self, listener: socket.socket, name: str) -> int:
        listener.listen(50)

        def loop():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    self.arrived.append(name)
                    with connection, contextlib.suppress(OSError):
                        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\ncanary\n")

        threading.Thread(target=loop, daemon=True).start()
        return 0 if listener.family == socket.AF_UNIX else listener.getsockname()[1]

    def _answer(self, sock: socket.socket, name: str) -> int:
        def loop():
            with contextlib.suppress(OSError):
                while True:
                    data, peer = sock.recvfrom(4096)
                    self.arrived.append(name)
                    sock.sendto(data[:2] + b"\x81\x80\0\1\0\1\0\0\0\0canary-from-outside", peer)

        threading.Thread(target=loop, daemon=True).start()
        return sock.getsockname()[1]

    def close(self) -> None:
        for it in self._open:
            it.close()
        Path("/dev/shm", self.shm).unlink()
        self.tmp_file.unlink()
        LIBC.shmctl(self.segment, 0, None)


def address_of_machine() -> str:
    """An address that is not loopback, if there is one; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


def home_in(folder: Path) -> Path:
    home = folder / "home"
    (home / ".ssh").mkdir(parents=True)
    for name in (".ssh/id_ed25519", ".netrc", ".bash_history"):
        (home / name).write_text(CANARY)
    return home


def wanted(egret: Egret, targets: Targets, home: Path) -> dict:
    return {
        "key": egret.key, "canary": CANARY, "data": str(egret.data), "server_cwd": os.getcwd(),
        "pids": [egret.process.pid, egret.pid("store"), egret.pid("proxy --role forward")],
        "login": str(home / ".config/egret/credentials.json"), "home": str(home), "tmp_file": str(targets.tmp_file),
        "shm": targets.shm, "keyring": targets.shm, "ipc": targets.ipc, "address": 0x400000, **targets.paths,
        "abstract": targets.abstract, "port": targets.tcp, "udp": targets.udp, "dns": targets.dns, "resolver": "127.0.0.1",
        "admin": egret.address("admin")[1], "proxy": egret.address("proxy")[1], "hostname": socket.gethostname(),
        "address_of_machine": address_of_machine(),
    }  # fmt: skip


def work_folder(folder: Path, mode: str, what: dict, targets: Targets) -> Path:
    """A repository with a socket and a pipe of somebody else's in it."""
    work = folder / f"work-{mode}"
    work.mkdir()
    subprocess.run(["git", "init", "-q", "."], cwd=work, check=True, env={"PATH": os.environ["PATH"], "HOME": "/"})
    for name in (".vscode", ".claude", ".cursor", ".zed"):
        (work / name).mkdir()
    shutil.copytree(HOSTILE, work / "hostile")
    (work / "wanted.json").write_text(json.dumps({**what, "control": mode == "off"}))
    targets.unix(str(work / "inside.sock"))
    os.mkfifo(work / "inside.fifo")
    os.chmod(work / "inside.fifo", 0o666)
    return work


def attack(egret: Egret, mode: str, work: Path, home: Path, client: list[str]) -> dict:
    """Run the hostile program and return what it found; the pipe's reader and an open file are inherited or near."""
    environ = {
        **egret.environ, "HOME": str(home), "EGRET_URL": egret.urls["admin"], "EGRET_API_KEY": egret.key,
        "AWS_SECRET_ACCESS_KEY": CANARY, "GITHUB_TOKEN": CANARY, "DATABASE_URL": f"postgres://u:{CANARY}@db/x",
        "SSH_AUTH_SOCK": str(work.parent / "agent.sock"), "DBUS_SESSION_BUS_ADDRESS": f"unix:path={work.parent}/bus.sock",
    }  # fmt: skip
    secret, reader = (
        os.open(work.parent / "inherited", os.O_RDWR | os.O_CREAT),
        os.open(work / "inside.fifo", os.O_RDWR),
    )
    os.write(secret, CANARY.encode())
    os.set_inheritable(secret, True)
    argv = [
        *client,
        str(EGRET),
        "run",
        "-d",
        "standoff",
        "--sandbox",
        mode,
        "--",
        "/usr/bin/python3",
        "hostile",
        "wanted.json",
    ]
    try:
        done = subprocess.run(
            argv, cwd=work, env=environ, capture_output=True, text=True, timeout=240, close_fds=False, stdin=subprocess.DEVNULL
        )  # fmt: skip
    finally:
        os.close(secret)
        os.set_blocking(reader, False)
        with contextlib.suppress(BlockingIOError):
            assert not os.read(reader, 100) or mode == "off", "the pipe was written to"
        os.close(reader)
    assert done.stdout.startswith("{"), (done.returncode, done.stdout[-500:], done.stderr[-3000:])
    return {**json.loads(done.stdout), "stderr": done.stderr}


def stayed(work: Path) -> list[str]:
    """Processes that still run in a work folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"hostile" in (entry / "cmdline").read_bytes() and (entry / "cwd").readlink() == work:
                found.append(entry.name)
    return found


def main() -> None:
    folder = Path(sys.argv[1])
    os.umask(0o022)
    home = home_in(folder)
    targets = Targets(folder)
    environ = {"HOME": str(home), "XDG_CONFIG_HOME": "", "XDG_DATA_HOME": "", "XDG_STATE_HOME": ""}
    (folder / "server").mkdir()
    found: dict = {}
    with Egret(folder / "server", "egress: {ports: [80, 443]}\n", environ) as egret:
        egret.dataset({"name": "TOKEN", "value": CANARY, "hosts": ["api.example.com"]}, name="standoff")
        egret.cli("login", egret.urls["admin"], input=egret.key)
        what = wanted(egret, targets, home)
        for mode in ("auto", "off"):
            work = work_folder(folder, mode, what, targets)
            client = []
            if sys.argv[2:] == ["other"]:
                client = as_other([])
                for path in (folder, home, work, work / ".git"):
                    os.chown(path, 47100, 47100)
                subprocess.run(["chown", "-R", "47100:47100", str(work), str(home)], check=True)
            before = len(targets.arrived)
            found[mode] = attack(egret, mode, work, home, client) | {
                "arrived": targets.arrived[before:],
                "stayed": stayed(work),
            }
            found[mode]["left"] = sorted(path.name for path in work.iterdir())
    targets.close()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
