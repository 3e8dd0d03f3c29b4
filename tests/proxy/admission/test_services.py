"""A token is proven once, and its session is asked for each time."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from memory import Reader

from proxy.admission import services
from proxy.admission.services import Services
from proxy.admission.trail import Trail
from proxy.core.limits import Limits
from proxy.core.refusal import Refused


@pytest.fixture
def reader():
    return Reader()


@pytest.fixture
def shared(reader):
    budgets = SimpleNamespace(ended=lambda _caller: False)
    return Services(reader, SimpleNamespace(), Limits(), SimpleNamespace(), budgets)


def refused(shared, token):
    with pytest.raises(Refused) as caught:
        shared.entering(token)
    return caught.value.refusal.code


def test_token_is_proven_once(shared, reader, monkeypatch):
    """The second request of a token costs no proof; another token costs its own."""
    proofs = []
    prove = reader.caller
    monkeypatch.setattr(reader, "caller", lambda token: proofs.append(token) or prove(token))
    token, other = reader.open(), reader.open()
    assert [shared.entering(token).caller, shared.entering(token).caller, shared.entering(other).caller] == [
        reader.sessions[token],
        reader.sessions[token],
        reader.sessions[other],
    ]
    assert proofs == [token, other]


def test_proven_token_is_refused_once_its_session_is_over(shared, reader):
    """No callback and no clock in between: the very next request after a revocation is refused, and each after it."""
    token = reader.open()
    shared.entering(token)
    del reader.sessions[token]
    assert [refused(shared, token) for _ in range(3)] == ["session_invalid"] * 3


def test_proven_token_is_refused_while_the_store_is_stale(shared, reader):
    """A proof is no view of the store; and when there is one again, the token works again."""
    token = reader.open()
    shared.entering(token)
    reader.fresh = False
    assert refused(shared, token) == "store_unavailable"
    reader.fresh = True
    assert shared.entering(token).caller == reader.sessions[token]


def test_proven_token_stands_for_what_the_store_says_now(shared, reader, monkeypatch):
    """Nothing about the session is remembered but that the token is its own."""
    token = reader.open(origins=("https://one.example",))
    shared.entering(token)
    now = replace(reader.sessions[token], origins=("https://two.example",))
    monkeypatch.setattr(reader, "view", lambda caller: SimpleNamespace(caller=now))
    assert shared.entering(token).caller.origins == ("https://two.example",)


@pytest.mark.parametrize("wrong", ["", "egs_", "{token}x", "{token} ", "\udcff", "EGS_000000000000_secret"])
def test_unproven_token_is_refused(shared, reader, wrong):
    """A token that is almost a proven one is proven anew, and fails."""
    token = reader.open()
    shared.entering(token)
    wrong = wrong.format(token=token)
    assert [refused(shared, wrong) for _ in range(2)] == ["session_invalid"] * 2


def test_number_of_proofs_is_bounded(shared, reader, monkeypatch):
    """The oldest proof goes; its token is proven again."""
    monkeypatch.setattr(services, "CALLERS", 3)
    tokens = [reader.open() for _ in range(5)]
    for token in (*tokens, *tokens):
        assert shared.entering(token).caller == reader.sessions[token]
    assert len(shared._callers) == 3
    assert not any(token.encode() in proof for token in tokens for proof in shared._callers)


def test_request_id_tells_nothing():
    """Two names differ in more than a counter."""
    one, two = Trail(SimpleNamespace()).request_id, Trail(SimpleNamespace()).request_id
    assert one.startswith("req_")
    assert sum(a != b for a, b in zip(one, two, strict=True)) > 8
