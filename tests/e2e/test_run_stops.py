"""`egret run` ended at any moment of its start, and what a terminal's keys do: nothing runs, nothing stays."""

import asyncio
import contextlib
import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from served import EGRET, wait_for
from terminal import run_on_terminal

from egret.sandbox import files, keeper, machine
from egret.sandbox.bubblewrap import Bubblewrap, Inside
from egret.sandbox.namespace import connector
from egret.sandbox.system import Mounts

pytestmark = pytest.mark.needs("bwrap", "nft")

MARK = f"egret-stops-{os.getpid()}"
"""Nobody else has it: what has it is ended."""

SLOW = """#!/bin/bash
echo $$ > {folder}/begun
read go < {folder}/gate
made=({folder}/tmp/egret-run-*)
exec -a "${{made##*/}}" {bwrap} "$@"
"""
"""bubblewrap on a machine that is busy elsewhere: it starts when it is told, by the name that it was given."""

LATE = (
    "import sys, egret.sandbox.machine as m; found = m.Machine(sys.argv.pop(1), m.find().nft); m.find = lambda: found; "
    "from egret.cli.__main__ import main; main()"
)


@pytest.fixture(scope="module")
def dataset(egret):
    return egret.dataset({"name": "TOKEN", "value": "sk-stops-1Qw9Er", "hosts": ["api.example.com"]}, name="stops")


@pytest.fixture
def environ(egret, dataset, tmp_path):
    (tmp_path / "tmp").mkdir()
    (tmp_path / "work").mkdir()
    return {
        **egret.environ, "EGRET_URL": egret.urls["admin"], "EGRET_API_KEY": egret.key, "TMPDIR": str(tmp_path / "tmp"),
    }  # fmt: skip


def sessions(egret, dataset) -> list[dict]:
    return egret.api("GET", f"/projects/default/datasets/{dataset['id']}/sessions/")[1]["items"]


def nothing_stays(egret, dataset, folder: Path) -> None:
    wait_for(lambda: not sessions(egret, dataset), "the revocation")
    wait_for(lambda: not list((folder / "tmp").iterdir()), "the removal of the files")
    wait_for(lambda: not list((folder / "work").iterdir()), "an empty working folder")


RUN, DOCTOR = ["run", "-d", "stops", "--", "touch", "ran"], ["doctor", "--sandbox"]
SIGNALS = [(RUN, number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)]


@pytest.mark.parametrize(("command", "number"), [*SIGNALS, (DOCTOR, signal.SIGKILL)])
def test_a_signal_while_the_sandbox_is_made(egret, dataset, environ, tmp_path, command, number):
    """To the whole group, as from a terminal: the command is not run, and no session, folder or process stays.

    bubblewrap took the end of our pipe for the word to go on: the command ran with nobody who waited for it.
    """
    slow = tmp_path / "bwrap"
    slow.write_text(SLOW.format(folder=tmp_path, bwrap=machine.find().bwrap))
    slow.chmod(0o755)
    os.mkfifo(tmp_path / "gate")
    words = [sys.executable, "-c", LATE, slow, *command]
    with subprocess.Popen(words, env=environ, cwd=tmp_path / "work", start_new_session=True) as process:
        begun = wait_for(lambda: (tmp_path / "begun").exists() and (tmp_path / "begun").read_text(), "bubblewrap")
        os.killpg(process.pid, number)
        if number == signal.SIGKILL:
            process.wait()  # and with it what was to become bubblewrap
        else:
            (tmp_path / "gate").write_text("go\n")
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    wait_for(lambda: not Path("/proc", begun.strip()).exists(), "the end of bubblewrap")
    nothing_stays(egret, dataset, tmp_path)


LOADING = """
import signal, sys
sys.argv = ["/usr/bin/egret"]
from egret.cli.__main__ import main
shown = [getattr(signal.getsignal(signal.SIGINT), "name", "raises")]
for name in ("run", "use"):
    main([name, "--help"], standalone_mode=False)
    shown.append(getattr(signal.getsignal(signal.SIGINT), "name", "raises"))
print("found:", *shown)
"""


@pytest.mark.parametrize("argv", ["/usr/bin/egret", "/usr/bin/other"])
def test_a_key_while_modules_are_loaded(argv):
    """It ends the program at once: an import can swallow the exception. Other programs keep what they have."""
    code = LOADING.replace("/usr/bin/egret", argv)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == (
        "found: SIG_DFL SIG_DFL raises" if argv.endswith("egret") else "found: raises raises raises"
    )


