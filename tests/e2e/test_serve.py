"""`egret serve` with its real children: ready line, drain, replacement, restarts, faults at the start."""

import os
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from served import EGRET, Egret, code, receive, wait_for
from upstream import echo

pytestmark = pytest.mark.long

VALUE = "sk-serve-7Xk2Mw9"


@pytest.fixture(scope="module")
def egret(tmp_path_factory):
    config = "proxy: {listen: '127.0.0.1:0', workers: 2}\n"
    with Egret(tmp_path_factory.mktemp("serve"), config) as it:
        yield it


@pytest.fixture(scope="module")
def token(egret):
    dataset = egret.dataset({"name": "HERE", "value": VALUE, "hosts": [egret.upstream.origin]})
    return egret.session(dataset)["token"]


def test_one_ready_line_and_nothing_else(egret):
    """stdout is the ready line, with the ports that were picked."""
    line = (egret.folder / "serve.out").read_text()
    assert re.fullmatch(
        r"ready admin=http://127\.0\.0\.1:\d+ proxy=http://127\.0\.0\.1:\d+ gateway=http://127\.0\.0\.1:\d+\n", line
    )
    ports = [egret.address(plane)[1] for plane in ("admin", "proxy", "gateway")]
    assert len(set(ports)) == 3
    for plane in ("admin", "proxy", "gateway"):
        socket.create_connection(egret.address(plane), timeout=60).close()


def test_each_child_is_a_process_and_shows_no_key(egret):
    """A store, two workers, a gateway; their command lines hold paths and URLs only."""
    assert len(egret.pids("store")) == 1
    assert len(egret.pids("proxy --role forward")) == 2
    assert len(egret.pids("proxy --role gateway")) == 1


def test_replacing_the_workers_refuses_nobody(egret, token):
    """Requests go on all the time while SIGHUP replaces every process of the data plane."""
    before = set(egret.pids("proxy"))
    stop, faults, done = threading.Event(), [], []

    def hammer():
        while not stop.is_set():
            try:
                raw = egret.get(token, "/x", "X: #{SECRETS.HERE}")
                (done if b" 200 " in raw[:20] else faults).append(raw[:200])
            except Exception as fault:
                faults.append(repr(fault))

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(done) > 10, "requests")
    egret.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "replaced; all are" in egret.errors, "the replacement")
    wait_for(lambda: not before & set(egret.pids("proxy")), "the old ones to be gone")
    mark = len(done)
    wait_for(lambda: len(done) > mark + 10, "more requests")
    stop.set()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(egret.pids("proxy")) == 3


@pytest.mark.parametrize("module", ["proxy --role forward", "proxy --role gateway", "store"])
def test_a_killed_child_comes_back(egret, token, module):
    """After kill -9 it is started again, that is said, and requests are served."""
    pid = egret.pid(module)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: pid not in egret.pids(module) and egret.pids(module), "a new process")
    said = rf"egret: {'store' if module == 'store' else '(proxy|gateway)'}[ 0-9]* was killed by SIGKILL; (starting it again|its spare takes over)"
    wait_for(lambda: re.search(said, egret.errors), "a line about it")
    wait_for(lambda: b" 200 " in egret.get(token, "/x", "X: #{SECRETS.HERE}")[:20], "service")


def test_a_worker_alone_has_a_spare(tmp_path):
    """What is asked after its death is answered by a process that was there already."""
    with Egret(tmp_path) as egret:
        token = egret.session(egret.dataset())["token"]

        def spares():
            found = [pid for pid in Path("/proc").glob("[0-9]*/cmdline") if _child(pid, egret.process.pid)]
            return [pid for pid in found if b"--spare" in pid.read_bytes() and _hears(pid)]

        wait_for(lambda: len(spares()) == 2, "a spare of the proxy, and one of the gateway")
        before = egret.pids("proxy --role forward")
        os.kill(before[0], signal.SIGKILL)
        wait_for(lambda: b" 200 " in egret.get(token, "/x")[:20], "an answer")
        (now,) = egret.pids("proxy --role forward")
        assert now != before[0]
        assert b"--spare" in Path(f"/proc/{now}/cmdline").read_bytes()


def _hears(cmdline: Path) -> bool:
    caught = re.search(r"SigCgt:\s*([0-9a-f]+)", (cmdline.parent / "status").read_text())
    return bool(int(caught[1], 16) >> (signal.SIGUSR2 - 1) & 1)


def _child(cmdline: Path, parent: int) -> bool:
    try:
        return int((cmdline.parent / "stat").read_text().rsplit(")", 1)[1].split()[1]) == parent
    except OSError:
        return False


