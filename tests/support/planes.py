"""The planes without a supervisor: `egret store`, `egret proxy` and `egret gateway`, each started by the test."""

import contextlib
import os
import socket
import subprocess
from pathlib import Path

from certificates import Authority
from served import Egret, free_ports, init
from upstream import Upstream


class Planes(Egret):
    """A data folder, settings, an upstream and free ports; `processes` is the tests' to fill, by plane."""

    def __init__(self, folder: Path, config: str = "", data: str = "data"):
        self.folder, self.data = folder, folder / data
        self.authority = Authority(folder)
        self.upstream = Upstream(self.authority.leaf())
        self.environ = os.environ | self.homes
        self.ports = dict(zip(("admin", "proxy", "gateway", "status"), free_ports(4), strict=True))
        self.urls = {plane: f"http://127.0.0.1:{port}" for plane, port in self.ports.items()}
        more = {"proxy": f", status: '127.0.0.1:{self.ports['status']}'"}
        planes = ("admin", "proxy", "gateway")
        listen = "".join(f"{it}: {{listen: '127.0.0.1:{self.ports[it]}'{more.get(it, '')}}}\n" for it in planes)
        self.config = folder / "egret.yaml"
        self.config.write_text(f"{listen}egress: {{{self.private}}}\n{config}")
        self.processes = dict[str, subprocess.Popen]()
        self.key = ""
        self.key = init(self.data)

    def begin(self, plane: str, words: list, **kwargs) -> None:
        """Start one; what it says is kept for `died`."""
        with (self.folder / f"{plane}.err").open("w") as err:
            self.processes[plane] = subprocess.Popen([*map(str, words)], stdout=err, stderr=err, **kwargs)

    def accepts(self, plane: str) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(self.address(plane), timeout=2).close()
            return True
        return False

    def died(self) -> str:
        """What those that ended said last."""
        ended = [plane for plane, process in self.processes.items() if process.poll() is not None]
        return "".join((self.folder / f"{plane}.err").read_text()[-1500:] for plane in ended)

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.upstream.close()