@pytest.mark.parametrize("signalled", [False, True])
def test_a_sandbox_that_is_given_up(tmp_path, signalled):
    """Its PID 1 waits for a word, and takes the end of the pipe for one; bubblewrap outside may have died before."""
    mounts = Mounts(["--bind", "/", "/"])
    inside = Inside("/usr/bin/touch", [str(tmp_path / "ran")], {"PATH": "/usr/bin"}, tmp_path, terminal=False)
    started = Bubblewrap(machine.find(), mounts, inside, MARK)
    init = started.child()
    if signalled:
        os.kill(started.pid, signal.SIGKILL)
        os.waitid(os.P_PID, started.pid, os.WEXITED | os.WNOWAIT)
    started.abandon()
    wait_for(lambda: not Path(f"/proc/{init}").exists(), "the end of PID 1 inside")
    assert not (tmp_path / "ran").exists()


def test_what_is_gone_since_the_look(tmp_path):
    """Places held for a command in a folder below are taken away when that one ends; this one starts all the same."""
    work, home = tmp_path / "work", tmp_path / "home"
    (work / "below").mkdir(parents=True)
    (work / "below/.envrc").touch()
    home.mkdir()
    shared, environ = files.Shared(work), {"HOME": str(tmp_path), "PATH": "/usr/bin"}
    seen = files.examine(shared, environ)
    (work / "below/.envrc").unlink()
    mounts = files.mount({}, shared, seen, kept_home=home, extra=[])
    inside = Inside("/usr/bin/touch", [str(work / "ran")], environ, work, terminal=False)
    started = Bubblewrap(machine.find(), mounts, inside, MARK)
    started.child()
    started.release()
    os.waitpid(started.pid, 0)
    assert sorted(path.name for path in work.iterdir()) == ["below", "ran"]


def test_a_signal_before_the_command_is_there(monkeypatch):
    """It is passed on when bubblewrap has started the command; before, there was nobody to have it."""
    with subprocess.Popen(["sleep", "33.7"]) as command:
        looks = iter([None, None, command.pid])
        monkeypatch.setattr(keeper, "_child_of", lambda init: next(looks))

        async def passes_on():
            one = keeper.Keeper(SimpleNamespace(pid=0), 0, None, None, None)
            one._ended = asyncio.get_running_loop().create_future()
            one._pass_on(signal.SIGTERM)
            while command.poll() is None:
                await asyncio.sleep(0.01)

        asyncio.run(asyncio.wait_for(passes_on(), 60))
    assert command.returncode == -signal.SIGTERM


def test_what_was_typed_before_the_command_is_there():
    """bubblewrap, in whose group it came, has it still: it blocks what on a terminal is the command's."""
    mounts = Mounts(["--bind", "/", "/"])
    inside = Inside("/usr/bin/true", [], {}, Path("/"), terminal=True)
    started = Bubblewrap(machine.find(), mounts, inside, MARK)
    try:
        started.child()
        assert not keeper._has(started.pid, signal.SIGINT)
        os.killpg(started.pid, signal.SIGINT)
        assert keeper._has(started.pid, signal.SIGINT) and not keeper._has(started.pid, signal.SIGQUIT)
    finally:
        started.abandon()


