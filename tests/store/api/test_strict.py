import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.api import strict
from store.api.dataset_models import DatasetIn
from store.api.problem import Fault
from store.errors import Invalid

CANARY = "canary-9f3Kq7Zp2Wx8"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b'{"a":1,}', b"{'a':1}", b"nul", b"[1 2]", b'"\t"', b"\xff", b'{"a":"\xff"}', b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"), b"NaN", b"[Infinity]", b"[-Infinity]", b"1e999", b'{"a":1,"a":2}',
        b'[{"x":{"b":1,"b":1}}]', b"1" * 20, b"-" + b"9" * 5000, b"[" * 100_000, b'{"a":' * 50_000,
        b"[" * 40 + b"]" * 40, b"{} {}", b"{}\x00", rb'{"a":"\ud800"}', rb'{"\udfff":1}', rb'["\ud83d\ud83d\ude00"]',
    ],
)  # fmt: skip
def test_what_is_not_plain_json_is_refused(data):
    """One document, one reading: all else is bad_json, without a context that would hold the bytes."""
    with pytest.raises(Fault) as caught:
        strict.read_json(data)
    assert caught.value.code == "bad_json"
    assert (caught.value.__cause__ is None and caught.value.__suppress_context__) or caught.value.__context__ is None


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
                    max_leaves=20))  # fmt: skip
def test_plain_json_is_read_as_it_is(document):
    """Every ordinary document comes back equal."""
    import json

    assert strict.read_json(json.dumps(document).encode()) == document


def test_whole_floats_are_whole_numbers():
    """JSON has one kind of number."""
    assert strict.read_json(b"[5.0, 5e0, 1E2, 0.5]") == [5, 5, 100, 0.5]
    assert strict.read_json(rb'"\ud83d\ude00"') == "\U0001f600"
    assert type(strict.read_json(b"5.0")) is int


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({CANARY: 1, "name": "x"}, ("/?", "unknown_field")),
        ({"name": {CANARY: CANARY}}, ("/name", "wrong_type")),
        ({"name": "x", "secrets": [{"name": "A", "value": "v", CANARY: "x"}]}, ("/secrets/0/?", "unknown_field")),
        ({"name": "x", "secrets": {CANARY: 1}}, ("/secrets", "wrong_type")),
        ({"name": "x", "egress": {CANARY: []}}, ("/egress/?", "unknown_field")),
        ({"name": "x", "hosts": [{"host": "a.test", CANARY: 1}]}, ("/hosts/0/?", "unknown_field")),
        ([CANARY], ("", "wrong_type")),
        (CANARY, ("", "wrong_type")),
        (None, ("", "wrong_type")),
    ],
)
def test_faults_name_places_of_ours_only(document, place):
    """A pointer is made of our own field names and of positions; the rest of a place is `?`."""
    with pytest.raises(Invalid) as caught:
        strict.check(DatasetIn, document)
    places = [(each.pointer, each.code) for each in caught.value.problems]
    assert place in places
    assert CANARY not in repr(caught.value.problems)


@given(st.dictionaries(st.text(), st.text() | st.lists(st.dictionaries(st.text(), st.text(), max_size=3), max_size=3)))
def test_no_fault_repeats_input(document):
    """Whatever comes in, no sentence and no pointer of a fault holds a word of it."""
    try:
        strict.check(DatasetIn, document)
    except Invalid as error:
        for each in error.problems:
            parts = [part for part in each.pointer.split("/") if part]
            assert all(part == "?" or part.isdigit() or part in strict.declared(DatasetIn) for part in parts)
            assert each.detail and each.code.isidentifier()
