"""Frames as `websockets` writes and reads them."""

import os

import pytest
from websockets.frames import Frame as Theirs
from websockets.frames import Opcode

from proxy.protocol.frames import BINARY, CONTINUATION, LONG, TEXT, Reader, Violation, Writer, masked


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


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("size", [0, 40, 0xFFFF, 200_000])
def test_from_a_value_on_nothing_of_a_message_is_compressed(at: int, size: int) -> None:
    """In whichever fragment it is; what the other side reads is the same, and each length says what was put in."""
    texts = [b"canary-guess " * 20, b"canary-guess " * 30, b"", b"z" * size]
    writer, lengths = Writer(masked=False, deflate=True), list[int]()
    for value in (b"canary-guess ", b"canary-other "):
        reader, wires = Reader(masked=False, deflate=True, takeover=True, limit=1 << 20), list[bytes]()
        for number, text in enumerate(texts):
            opcode, payload = CONTINUATION if number else TEXT, text + value * (number == at)
            wires.append(writer.message(opcode, payload, final=number == 3, compress=True, sealed=number == at))
        frames = list(reader.feed(b"".join(wires)))
        assert b"".join(frame.payload for frame in frames) == b"".join((*texts[: at + 1], value, *texts[at + 1 :]))
        assert bool(wires[0][0] & 0x40) == (at > 0)
        assert all(len(wire) < 60 for wire in wires[:at])
        assert all(len(wire) >= len(text) for wire, text in zip(wires[at:], texts[at:], strict=True))
        lengths.append(sum(map(len, wires)))
    assert lengths[0] == lengths[1]
    again = writer.message(TEXT, texts[0], final=True, compress=True)
    assert again[0] & 0x40
    assert len(again) < 60
