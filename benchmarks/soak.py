"""Mixed requests while secrets rotate, sessions end and workers are killed: nothing leaks, nothing is lost.

    python -m benchmarks soak [--requests 200000] [--minutes 20]

The upstream answers with the hash of the value that reached it, and with the value itself in four spellings. Checked
for each request: the status fits what was asked, a 200 is whole, is the answer to this request, and has been made with
a current version; no byte of any value in what the client gets, in the logs, in the audit log, in any file of the data
folder. At the end: each injection that was answered is in the audit log, whose chain is verified.
"""

import argparse
import asyncio
import json
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import certificates
from benchmarks.process import Child, NotStarted, free_port, memory
from benchmarks.report import table
from benchmarks.served import Served
from benchmarks.soak_client import Client
from benchmarks.soak_run import TRACES, Run, Session
from benchmarks.soak_trouble import Trouble

DATASETS, SESSIONS, CLIENTS = 10, 200, 24
WARM = 0.25  # part of the run after which memory is read first


async def readings(run: Run, trouble: Trouble) -> dict[str, list[int]]:
    """Memory of each process that is not killed, from the end of the warm-up on."""
    found: dict[str, list[int]] = {}
    roles = {
        "forward, elder worker": [trouble.elder],
        **{k: trouble.pids[k] for k in ("gateway", "store", "supervisor")},
    }
    began, start = time.monotonic(), run.done
    limit = run.until - began
    while not run.over:
        await asyncio.sleep(2)
        part = max((run.done - start) / (run.total - start), (time.monotonic() - began) / limit)
        if part >= WARM:
            for role, pids in roles.items():
                found.setdefault(role, []).append(memory(pids))
    return found


async def soak(run: Run, trouble: Trouble) -> dict[str, list[int]]:
    """All of it."""
    clients = [Client(run, n).work() for n in range(CLIENTS)]
    return (await asyncio.gather(readings(run, trouble), trouble.go(), *clients))[0]


def search_files(run: Run, folder: Path) -> int:
    """Look for values in every file of the data folder and in the log; how many bytes were searched."""
    size = 0
    for path in [*run.served.data.rglob("*"), folder / "serve.log"]:
        if path.is_file():
            data = path.read_bytes()
            size += len(data)
            if TRACES.search(data):
                run.fault("VALUE IN A FILE", path.name)
    return size


def audited(run: Run) -> int:
    """How many injections the audit log has; its entries are searched, its chain is verified."""
    count, cursor = 0, ""
    while True:
        status, data = run.served._raw("GET", f"/audit/?limit=200{cursor}")
        if status != 200:
            raise NotStarted(f"audit: {status} {data[:200]!r}")
        if TRACES.search(data):
            run.fault("VALUE IN THE AUDIT LOG", data)
        page = json.loads(data)
        count += sum(item["action"] == "use:inject" for item in page["items"])
        if not page["next"]:
            return count
        cursor = f"&cursor={page['next']}"


def logged(folder: Path) -> Counter[str]:
    """What the log says, and how often, numbers and identities left out."""
    text = (folder / "serve.log").read_text(errors="replace")
    return Counter(
        re.sub(r"\b(req_\w+|[0-9a-f]{8,}|\d+)\b", "…", line)[:160] for line in text.splitlines() if " INFO " not in line
    )


def render(run: Run, trouble: Trouble, found: dict[str, list[int]], seconds: float, entries: int, searched: int) -> str:
    """The tables."""
    rows = [[what, f"{number:,}"] for what, number in run.count.most_common()]
    bad = [[f"{what}: {run.examples.get(what, '')}", f"{number:,}"] for what, number in run.wrong.most_common()]
    held = [
        [role, f"{got[0] >> 20}", f"{got[-1] >> 20}", f"{max(got) >> 20}", f"{got[-1] / got[0] - 1:+.1%}"]
        for role, got in found.items()
    ]
    trouble_line = (
        f"{run.done:,} requests in {seconds:.0f} s over {SESSIONS} sessions of {DATASETS} datasets, "
        f"{CLIENTS} clients; "
        f"{trouble.rotated} versions put, {trouble.revoked} sessions revoked, {len(run.killed) - 1} workers killed."
    )
    audit = f"{entries:,} injections in the audit log for {run.injected:,} answered; "
    audit += f"{searched / 1e6:.0f} MB of files searched."
    return "\n\n".join(
        [
            trouble_line,
            table(["outcome", "requests"], rows),
            table(["what must not be", "times"], bad or [["nothing was found", "0"]]),
            audit,
            table(
                ["the log says", "times"], [[line, f"{n:,}"] for line, n in logged(run.served.folder).most_common(12)]
            ),
            table(["memory (PSS), MiB", "after warm-up", "at the end", "highest", "growth"], held),
        ]
    )


def main() -> None:
    """Print the tables; exit 1 when something was found that must not be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--minutes", type=float, default=20.0, help="end after this time, whatever was sent")
    args = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="egret-bench-") as name:
        folder = Path(name)
        ca, leaf, key = certificates.write(folder)
        ports = free_port(), free_port()
        argv = [sys.executable, "-m", "benchmarks.mirror", str(leaf), str(key), *map(str, ports)]
        mirror = Child(argv, folder / "mirror.log").listening(*ports)
        served = Served(folder / "egret", ca, workers=2)
        try:
            run, text = measure(served, ports, args)
        finally:
            served.stop()
            mirror.stop()
    print(text)
    sys.exit(1 if run.wrong else 0)


def measure(served: Served, ports: tuple[int, int], args: argparse.Namespace) -> tuple[Run, str]:
    """Prepare, run, look."""
    hosts = [f"http://localhost:{ports[0]}", f"https://localhost:{ports[1]}"]

    def secret(value: str) -> dict[str, Any]:
        return {"name": "KEY", "value": value, "hosts": hosts}

    run = Run(served, ports, args.requests, 0.0)
    datasets = []
    for number in range(DATASETS):
        value, sha = run.values.make()
        datasets.append(served.dataset(f"soak-{number}", [secret(value)]))
        run.values.replaced(number, sha)
    run.sessions = [Session(served, datasets[n % DATASETS], n % DATASETS) for n in range(SESSIONS)]
    began = time.monotonic()
    run.until = began + args.minutes * 60
    trouble = Trouble(run, datasets, secret)
    found = uvloop.run(soak(run, trouble))
    seconds = time.monotonic() - began
    time.sleep(3)  # for the spool to be taken in
    try:
        entries = audited(run)
        if not served.call("GET", "/audit/verify").get("ok", True):
            run.fault("the audit log's chain is broken", "")
    except (OSError, NotStarted) as exc:
        entries = 0
        run.fault("the audit log could not be read", exc)
    if entries < run.injected:
        run.fault("an injection is not in the audit log", run.injected - entries)
    served.stop()
    return run, render(run, trouble, found, seconds, entries, search_files(run, served.folder))


if __name__ == "__main__":
    main()