def test_a_second_server_on_the_folder_is_refused(egret):
    """Two writers on one database would be one too many."""
    done = subprocess.run(
        [EGRET, "serve", "--data", egret.data, "--config", egret.config], capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "is being served already" in done.stderr


def test_drain(tmp_path):
    """SIGTERM: new connections are refused, the request in flight finishes, exit code 0, all within 30 seconds."""
    closed = threading.Event()

    def held(request, conn):
        closed.wait(60)
        return echo(request, conn)

    with Egret(tmp_path) as egret:
        dataset = egret.dataset({"name": "HERE", "value": VALUE, "hosts": [egret.upstream.origin]})
        token = egret.session(dataset)["token"]
        sock = egret.tunnel(token)
        egret.upstream.routes[b"/held"] = held
        sock.sendall(f"GET /held HTTP/1.1\r\nHost: {egret.upstream.origin}\r\nX: #{{SECRETS.HERE}}\r\n\r\n".encode())
        wait_for(lambda: egret.upstream.log, "the request to arrive")
        egret.process.send_signal(signal.SIGTERM)
        planes = ("admin", "proxy", "gateway")
        wait_for(lambda: all(refused(egret, plane) for plane in planes), "the listeners to close")
        closed.set()
        raw = receive(sock)
        assert b" 200 " in raw[:20], raw
        assert b"#{SECRETS.HERE}" in raw
        assert egret.process.wait(30) == 0


def refused(egret, plane) -> bool:
    try:
        socket.create_connection(egret.address(plane), timeout=2).close()
    except OSError:
        return True
    return False


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("proxi: {}\n", "line 1: unknown section proxi"),
        ("proxy: {workers: none}\n", "line 1: proxy.workers: must be a whole number from 1 to 64"),
        ("admin: {listen: 'nowhere.invalid:0'}\n", "admin.listen: cannot listen on nowhere.invalid:0"),
    ],
)
def test_faults_in_the_configuration(egret, tmp_path, config, says):
    """A bad start says what to change, with exit code 1, and leaves no process behind."""
    file = tmp_path / "egret.yaml"
    file.write_text(config)
    data = tmp_path / "data"
    egret.cli("init", "--data", str(data))
    done = subprocess.run(
        [EGRET, "serve", "--data", data, "--config", file], capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_unbound_secrets_are_said_aloud(tmp_path):
    """The one setting that lets a value go anywhere is named at every start."""
    environ = {**os.environ, "EGRET_EGRESS__UNBOUND_SECRETS": "allow"}
    for command in ("serve", "proxy"):
        argv = [EGRET, command, "--data", tmp_path]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=100, env=environ)
        assert "warning: egress.unbound_secrets is allow" in done.stderr


def test_a_folder_that_others_may_read_is_said_aloud(tmp_path):
    """With the command that closes it; one that is closed is not worth a word. Either holds the marker."""
    with Egret(tmp_path) as egret:
        assert "warning" not in egret.errors
        egret.stop()
        egret.data.chmod(0o755)
        (egret.data / "EGRET.DATA").unlink()
        egret.start()
        assert f"may be read by more than its user: chmod 700 {egret.data}" in egret.errors
        assert (egret.data / "EGRET.DATA").exists()


def test_few_descriptors_are_said_aloud_once(tmp_path):
    """Not by each process; and what the default does not get of a usual system is worth no word."""
    with Egret(tmp_path, environ={"EGRET_LIMITS__CONNECTIONS": "1000000"}) as egret:
        assert egret.errors.count("client connections at once") == 1
        assert "raise `ulimit -Hn`, or lower limits.connections" in egret.errors


def test_the_supervisor_forgets_the_key(tmp_path):
    """It was exported for the shell that started it; of its environment nobody learns it, root neither."""
    with Egret(tmp_path, environ={"EGRET_API_KEY": "egk_owner_canary"}) as egret:
        folder = Path(f"/proc/{egret.process.pid}")
        assert (folder / "environ").stat().st_uid == 0
        if os.getuid() == 0:
            assert b"egk_owner_canary" not in (folder / "environ").read_bytes()
            assert b"EGRET_API_KEY" not in Path(f"/proc/{egret.pid('store')}/environ").read_bytes()


def test_where_keys_are_kept_unless_told_otherwise(tmp_path):
    """The XDG data home, out of the way of working folders; `egret serve` looks there too."""
    environ = {**os.environ, "HOME": str(tmp_path), "XDG_DATA_HOME": ""}
    done = subprocess.run([EGRET, "init"], capture_output=True, text=True, env=environ, cwd=tmp_path)
    data = tmp_path / ".local/share/egret/data"
    assert done.stdout.startswith("egk_")
    assert done.stderr == f"egret: made {data}\n"
    assert (data / "EGRET.DATA").exists()
    assert data.stat().st_mode & 0o777 == 0o700
    other = {**environ, "XDG_DATA_HOME": str(tmp_path / "other")}
    done = subprocess.run([EGRET, "serve"], capture_output=True, text=True, env=other)
    assert f"{tmp_path}/other/egret/data holds no store" in done.stderr


def test_a_folder_without_a_store(tmp_path):
    """The remedy is named."""
    done = subprocess.run([EGRET, "serve", "--data", tmp_path], capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert "egret init --data" in done.stderr


def test_keys_of_another_store_stop_the_start(egret, tmp_path):
    """A database and keys that do not belong together are refused with a sentence, not served."""
    for name in ("one", "two"):
        egret.cli("init", "--data", str(tmp_path / name))
    (tmp_path / "one" / "keys" / "data" / "opening.key").write_bytes(
        (tmp_path / "two" / "keys" / "data" / "opening.key").read_bytes()
    )
    config = tmp_path / "egret.yaml"
    config.write_text("".join(f"{plane}: {{listen: '127.0.0.1:0'}}\n" for plane in ("admin", "proxy", "gateway")))
    done = subprocess.run(
        [EGRET, "serve", "--data", tmp_path / "one", "--config", config], capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot be started; stopping" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_stranger_gets_a_refusal_from_every_worker(egret):
    """Both workers answer for themselves."""
    for _ in range(8):
        sock, raw = egret.connect("egs_nobody", egret.upstream.origin)
        sock.close()
        assert code(raw) == "session_invalid"
