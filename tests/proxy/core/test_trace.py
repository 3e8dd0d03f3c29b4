"""Trace Context: what is taken of it, and what goes on."""

import re

import pytest

from proxy.core.trace import followed, passed_on

ID, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GIVEN = f"00-{ID}-{PARENT}-01".encode()


def test_a_trace_is_followed():
    """Our span is the parent of what comes next; all else stays, in its order and its spelling."""
    fields = ((b"A", b"1"), (b"TraceParent", GIVEN), (b"tracestate", b"x=y"), (b"traceparenT2", GIVEN))
    trace = followed(fields)
    assert trace[:3] == (ID, PARENT, "01")
    assert re.fullmatch(r"[0-9a-f]{16}", trace.span)
    assert trace.span not in (PARENT, followed(fields).span)
    ours = f"00-{ID}-{trace.span}-01".encode()
    assert passed_on(fields, trace) == (fields[0], (b"TraceParent", ours), *fields[2:])
    assert passed_on(fields[:1], trace) == fields[:1]


@pytest.mark.parametrize(
    "value",
    [
        GIVEN.upper(),
        GIVEN + b" ",
        GIVEN + b"-00",
        GIVEN[:-1],
        GIVEN.replace(b"00-", b"01-", 1),
        GIVEN.replace(b"00-", b"ff-", 1),
        GIVEN.replace(ID.encode(), b"0" * 32),
        GIVEN.replace(PARENT.encode(), b"0" * 16),
        b"#{SECRETS.KEY}",
        b"00-" + b"#{SECRETS.KEY}" + b"-" + PARENT.encode() + b"-01",
        b"",
    ],
)
def test_what_is_no_trace(value):
    assert followed(((b"traceparent", value),)) is None


def test_two_are_none():
    """It is not known which is meant (W3C 3.2)."""
    assert followed(((b"traceparent", GIVEN), (b"Traceparent", GIVEN))) is None
    assert followed(()) is None


def test_spans_are_their_own():
    found = {followed(((b"traceparent", GIVEN),)).span for _ in range(1000)}
    assert len(found) == 1000
