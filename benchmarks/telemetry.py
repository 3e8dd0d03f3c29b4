"""What it costs to be watched: lines of requests, and spans, numbers and lines at a collector, beside none of them.

python -m benchmarks telemetry [--rounds 40] [--requests 200] [--engine express]

Four `egret serve` stand side by side and are asked by turns, one request after the other on a kept connection, each
with a `traceparent` and a placeholder; what is compared is CPU time of the forward proxy's process for each request,
by the median of the rounds' ratios. The process that speaks with the collector is told apart: it is another core's.
"""

import argparse
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import mean, median

from benchmarks.conversation import Conversation
from benchmarks.loads import PLACEHOLDER
from benchmarks.process import Child, free_port, tree
from benchmarks.report import table
from benchmarks.served import Served, secrets_for
from benchmarks.subject import through
from benchmarks.upstream import Upstream

LINES = "log: {{format: json, requests: true}}\n"
COLLECTOR = "otlp: {{endpoint: 'http://127.0.0.1:{port}', signals: [traces, metrics, logs], every: 5}}\n"
SUBJECTS = {"neither": "", "lines": LINES, "collector": COLLECTOR, "both": LINES + COLLECTOR}
WARM = 500  # requests


class _Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


def running(pids: list[int]) -> float:
    """Seconds that the threads of these processes ran; the kernel's clock for it is finer than that of `stat`."""
    tasks = [task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


class Place:
    """One `egret serve`, and a connection through it."""

    def __init__(self, up: Upstream, served: Served) -> None:
        token = str(served.session(served.dataset("bench", secrets_for(up)))["token"])
        self.talk = Conversation(through(up.ports, served.address("proxy")[1], str(served.ca), token)["https"])
        family = tree(served.pid)
        command = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in family}
        self.proxy = [pid for pid, said in command.items() if b"forward" in said]
        self.exporters = [pid for pid, said in command.items() if b"proxy.otlp" in said]

    def ask(self, times: int) -> tuple[float, float, float]:
        """Ask so often; returns for each request CPU of proxy and exporter, and its time, in microseconds."""
        before, began = (running(self.proxy), running(self.exporters)), time.perf_counter()
        for _ in range(times):
            trace = f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-01"
            status, _ = self.talk.ask("/item", {"Authorization": f"Bearer {PLACEHOLDER}", "traceparent": trace})
            assert status == 200, status
        took = time.perf_counter() - began
        after = running(self.proxy), running(self.exporters)
        return tuple(each / times * 1e6 for each in (after[0] - before[0], after[1] - before[1], took))  # type: ignore[return-value]


def measure(rounds: int, requests: int, engine: str) -> dict[str, list[tuple[float, float, float]]]:
    """What each round found, by subject."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in SUBJECTS}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        up = stack.enter_context(Upstream(folder))
        port = free_port()
        sink = Child([sys.executable, "-m", "benchmarks.telemetry", "--sink", str(port)], folder / "sink.log")
        stack.callback(sink.stop)
        sink.listening(port)
        places = {}
        for number, (name, more) in enumerate(SUBJECTS.items()):
            served = Served(folder / str(number), up.ca, engine=engine, more=more.format(port=port))
            stack.callback(served.stop)
            places[name] = Place(up, served)
            places[name].ask(WARM)
        for turn in range(rounds):
            names = list(places)
            for name in names if turn % 2 else reversed(names):
                found[name].append(places[name].ask(requests))
            print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks telemetry", description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--engine", choices=("mitmproxy", "express"), default="express")
    parser.add_argument("--sink", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sink:
        ThreadingHTTPServer(("127.0.0.1", options.sink), _Sink).serve_forever()
    found = measure(options.rounds, options.requests, options.engine)
    plain = found["neither"]
    lines = []
    for name, rounds in found.items():
        ratios = [median(mine[i] / base[i] for mine, base in zip(rounds, plain, strict=True)) for i in (0, 2)]
        figures = [f"{kind(each[i] for each in rounds):.0f}" for i, kind in enumerate((median, mean, median))]
        lines.append([name, *figures, *(f"{(ratio - 1) * 100:+.1f} %" for ratio in ratios)])
    print(table([options.engine, "proxy, CPU µs", "exporter, CPU µs", "µs in all", "CPU", "in all"], lines))


if __name__ == "__main__":
    main()
