"""Frames as `websockets` writes and reads them."""

import itertools
import os
import zlib
from collections.abc import Iterable
from functools import partial

import pytest
import sockets
from draw import Draw
from websockets.frames import Frame as Theirs
from websockets.frames import Opcode

from proxy.protocol.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PIECE,
    PING,
    TEXT,
    Frame,
    Reader,
    Violation,
    Writer,
)


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


MESSAGES = {
    "text": partial(sockets.frame, TEXT, b"hello"),
    "the longest short one": partial(sockets.frame, TEXT, b"x" * 125),
    "a longer one": partial(sockets.frame, TEXT, b"x" * 126),
    "a short one in more bytes than it needs": partial(sockets.frame, TEXT, b"hello", size=2),
    "text that is no ASCII": partial(sockets.frame, TEXT, "größer".encode()),
    "text that is no UTF-8": partial(sockets.frame, TEXT, b"\xff"),
    "text that is cut in a letter": partial(sockets.frame, TEXT, b"\xc3"),
    "bytes": partial(sockets.frame, BINARY, b"\xff\0"),
    "nothing": partial(sockets.frame, BINARY),
    "a beginning": partial(sockets.frame, TEXT, b"gr\xc3", final=False),
    "an end": partial(sockets.frame, CONTINUATION, b"\xb6n"),
    "a ping": partial(sockets.frame, PING, b"?"),
    "a close": partial(sockets.frame, CLOSE, b"\x03\xe8"),
    "said to be compressed": partial(sockets.frame, TEXT, b"hello", rsv1=True),
    "reserved": partial(sockets.frame, BINARY, b"hello", rsv=0x20),
}


def _read(reader: Reader, pieces: Iterable[bytes]) -> tuple[list[Frame], int]:
    """Return what is read until the peer breaks a rule, and the code of that; 0 for none."""
    got = list[Frame]()
    try:
        for piece in pieces:
            got.extend(reader.feed(piece))
    except Violation as violation:
        return got, violation.code
    return got, 0


@pytest.mark.parametrize("limit", [120, 1 << 20])
@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("expected", [True, False])
def test_what_is_there_at_once_is_read_as_what_comes_byte_by_byte(limit: int, sent: bool, expected: bool) -> None:
    """A short message that is all there is read in one step; whatever stands around it, that tells nobody."""
    read = set()
    for frames in itertools.product(MESSAGES, repeat=3):
        wire = b"".join(MESSAGES[name](masked=sent) for name in frames)
        at_once, one_by_one = (
            _read(Reader(masked=expected, deflate=False, takeover=True, limit=limit), pieces)
            for pieces in ([wire], [bytes([byte]) for byte in wire])
        )
        assert at_once == one_by_one, frames
        read.add(at_once[1])
    assert read == ({0, 1002, 1007} | ({1009} if limit < 125 else set()) if sent is expected else {1002})


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


def given(reader: Reader, wire: bytes, size: int) -> list[Frame]:
    """Return what is read, asking for one piece at a time, and giving `size` bytes."""
    frames = list[Frame]()
    for at in range(0, len(wire), size):
        data = wire[at : at + size]
        while frame := next(reader.feed(data), None):
            frames.append(frame)
            data = b""
    return frames


