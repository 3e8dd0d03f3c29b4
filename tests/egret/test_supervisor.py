"""egret.supervisor: real processes, real signals, real sockets; only what the children serve is a stand-in."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from readiness import readable

SUPERVISED = Path(__file__).parents[1] / "support" / "supervised.py"


class Supervised:
    """A supervisor in a process of its own."""

    def __init__(self, tmp_path: Path, *places: str):
        self.errors = tmp_path / "stderr"
        with self.errors.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, str(SUPERVISED), *places], stdout=subprocess.PIPE, stderr=err, text=True
            )

    def ready(self) -> dict[str, int]:
        line = self.process.stdout.readline()
        assert line.startswith("ready "), self.errors.read_text()
        return {name: int(port) for name, port in re.findall(r"(\w+)=http://127\.0\.0\.1:(\d+)", line)}

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ends(self, within: float = 10.0) -> int:
        return self.process.wait(within)

    def says(self, pattern: str, within: float = 10.0) -> None:
        deadline = time.monotonic() + within
        while not re.search(pattern, self.errors.read_text()):
            assert time.monotonic() < deadline, self.errors.read_text()
            time.sleep(0.02)


@pytest.fixture
def supervised(tmp_path):
    started = []

    def start(*places):
        started.append(Supervised(tmp_path, *places))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        one.process.stdout.close()


def ask(port: int) -> int:
    """Return the pid of the child that answers."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as conn:
        conn.sendall(b"who\n")
        return int(conn.recv(100))


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_one_ready_line_when_all_accept_and_a_clean_end(supervised):
    """The ready line comes once, everything answers, SIGTERM ends with 0 and leaves nobody behind."""
    it = supervised("admin,control,1,good", "proxy,data,2,good")
    ports = it.ready()
    pids = {ask(port) for port in ports.values()}
    assert len(pids) == 2
    it.signal(signal.SIGTERM)
    assert it.ends() == 0
    assert it.process.stdout.read() == ""
    assert all(gone(pid) for pid in pids)
    with pytest.raises(ConnectionRefusedError):
        ask(ports["proxy"])


def test_no_ready_line_while_one_child_does_not_accept(supervised):
    """A child that never says ready holds the line back."""
    it = supervised("admin,control,1,good", "proxy,data,1,mute")
    assert not readable(it.process.stdout, 0.7)
    it.signal(signal.SIGTERM)
    assert it.ends() == 0


def test_a_killed_child_is_restarted_and_no_connection_is_refused(supervised):
    """After kill -9 a connection made meanwhile waits and is answered by the next child."""
    it = supervised("admin,control,1,good", "proxy,data,1,good")
    port = it.ready()["proxy"]
    first = ask(port)
    os.kill(first, signal.SIGKILL)
    assert ask(port) != first
    it.says(r"egret: proxy was killed by SIGKILL; starting it again in 0\.1 s")
    it.signal(signal.SIGTERM)
    assert it.ends() == 0


