"""How much of our code one request runs through: fewer functions are fewer rooms to know, and less to pay for."""

import asyncio

import pytest
from counting import functions
from forward import Forward
from served import receive

import proxy as package
import store

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"a": "b c"}'
CREDENTIALS = {"injected": b"#{SECRETS.KEY}", "searched": b"of-its-own", "elsewhere": b"of-its-own"}
"""What a GET sends: a placeholder; none, where the answer is searched for the secret; none, where it cannot be."""
MOST = {
    "express": {"injected": 110, "searched": 100, "elsewhere": 80},
    "mitmproxy": {"injected": 125, "searched": 115, "elsewhere": 90},
}


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_a_warm_get_runs_through_few_functions(engine, tmp_path, kind):
    """The fifth GET of a tunnel: nothing is dialled, parsed or decided that was known from the one before."""
    with Forward(tmp_path, routes={b"/x": lambda *_: ANSWER}) as proxy:
        there = proxy.upstream.origin
        proxy.reader.put("KEY", b"sk-abcdefgh-12345678", "other.example" if kind == "elsewhere" else there)
        asked = (
            f"GET /x HTTP/1.1\r\nHost: {there}\r\nUser-Agent: python-requests/2.32\r\nAccept: */*\r\n"
            "Accept-Encoding: gzip, deflate\r\nAuthorization: Bearer "
        ).encode() + CREDENTIALS[kind] + b"\r\n\r\n"  # fmt: skip
        client = proxy.tunnel(proxy.reader.open())
        for _ in range(5):
            with functions(package, store) as ran:
                client.sendall(asked)
                assert receive(client).startswith(b"HTTP/1.1 200 OK\r\n")
                proxy.run(asyncio.sleep(0))  # what is done after the answer is done
        assert 20 < len(ran) < MOST[engine][kind], sorted(code.co_qualname for code in ran)
