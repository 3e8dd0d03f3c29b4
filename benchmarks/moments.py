"""Moments: whether the time that a stream takes tells a true beginning of a value from a false one.

For each form: thousands of probes, true and false ones by turns, each a chunk that ends in the first half of a form of
a value, or of another text of the same classes. Printed are both medians, and how often a probe of one kind took longer
than one of the other: one half is chance.
"""

import random
import secrets
import statistics
import time
from collections.abc import Callable

from proxy.core.scrub import Scrubber
from proxy.core.scrub.stream import Stream
from store.model import SecretValue

PROBES = 5000
TURNED = [bytes.maketrans(b"0123456789abcdef", turned) for turned in (b"1234567890bcaefd", b"7890123456cabfde")]
"""Other digits, each as long when it is written as a number."""

FORMS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda value: value,
    "hex": lambda value: value.hex().encode(),
    "percent": lambda value: b"".join(b"%%%02x" % byte for byte in value),
    "unicode escapes": lambda value: b"".join(b"\\u%04x" % byte for byte in value),
    "numbers": lambda value: ", ".join(map(str, value)).encode(),
}


def spent(scrubber: Scrubber, chunk: bytes) -> int:
    """Return the nanoseconds that one probe takes."""
    stream = Stream(scrubber)
    begun = time.perf_counter_ns()
    stream.feed(chunk)
    stream.feed(b"~", final=True)
    return time.perf_counter_ns() - begun


def main() -> None:
    """Print the table."""
    value = secrets.token_hex(20).encode()
    scrubber = Scrubber([("A", SecretValue(value))])
    order = random.Random(1)  # which kind of probe comes first
    print("| form | true, median | false, median | true took longer |\n|---|---:|---:|---:|")
    for name, form in FORMS.items():
        times: dict[bool, list[int]] = {True: [], False: []}
        for _ in range(PROBES):
            text = form(value)
            probes = {True: text, False: form(value.translate(order.choice(TURNED)))}
            chunks = {kind: b"some text " * 50 + probe[: len(text) // 2] for kind, probe in probes.items()}
            for kind in order.sample((True, False), 2):
                times[kind].append(spent(scrubber, chunks[kind]))
        longer = sum(one > other for one, other in zip(times[True], times[False], strict=True)) / PROBES
        medians = [statistics.median(times[kind]) / 1000 for kind in (True, False)]
        print(f"| {name} | {medians[0]:.1f} µs | {medians[1]:.1f} µs | {longer:.1%} |", flush=True)


if __name__ == "__main__":
    main()
