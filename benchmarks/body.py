"""Searching request bodies on one core: clean, hit and encoded ones, by kind."""

import gzip
import os
import time

from proxy.core import body
from proxy.core.limits import Limits
from proxy.core.message import Head
from store.model import Denial, Destination, Kind, Location, SecretValue, Use

MIB = 1 << 20
SIZE = 256 * MIB
ROUNDS = 3
HOST = Destination(secure=True, host="api.example.com", port=443)
KINDS = (
    "application/json",
    "application/x-www-form-urlencoded",
    "text/plain",
    "application/xml",
    "multipart/form-data; boundary=B1",
)
ROW = b'{"id": 12345, "url": "https://example.com/a%20b?c=d", "text": "SECRETS, VARS, words, \\u00e9\\n", "v": [1]},\n'


class Grant:
    """A value that is at hand: opening is not what is measured."""

    name, kind, version = "KEY", Kind.SECRET, 1

    @staticmethod
    def open() -> SecretValue:
        """Give it."""
        return SecretValue(b"canary-0123456789")


class Names:
    """One name, allowed everywhere."""

    @staticmethod
    def resolve(_kind: Kind, name: str, _use: Use) -> Grant | Denial:
        """Grant it."""
        return Grant() if name == "KEY" else Denial.UNKNOWN

    @staticmethod
    def reachable(_destination: Destination, _location: Location) -> bool:
        """Everywhere."""
        return True


def rate(kind: str, data: bytes, chunk: int, coding: str = "") -> float:
    """Best MB/s of CPU time, of the bytes as sent."""
    head = Head("POST", b"/", ((b"Content-Type", kind.encode()), (b"Content-Encoding", coding.encode())), HOST)
    pieces = [data[at : at + chunk] for at in range(0, len(data), chunk)]
    best = float("inf")
    for _ in range(ROUNDS):
        rewriter = body.rewriter(
            head, Names(), Limits(body_bytes=1 << 40, expansion_bytes=1 << 40, inflate_ratio=10_000)
        )
        if not isinstance(rewriter, body.Rewriter):
            raise TypeError(rewriter)
        begun = time.process_time()
        for piece in pieces:
            rewriter.feed(piece)
        rewriter.finish()
        best = min(best, time.process_time() - begun)
    return len(data) / best / 1e6


def main() -> None:
    """Print the table."""
    binary = os.urandom(MIB) * (SIZE // MIB)
    text = (ROW * (MIB // len(ROW) + 1))[:MIB] * (SIZE // MIB)
    print("| body | kind | chunk | MB/s |\n|---|---|---:|---:|")
    for kind in KINDS:
        for name, data in (("clean binary", binary), ("clean JSON", text)):
            for chunk in (16 * 1024, 64 * 1024):
                print(
                    f"| {name} | {kind.split(';')[0]} | {chunk // 1024} KiB | {rate(kind, data, chunk):.0f} |",
                    flush=True,
                )
    hit = (b"x" * 4000 + b"#{SECRETS.KEY}") * 4000
    dense = b'"#{SECRETS.KEY}",' * 200_000
    print(f"| a placeholder every 4 KB | text/plain | 64 KiB | {rate('text/plain', hit, 65536):.0f} |")
    print(f"| nothing but placeholders | application/json | 64 KiB | {rate('application/json', dense, 65536):.0f} |")
    coded = gzip.compress(text[: 16 * MIB], 6)
    share = rate("application/json", coded, 65536, "gzip")
    print(f"| clean JSON under gzip, decoded | application/json | 64 KiB | {share * 16 * MIB / len(coded):.0f} |")


if __name__ == "__main__":
    main()
