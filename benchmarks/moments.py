"""Moments: whether the time that a stream takes tells a true beginning of a value from a false one (two minutes).

Two stores have a value each, of one shape. A round asks both for both beginnings, in random order: two probes are true
(a store and a beginning of its own value), two are false (a store and a beginning of the other's). So every text and
every store is in both samples as often, and only what a store makes of a true beginning can tell them apart. Further
lines have several values in a store, and 16 KiB of a beginning over and over: what skips ahead where no value begins
shows there.

Two tests with other strengths compare the samples: Mann and Whitney's (does one kind take longer), and Kolmogorov and
Smirnov's (are the distributions the same). The last lines are controls, which the tests must tell: a store that holds
the whole value of the probe, and a search that stops at the first letter that differs, as one would write it.
"""

import argparse
import math
import random
import secrets
import statistics
import string
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import groupby

from benchmarks.report import table
from proxy.core.scrub import Scrubber
from proxy.core.scrub.stream import Stream
from store.model import SecretValue

ROUNDS = 1500
DENSE = 16_384
CHANCE = 0.001
"""The share of runs in which one line or more would be told apart by chance; divided by the number of tests."""
ALPHABETS = {
    "hex": "0123456789abcdef",
    "alphanumeric": string.ascii_letters + string.digits,
    "printable": string.ascii_letters + string.digits + "!#$%&()*,.:;<=>?@[]^{|}~",
}
FORMS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda value: value,
    "hex": lambda value: value.hex().encode(),
    "hex with blanks": lambda value: value.hex(" ").encode(),
    "percent": lambda value: b"".join(b"%%%02x" % byte for byte in value),
    "unicode escapes": lambda value: b"".join(b"\\u%04x" % byte for byte in value),
    "entities": lambda value: b"".join(b"&#x%02x;" % byte for byte in value),
    "octal": lambda value: b"".join(b"\\%03o" % byte for byte in value),
    "numbers": lambda value: ", ".join(f"{byte:3}" for byte in value).encode(),
    "UTF-16": lambda value: value.decode().encode("utf-16-le"),
}
Probe = Callable[[bytes], object]


def ranks(true: Sequence[int], false: Sequence[int]) -> float:
    """Return how likely samples of one population differ so much in their ranks (Mann-Whitney, ties counted)."""
    merged = sorted([(each, True) for each in true] + [(each, False) for each in false])
    total, place, ties = 0.0, 0, 0.0
    for _, group in groupby(merged, key=lambda each: each[0]):
        kinds = [kind for _, kind in group]
        total += sum(kinds) * (place + (len(kinds) + 1) / 2)
        ties += len(kinds) ** 3 - len(kinds)
        place += len(kinds)
    one, other = len(true), len(false)
    expected = one * (place + 1) / 2
    spread = math.sqrt(one * other / 12 * (place + 1 - ties / (place * (place - 1))))
    return math.erfc(abs(total - expected) / spread / math.sqrt(2)) if spread else 1.0


def distributions(true: Sequence[int], false: Sequence[int]) -> float:
    """Return how likely samples of one population are so far apart at any time (Kolmogorov-Smirnov)."""
    one, other = sorted(true), sorted(false)
    apart = max(abs(bisect_right(one, at) / len(one) - bisect_right(other, at) / len(other)) for at in {*one, *other})
    size = math.sqrt(len(one) * len(other) / (len(one) + len(other)))
    scaled = (size + 0.12 + 0.11 / size) * apart
    if scaled < 0.2:
        return 1.0
    return min(1.0, 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101)))


def scrubbed(value: bytes, others: int = 0) -> Probe:
    """Return a probe at a store that has this value and some others: a stream that is given a chunk, and ends."""
    values = [value, *(drawn("alphanumeric") for _ in range(others))]
    scrubber = Scrubber([("A", SecretValue(each)) for each in values])

    def probe(chunk: bytes) -> object:
        stream = Stream(scrubber)
        return stream.feed(chunk), stream.feed(b"~", final=True)

    return probe


def naive(value: bytes) -> Probe:
    """Return a probe at a search that goes along a value as far as it fits."""

    def probe(chunk: bytes) -> object:
        for start in range(len(chunk)):
            length = 0
            while chunk[start + length : start + length + 1] == value[length : length + 1] != b"":
                length += 1
        return None

    return probe


def compared(stores: Sequence[Probe], texts: Sequence[bytes], rounds: int) -> dict[bool, list[int]]:
    """Return the nanoseconds of true and of false probes."""
    order, times = random.Random(1), dict[bool, list[int]]({True: [], False: []})
    probes = [(store, text) for store in range(2) for text in range(2)]
    for _ in range(rounds):
        for store, text in order.sample(probes, 4):
            begun = time.perf_counter_ns()
            stores[store](texts[text])
            times[store == text].append(time.perf_counter_ns() - begun)
    return times


def drawn(alphabet: str) -> bytes:
    """Return a random value of forty letters."""
    return "".join(secrets.choice(ALPHABETS[alphabet]) for _ in range(40)).encode()


def main() -> None:
    """Print the table; exits with 1 where the scrubber can be told, or a control cannot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks moments", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of four probes, for each line")
    rounds = parser.parse_args().rounds
    lines: list[tuple[str, Callable[[bytes], Probe], Callable[[bytes], bytes], str, bool]] = [
        (
            f"{alphabet}, {name}",
            scrubbed,
            lambda value, form=form: form(value)[: len(form(value)) // 2],
            alphabet,
            False,
        )
        for alphabet in ALPHABETS
        for name, form in FORMS.items()
    ]
    lines += [
        (
            f"{count} values, {length} letters again and again",
            lambda value, count=count: scrubbed(value, count - 1),
            lambda value, length=length: (value[:length] + b"#####") * (DENSE // (length + 5)),
            "alphanumeric",
            False,
        )
        for count in (1, 2, 5, 10)
        for length in (1, 2, 8, 39)
    ]
    lines += [
        ("control: the whole value", scrubbed, bytes, "hex", True),
        ("control: a search along the value", naive, lambda value: value[:20], "hex", True),
    ]
    rows, right = [], True
    for name, store, part, alphabet, told in lines:
        values = [drawn(alphabet), drawn(alphabet)]
        texts = [b"some text " * 20 + part(value) for value in values]
        times = compared([store(value) for value in values], texts, rounds)
        chances = ranks(times[True], times[False]), distributions(times[True], times[False])
        found = min(chances) < CHANCE / (2 * len(lines))
        right = right and found == told
        medians = [f"{statistics.median(times[kind]) / 1000:.1f} µs" for kind in (True, False)]
        rows.append([name, *medians, *(f"{each:.2g}" for each in chances), "told" if found else "not told"])
    print(f"{4 * rounds} probes a line; told: one of the two tests says less than {CHANCE / (2 * len(lines)):.1g}.\n")
    print(table(["beginning of", "true, median", "false, median", "ranks, p", "distributions, p", ""], rows))
    if not right:
        sys.exit("a line is not as it should be")


if __name__ == "__main__":
    main()
