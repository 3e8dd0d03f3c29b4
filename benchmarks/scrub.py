"""Scrubbing on one core: throughput for clean data and for hits, time for each event, time to build."""

import os
import secrets
import statistics
import string
import time
from collections.abc import Callable

from proxy.scrub import Scrubber
from proxy.scrub.stream import Stream
from store.model import SecretValue

MIB = 1 << 20
SIZE = 256 * MIB
ROUNDS = 3
LETTERS = string.ascii_letters + string.digits


def values(count: int, length: int) -> list[tuple[str, SecretValue]]:
    """Random keys of letters and digits."""
    text = lambda: "".join(secrets.choice(LETTERS) for _ in range(length)).encode()  # noqa: E731
    return [(f"S{number}", SecretValue(text())) for number in range(count)]


def rate(data: bytes, step: Callable[[bytes], object], chunk: int) -> float:
    """Best MB/s of CPU time over the rounds."""
    view = [data[at : at + chunk] for at in range(0, len(data), chunk)]
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        for piece in view:
            step(piece)
        best = min(best, time.process_time() - begun)
    return len(data) / best / 1e6


def sources() -> dict[str, bytes]:
    """What is scrubbed: 256 MiB each."""
    row = b'{"id": 12345, "url": "https://example.com/a%20b?c=d", "text": "Some words, \\u00e9\\n", "v": [1]},\n'
    return {
        "binary": os.urandom(MIB) * (SIZE // MIB),
        "JSON": (row * (MIB // len(row) + 1))[:MIB] * (SIZE // MIB),
    }


def main() -> None:
    """Print the tables."""
    data = sources()
    print("| secrets | data | chunk | MB/s |\n|---:|---|---:|---:|")
    for count in (1, 10, 100, 1000):
        scrubber = Scrubber(values(count, 40))
        for name, body in data.items():
            for chunk in (16 * 1024, 64 * 1024, MIB) if count == 100 else (64 * 1024,):
                stream = Stream(scrubber.search)
                print(
                    f"| {count} | clean {name} | {chunk // 1024} KiB | {rate(body, stream.feed, chunk):.0f} |",
                    flush=True,
                )
    hit_values = values(100, 40)
    scrubber = Scrubber(hit_values)
    spaced = b"".join(b"x" * 4000 + value.reveal() for _, value in hit_values) * 100
    print(f"| 100 | a value every 4 KB | 64 KiB | {rate(spaced, Stream(scrubber.search).feed, 65536):.0f} |")
    print("\n| event of | added time, median | p99 |\n|---:|---:|---:|")
    for size in (50, 500, 5000):
        event = b"data: " + secrets.token_urlsafe(size)[: size - 8].encode() + b"\n\n"
        stream, times = Stream(scrubber.search, events=True), []
        for _ in range(20_000):
            begun = time.perf_counter()
            stream.feed(event)
            times.append(time.perf_counter() - begun)
        times.sort()
        print(f"| {size} B | {statistics.median(times) * 1e6:.1f} µs | {times[int(len(times) * 0.99)] * 1e6:.1f} µs |")
    print("\n| secrets | each | built in | heads | bytes of heads |\n|---:|---:|---:|---:|---:|")
    for count, length in ((1, 40), (100, 40), (1000, 40), (100, 65_536)):
        given = values(count, length)
        begun = time.process_time()
        built = Scrubber(given)
        spent = time.process_time() - begun
        heads = built.search.heads
        print(f"| {count} | {length} B | {spent * 1000:.0f} ms | {len(heads)} | {sum(map(len, heads))} |")


if __name__ == "__main__":
    main()
