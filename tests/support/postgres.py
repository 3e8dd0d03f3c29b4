"""A PostgreSQL cluster of its own on loopback, started once per test run and thrown away."""

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

import psycopg
import quick_disk


@cache
def programs() -> Path | None:
    """The folder of initdb and postgres, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found += [Path(path).resolve().parent for path in [shutil.which("initdb")] if path]
    return next((folder for folder in found if (folder / "initdb").exists()), None)


def _demote():
    """PostgreSQL refuses to run as root."""
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)


class Cluster:
    """A running server. `url(name)` makes a database and gives its URL."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="egret-pg-", dir=quick_disk.temporary() or "/tmp"))
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self.process = None
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.run("initdb", "-D", str(self.folder / "data"), "-U", "egret", "-A", "trust", "--no-sync", "-E", "UTF8")
        self.start()
        atexit.register(self.close)

    def run(self, name, *arguments, check=True):
        command = [str(programs() / name), *arguments]
        return subprocess.run(
            command, preexec_fn=_demote, check=check, capture_output=True, text=True, cwd="/tmp", timeout=60
        )

    def start(self) -> None:
        command = [str(programs() / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        command += [
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            f"unix_socket_directories={self.folder}",
            "-c",
            "max_connections=60",
        ]
        self.process = subprocess.Popen(
            command, preexec_fn=_demote, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/tmp"
        )
        for _ in range(200):
            try:
                self.sql("SELECT 1")
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError("PostgreSQL did not start")

    def sql(self, text, database="postgres"):
        """Run a statement outside a transaction; returns its rows, if any."""
        where = f"host=127.0.0.1 port={self.port} user=egret dbname={database}"
        with psycopg.connect(where, autocommit=True) as connection:
            cursor = connection.execute(text)
            return cursor.fetchall() if cursor.description else []

    def url(self, schema: str, user="egret") -> str:
        """The URL of a schema of its own: much cheaper to make than a database."""
        self.sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        return f"postgresql+psycopg://{user}@127.0.0.1:{self.port}/postgres?options=-csearch_path%3D{schema}"

    def stop(self) -> None:
        """End it as a crash would: no session is waited for."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(30)

    def drop(self, schema: str) -> None:
        self.sql(f"DROP SCHEMA {schema} CASCADE")

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def cluster() -> Cluster:
    return Cluster()