def spares(it: Supervised) -> set[int]:
    """Pids of the children that are spares and have said so."""
    found = set()
    for pid in Path(f"/proc/{it.process.pid}/task/{it.process.pid}/children").read_text().split():
        blocked = re.search(r"SigBlk:\s*([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text())
        if int(blocked[1], 16) == 1 << (signal.SIGUSR1 - 1):  # what is waited for counts as let through
            found.add(int(pid))
    return found


def test_a_child_alone_has_a_spare_that_takes_over(supervised):
    """It has started before it is needed; the next death finds another one waiting, and the end leaves none."""
    it = supervised("admin,control,1,good", "proxy,data,1,good", "many,data,2,good")
    port = it.ready()["proxy"]
    waiting: set[int] = set()
    for _ in range(2):
        deadline = time.monotonic() + 20
        while not (waiting := spares(it)):
            assert time.monotonic() < deadline, it.errors.read_text()
            time.sleep(0.02)
        assert len(waiting) == 1
        os.kill(ask(port), signal.SIGKILL)
        assert ask(port) in waiting
        it.says("egret: proxy was killed by SIGKILL; its spare takes over")
    it.signal(signal.SIGTERM)
    assert it.ends() == 0
    assert all(gone(pid) for pid in waiting)


def test_a_spare_that_cannot_start_is_not_started_again_until_told(supervised):
    """What it says is said once per SIGHUP, and the child serves on."""
    it = supervised("admin,control,1,good", "proxy,data,1,alone")
    port = it.ready()["proxy"]
    it.says("spare proxy ended with code 78 and cannot be started")
    before = ask(port)
    it.signal(signal.SIGHUP)
    it.says("(?s)spare proxy ended with code 78.*proxy replaced; all are.*spare proxy ended with code 78")
    assert ask(port) != before
    it.signal(signal.SIGTERM)
    assert it.ends() == 0
    assert it.errors.read_text().count("the spare proxy") == 2


def test_back_off_grows_while_a_child_cannot_start(supervised, tmp_path):
    """Once ready, a child that fails again and again is retried ever more slowly, and serving goes on."""
    flag = tmp_path / "broken"
    it = supervised("admin,control,1,good", f"proxy,data,1,flag:{flag}")
    ports = it.ready()
    flag.touch()
    os.kill(ask(ports["proxy"]), signal.SIGKILL)
    it.says(r"(?s)again in 0\.1 s.*again in 0\.2 s.*again in 0\.4 s.*again in 0\.8 s")
    assert ask(ports["admin"])
    flag.unlink()
    assert ask(ports["proxy"])


def test_hup_replaces_the_data_plane_one_by_one_without_a_refused_connection(supervised):
    """Clients that connect all the time see no error while every data plane process is replaced."""
    it = supervised("admin,control,1,good", "proxy,data,2,good")
    ports = it.ready()
    store = ask(ports["admin"])
    before = {ask(ports["proxy"]) for _ in range(40)}
    assert len(before) == 2
    stop, errors, seen = threading.Event(), [], set()

    def hammer():
        while not stop.is_set():
            try:
                seen.add(ask(ports["proxy"]))
            except OSError as error:
                errors.append(error)

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    it.signal(signal.SIGHUP)
    it.says("proxy 1 replaced\n")
    it.says("proxy 2 replaced; all are")
    while not all(gone(pid) for pid in before):
        time.sleep(0.02)
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert not before & {ask(ports["proxy"]) for _ in range(40)}
    assert ask(ports["admin"]) == store


def test_hup_keeps_the_old_process_when_the_new_one_does_not_start(supervised, tmp_path):
    """A replacement that dies before it is ready changes nothing."""
    flag = tmp_path / "broken"
    it = supervised(f"proxy,data,1,flag:{flag}")
    port = it.ready()["proxy"]
    old = ask(port)
    flag.touch()
    it.signal(signal.SIGHUP)
    it.says("the new proxy ended with code 1 before it was ready; the old one stays")
    assert ask(port) == old


def test_drain_lets_a_request_in_flight_finish(supervised):
    """SIGTERM waits for the answer that is on its way."""
    it = supervised("proxy,data,1,slow")
    port = it.ready()["proxy"]
    with socket.create_connection(("127.0.0.1", port), timeout=60) as conn:
        conn.sendall(b"who\n")
        time.sleep(0.2)
        it.signal(signal.SIGTERM)
        assert int(conn.recv(100))
    assert it.ends() == 0


def test_while_the_data_plane_drains_the_control_plane_lives_and_accepts_no_more(supervised):
    """All ports are closed at once; the control plane goes on until the data plane has finished."""
    it = supervised("admin,control,1,good", "proxy,data,1,slow")
    ports = it.ready()
    store = ask(ports["admin"])
    with socket.create_connection(("127.0.0.1", ports["proxy"]), timeout=60) as conn:
        conn.sendall(b"who\n")
        time.sleep(0.2)
        it.signal(signal.SIGTERM)
        time.sleep(0.3)
        with pytest.raises(ConnectionRefusedError):
            ask(ports["admin"])
        assert not gone(store)
        assert int(conn.recv(100))
    assert it.ends() == 0


def test_drain_has_an_end(supervised):
    """A child that ignores SIGTERM is killed when the time is over, and the exit code is still 0."""
    it = supervised("admin,control,1,deaf", "proxy,data,1,deaf")
    pids = {ask(port) for port in it.ready().values()}
    it.signal(signal.SIGTERM)
    assert it.ends() == 0
    assert all(gone(pid) for pid in pids)


def test_a_second_signal_ends_at_once(supervised):
    """Ctrl-C twice does not wait for the drain."""
    it = supervised("proxy,data,1,deaf")
    pid = ask(it.ready()["proxy"])
    it.signal(signal.SIGINT)
    time.sleep(0.2)
    it.signal(signal.SIGINT)
    assert it.ends(2) == 1
    assert gone(pid)


def test_children_do_not_outlive_a_killed_supervisor(supervised):
    """kill -9 of the supervisor frees the ports."""
    it = supervised("proxy,data,2,good")
    pids = {ask(it.ready()["proxy"])}
    it.signal(signal.SIGKILL)
    it.ends()
    deadline = time.monotonic() + 5
    while not all(gone(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("mode", ["fatal", "broken"])
def test_a_start_that_cannot_succeed_ends_with_an_error(supervised, mode):
    """A fatal exit code stops at once, five failures in a row stop too: code 1, no ready line, nobody left."""
    it = supervised("admin,control,1,good", f"proxy,data,1,{mode}")
    assert it.ends() == 1
    assert it.process.stdout.read() == ""
    it.says(r"proxy ended with code \d+ and cannot be started; stopping")
