"""A search for the answer that takes the scrubber longest: mixtures of hits in all escapes, and what may upset them.

    python -m benchmarks scrub_worst [--seconds 90] [--seed 1] [--show 5]

Each answer is 64 KiB long, one piece, and holds its values again and again. What is told are the worst ones found, by
CPU time; the same seed draws the same answers in the same order, however many of them there is time for.
"""

import argparse
import random
import time

from proxy.core.scrub import Scrubber
from proxy.core.scrub.stream import Stream
from store.model import SecretValue

PIECE = 65536
VALUES = (
    b"sk-live-4Xq9Zb7Lm2PwK3vN8rT5yB1cD6fG0hJ2",
    b"p@ss;w}or&d%41\\x\"y'<>z",
    "pässwörd-ключ-€uro-12".encode(),
    b"0123456789abcdef0123456789abcdef",
)
ESCAPES = (
    b"%%%02x", b"%%25%02x", b"&#%d;", b"&#x%x;", b"&#%06d", b"&amp;#%d;", b"&#@%d;", b"\\u%04x", b"\\\\u%04x",
    b"\\x%02x", b"\\%03o", b"\\u{%x}", b"\\u{@%x}", b"%c",
)  # fmt: skip
"""Spellings of a byte; `@`: some zeros."""
BESIDE = (
    b"}", b";", b"&", b"%", b"\\", b"&#", b"&#0", b"&#59;", b"&amp;", b"%25", b"%3b", b"\\u{", b"\\u007d", b"0", b"a",
    b" ", b"\n", b'"', b"\0", b"+", b"=", b"\xc3\xa9", b"\xff",
)  # fmt: skip


def escaped(value: bytes, draw: random.Random) -> bytes:
    """Spell a value in one escape, and now and then in another."""
    usual = draw.choice(ESCAPES)
    some = ((usual if draw.random() < 0.9 else draw.choice(ESCAPES), byte) for byte in value)
    return b"".join(each.replace(b"@", b"0" * draw.choice((1, 6, 60))) % byte for each, byte in some)


def answer(values: list[bytes], draw: random.Random) -> bytes:
    """Make a text of one unit over and over, of a few, or of ever new ones."""

    def unit() -> bytes:
        parts = (
            escaped(draw.choice(values), draw)
            if draw.random() < 0.6
            else draw.choice(BESIDE) * draw.choice((1, 1, 2, 5, 30, 300, 3000))
            for _ in range(draw.randint(1, 5))
        )
        return b"".join(parts)

    units = [unit() for _ in range(draw.choice((1, 4, 1000)))]
    text = b""
    while len(text) < PIECE:
        text += draw.choice(units) + (b"%d" % draw.randrange(10**6) if len(units) > 4 else b"")
    return text[:PIECE]


def main() -> None:
    """Search, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scrub_worst", description=__doc__)
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=5)
    args = parser.parse_args()
    draw, ends, worst, count = random.Random(args.seed), time.monotonic() + args.seconds, list[tuple[float, bytes]](), 0
    while time.monotonic() < ends:
        values = draw.sample(VALUES, draw.randint(1, 3))
        text = answer(values, draw)
        stream = Stream(Scrubber([(f"S{at}", SecretValue(value)) for at, value in enumerate(values)]))
        begun = time.process_time()
        stream.feed(text, final=True)
        worst = sorted([*worst, (time.process_time() - begun, text)], reverse=True)[: args.show]
        count += 1
    print(f"{count} answers; the worst:")
    for took, text in worst:
        print(f"{1000 * took:5.0f} ms {PIECE / took / 1e6:6.2f} MB/s  {text[:60]!r}")


if __name__ == "__main__":
    main()
