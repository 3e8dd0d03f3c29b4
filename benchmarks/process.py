"""Children of the benchmark: started, watched through /proc, ended by their id."""

import os
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import IO, Any, Self

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
READY_SECONDS = 40.0


class NotStarted(Exception):
    """A child ended, or did not listen in time."""


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_listening(port: int, child: "subprocess.Popen[Any] | None" = None, seconds: float = READY_SECONDS) -> None:
    """Return when something accepts on 127.0.0.1:port."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if child is not None and child.poll() is not None:
            raise NotStarted(f"ended with {child.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise NotStarted(f"nothing listens on {port}")


class Child:
    """A process whose output goes to a file, and which is ended with this object."""

    def __init__(self, argv: list[str], log: Path, *, env: dict[str, str] | None = None, **kw: Any) -> None:
        self.log = log
        self._file: IO[bytes] = log.open("ab")
        full = {**os.environ, **(env or {})}
        self.process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=self._file, stderr=self._file, env=full, **kw
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def listening(self, *ports: int) -> Self:
        """Wait until it accepts on all of these; ended and explained when it does not."""
        try:
            for port in ports:
                wait_listening(port, self.process)
        except NotStarted as exc:
            self.stop()
            raise NotStarted(f"{exc}: {self.log.read_text(errors='replace')[-600:]}") from exc
        return self

    def stop(self) -> None:
        """SIGTERM, then SIGKILL; its own children first see their parent end."""
        family = tree(self.pid)
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        _end_left_over(family)
        self._file.close()


def _end_left_over(family: dict[int, str]) -> None:
    """Kill descendants that outlived their parent: the same id with the same start time is the same process."""
    for pid, started in family.items():
        if _started(pid) == started:
            os.kill(pid, 9)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the command; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _started(pid: int) -> str:
    fields = _stat(pid)
    return fields[19] if fields and fields[0] != "Z" else ""


def tree(root: int) -> dict[int, str]:
    """A process and all its descendants: id to start time."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = {}, [root]
    while queue:
        pid = queue.pop()
        if started := _started(pid):
            found[pid] = started
        queue.extend(children.get(pid, ()))
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of these processes so far."""
    fields = [_stat(pid) for pid in pids]
    return sum(int(f[11]) + int(f[12]) for f in fields if f) / TICK


def memory(pids: list[int]) -> int:
    """Bytes that these processes hold, what they share counted once (PSS; RSS where the system does not tell)."""
    return sum(_memory(pid) for pid in pids)


def _memory(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return rss(pid)


def rss(pid: int) -> int:
    """Resident bytes of one process; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0


class Peak:
    """The highest resident memory of some processes while the block runs, sampled."""

    EVERY = 0.02

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.before = self.value = sum(rss(pid) for pid in pids)

    def _watch(self) -> None:
        while not self._over.wait(self.EVERY):
            self.value = max(self.value, sum(rss(pid) for pid in self._pids))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()
