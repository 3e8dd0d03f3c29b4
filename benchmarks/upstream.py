"""Everything that stands behind the subjects: nginx for requests, `benchmarks.streaming` for streams and bulk."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks import certificates, nginx
from benchmarks.process import Child, free_port


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the upstream listens, all on 127.0.0.1."""

    http: int
    https: int
    events_http: int
    events_https: int
    bulk: int


class Upstream:
    """The upstream as a whole, in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca, self.leaf, self.key = certificates.write(folder)
        self.ports = ports = Ports(*(free_port() for _ in range(5)))
        self._nginx = nginx.start_upstream(folder / "upstream", self.leaf, self.key, ports.http, ports.https)
        numbers = [str(port) for port in (ports.events_http, ports.events_https, ports.bulk)]
        argv = [sys.executable, "-m", "benchmarks.streaming", str(self.leaf), str(self.key), *numbers]
        self._streaming = Child(argv, folder / "streaming.log").listening(*map(int, numbers))

    def arrived(self) -> list[dict[str, str]]:
        """What reached /probe, oldest first: authorization, uri, body."""
        log = nginx.probe_log(self.folder / "upstream")
        if not log.exists():
            return []
        *lines, _being_written = log.read_text(errors="replace").split("\n")
        return [json.loads(line) for line in lines]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._streaming.stop()
        self._nginx.stop()
