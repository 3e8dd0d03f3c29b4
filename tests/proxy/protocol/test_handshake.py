"""What is agreed on with a client, and kept."""

import random
import zlib

import pytest

from proxy.protocol.frames import BINARY, TAIL, Reader, Writer
from proxy.protocol.handshake import agree


def offered(*elements: str):
    return agree(tuple((b"Sec-WebSocket-Extensions", element.encode()) for element in elements))


@pytest.mark.parametrize("bits", range(9, 16))
def test_the_window_that_a_client_asks_for_is_kept(bits):
    """Clients that inflate with a small window get no reference beyond it (RFC 7692 7.1.2.1)."""
    found = offered(f"permessage-deflate; server_max_window_bits={bits}")
    assert found.answer.decode().endswith(f"; server_max_window_bits={bits}")
    assert found.window <= bits
    piece = random.Random(1).randbytes(1000)
    sent = Writer(masked=True, deflate=True, window=found.window).message(BINARY, piece * 20, final=True, compress=True)
    [frame] = Reader(masked=True, deflate=False, takeover=False, limit=1 << 20).feed(
        bytes((sent[0] & 0xBF,)) + sent[1:]
    )
    inflate = zlib.decompressobj(-bits)  # a byte at a time: what came before is then in its window alone
    assert b"".join(inflate.decompress(bytes((byte,))) for byte in frame.payload + TAIL) == piece * 20


@pytest.mark.parametrize("bits", ["", "=7", "=8", "=08", "=09", "=16", "=99"])
def test_a_window_that_cannot_be_is_not_agreed_on(bits):
    """The next offer may be."""
    declined = f"permessage-deflate; server_max_window_bits{bits}"
    assert offered(declined) is None
    assert b"server_max" not in offered(declined, "permessage-deflate").answer
    assert b"server_max" not in offered(f"{declined}, permessage-deflate").answer
