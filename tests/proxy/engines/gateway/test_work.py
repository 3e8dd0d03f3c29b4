"""How much of our code one request through the gateway runs through."""

import pytest
import warm
from gatehouse import ORIGIN, Gatehouse
from served import receive

MOST = {"injected": 125, "searched": 110, "elsewhere": 95}


@pytest.mark.parametrize("kind", warm.CREDENTIALS)
def test_a_warm_get_runs_through_few_functions(tmp_path, kind):
    """The fifth GET of a connection: nothing is dialled, parsed or decided that was known from the one before."""
    with (
        warm.stored(tmp_path) as (store, reader),
        Gatehouse(routes={b"/x": lambda *_: warm.ANSWER}, reader=reader) as gate,
        gate.dial(20) as client,
    ):
        token = warm.token(store, kind, gate.up.origin, origins=(ORIGIN,))
        head = f"GET {gate.path('/x', token=token)} HTTP/1.1\r\nHost: gw\r\nOrigin: {ORIGIN}\r\n".encode()
        asked = head + warm.fields(kind) + b"\r\n"
        found = warm.ran(gate, lambda: client.sendall(asked) or receive(client))
        assert 20 < len(found) < MOST[kind], found
