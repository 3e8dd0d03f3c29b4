"""A sandbox whose `egret run` is killed, at one line after another, from its session to its command's end.

    python killed.py FOLDER STEP      every STEPth line; prints how many there were

Sessions are files in FOLDER/sessions; the rest is real. All of Egret is loaded once and forked for each kill. Orphans
come to us, so what stays behind is seen: the program ends when there is none, and fails when one does not end.
"""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

from egret import watcher
from egret.sandbox import launch
from egret.sandbox.places import records

PR_SET_CHILD_SUBREAPER = 36
AT_ONCE = 4
PATIENCE = 60.0
FOLDER, STEP = Path(sys.argv[1]), int(sys.argv[2])
ENVIRON = {"HOME": str(FOLDER), "PATH": "/usr/bin:/bin"}
FILES = {watcher.__file__} | {
    str(Path(launch.__file__).with_name(f"{name}.py")) for name in ("launch", "bubblewrap", "namespace", "keeper")
}


class Sessions:
    """In the place of `egret.client.Client`."""

    def open_session(self, dataset: str, project: str) -> dict[str, str]:
        name = f"{os.getpid()}"
        (FOLDER / "sessions" / name).touch()
        return {"id": name}

    def revoke_session(self, session: str, dataset: str, project: str) -> None:
        (FOLDER / "sessions" / session).unlink()

    def close(self) -> None:
        pass


def traced(number: int):
    """Return a trace that kills this process at the `number`th line that it has not been at; children go free."""
    ours, lines = os.getpid(), set()

    def trace(frame, event, _argument):
        if os.getpid() != ours:
            sys.settrace(None)
            return None
        if frame.f_code.co_filename not in FILES:
            return None
        if event == "line":
            lines.add((frame.f_code.co_filename, frame.f_lineno))
            if len(lines) == number:
                os.kill(ours, signal.SIGKILL)
        return trace

    return trace


def begin(number: int, chosen: launch.Plan) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        sys.settrace(traced(number))
        _, folder = watcher.opened(watcher.Opening(Sessions(), "dataset", "project", {}), records(ENVIRON))
        inside = {"PATH": "/usr/bin:/bin", "HOME": str(FOLDER / "inside")}
        words = ["sh", "-c", "exec 2>&-; sleep 0.1"]
        job = launch.Job(
            "/bin/sh", words, inside, "http://t:x@127.0.0.1:9", [folder], ENVIRON, lambda _: None, folder.name
        )
        os._exit(launch.run(chosen, job))
    finally:
        os._exit(99)


def kill_everywhere(chosen: launch.Plan) -> int:
    """Kill until a command has ended before; return how often."""
    running: dict[int, int] = {}
    number, over, kills = 0, False, 0
    while running or not over:
        while not over and len(running) < AT_ONCE:
            number += STEP
            running[begin(number, chosen)] = number
        pid, status = os.wait()
        if pid in running:
            code, at = os.waitstatus_to_exitcode(status), running.pop(pid)
            assert code in (0, -signal.SIGKILL), (at, code)
            over |= code == 0
            kills += code != 0
    return kills


def everything_ended() -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.02)
        except ChildProcessError:
            return True
    return False


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for name in ("sessions", "work", "inside"):
        (FOLDER / name).mkdir()
    os.chdir(FOLDER / "work")
    kills = kill_everywhere(launch.plan(launch.Wishes("require"), ENVIRON))
    if not everything_ended():
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        sys.exit(f"still there: {[Path('/proc', one, 'cmdline').read_bytes() for one in children]}")
    print(kills)


if __name__ == "__main__":
    main()
