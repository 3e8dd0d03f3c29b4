"""Two organisations that chose the same names for project and dataset share nothing at the gateway."""

from types import SimpleNamespace

import pytest
from gatehouse import ANYWHERE, ORIGIN, Gatehouse
from upstream import response

OTHER = b"sk-else-8Gh3Rt5Ny1Vc"


@pytest.fixture
def gate():
    both = response(Gatehouse.KEY + b" " + OTHER)
    with Gatehouse(routes={b"/both": lambda request, conn: both}, dataset_rate=3) as house:
        house.reader.egress["other/default/d1"] = ANYWHERE
        house.reader.put("KEY", OTHER, house.up.origin, house.plain.url, organisation="other")
        house.other = house.reader.open(origins=(ORIGIN,), organisation="other")
        yield house


@pytest.mark.parametrize("secure", [True, False])
def test_tenants_never_share_a_connection_or_a_value(gate, secure):
    """In turn: each has its own connection, kept for its next request, and its own value in it."""
    upstream, where = (gate.up, gate.here) if secure else (gate.plain, gate.clear)
    for token, value in ((gate.token, gate.KEY), (gate.other, OTHER)) * 2:
        assert gate.get("/", {"X": "#{SECRETS.KEY}"}, token=token, destination=where)[0] == 200
        assert upstream.log[-1].header("X") == value
    assert upstream.connections == 2


def test_rates_of_tenants_are_counted_apart(gate, monkeypatch):
    """One that has spent its minute takes nothing of the other's."""
    monkeypatch.setattr("proxy.admission.budget.time", SimpleNamespace(time=lambda: 1.8e9))
    for token in (gate.token, gate.other):
        got = [gate.get("/", token=token) for _ in range(4)]
        assert [status for status, _, _ in got] == [200] * 3 + [429]
        assert got[-1][1]["Egret-Error"] == "rate_limited"


def test_answers_are_searched_for_the_values_of_their_tenant(gate):
    """What the other has stored is not looked for."""
    for token, mine, other in ((gate.token, gate.KEY, OTHER), (gate.other, OTHER, gate.KEY)):
        body = gate.get("/both", token=token)[2]
        assert mine not in body
        assert other in body
