"""Scrubbing beside another commit's, piece by piece on the same texts: --base DIR is a checkout of it.

    git worktree add DIR COMMIT
    python -m benchmarks scrub_beside --base DIR [--rounds 25] [--hostile]

Both sides run in turns, each in a process of its own with the same Python. Of each piece of 64 KiB the least CPU time
of all rounds counts: what else the machine does only ever adds to it. Without --base the hostile answers of `scrub` are
timed alone.
"""

import argparse
import json
import random
import string
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.scrub import MIB, hostile

PIECE = 65536
LETTERS = string.ascii_letters + string.digits
ROW = b'{"id": 12345, "url": "https://example.com/a%20b?c=d", "text": "Some words, \\u00e9\\n", "v": [1]},\n'
SIDE = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from store.model import SecretValue
try:
    from proxy.core.scrub import Scrubber
    from proxy.core.scrub.stream import Stream
    begun = Stream
except ImportError:  # before there was a core
    from proxy.scrub import Scrubber
    from proxy.scrub.stream import Stream
    begun = lambda scrubber: Stream(scrubber.search)
made = {}
for line in sys.stdin:
    values, path, size = json.loads(line)
    key = tuple(values)
    if key not in made:
        made[key] = Scrubber([(f"S{at}", SecretValue(bytes.fromhex(value))) for at, value in enumerate(values)])
    data, stream, times = open(path, "rb").read(), begun(made[key]), []
    for piece in [data[at : at + size] for at in range(0, len(data), size)]:
        start = time.process_time()
        stream.feed(piece)
        times.append(time.process_time() - start)
    print(json.dumps(times), flush=True)
"""


def word(draw: random.Random) -> str:
    """A word of one to eleven letters."""
    return "".join(draw.choices(string.ascii_lowercase, k=draw.choice((1, 2, 3, 3, 4, 4, 5, 6, 7, 8, 9, 11))))


def words(draw: random.Random, count: int) -> list[str]:
    """So many words."""
    return [word(draw) for _ in range(count)]


def record(draw: random.Random) -> object:
    """What an API lists."""
    return {
        "id": draw.randrange(10**9),
        "name": word(draw),
        "price": round(draw.random() * 1000, 2),
        "tags": words(draw, 3),
        "at": f"2026-03-1{draw.randrange(9)}T04:22:3{draw.randrange(9)}Z",
        "url": f"https://example.com/{word(draw)}/{draw.randrange(10**6)}",
        "text": " ".join(words(draw, 8)),
    }


def measured(draw: random.Random) -> object:
    """The same, mostly of numbers."""
    return {
        "id": draw.randrange(10**9),
        "x": draw.random() * 100,
        "y": -draw.random(),
        "v": [draw.randrange(1000) for _ in range(8)],
        "n": draw.randrange(10**6),
        "t": 1_700_000_000 + draw.randrange(10**7),
        "k": word(draw),
    }


def lines(rows: Iterable[object]) -> bytes:
    """Return rows of JSON."""
    return "".join(json.dumps(row) + ",\n" for row in rows).encode()


def texts(draw: random.Random) -> dict[str, bytes]:
    """Plain text and JSON, a MiB of each or some more."""
    return {
        "JSON of `benchmarks scrub`": ROW * (MIB // len(ROW) + 1),
        "JSON, records": lines(record(draw) for _ in range(4500)),
        "JSON, many numbers": lines(measured(draw) for _ in range(8000)),
        "random words": " ".join(words(draw, 220_000)).encode(),
        "one sentence over and over": b"The quick brown fox jumps over the lazy dog. " * 24_000,
        "random bytes": draw.randbytes(MIB),
    }


def cases(draw: random.Random, *, bad: bool) -> Iterator[tuple[str, list[bytes], bytes]]:
    """Give the names of texts, the values that are searched for in them, and the texts."""
    if bad:
        for name, (value, unit) in hostile().items():
            yield name, [value], (unit * (MIB // len(unit) + 1))[:MIB]
        return
    ten = ["".join(draw.choices(LETTERS, k=40)).encode() for _ in range(10)]
    for name, text in texts(draw).items():
        yield name, ten, text[:MIB]


def best(sides: list[subprocess.Popen[str]], case: tuple[list[bytes], Path], rounds: int) -> list[float]:
    """Return the CPU time of each side: the sum of the least that each piece took."""
    values, path = case
    order = json.dumps([[value.hex() for value in values], str(path), PIECE])
    least: list[list[float]] = [[] for _ in sides]
    for turn in range(rounds):
        for which in range(len(sides))[:: 1 if turn % 2 else -1]:
            side = sides[which]
            assert side.stdin is not None
            assert side.stdout is not None
            print(order, file=side.stdin, flush=True)
            times = json.loads(side.stdout.readline())
            least[which] = list(map(min, least[which] or times, times))
    return [sum(times) for times in least]


def main() -> None:
    """Print a table: MB/s of CPU time there and here, and how many times as fast this is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scrub_beside", description=__doc__)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument(
        "--hostile", action="store_true", help="answers made to cost time, in place of plain text and JSON"
    )
    args = parser.parse_args()
    roots = [*([args.base.resolve()] if args.base else []), Path(__file__).resolve().parents[1]]
    sides = [
        subprocess.Popen(
            [sys.executable, "-c", SIDE, str(root)], cwd=root, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for root in roots
    ]
    print("| data |" + " there, MB/s |" * (len(roots) - 1) + " MB/s |" + " × |" * (len(roots) - 1))
    print("| --- |" + " ---: |" * (2 * len(roots) - 1))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data"
        for name, values, text in cases(random.Random(7), bad=args.hostile or not args.base):
            path.write_bytes(text)
            found = [len(text) / spent / 1e6 for spent in best(sides, (values, path), args.rounds)]
            times = f" {found[1] / found[0]:.2f} |" if args.base else ""
            print(
                f"| {name} |" + "".join(f" {rate:.0f} |" if rate >= 10 else f" {rate:.1f} |" for rate in found) + times,
                flush=True,
            )
    for side in sides:
        side.communicate()


if __name__ == "__main__":
    main()
