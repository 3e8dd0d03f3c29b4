"""Every vector, through the pure core, whole and cut into pieces of every small size."""

import pytest
from core import Passed, answer, head_of, send
from vectors import Vector, load, undo

from proxy.core.refusal import Refusal

SIZES = (0, 1, 2, 3, 5, 7, 11, 16, 64, 1000)
LARGE = 20_000


def sizes(data: bytes) -> tuple[int, ...]:
    return SIZES if len(data) < LARGE else (0, 999, 65_536)


def sent_bytes(vector: Vector) -> bytes:
    return max((vector.request.wire, *vector.request.messages), key=len)


@pytest.mark.parametrize("vector", load(), ids=str)
def test_the_upstream_gets_what_the_vector_says(vector: Vector) -> None:
    """Injected, carried, refused or untouched, however the body was cut."""
    for size in sizes(sent_bytes(vector)):
        check(vector, send(vector, size))


def check(vector: Vector, passed: Passed | Refusal) -> None:
    if vector.expect == "refused":
        assert isinstance(passed, Refusal)
        assert passed.code == vector.code
        assert vector.secret in ("", passed.secret)
        return
    assert isinstance(passed, Passed)
    assert bool(passed.injected) == (vector.expect == "injected") or vector.expect in (
        "carried",
        "scrubbed",
        "clean",
        "withheld",
        "documented",
    )
    if vector.expect in ("carried", "injected"):
        assert passed.carried == ({vector.secret: vector.code} if vector.code else {})
    if vector.upstream is None:
        return
    assert passed.target == (vector.upstream.target if vector.upstream.target != b"/" else passed.target)
    if vector.upstream.fields:
        assert passed.fields == vector.upstream.fields
    if vector.upstream.body is not None:
        assert undo(vector.upstream.coding, passed.wire) == vector.upstream.body
    if vector.expect == "untouched":
        assert passed.wire == vector.request.wire
    if vector.upstream.messages:
        assert passed.messages == vector.upstream.messages


@pytest.mark.parametrize("vector", [v for v in load() if v.answer], ids=str)
def test_the_client_gets_what_the_vector_says(vector: Vector) -> None:
    """Scrubbed, however the answer was cut; a chosen subprotocol comes back as the client spelled it."""
    assert vector.answer
    sent = vector.answer
    for size in sizes(max((sent.wire, *sent.messages), key=len)):
        back = answer(vector, sent, size)
        if vector.expect == "withheld":
            assert isinstance(back, Refusal)
            assert (back.code, back.status) == (vector.code, 502)
            continue
        assert not isinstance(back, Refusal)
        assert vector.client
        fields = back.fields
        if vector.surface == "protocol":
            passed = send(vector)
            assert isinstance(passed, Passed)
            assert passed.plan
            fields = tuple((name, passed.plan.protocol(head_of(vector), value) or b"") for name, value in sent.fields)
        if vector.client.fields:
            assert fields == vector.client.fields
        assert back.reason == vector.client.reason
        if vector.client.body is not None:
            assert undo(vector.client.coding, back.wire) == vector.client.body
        assert back.messages == vector.client.messages
        if vector.expect == "clean":
            assert back.wire == sent.wire