def test_who_makes_sockets_inside_holds_nothing_else():
    """Published ports and the locks on held places would outlive `egret run`, if only for a moment."""
    with (
        subprocess.Popen(["unshare", "--user", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other,
        socket.create_server(("127.0.0.1", 0)),
    ):
        other.stdin.write(b"up\n")
        other.stdin.flush()
        assert other.stdout.readline() == b"up\n"
        mine = Path(f"/proc/self/task/{os.getpid()}/children")
        before = set(mine.read_text().split())
        with connector(other.pid) as channel:
            (made,) = set(mine.read_text().split()) - before
            channel.send(b"x")
            _, ancillary, _, _ = channel.recvmsg(1, socket.CMSG_SPACE(4))
            socket.socket(fileno=int.from_bytes(ancillary[0][2], sys.byteorder)).close()
            wait_for(
                lambda: len(list(Path(f"/proc/{made}/fd").iterdir())) == 1,
                "all but its end of the channel to be closed",
            )
        os.waitpid(int(made), 0)
        other.stdin.close()


def test_the_watcher_outlives_what_ends_us(egret, dataset, environ, tmp_path):
    """The end of a service or of a login comes to every process of it; the session is revoked all the same."""
    words = [EGRET, "run", "-d", "stops", "--", "sh", "-c", "echo up; read end"]
    with subprocess.Popen(words, env=environ, cwd=tmp_path / "work", stdin=-1, stdout=-1) as process:
        assert process.stdout.readline() == b"up\n"
        (watcher,) = (pid for pid in beside(environ["TMPDIR"]) if pid != process.pid)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            os.kill(watcher, number)
        process.stdin.write(b"end\n")
    nothing_stays(egret, dataset, tmp_path)


def beside(folder: str) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            started = (entry / "cmdline").read_bytes().startswith(os.fsencode(sys.executable).rpartition(b"/")[0])
            if started and f"TMPDIR={folder}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("sandbox", ["auto", "landlock", "off"])
def test_signals_are_as_a_program_finds_them(environ, tmp_path, sandbox):
    """As without us: none more ignored or blocked; what `nohup` ignores stays so. With SIGPIPE ignored `yes | head` complains."""
    if sandbox == "landlock":
        from egret.sandbox.landlock import abi

        if abi() < 4:
            pytest.skip("needs a kernel with Landlock ABI 4")
    looks = ["grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"]
    for prefix in ((), ("nohup",)):
        shown = [
            subprocess.run(
                [*prefix, *words], env=environ, cwd=tmp_path / "work", stdin=subprocess.DEVNULL, stdout=-1
            ).stdout
            for words in (looks, [EGRET, "run", "-d", "stops", "--sandbox", sandbox, "--", *looks])
        ]
        assert shown[0] == shown[1]
        assert b"Sig" in shown[0]


def test_a_key_on_a_terminal_that_the_command_has_not(environ, tmp_path):
    """Ctrl-C in `egret run … | less` is for the command and its children, and what the command does about it counts."""
    master, slave = pty.openpty()
    script = "trap 'echo caught; exit 5' INT; sh -c 'echo up; exec sleep 34.7'; exit 6"
    process = subprocess.Popen(
        [EGRET, "run", "-d", "stops", "--", "sh", "-c", script],
        env=environ, cwd=tmp_path / "work", stdin=slave, stdout=subprocess.PIPE, start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
    )  # fmt: skip
    os.close(slave)
    with process:
        assert process.stdout.readline() == b"up\n"
        os.write(master, b"\x03")
        assert process.stdout.read() == b"caught\n"
    os.close(master)
    assert process.returncode == 5


@pytest.mark.timeout(150)
def test_a_job_in_the_background(environ, tmp_path):
    """Its end leaves the terminal to the shell; brought back with `fg` while it runs, it has the terminal when it reads."""
    command = f"{EGRET} run -d stops -- sh -c"
    waits = "while [ ! -e go ]; do sleep 0.05; done; rm go"
    answers = [
        ("$ ", f"cd {tmp_path}/work; {command} 'echo $((6*7)); {waits}; echo $((6*8))'"), ("42", "\x1a"), ("Stopped", "bg"),
        ("&", "touch go"), ("48", "wait"), ("Done", f"{command} 'echo $((6*7)); {waits}; read x; echo got $x'"),
        ("42", "\x1a"), ("Stopped", "bg"), ("&", "(sleep 1; touch go) & fg %1"), ("got $x'", "typed"), ("got typed", "exit"),
    ]  # fmt: skip
    shell = {**environ, "PS1": "$ ", "TERM": "dumb"}
    code, shown = run_on_terminal(["bash", "--norc", "--noprofile", "-i"], answers, shell, seconds=60)
    assert code == 0, shown


@pytest.mark.timeout(200)
def test_a_kill_at_any_line(tmp_path):
    """No process, session or folder stays, and nobody who waits for our pipes hangs.

    Killed while bubblewrap made its namespaces, we left a process that waited for ever; later, one that ran the command.
    """
    for name in ("tmp", "killed"):
        (tmp_path / name).mkdir()
    killed = Path(__file__).parents[1] / "support" / "killed.py"
    environ = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    words = [sys.executable, killed, tmp_path / "killed", "4"]
    with (tmp_path / "said").open("w+") as said:  # a pipe would be held by what stays
        done = subprocess.run(words, env=environ, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=190)
        said.seek(0)
        shown = said.read()
    assert done.returncode == 0, shown[-3000:]
    assert int(shown) > 20
    left = [list((tmp_path / name).iterdir()) for name in ("tmp", "killed/sessions", "killed/work")]
    assert left == [[], [], []]
