"""How a WebSocket client masks what it sends (RFC 6455 5.3)."""

import functools
from typing import Final

LONG: Final = 1 << 10
"""From here on a payload is masked in four strides."""


def masked(payload: bytes, key: bytes) -> bytes:
    """Mask or unmask: short ones by one long integer, others byte by byte of the key, both in C."""
    length = len(payload)
    if length < LONG:
        pad = (key * (length // 4 + 1))[:length]
        return (int.from_bytes(payload, "little") ^ int.from_bytes(pad, "little")).to_bytes(length, "little")
    made = bytearray(length)
    for place, byte in enumerate(key):
        made[place::4] = payload[place::4].translate(_table(byte))
    return bytes(made)


@functools.cache
def _table(byte: int) -> bytes:
    return bytes(byte ^ each for each in range(0x100))
