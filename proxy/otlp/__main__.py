"""The process itself: reads lines from stdin, sends them in batches, ends with its input.

    python -m proxy.otlp FD

`FD` is a pipe with its configuration in JSON, which may hold a credential of the collector. On stdout it says how many
it gave up. See `proxy.admission.exporter`, which begins it.
"""

import json
import marshal
import os
import select
import signal
import sys
import time
from binascii import a2b_base64, crc32
from collections.abc import Iterator
from typing import Any, Final

from proxy.hardening import harden

EVERY: Final = 1.0
"""Seconds that a line waits at most for others."""
MOST: Final = 512
"""Lines of a batch."""
LONGEST: Final = 64 << 20
"""Bytes of a line; what is longer is no line."""


def lines(source: int) -> Iterator[list[dict[str, Any]]]:
    """Yield batches until the input's end."""
    rest, batch, due, ended = b"", list[dict[str, Any]](), time.monotonic() + EVERY, False
    while not ended:
        ready, _, _ = select.select([source], [], [], max(0.0, due - time.monotonic()))
        if ready:
            data = os.read(source, 1 << 16)
            ended = not data
            *whole, rest = (rest + data).split(b"\n")
            batch += [members for raw in whole for members in _read(raw)]
            rest = rest if len(rest) < LONGEST else b""
        late = time.monotonic() >= due
        if batch and (late or ended or len(batch) >= MOST):
            yield batch
            batch = []
        if late:
            due = time.monotonic() + EVERY


def _read(raw: bytes) -> list[dict[str, Any]]:
    """Return what a line of `proxy.admission.exporter` tells; nothing of half a line, left by one that died."""
    sum_, _, text = raw.partition(b" ")
    try:
        data = a2b_base64(text)
        if b"%08x" % crc32(data) != sum_:
            return []
    except ValueError:
        return []
    return [{**members, "at": at} for at, members in marshal.loads(data)]  # noqa: S302  # who began us wrote it


def main(argv: list[str]) -> int:
    """Run until the input ends."""
    harden()
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C and systemd mean all of us: it ends with its input
        signal.signal(number, signal.SIG_IGN)
    with os.fdopen(int(argv[0]), "rb") as given:
        config = json.loads(given.read())
    from egret.logs import configure  # noqa: PLC0415  # after harden()

    configure(config["format"], config["level"])
    from proxy.otlp.sending import Sender  # noqa: PLC0415  # after the log is ours

    parent = os.getppid()
    sender = Sender(config, lambda: os.getppid() != parent)
    for batch in lines(0):
        if lost := sender.send(batch):
            os.write(1, b"%d\n" % lost)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
