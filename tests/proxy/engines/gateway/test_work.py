"""How much of our code one request through the gateway runs through."""

import pytest
import warm
from gatehouse import ORIGIN, Gatehouse
from served import receive

MOST = {"injected": 125, "searched": 110, "elsewhere": 95}


@pytest.mark.parametrize("kind", warm.CREDENTIALS)
def test_a_warm_get_runs_through_few_functions(tmp_path, kind):
    """The fifth GET of a connection: nothing is dialled, parsed or decided that was known from the one before."""
    found = ran(tmp_path, kind)
    assert 20 < len(found) < MOST[kind], (len(found), found)


def test_where_no_value_reaches_all_is_as_without_secrets(tmp_path):
    """An answer runs through the very same functions, and nothing of it is decoded or searched."""
    found = {kind: ran(tmp_path / kind, kind, warm.GZIPPED) for kind in ("elsewhere", "without", "searched")}
    assert found["elsewhere"] == found["without"]
    assert not warm.SEARCHING & set(found["elsewhere"])
    assert set(found["searched"]) >= warm.SEARCHING


def ran(folder, kind, answer=warm.ANSWER):
    """Return what a GET runs through, from the fifth of a connection on."""
    folder.mkdir(exist_ok=True)
    with (
        warm.stored(folder) as (store, reader),
        Gatehouse(routes={b"/x": lambda *_: answer}, reader=reader) as gate,
        gate.dial(20) as client,
    ):
        token = warm.token(store, kind, gate.up.origin, origins=(ORIGIN,))
        head = f"GET {gate.path('/x', token=token)} HTTP/1.1\r\nHost: gw\r\nOrigin: {ORIGIN}\r\n".encode()
        asked = head + warm.fields(kind) + b"\r\n"
        return warm.ran(gate, lambda: client.sendall(asked) or receive(client))
