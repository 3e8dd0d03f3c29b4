"""The load generator as a process of its own: jobs come in as lines on stdin, results go out as lines on stdout.

`go` is written when the warm-up is over, so that the parent reads the subject's CPU time at the same two moments
between which requests are counted.
"""

import base64
import json
import sys
from collections.abc import Callable
from typing import Any

import uvloop

from benchmarks import bulk, load, streams
from benchmarks.door import Door

BYTES = ("request", "message")


def encode(job: dict[str, Any]) -> str:
    """A job as one line."""
    line = {name: base64.b64encode(value).decode() if name in BYTES else value for name, value in job.items()}
    door = job["door"]
    return json.dumps({**line, "door": {name: getattr(door, name) for name in Door.__slots__}})


def decode(line: str) -> dict[str, Any]:
    """The job of a line."""
    job = json.loads(line)
    made = {name: base64.b64decode(value) if name in BYTES else value for name, value in job.items()}
    return {**made, "door": Door(**job["door"])}


def run(job: dict[str, Any], go: Callable[[], None]) -> dict[str, Any]:
    """Run one job here."""
    kind = job["kind"]
    if kind == "bulk":
        return bulk.transfer(job, go)
    work = {"requests": load.requests, "events": streams.events, "echo": streams.echo}[kind]
    return uvloop.run(work(job, go))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve jobs until stdin ends."""
    for line in sys.stdin:
        try:
            result = run(decode(line), lambda: _say("go"))
        except Exception as exc:
            result = {"errors": 1, "count": 0, "rate": 0.0, "example": f"{type(exc).__name__}: {exc}"[:400]}
        _say(json.dumps(result))


if __name__ == "__main__":
    main()
