"""A page's request leaves the gateway signed by a template, as one of the forward proxy does: it is the same border."""

import json

import pytest
import signers
from draw import Draw
from gatehouse import Gatehouse

from store.credential import parse_credential
from store.templates import KNOWN


@pytest.fixture(scope="module")
def gate():
    with Gatehouse() as made:
        for name in KNOWN:
            credential = parse_credential("hmac", {"template": name})
            made.reader.put(
                name.upper(), json.dumps(signers.value(name)).encode(), made.up.origin, credential=credential
            )
        yield made


@pytest.mark.parametrize("name", KNOWN)
def test_each_api_takes_what_leaves(gate, name):
    """Ten generated requests of each; neither part of the key is in an answer or a line of the audit."""
    draw = Draw(f"gate {name}")
    for _ in range(10):
        method, target, fields, body = signers.drawn(draw, name)
        sent = dict(line.split(": ", 1) for line in fields)
        status, headers, answer = gate.get(target, sent, method=method, body=body or None)
        assert (status, headers["Egret-Injected"]) == (200, name.upper()), answer
        assert signers.holds(name, gate.up.log[-1]) and gate.up.log[-1].body == body
        for each in (signers.SECRETS[name], signers.KEY_ID):
            assert each.encode() not in answer + json.dumps(gate.events()).encode()


def test_elsewhere_it_is_refused(gate):
    """In words, before anything is sent."""
    before = gate.up.received
    status, headers, _ = gate.get("/", {"Authorization": "Bearer #{SECRETS.GITHUB}"})
    assert (status, headers["Egret-Error"]) == (403, "signing_key_misplaced")
    assert gate.up.received == before
