"""A store that `python -m benchmarks kills` starts, kills and looks at.

Each store is a process of its own, forked from one that has imported the program and done nothing else: what a start
costs is then the opening of the database, and not two seconds of imports, so that there is time for thousands.
"""

import itertools
import multiprocessing
import os
import shutil
import socket
import tempfile
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pysqlite3

from benchmarks.process import READY_SECONDS, NotStarted, free_port
from store.__main__ import main
from store.database.engine import read_only_engine
from store.database.proofs import prove
from store.database.rows import read_head
from store.keys.keyring import PublicKeys
from store.trust.head import Head
from store.trust.mark import CONTROL, MARK, HighWater

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["benchmarks.kills_store", "store.api.run", "store.dashboard"])


def _run(argv: list[str], env: dict[str, str], log: str) -> None:
    """Be a store; what it says goes to a file."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.environ.update(env)
    raise SystemExit(main(argv))


class Store:
    """One store process over a folder of its own."""

    def __init__(self, data: Path, url: str) -> None:
        self.data, self.url, self.port = data, url, free_port()
        self._process: ForkServerProcess | None = None

    def start(self) -> None:
        """Start it, and wait until it accepts; PostgreSQL may be on its way up."""
        env = {
            "EGRET_STORE__URL": "sqlite" if self.url.startswith("sqlite") else self.url,
            "EGRET_ADMIN__LISTEN": f"127.0.0.1:{self.port}",
            "EGRET_ADMIN__KEY_RATE": "100000",
        }
        log = self.data.with_suffix(".log")
        for attempt in itertools.count():
            self._process = _FORKS.Process(target=_run, args=(["--data", str(self.data)], env, str(log)), daemon=True)
            self._process.start()
            if self._accepts(self._process):
                return
            self.kill()
            if attempt == 5:
                raise NotStarted(log.read_text(errors="replace")[-600:])

    def _accepts(self, process: ForkServerProcess) -> bool:
        until = time.monotonic() + READY_SECONDS
        while process.is_alive() and time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return True
        return False

    def kill(self) -> None:
        """End it as the kernel would."""
        if self._process is not None:
            self._process.kill()
            self._process.join()

    def mark_fault(self) -> str:
        """Say what is wrong with its mark, held against the database as it is; "" when nothing is."""
        with tempfile.TemporaryDirectory() as copy:  # the check would move it; and the database goes on
            shutil.copytree(self.data / CONTROL, Path(copy) / CONTROL)
            if not (Path(copy) / CONTROL / MARK).exists():
                return "no mark"
            engine = read_only_engine(self.url)
            try:
                with engine.connect() as connection, connection.begin():
                    row, public = read_head(connection), PublicKeys.load(self.data)
                    if row is None:
                        return "no head"
                    head = Head.read(*row, public.verifier, public.store_id)
                    HighWater(Path(copy), CONTROL).check(head, row[1], lambda old, new: prove(connection, old, new))
            except Exception as error:
                return f"{type(error).__name__}: {error}"
            finally:
                engine.dispose()
        return ""

    def file_fault(self) -> str:
        """Say whether SQLite's file is damaged; "" when it is not, or is none."""
        if not self.url.startswith("sqlite"):
            return ""
        connection = pysqlite3.connect(f"file:{self.data / 'egret.db'}?mode=ro", uri=True)
        try:
            whole = connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
        finally:
            connection.close()
        return "" if whole else "the file is not whole"
