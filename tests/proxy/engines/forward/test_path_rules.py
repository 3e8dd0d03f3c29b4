"""Rules with paths or methods, through the real proxy: what an upstream could take for another request gets no value."""

import pytest
import sockets
from forward import Forward
from served import code

from store.model import Location

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"
P = "#{SECRETS.KEY}"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, engine):
    with Forward(tmp_path_factory.mktemp("proxy")) as running:
        rule = {"host": running.upstream.origin, "methods": ["GET", "POST"], "paths": ["/v1/*"]}
        running.reader.put("KEY", VALUE, rule, locations=frozenset(Location))
        running.reader.put("FREE", b"free-" + VALUE, running.upstream.origin, locations=frozenset(Location))
        running.token = running.reader.open()
        yield running


@pytest.fixture(autouse=True)
def _forget(proxy):
    proxy.upstream.forget()


PATHS = [
    "/v2/x", "/v1", "/v1/../x", "/v1/%2e%2e/x", "/v1/%e0%80%ae%e0%80%ae/x", "/v1/..%20/x", "/v1/\xef\xbc\x8e\xef\xbc\x8e/x",
    "/v1/%2f..%2fx", "/v1/a?_method=DELETE", "/v1/a?x=1&%5fmethod=DELETE",
]  # fmt: skip
FIELDS = [
    "X-HTTP-Method-Override: DELETE", "x-http-method: DELETE", "X_HTTP_Method_Override: DELETE", "X-Original-URL: /admin",
    "X-Rewrite-URL: /admin", "X-Forwarded-Uri: /admin", "Destination: /admin",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["KEY", "FREE"])
def test_paths(proxy, path, name):
    """Refused for a secret that is limited to paths; a secret without such limits goes as it went."""
    answer = proxy.get(proxy.token, path, f"X-Key: #{{SECRETS.{name}}}")
    assert code(answer) == ("destination_not_allowed" if name == "KEY" else "")
    assert bool(proxy.upstream.log) is (name == "FREE")


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("name", ["KEY", "FREE"])
def test_fields(proxy, field, name):
    """Refused likewise; where nothing is limited the field goes on."""
    answer = proxy.get(proxy.token, "/v1/x", field, f"X-Key: #{{SECRETS.{name}}}")
    assert code(answer) == ("destination_not_allowed" if name == "KEY" else "")
    assert bool(proxy.upstream.log) is (name == "FREE")


@pytest.mark.parametrize("field", [*FIELDS, "X-Fine: yes"])
def test_bodies(proxy, field):
    """Are carried as they are."""
    answer = proxy.get(proxy.token, "/v1/x", field, "Content-Type: text/plain", method="POST", body=P.encode())
    assert (b"Egret-Carried: KEY" in answer) is (field != "X-Fine: yes")
    assert proxy.upstream.log[0].body == (VALUE if field == "X-Fine: yes" else P.encode())


def test_a_form_is_not_searched_for_fields(proxy):
    """What docs/store.md says: a head goes up before its body is there, so `_method` in a body is the API's to refuse."""
    form = b"_method=DELETE&id=7"
    fields = ("Content-Type: application/x-www-form-urlencoded", f"X-Key: {P}")
    assert not code(proxy.get(proxy.token, "/v1/x", *fields, method="POST", body=form))
    assert proxy.upstream.log[0].body == form


@pytest.mark.parametrize("path", ["/v1/x", "/v2/x"])
@pytest.mark.parametrize("field", ["X-Fine: yes", "X-HTTP-Method-Override: PUT"])
@pytest.mark.parametrize("late", ["X-Fine: yes", "X-Original-URL: /admin"])
def test_trailers(proxy, path, field, late):
    """By the request's own path, method and fields, and by what came with them."""
    head = f"POST {path} HTTP/1.1\r\nHost: @HOST@\r\nTransfer-Encoding: chunked\r\n{field}\r\n\r\n"
    proxy.ask(proxy.token, f"{head}1\r\nx\r\n0\r\nX-Key: {P}\r\n{late}\r\n\r\n".encode())
    allowed = path == "/v1/x" and field == late == "X-Fine: yes"
    assert (VALUE in bytes(proxy.upstream.received)) is allowed


@pytest.mark.parametrize("field", ["X-Fine: yes", "X-Original-URL: /admin"])
def test_messages(proxy, field):
    """By the handshake that they follow."""
    seen = []
    proxy.upstream.routes[b"/v1/ws"] = sockets.serve(
        lambda ends, send: (seen.append(ends.frame()), send(sockets.frame(8)))
    )
    with proxy.tunnel(proxy.token) as sock:
        _, ends = sockets.handshake(sock, proxy.upstream.origin, "/v1/ws", field)
        sock.sendall(sockets.frame(1, P.encode(), masked=True))
        ends.frame()
    assert seen[0][1] == (VALUE if field == "X-Fine: yes" else P.encode())