@pytest.mark.parametrize("size", [1000, 1 << 30])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("length", [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE, 1_000_003])
def test_a_long_frame_is_given_in_pieces(length: int, packed: bool, size: int) -> None:
    """Kilobytes inflate to megabytes, and who is given them must be able to stop; what follows is read as well."""
    text = Draw(length).randbytes(length // 16) + b"z" * (length - length // 16)
    payload = sockets.deflate(text) if packed else text
    one = sockets.frame(BINARY, payload, masked=True, rsv1=packed)
    ping = sockets.frame(9, b"hi", masked=True)
    reader = Reader(masked=True, deflate=True, takeover=False, limit=1 << 20)
    frames = given(reader, one + ping + one, size)
    pings = [place for place, frame in enumerate(frames) if frame.opcode == 9]
    assert [frames[place].payload for place in pings] == [b"hi"]
    for part in (frames[: pings[0]], frames[pings[0] + 1 :]):
        assert b"".join(frame.payload for frame in part) == text
        assert max(len(frame.payload) for frame in part) <= PIECE
        assert len(part) <= length // PIECE + 1 + packed * len(payload) // PIECE
        assert [frame.opcode for frame in part] == [BINARY] + [CONTINUATION] * (len(part) - 1)
        assert [frame.final for frame in part] == [False] * (len(part) - 1) + [True]
        assert [frame.more for frame in part] == [True] * (len(part) - 1) + [False]


def test_what_inflates_over_the_limit_is_not_given() -> None:
    """Counted as it grows; what was given before is no more than the limit."""
    reader = Reader(masked=True, deflate=True, takeover=False, limit=3 * PIECE)
    taken = 0
    with pytest.raises(Violation) as caught:
        for frame in reader.feed(sockets.frame(TEXT, sockets.deflate(b"x" * (64 << 20)), masked=True, rsv1=True)):
            taken += len(frame.payload)
    assert caught.value.code == 1009
    assert taken == 3 * PIECE


def test_a_character_may_stand_on_a_cut() -> None:
    """Text is checked as a whole."""
    text = ("ä" * PIECE).encode()
    reader = Reader(masked=True, deflate=True, takeover=False, limit=1 << 20)
    whole, broken = (
        sockets.frame(TEXT, sockets.deflate(start + text), masked=True, rsv1=True) for start in (b"x", b"x\xc3")
    )
    assert b"".join(frame.payload for frame in reader.feed(whole)) == b"x" + text
    with pytest.raises(Violation) as caught:
        list(reader.feed(broken))
    assert caught.value.code == 1007


@pytest.mark.parametrize("takeover", [True, False])
def test_a_window_spans_messages_that_are_given_in_pieces(takeover: bool) -> None:
    """The second message refers to the first one, where that was agreed."""
    text = Draw("window").randbytes(30_000) * 9
    packer = zlib.compressobj(wbits=-15)
    wires = [sockets.deflate(text, packer if takeover else None) for _ in range(3)]
    reader = Reader(masked=True, deflate=True, takeover=takeover, limit=1 << 20)
    frames = [
        frame for wire in wires for frame in given(reader, sockets.frame(BINARY, wire, masked=True, rsv1=True), 4096)
    ]
    messages = [b""]
    for frame, after in itertools.zip_longest(frames, frames[1:]):
        messages[-1] += frame.payload
        if frame.final and after is not None:
            messages.append(b"")
    assert messages == [text] * 3


def ended(text: bytes) -> bytes:
    """A message as RFC 7692 7.2.3.4 has it: its last block says that it is final, and a byte more makes its tail fit."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(text) + packer.flush() + b"\0"


@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("bare", [True, False])
def test_what_follows_a_final_block_is_read_too(takeover: bool, bare: bool) -> None:
    """In its message, in one that is compressed on its own, and in all that come; some leave the last byte out."""
    reader = Reader(masked=False, deflate=True, takeover=takeover, limit=1 << 20)
    text, long = b"canary-" * 40, b"x" * (3 * PIECE)
    wires = [
        ended(text)[: -1 if bare else None],
        ended(text)[:-1] + ended(b"more"),
        ended(b""),
        sockets.deflate(text),
        ended(long)[:-1] + sockets.deflate(text),
    ]
    got = list[bytes]()
    for wire in wires:
        message = b""
        for frame in reader.feed(sockets.frame(TEXT, wire, rsv1=True)):
            message += frame.payload
        assert frame.final
        got.append(message)
    assert got == [text, text + b"more", b"", text, long + text]


def test_final_blocks_without_end_are_a_violation() -> None:
    """Each begins a stream anew, for two bytes."""
    reader = Reader(masked=False, deflate=True, takeover=True, limit=1 << 20)
    assert sum(len(f.payload) for f in reader.feed(sockets.frame(TEXT, b"\x03\0" * 15 + b"\x03\0\0", rsv1=True))) == 0
    with pytest.raises(Violation) as caught:
        list(reader.feed(sockets.frame(TEXT, b"\x03\0" * 17, rsv1=True)))
    assert caught.value.code == 1007
