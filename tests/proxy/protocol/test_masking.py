"""Masks of WebSocket frames."""

import os

import pytest

from proxy.protocol.masking import LONG, masked


@pytest.mark.parametrize("length", [*range(9), LONG - 1, LONG, LONG + 1, LONG + 2, LONG + 3, 100_003])
def test_a_mask_is_applied_byte_by_byte(length: int) -> None:
    """Whichever way is quicker for the length; and once more gives what was there."""
    payload, key = os.urandom(length), os.urandom(4)
    wire = masked(payload, key)
    assert wire == bytes(byte ^ key[place % 4] for place, byte in enumerate(payload))
    assert masked(wire, key) == payload
