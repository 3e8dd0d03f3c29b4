"""How much of our code one request runs through: fewer functions are fewer rooms to know, and less to pay for."""

import asyncio
import gzip

import pytest
from counting import functions
from forward import Forward
from served import receive

import proxy as package
import store

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"a": "b c"}'
PACKED = gzip.compress(b'{"a": "b c"}' * 100, mtime=0)
GZIPPED = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED) + PACKED
SEARCHING = {"matches", "look", "decode"}
CREDENTIALS = {"injected": b"#{SECRETS.KEY}", "searched": b"of-its-own", "elsewhere": b"of-its-own"}
"""What a GET sends: a placeholder; none, where the answer is searched for the secret; none, where it cannot be."""
HOSTS = {"elsewhere": ["other.example"], "without": []}
"""Where the secret may go; none: there is none."""
MOST = {
    "express": {"injected": 110, "searched": 100, "elsewhere": 80},
    "mitmproxy": {"injected": 125, "searched": 115, "elsewhere": 90},
}


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_a_warm_get_runs_through_few_functions(engine, tmp_path, kind):
    """The fifth GET of a tunnel: nothing is dialled, parsed or decided that was known from the one before."""
    ran = warm(tmp_path, kind)
    assert 20 < len(ran) < MOST[engine][kind], sorted(code.co_qualname for code in ran)


def test_where_no_value_reaches_all_is_as_without_secrets(engine, tmp_path):
    """An answer runs through the very same functions, and nothing of it is decoded or searched."""
    ran = {kind: warm(tmp_path / kind, kind, GZIPPED) for kind in HOSTS}
    assert ran["elsewhere"] == ran["without"]
    assert not any("scrub" in code.co_filename and code.co_name in SEARCHING for code in ran["elsewhere"])
    assert any(code.co_name in SEARCHING for code in warm(tmp_path / "searched", "searched", GZIPPED))


def warm(folder, kind, answer=ANSWER):
    """Return what a GET runs through from the fifth of a tunnel on: each of them, as timers run beside some."""
    folder.mkdir(exist_ok=True)
    with Forward(folder, routes={b"/x": lambda *_: answer}) as proxy:
        there = proxy.upstream.origin
        if hosts := HOSTS.get(kind, [there]):
            proxy.reader.put("KEY", b"sk-abcdefgh-12345678", *hosts)
        asked = (
            f"GET /x HTTP/1.1\r\nHost: {there}\r\nUser-Agent: python-requests/2.32\r\nAccept: */*\r\n"
            "Accept-Encoding: gzip, deflate\r\nAuthorization: Bearer "
        ).encode() + CREDENTIALS.get(kind, b"of-its-own") + b"\r\n\r\n"  # fmt: skip
        client = proxy.tunnel(proxy.reader.open())
        rans = []
        for _ in range(8):
            with functions(package, store) as ran:
                client.sendall(asked)
                assert receive(client).startswith(b"HTTP/1.1 200 OK\r\n")
                proxy.run(asyncio.sleep(0))  # what is done after the answer is done
            rans.append(ran)
        return set.intersection(*rans[4:])
