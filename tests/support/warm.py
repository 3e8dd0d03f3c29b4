"""Warm GETs over a real store: how much of our code one runs through.

Fewer functions are fewer rooms to know, and less to pay for.
"""

import asyncio
import gzip
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from counting import functions
from stores import Store, secret

import proxy as package
import store

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"a": "b c"}'
_PACKED = gzip.compress(b'{"a": "b c"}' * 100, mtime=0)
GZIPPED = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(_PACKED) + _PACKED
SEARCHING = {"search.py Search.matches", "stream.py Stream.feed"}
"""What an answer runs through where it is searched, and nowhere else."""
CREDENTIALS = {"injected": b"#{SECRETS.KEY}", "searched": b"of-its-own", "elsewhere": b"of-its-own"}
"""What a GET sends: a placeholder; none, where the answer is searched for the secret; none, where it cannot be."""


@contextmanager
def stored(folder: Path):
    """Give a store of its own, and what reads it as the data plane does."""
    made = Store.make(folder / "store")
    reader = made.reader(max_stale=600.0)
    try:
        yield made, reader
    finally:
        reader.close()
        made.close()


def token(made: Store, kind: str, here: str, **options) -> str:
    """Upload a dataset whose secret may go `here`, to host and port, or elsewhere; return a session's token.

    Where the kind is `without`, there is none.
    """
    host = "other.example" if kind == "elsewhere" else here
    held = () if kind == "without" else (secret("KEY", b"sk-abcdefgh-12345678", (host,)),)
    made.dataset(*held, egress={"default": "allow"})
    return made.token(**options)


def fields(kind: str) -> bytes:
    """What a client sends with each request, besides its target and its Host."""
    usual = b"User-Agent: python-requests/2.32\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n"
    return usual + b"Authorization: Bearer " + CREDENTIALS.get(kind, b"of-its-own") + b"\r\n"


def ran(running, ask: Callable[[], bytes]) -> list[str]:
    """Ask some times; return what each of the last runs through: beside some of them the clock has other things done."""
    rans = []
    for _ in range(7):
        with functions(running.thread, package, store) as codes:
            assert ask().startswith(b"HTTP/1.1 200 OK\r\n")
            running.run(asyncio.sleep(0))  # what is done after the answer is done
        rans.append(codes)
    return sorted(f"{Path(code.co_filename).name} {code.co_qualname}" for code in set.intersection(*rans[4:]))
