"""How much of our code one request runs through."""

import pytest
import warm
from forward import Forward
from served import receive

MOST = {
    "express": {"injected": 110, "searched": 95, "elsewhere": 80},
    "mitmproxy": {"injected": 125, "searched": 110, "elsewhere": 92},
}


@pytest.mark.parametrize("kind", warm.CREDENTIALS)
def test_a_warm_get_runs_through_few_functions(engine, tmp_path, kind):
    """The fifth GET of a tunnel: nothing is dialled, parsed or decided that was known from the one before."""
    found = ran(tmp_path, kind)
    assert 20 < len(found) < MOST[engine][kind], (len(found), found)


def test_where_no_value_reaches_all_is_as_without_secrets(engine, tmp_path):
    """An answer runs through the very same functions, and nothing of it is decoded or searched."""
    found = {kind: ran(tmp_path / kind, kind, warm.GZIPPED) for kind in ("elsewhere", "without", "searched")}
    assert found["elsewhere"] == found["without"]
    assert not warm.SEARCHING & set(found["elsewhere"])
    assert set(found["searched"]) >= warm.SEARCHING


def ran(folder, kind, answer=warm.ANSWER):
    """Return what a GET runs through, from the fifth of a tunnel on."""
    folder.mkdir(exist_ok=True)
    with (
        warm.stored(folder) as (store, reader),
        Forward(folder, routes={b"/x": lambda *_: answer}, reader=reader) as proxy,
    ):
        there = proxy.upstream.origin
        client = proxy.tunnel(warm.token(store, kind, there))
        asked = b"GET /x HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (there.encode(), warm.fields(kind))
        return warm.ran(proxy, lambda: client.sendall(asked) or receive(client))
