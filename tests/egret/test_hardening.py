"""egret.hardening: what others of the same user can learn from a process."""

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import os, sys
from egret.hardening import forget_key, undumpable
before = open("/proc/self/environ", "rb").read()
undumpable(); forget_key()
print(b"egk_canary" in before, b"egk_canary" in open("/proc/self/environ", "rb").read(), os.environ.get("EGRET_API_KEY"))
sys.stdout.flush(); sys.stdin.readline()
"""


def test_a_key_is_forgotten_and_the_rest_is_nobodys_business():
    """The bytes that /proc shows are gone; the kernel gives /proc/PID to root alone, and writes no core."""
    environ = {**os.environ, "EGRET_API_KEY": "egk_canary"}
    with subprocess.Popen(
        [sys.executable, "-c", CODE], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "True False None\n"
        folder = Path(f"/proc/{process.pid}")
        assert (folder / "environ").stat().st_uid == 0
        assert "Max core file size        0                    0" in (folder / "limits").read_text()
        process.stdin.write("\n")


def test_without_a_key():
    """Nothing happens."""
    from egret.hardening import forget_key

    os.environ.pop("EGRET_API_KEY", None)
    forget_key()
