"""What a page of the dashboard costs the server, with many secrets in one list: whole answers over a socket.

    python -m benchmarks pages [--secrets 10000]

A scope holds 2,000 secrets and variables; the bound is lifted here, to see what the pages themselves take. Milliseconds
of a process that is asked one page after the other: wall, p50 and most, and CPU, which a busy machine changes least.
"""

import argparse
import asyncio
import contextlib
import http.client
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from aiohttp import web

from store.api import app, run, server
from store.api.state import State, Urls
from store.dashboard import mount
from store.model import SecretValue
from store.operator.init import initialise
from store.records import NewEntry
from store.vault import Upload, Vault, upload

TIMES = 40
SAME = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}


@contextlib.contextmanager
def served(state: State) -> Iterator[int]:
    """Serve API and dashboard in a thread; yields the port."""
    listening, loop, ready = socket.create_server(("127.0.0.1", 0)), asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()

    async def serve() -> None:
        runner = server.Runner(app.build(state, mount))
        await runner.setup()
        await web.SockSite(runner, listening).start()
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield listening.getsockname()[1]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def ask(port: int, method: str, path: str, body: str = "", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request(method, path, body or None, headers)
    answer = connection.getresponse()
    answer.body = answer.read()  # type: ignore[attr-defined]
    return answer


def measure(port: int, path: str, cookie: str) -> str:
    walls, cpus = [], []
    for _ in range(TIMES):
        wall, cpu = time.perf_counter(), sum(os.times()[:2])
        answer = ask(port, "GET", path, Cookie=cookie)
        walls.append((time.perf_counter() - wall) * 1e3)
        cpus.append((sum(os.times()[:2]) - cpu) * 1e3)
        assert answer.status == 200, path
    walls.sort()
    return f"{walls[TIMES // 2]:7.1f} / {walls[-1]:7.1f}   {sum(cpus) / TIMES:7.1f}"


def main() -> None:
    """Fill a dataset, and ask for its pages."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks pages")
    parser.add_argument("--secrets", type=int, default=10_000)
    args = parser.parse_args()
    upload.MAX_ENTRIES = max(args.secrets, upload.MAX_ENTRIES)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        key = initialise(data)
        vault = Vault.open(f"sqlite:///{data / 'egret.db'}", data)
        owner = vault.keys.authenticate(key)
        names = [f"SECRET_{number:05}" for number in range(args.secrets)]
        value = SecretValue(os.urandom(24).hex().encode())
        entries = [NewEntry(name, value, hosts=["api.example.com"]) for name in names]
        vault.datasets.create(owner, "default", Upload("many", secrets=entries), "many")
        state = State(vault, data, Urls("http://127.0.0.1", "http://127.0.0.1", "http://127.0.0.1"), run.own_key(data))
        with served(state) as port:
            login = ask(port, "POST", "/dashboard/login", urlencode({"key": key}), **SAME)
            cookie = login.headers["Set-Cookie"].partition(";")[0]
            dataset = "/dashboard/projects/default/datasets/many/"
            print(f"{args.secrets} secrets; ms a page                wall p50 /    most   CPU mean")
            for what, path in (
                ("list, by name", dataset),
                ("list, last used", f"{dataset}?sort=-last_used_at"),
                ("search that finds one", f"{dataset}?q=secret_0777"),
                ("search that finds none", f"{dataset}?q=nothing"),
                ("one secret", f"{dataset}secrets/{names[-1]}/"),
                ("settings", f"{dataset}settings/"),
                ("the log", "/dashboard/audit/"),
                ("datasets", "/dashboard/"),
            ):
                print(f"{what:<36} {measure(port, path, cookie)}", flush=True)
        state.close()
        vault.close()
