"""The README's commands are executed as they are written; only the API's host and the admin port are ours."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from certificates import Authority
from upstream import Upstream

ROOT = Path(__file__).parents[2]
VALUE = "sk-invented-6Tj3Pz8Ny5Qw"


def shell_blocks() -> list[str]:
    return re.findall(r"(?ms)^```sh\n(.*?)^```", (ROOT / "README.md").read_text())


@pytest.mark.needs("curl", "bwrap", "nft")
def test_the_quick_start(tmp_path):
    """All blocks in one shell, in order: the API receives the value twice, the shell sees the placeholder."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    authority = Authority(tmp_path)
    work = tmp_path / "work"
    work.mkdir()
    with Upstream(authority.leaf()) as upstream:
        script = "set -eu\n" + "\n".join(shell_blocks())
        script = script.replace("make setup", "true  # the test's environment is set up")
        script = script.replace("$PWD/.venv/bin", str(Path(sys.executable).parent))
        # The public echo service is this machine, for the time of the test.
        script = script.replace("postman-echo.com", upstream.origin).replace("127.0.0.1:8700", f"127.0.0.1:{port}")
        environ = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")} | {
            "XDG_DATA_HOME": str(tmp_path / "data-home"),
            "TMPDIR": str(tmp_path),
            "EGRET_ADMIN__LISTEN": f"127.0.0.1:{port}",
            "EGRET_PROXY__LISTEN": "127.0.0.1:0",
            "EGRET_GATEWAY__LISTEN": "127.0.0.1:0",
            "EGRET_EGRESS__ALLOW_PRIVATE": "127.0.0.0/8",
            "EGRET_EGRESS__TRUST": str(authority.path),
        }
        shell = subprocess.Popen(
            ["bash", "-c", script + "\nkill %1; wait %1"],
            cwd=work, env=environ, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            out, err = shell.communicate(timeout=120)
        finally:
            if shell.poll() is None:
                os.killpg(shell.pid, signal.SIGKILL)
        assert shell.returncode == 0, out + err
        assert [request.header("Authorization") for request in upstream.log] == [b"Bearer " + VALUE.encode()] * 2
        assert out.count("Bearer #{SECRETS.API_TOKEN}") == 2
        assert '"name":"ratings"' in out.replace(": ", ":")
        assert VALUE not in out + err
        assert list(work.iterdir()) == []
        assert f"dashboard      http://egret.localhost:{port}/\n" in err


def test_every_shell_block_is_run():
    """There are blocks to run, and indented commands are only those that other tests run."""
    assert len(shell_blocks()) == 3
    indented = set(re.findall(r"(?m)^    (make \S+|egret \S+)", (ROOT / "README.md").read_text()))
    assert indented == {"make demo"}


def test_make_run(tmp_path):
    """Keys at the first start and not at the second; stdout is the ready line alone, stderr says what is where."""
    environ = os.environ | {f"EGRET_{each}__LISTEN": "127.0.0.1:0" for each in ("ADMIN", "PROXY", "GATEWAY")}
    argv = [
        "make",
        "-s",
        "-o",
        ".venv/runtime.stamp",
        "run",
        f"BIN={Path(sys.executable).parent}",
        f"DATA={tmp_path}/d",
    ]
    keys = []
    for _ in range(2):
        make = subprocess.Popen(
            argv,
            cwd=ROOT,
            env=environ,
            text=True,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            ready = make.stdout.readline()
        finally:
            os.killpg(make.pid, signal.SIGTERM)
            out, err = make.communicate(timeout=60)
        assert ready.startswith("ready admin=http://127.0.0.1:"), err
        assert out == ""
        assert f"egret: data folder    {tmp_path}/d" in err
        keys += re.findall(r"(?m)^egk_\w+$", err)
    assert len(keys) == 1
