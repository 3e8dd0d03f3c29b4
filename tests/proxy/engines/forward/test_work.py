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
    with (
        warm.stored(tmp_path) as (store, reader),
        Forward(tmp_path, routes={b"/x": lambda *_: warm.ANSWER}, reader=reader) as proxy,
    ):
        there = proxy.upstream.origin
        client = proxy.tunnel(warm.token(store, kind, there))
        asked = b"GET /x HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (there.encode(), warm.fields(kind))
        found = warm.ran(proxy, lambda: client.sendall(asked) or receive(client))
        assert 20 < len(found) < MOST[engine][kind], found
