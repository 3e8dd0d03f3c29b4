"""What may be seen of an answer with credentials: nothing of them, and nothing that was not understood."""

import json

import pytest
from draw import Draw
from hypothesis import given
from hypothesis import strategies as st

from proxy.core import capture
from proxy.core.capture import Gathered, Unfit, may_pass, replaced
from proxy.core.limits import Limits

TOKEN = Draw("capture").letters(40)


def seen(document, *members, status=200):
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    made, held = replaced(text, status, members, lambda member, value: f"<{member}>")
    return json.loads(made), {member: value.reveal().decode() for member, value in held.items()}


def test_members_are_replaced_where_they_are():
    """Inside others too; the rest is as it was; what is null, empty or not there is no value."""
    document = {"auth": {"client_token": TOKEN, "lease": 1.5}, "b": TOKEN + "b", "c": None, "d": "", "é": ["x"]}
    made, held = seen(document, "auth.client_token", "b", "c", "d", "e", "c.x", "none.x.y")
    assert made == document | {"auth": {"client_token": "<auth.client_token>", "lease": 1.5}, "b": "<b>"}
    assert held == {"auth.client_token": TOKEN, "b": TOKEN + "b"}


@pytest.mark.parametrize(
    "document", [{"a": {}}, {"a": [TOKEN]}, {"a": {"b": {}}}, {"a": {"b": True}}, {"a": TOKEN}, [], "x"]
)
def test_what_is_of_another_form_is_unfit(document):
    with pytest.raises(Unfit):
        seen(document, "a.b")


@pytest.mark.parametrize("status", [200, 201, 400, 503])
def test_an_answer_without_members_is_an_error(status):
    """By its status, or by what it says (RFC 6749 5.2)."""
    assert seen({"error": "no"}, "a", status=status) == ({"error": "no"}, {})
    if status >= 400:
        assert seen({"x": 1}, "a", status=status) == ({"x": 1}, {})
    else:
        with pytest.raises(Unfit):
            seen({"x": 1}, "a", status=status)
    assert seen({"error": "no", "a": TOKEN}, "a", status=status)[0] == {"error": "no", "a": "<a>"}


def test_statuses_that_are_looked_into():
    """No redirect, no part, nothing that is not known."""
    passing = [status for status in range(101, 600) if may_pass(status)]
    assert passing == [200, 201, 202, 203, 204, 205, *range(400, 600)]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda each: st.lists(each) | st.dictionaries(st.text(), each)))  # fmt: skip
def test_no_document_shows_a_value(rest):
    """Whatever stands beside it."""
    document = {"x": rest, "token": TOKEN}
    made, held = seen(document, "token")
    assert made == document | {"token": "<token>"} and held == {"token": TOKEN}


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_unfit(data):
    try:
        made, _ = replaced(b'{"token": "' + data, 200, ["token"], lambda member, value: "<>")
    except Unfit:
        return
    assert json.loads(made)["token"] == "<>" or "error" in json.loads(made)


def test_a_body_is_bounded_before_and_after_it_is_decoded():
    """One byte more is too much, in whatever pieces."""
    for size, fits in ((capture.MOST, True), (capture.MOST + 1, False)):
        for step in (1000, size):
            gathered, taken = Gathered((), Limits()), 0
            try:
                for start in range(0, size, step):
                    gathered.feed(bytes(min(step, size - start)))
                taken = len(gathered.end())
            except Unfit:
                pass
            assert (taken == size) is fits
