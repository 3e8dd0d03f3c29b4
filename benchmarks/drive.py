"""Runs one load against one subject, and takes the subject's side of the figures."""

import json
import subprocess
import sys
from typing import Any

from benchmarks import generator
from benchmarks.loads import Load
from benchmarks.process import Peak, cpu_seconds, memory
from benchmarks.subject import Subject


class Generator:
    """The generator's process, one for a whole run."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.generator"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def _line(self) -> str:
        line = self._process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise RuntimeError(f"the generator ended with {self._process.wait()}")
        return line

    def run(self, job: dict[str, Any], subject: Subject) -> dict[str, Any]:
        """Figures of the job, with `cpu` (seconds of the subject while measured), `memory` and `peak` (bytes)."""
        pids = subject.pids()
        with Peak(pids) as peak:
            self._process.stdin.write(generator.encode(job) + "\n")  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
            line = self._line()
            before = after = cpu_seconds(pids)
            if line == "go\n":
                line = self._line()
                after = cpu_seconds(pids)
        result: dict[str, Any] = json.loads(line)
        result.update(cpu=after - before, memory=memory(pids), peak=peak.value - peak.before)
        return result

    def stop(self) -> None:
        """End it."""
        self._process.stdin.close()  # type: ignore[union-attr]
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def rounds(
    loads: list[Load], subjects: list[Subject], *, scale: float, count: int | None, say: Any
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """All rounds of all loads, subjects alternating: load → subject → results."""
    results: dict[str, dict[str, list[dict[str, Any]]]] = {}
    driver = Generator()
    try:
        for load in loads:
            able = [s for s in subjects if s.name in load.subjects and load.door in s.doors]
            for turn in range(count or load.rounds):
                for subject in able if turn % 2 == 0 else reversed(able):
                    result = driver.run(load.job(subject, scale), subject)
                    results.setdefault(load.name, {}).setdefault(subject.name, []).append(result)
                    note = f"  ERRORS {result['errors']}: {result['example']}" if result["errors"] else ""
                    say(f"{load.name:16} {subject.name:13} {result['rate']:10.1f} {load.unit}{note}")
    finally:
        driver.stop()
    return results
