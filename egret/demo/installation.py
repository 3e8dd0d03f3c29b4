"""A whole Egret in a temporary folder: `egret init`, then `egret serve` on free ports, as a user would start it."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from egret import programs
from egret.installed import has_engine
from egret.settings import environment

PATIENCE = 60.0
EGRET = [sys.executable, "-I", "-m", "egret.cli"]


class DemoError(Exception):
    """The demo cannot go on; the message is what Egret said."""


class Installation:
    """Use as a context manager; `urls` are those of the ready line, `key` is the owner key."""

    def __init__(self, folder: Path, trust: bytes) -> None:
        self.data = folder / "data"
        self._errors = folder / "serve.log"
        (folder / "echo.pem").write_bytes(trust)
        config = folder / "egret.yaml"
        free = {"listen": "127.0.0.1:0"}
        egress = {"allow_private": ["127.0.0.0/8", "::1/128"], "trust": [str(folder / "echo.pem")]}
        proxy = {**free, "status": "127.0.0.1:0", "engine": "mitmproxy" if has_engine("mitmproxy") else "express"}
        config.write_text(json.dumps({"admin": free, "proxy": proxy, "gateway": free, "egress": egress}))
        init = programs.run([*EGRET, "init", "--data", self.data], env=environment(), capture_output=True, text=True)
        if init.returncode:
            raise DemoError(init.stderr.strip())
        self.key = init.stdout.strip()
        with self._errors.open("w") as errors:
            self._process = programs.start(
                [*EGRET, "serve", "--data", self.data, "--config", config],
                stdout=subprocess.PIPE, stderr=errors, env=_environ(),
            )  # fmt: skip
        self.urls = self._ready()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(35)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _ready(self) -> dict[str, str]:
        stdout = self._process.stdout
        deadline, line = time.monotonic() + PATIENCE, b""
        while stdout is not None and not line.endswith(b"\n") and time.monotonic() < deadline:
            if select.select([stdout], [], [], 0.1)[0]:
                piece = os.read(stdout.fileno(), 4096)
                line += piece
                if not piece:
                    break
        found = re.match(r"ready (.*)\n", line.decode())
        if found is None:
            self._process.kill()
            raise DemoError(self._errors.read_text().strip() or "egret serve did not get ready")
        return dict(part.split("=", 1) for part in found[1].split())


def _environ() -> dict[str, str]:
    """Return our environment without settings, which are not the demo's."""
    return {name: value for name, value in environment().items() if not re.match("EGRET_.*__", name)}
