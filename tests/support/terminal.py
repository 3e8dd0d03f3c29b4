"""Runs a command on a terminal of its own, answers its prompts, and returns what it showed."""

import contextlib
import os
import pty
import subprocess
import time

from readiness import readable


def run_on_terminal(argv, answers=(), env=None, seconds=20.0):
    """Return (exit code, everything shown). `answers` are (prompt, line) pairs, typed when the prompt appears.

    A prompt is looked for behind the one before it; a line that is None is not typed.
    """
    master, slave = pty.openpty()
    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True)
    os.close(slave)
    shown, since, waiting = "", 0, list(answers)
    deadline = time.monotonic() + seconds
    with contextlib.suppress(OSError):
        while time.monotonic() < deadline:
            if readable(master, 0.1):
                data = os.read(master, 4096)
                if not data:
                    break
                shown += data.decode("utf-8", "replace")
            while waiting and (found := shown.find(waiting[0][0], since)) >= 0:
                prompt, line = waiting.pop(0)
                since = found + len(prompt)
                if line is not None:
                    since = len(shown)
                    os.write(master, line.encode() + b"\n")
    code = _ended(process, max(0.1, deadline - time.monotonic()), shown)
    os.close(master)
    return code, shown


def _ended(process, seconds: float, shown: str) -> int:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"it goes on after: {shown}") from None
