"""Frames as `websockets` writes and reads them."""

import os

import pytest
from websockets.frames import Frame as Theirs
from websockets.frames import Opcode

from proxy.protocol.frames import BINARY, LONG, Reader, Violation, Writer, masked


@pytest.mark.parametrize("length", [*range(9), LONG - 1, LONG, LONG + 1, LONG + 2, LONG + 3, 100_003])
def test_a_mask_is_applied_byte_by_byte(length: int) -> None:
    """Whichever way is quicker for the length; and once more gives what was there."""
    payload, key = os.urandom(length), os.urandom(4)
    wire = masked(payload, key)
    assert wire == bytes(byte ^ key[place % 4] for place, byte in enumerate(payload))
    assert masked(wire, key) == payload


@pytest.mark.parametrize("length", [0, 125, 126, 0xFFFF, 0x10000])
def test_frames_are_read_as_others_write_them(length: int) -> None:
    """From a client, byte by byte."""
    payload = os.urandom(length)
    reader = Reader(masked=True, deflate=False, takeover=True, limit=1 << 20)
    wire = Theirs(Opcode.BINARY, payload).serialize(mask=True)
    got = [frame for byte in wire[:20] for frame in reader.feed(bytes([byte]))] + list(reader.feed(wire[20:]))
    assert [(frame.opcode, frame.payload, frame.final) for frame in got] == [(BINARY, payload, True)]
    sent = Writer(masked=False, deflate=False).message(BINARY, payload, final=True, compress=False)
    assert sent == Theirs(Opcode.BINARY, payload).serialize(mask=False)


def test_a_length_that_is_not_the_shortest_is_a_violation() -> None:
    """RFC 6455 5.2."""
    reader = Reader(masked=True, deflate=False, takeover=True, limit=1 << 20)
    with pytest.raises(Violation):
        list(reader.feed(b"\x82\xfe\x00\x05" + bytes(4) + b"hello"))
