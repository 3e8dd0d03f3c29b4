"""A PostgreSQL cluster of its own on loopback, which can be restarted as a crash would."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.process import NotStarted, free_port


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found += [Path(path).resolve().parent for path in [shutil.which("initdb")] if path]
    folder = next((folder for folder in found if (folder / "initdb").exists()), None)
    if folder is None:
        raise NotStarted("PostgreSQL is not installed: tools/system-parts")
    return folder


def _demote() -> None:
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = pwd.getpwnam("postgres")
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)


class Postgres:
    """A running server with fsync on, as in production."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir(mode=0o700)
        for each in (folder, *folder.parents):  # the server's user must get through to its folder
            if each.stat().st_mode & 0o001 == 0 and each.is_relative_to("/tmp"):
                each.chmod(each.stat().st_mode | 0o011)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        self.run("initdb", "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8")
        self.start()

    def run(self, program: str, *arguments: str, text: str | None = None) -> str:
        """Run one of its programs; returns what it printed."""
        done = subprocess.run(
            [str(_programs() / program), *arguments],
            preexec_fn=_demote,  # changes the user alone
            check=False,
            capture_output=True,
            text=True,
            input=text,
            cwd="/tmp",
            timeout=120,
        )
        if done.returncode:
            raise NotStarted(f"{program}: {done.stderr.strip()[-400:]}")
        return done.stdout

    def psql(self, *arguments: str, text: str | None = None, database: str = "egret", user: str = "postgres") -> str:
        """Run psql."""
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", user, "-d", database]
        return self.run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *where, *arguments, text=text)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [str(_programs() / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}"]
        self._process: subprocess.Popen[Any] = subprocess.Popen(
            command,
            preexec_fn=_demote,  # noqa: PLW1509
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/tmp",
        )
        for _ in range(200):
            try:
                self.psql("-c", "SELECT 1", database="postgres")
            except NotStarted:
                time.sleep(0.05)
            else:
                return
        raise NotStarted("PostgreSQL did not start")

    def crash(self) -> None:
        """End it at once; it recovers from its log when it starts again."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)

    def stop(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self.crash()
