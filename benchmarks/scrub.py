"""Scrubbing on one core: throughput for clean data and for hits, time for each event, time to build."""

import base64
import os
import secrets
import statistics
import string
import time
from collections.abc import Callable

from proxy.core.refusal import Refused
from proxy.core.scrub import Scrubber
from proxy.core.scrub.stream import EVENTS, Stream
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


def beginnings() -> dict[str, list[bytes]]:
    """Values that begin as much of the data does, or as each other."""
    key = secrets.token_hex(20).encode()
    return {
        "URL": [b"https://hooks.example.com/services/" + key],
        "JWT": [b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + key],
        "PEM": [b"-----BEGIN PRIVATE KEY-----\n" + key],
        "password": [b"password" + key],
        "Bearer": [b"Bearer " + key],
        "one letter 40 times": [b"a" * 40],
        "100 keys of one provider": [b"sk-proj-" + secrets.token_hex(20).encode() for _ in range(100)],
    }


def hostile() -> dict[str, tuple[bytes, bytes]]:
    """A value, and what an upstream that knows it repeats to make the proxy work."""
    key, url = secrets.token_hex(20).encode(), b"https://hooks.example.com/services/" + secrets.token_hex(10).encode()
    escaped = b"".join(b"%%%02x" % byte for byte in key)
    return {
        "nothing but values": (key, key + b" "),
        "all but the last byte": (key, key[:-1] + b"!"),
        "values, percent throughout": (key, escaped + b" "),
        "the same but the last byte": (key, escaped[:-1] + b"!"),
        "a URL in JSON but the last byte": (url, url[:-1].replace(b"/", b"\\/") + b"!"),
        "a run of one letter": (b"a" * 40, b"a"),
        "a run that almost is a value": (b"a" * 40 + b"b", b"a"),
        "64 KiB almost, again and again": (key * 1600, key * 1599 + b"!"),
        "nested backslashes": (b"\\" * 16 + b"x", b"\\"),
        "nested percents": (b"%" * 12 + b"x", b"%25"),
        "entities": (key, b"&#65;"),
        "entities by name": (key, b"&lt;a&gt;&quot;&amp;&sol;"),
        "escapes of other languages": ("pässword-Zk3vQ9xPw2".encode(), b'{"a":"\\u00e9\\u4e2d and \\ud83d\\ude00"},\n'),
        "the same as entities": ("pässword-Zk3vQ9xPw2".encode(), b"&#233;&#x4e2d; and &#128512;,\n"),
        "the same in braces": ("pässword-Zk3vQ9xPw2".encode(), b"\\u{e9}\\u{4e2d} and \\u{1f600},\n"),
        "octal": (key, b"\\101B"),
        "octal throughout": (key, b"\\101\\302\\173\\040"),
        "hex escapes": (key, b"\\x41\\xc2\\x7b"),
        "JSON with a password": (b"aZ3k!9xPw2", b'{"user": "joe", "password": "hunter2!", "at": "C:\\\\x\\\\y"},\n'),
        "numbers": (key, b"99, 97, "),
        "hex one by one": (key, b"0x63, "),
        "base64": (key, base64.b64encode(os.urandom(48))),
        "base64 in lines": (key, base64.b64encode(os.urandom(48)) + b"\n"),
        "a dump": (key, b"00000000  63 61 6e 61 72 79 2d 4b  45 59 2d 30 31 32 33 34  |canary-KEY-01234|\n"),
        "a dump of xxd": (key, b"00000010: 6361 6e61 7279 2d4b 4559 2d30 3132 3334  canary-KEY-01234\n"),
        "short words, a short value": (b"aZ3kQ9xPw2", b"abcdefgh "),
        "zeros in one entity": (key, b"&#" + b"0" * 65_534),
        "values as entities, each beside another text": (
            key,
            b"".join(b"".join(b"&#%d;" % byte for byte in key) + b"x%05d " % at for at in range(5000)),
        ),
        "values as numbers": (key, b", ".join(b"%d" % byte for byte in key) + b", "),
        "values in UTF-16": (key, key.decode().encode("utf-16-le")),
        "escapes, a value with blanks": (b"aZ3k Q9x!Pw2 &rest", b"ab\\u0041c%41&amp;"),
    }


def attacked() -> None:
    """Print the tables of common beginnings and of hostile answers."""
    row = (
        b'{"id": 12345, "url": "https://hooks.example.com/a%20b", "password": "aaaaaaaaaaaaaaa", "key": "sk-proj-", '
        b'"auth": "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30", "pem": "-----BEGIN PRIVATE KEY-----\\nMII"},\n'
    )
    data = (row * (MIB // len(row) + 1))[:MIB] * 32
    print("\n| value | data | MB/s |\n|---|---|---:|")
    for name, given in beginnings().items():
        scrubber = Scrubber([(f"S{number}", SecretValue(value)) for number, value in enumerate(given)])
        print(f"| {name} | JSON full of its beginnings | {rate(data, Stream(scrubber).feed, 65536):.0f} |")
    print("\n| hostile answer | CPU for 1 MiB | longest for 64 KiB | outcome |\n|---|---:|---:|---|")
    for name, (value, unit) in hostile().items():
        stream = Stream(Scrubber([("A", SecretValue(value))]))
        data = (unit * (MIB // len(unit) + 1))[:MIB]
        times, outcome = [], "scrubbed"
        for at in range(0, MIB, 65536):
            begun = time.process_time()
            try:
                stream.feed(data[at : at + 65536])
            except Refused:
                outcome = "withheld"
            times.append(time.process_time() - begun)
            if outcome == "withheld":
                break
        print(f"| {name} | {sum(times) * 1000:.0f} ms | {max(times) * 1000:.0f} ms | {outcome} |", flush=True)


def main() -> None:
    """Print the tables."""
    attacked()
    data = sources()
    print("| secrets | data | chunk | MB/s |\n|---:|---|---:|---:|")
    for count in (1, 10, 100, 1000):
        scrubber = Scrubber(values(count, 40))
        for name, body in data.items():
            for chunk in (16 * 1024, 64 * 1024, MIB) if count == 100 else (64 * 1024,):
                stream = Stream(scrubber)
                print(
                    f"| {count} | clean {name} | {chunk // 1024} KiB | {rate(body, stream.feed, chunk):.0f} |",
                    flush=True,
                )
    hit_values = values(100, 40)
    scrubber = Scrubber(hit_values)
    spaced = b"".join(b"x" * 4000 + value.reveal() for _, value in hit_values) * 100
    print(f"| 100 | a value every 4 KB | 64 KiB | {rate(spaced, Stream(scrubber).feed, 65536):.0f} |")
    print("\n| event of | added time, median | p99 |\n|---:|---:|---:|")
    for size in (50, 500, 5000):
        event = b"data: " + secrets.token_urlsafe(size)[: size - 8].encode() + b"\n\n"
        stream, times = Stream(scrubber, ends=EVENTS), []
        for _ in range(20_000):
            begun = time.perf_counter()
            stream.feed(event)
            times.append(time.perf_counter() - begun)
        times.sort()
        print(f"| {size} B | {statistics.median(times) * 1e6:.1f} µs | {times[int(len(times) * 0.99)] * 1e6:.1f} µs |")
    print("\n| secrets | each | built in |\n|---:|---:|---:|")
    for count, length in ((1, 40), (100, 40), (1000, 40), (100, 65_536)):
        given = values(count, length)
        begun = time.process_time()
        Scrubber(given)
        spent = time.process_time() - begun
        print(f"| {count} | {length} B | {spent * 1000:.0f} ms |")


if __name__ == "__main__":
    main()
