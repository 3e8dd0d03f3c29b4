"""A page's request has its connection show a certificate, as one of the forward proxy does: it is the same border."""

import json

import pytest
import shown
from gatehouse import ORIGIN, Gatehouse

from store.kinds import Credential
from store.model import Destination

MARK = {"Egret-Client-Certificate": "#{SECRETS.CERT}"}


@pytest.fixture
def gate():
    with Gatehouse() as made:
        made.server = shown.Guarded(made.authority)
        made.there = Destination(True, "localhost", made.server.port)
        made.parts = shown.credentials(made.authority, "client-a")
        made.reader.put("CERT", json.dumps(made.parts).encode(), made.server.origin, credential=Credential("client_certificate"))  # fmt: skip
        yield made
        made.server.close()


def test_who_is_seen(gate):
    """With the field the certificate, without it none, on another connection; the field itself goes nowhere."""
    status, headers, answer = gate.get("/", MARK, destination=gate.there)
    assert (status, headers["Egret-Injected"], json.loads(answer)["who"]) == (200, "CERT", "client-a")
    assert json.loads(gate.get("/", destination=gate.there)[2])["who"] is None
    undeclared = gate.reader.open(origins=(ORIGIN,), declared=frozenset())
    status, headers, _ = gate.get("/", MARK, destination=gate.there, token=undeclared)
    assert (status, headers["Egret-Error"]) == (403, "unknown_secret")
    assert json.loads(gate.get("/", destination=gate.there, token=undeclared)[2])["who"] is None
    assert b"egret-" not in gate.server.received.lower()
    seen = answer + gate.server.received + json.dumps(gate.events()).encode()
    assert not [line for line in shown.lines(gate.parts["private_key"]) if line in seen]


def test_elsewhere_it_is_refused(gate):
    """In words, before anything is sent."""
    for headers in ({"Authorization": "Bearer #{SECRETS.CERT}"}, {"Egret-Client-Certificate": "x"}):
        status, told, _ = gate.get("/", headers, destination=gate.there)
        assert (status, told["Egret-Error"]) == (403, "client_certificate_misplaced")
    assert gate.server.received == b""
