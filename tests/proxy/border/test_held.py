"""A body that is needed before its head: hashed, in order, with a bound on memory and on all of it."""

import hashlib

import pytest
from draw import Draw

from proxy.border import held
from proxy.border.held import Held
from proxy.core.refusal import Refused


@pytest.mark.parametrize("sizes", [[], [10], [100], [60, 40], [99, 1, 1], [300, 1, 500]])
def test_what_was_written_is_read_once(sizes):
    """The beginning from memory, the rest from a file, which is there only where there is more than the memory."""
    draw, body = Draw("held"), Held(100)
    pieces = [draw.randbytes(size) for size in sizes]
    for piece in pieces:
        body.write(piece)
    whole = b"".join(pieces)
    assert body.digest == hashlib.sha256(whole).hexdigest()
    assert body.overflows is (len(whole) > 100)
    assert body.beginning() + b"".join(body.rest()) == whole
    assert body.beginning() == b""
    body.close()


def test_a_body_that_is_too_long_is_refused(monkeypatch):
    """At the byte that is too many."""
    monkeypatch.setattr(held, "MOST_HELD", 1000)
    body = Held(100)
    body.write(b"x" * 1000)
    with pytest.raises(Refused) as caught:
        body.write(b"x")
    assert caught.value.refusal.code == "signed_body_too_large"
    body.close()


def test_a_disk_that_is_full_fails_closed(monkeypatch):
    """In words that hold no path."""

    def full(*_, **__):
        raise OSError(28, "No space left on device", "/somewhere")

    monkeypatch.setattr(held.tempfile, "TemporaryFile", full)
    with pytest.raises(Refused) as caught:
        Held(1).write(b"xx")
    assert caught.value.refusal.code == "internal"
