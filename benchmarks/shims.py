"""What the shims cost: start-up of Node and Python, and each URL, with them and without."""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import number, table
from egret.shims import environment

PROXY = "http://egs_id_x:x@127.0.0.1:1"
SESSION = {"HTTPS_PROXY": PROXY, "HTTP_PROXY": PROXY, "NODE_USE_ENV_PROXY": "1"}
STARTS = {  # language: what is started, as (title, arguments, variables)
    "node": [
        ("nothing", ["-e", "0"], {}),
        ("nothing, in a session", ["-e", "0"], SESSION),
        ("a program that requires https", ["-e", "require('https')"], {}),
        ("one that requires https, in a session", ["-e", "require('https')"], SESSION),
    ],
    "python": [
        ("nothing", ["-c", "pass"], {}),
        ("nothing, in a session", ["-c", "pass"], SESSION),
        ("a program that imports httpx", ["-c", "import httpx"], {}),
        ("one that imports aiohttp, in a session", ["-c", "import aiohttp"], SESSION),
    ],
}
CALLS = {
    "node": [
        ("new URL()", "new URL('http://localhost/path?query=1#fragment')"),
        ("new URL(), placeholder", "new URL('http://localhost/path?query=#{SECRETS.API_TOKEN}')"),
        ("url.parse()", "require('url').parse('http://localhost/path?query=1#fragment')"),
    ],
    "python": [
        ("httpx.URL()", "httpx.URL('http://localhost/path?query=1#fragment')"),
        ("httpx.URL(), placeholder", "httpx.URL('http://localhost/path?query=#{SECRETS.API_TOKEN}')"),
        ("requests prepare", "requests.Request('GET', 'http://localhost/path?query=1#f').prepare()"),
    ],
}
TIMERS = {
    "node": """
        const call = () => {{ {0} }};
        const run = () => {{ for (let i = 0; i < 2e4; i++) call() }};
        const times = Array.from({{ length: 10 }}, () => {{
            const began = process.hrtime.bigint();
            run();
            return Number(process.hrtime.bigint() - began) / 2e4;
        }});
        console.log(Math.min(...times));
    """,
    "python": """if True:
        import httpx, requests, timeit
        print(min(timeit.repeat(lambda: {0}, number=2000, repeat=10)) / 2000 * 1e9)
    """,
}


def interpreters() -> Iterator[tuple[str, str, str]]:
    """(language, title, path): this Python, and every Node on PATH and in the cache folder of the tests."""
    yield "python", f"Python {sys.version.split()[0]}", sys.executable
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "egret-tests"
    found = {}
    for path in [*sorted(cache.glob("node-*/node_modules/node[0-9]*/bin/node")), shutil.which("node")]:
        if path:
            said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
            found[said.strip()] = str(path)
    for version, path in found.items():
        yield "node", f"Node {version}", path


def plain() -> dict[str, str]:
    """The environment without what steers proxies, Node and Python."""
    steering = ("proxy", "node_", "python", "egret_")
    return {name: value for name, value in os.environ.items() if not any(word in name.lower() for word in steering)}


def start(path: str, arguments: list[str], environ: dict[str, str]) -> tuple[float, float]:
    """Milliseconds from start to end, and of CPU time."""
    quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    began = time.perf_counter()
    pid = os.posix_spawn(path, [path, *arguments], environ, file_actions=quiet)
    _, status, used = os.wait4(pid, 0)
    if status:
        raise subprocess.CalledProcessError(status, [path, *arguments])
    return (time.perf_counter() - began) * 1000, (used.ru_utime + used.ru_stime) * 1000


def starts(path: str, case: tuple[str, list[str], dict[str, str]], times: int) -> list[str]:
    """One row: alternating, with and without; the fastest of each, which is what the machine disturbed least."""
    title, arguments, more = case
    environs = plain() | more, environment(plain() | more)
    rounds = [[start(path, arguments, environ) for environ in environs] for _ in range(times + 1)][1:]
    (wall, cpu), (wall_with, cpu_with) = (map(min, zip(*column, strict=True)) for column in zip(*rounds, strict=True))
    return [title, number(wall), number(wall_with), f"{wall_with - wall:+.1f}", f"{cpu_with - cpu:+.1f}"]


def call(language: str, path: str, code: str, environ: dict[str, str]) -> float:
    """Nanoseconds of one call, the best of nine runs."""
    flag = {"node": "-e", "python": "-c"}[language]
    done = subprocess.run([path, flag, TIMERS[language].format(code)], env=environ, capture_output=True, check=True)
    return float(done.stdout)


def calls(language: str, path: str, case: tuple[str, str]) -> list[str]:
    """One row: a call with the shims and without."""
    title, code = case
    before, after = (call(language, path, code, environ) for environ in (plain(), environment(plain())))
    return [title, number(before), number(after), f"{after - before:+.0f}"]


def main() -> None:
    """Print two tables for each interpreter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=25)
    times = parser.parse_args().times
    for language, title, path in interpreters():
        rows = [starts(path, case, times) for case in STARTS[language]]
        header = ["start, ms", "without", "with", "added", "added CPU"]
        print(f"### {title}\n\n{table(header, rows)}\n")
        rows = [calls(language, path, case) for case in CALLS[language]]
        print(f"{table(['one call, ns', 'without', 'with', 'added'], rows)}\n", flush=True)


if __name__ == "__main__":
    main()
