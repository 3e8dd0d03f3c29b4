"""One request through the forward proxy, end to end."""

import pytest
from forward import Forward
from served import code

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"


@pytest.fixture
def proxy(tmp_path):
    with Forward(tmp_path) as running:
        running.reader.put("API_KEY", VALUE, running.upstream.origin)
        yield running


def test_value_is_injected_upstream_and_scrubbed_from_the_echo(proxy):
    """The upstream sees the value; the client sees the placeholder, and the name of what was injected."""
    token = proxy.reader.open()
    answer = proxy.get(token, "/echo", "Authorization: Bearer #{SECRETS.API_KEY}")
    assert proxy.upstream.log[0].header("Authorization") == b"Bearer " + VALUE
    assert VALUE not in answer
    assert b"Bearer #{SECRETS.API_KEY}" in answer
    assert b"Egret-Injected: API_KEY" in answer


def test_body_gets_an_exact_length(proxy):
    """A buffered JSON body arrives whole, with the length that it then has."""
    token = proxy.reader.open()
    body = b'{"k":"#{SECRETS.API_KEY}"}'
    answer = proxy.get(token, "/x", "Content-Type: application/json", method="POST", body=body)
    assert answer.startswith(b"HTTP/1.1 200")
    assert proxy.upstream.log[0].body == b'{"k":"' + VALUE + b'"}'
    assert proxy.upstream.log[0].header("Content-Length") == b"%d" % (len(VALUE) + 8)


def test_no_session_is_407_with_a_challenge(proxy):
    """CONNECT without a token is refused with a problem document and a Basic challenge."""
    sock, answer = proxy.connect(None, proxy.upstream.origin)
    sock.close()
    assert answer.startswith(b"HTTP/1.1 407")
    assert code(answer) == "session_required"
    assert b"Proxy-Authenticate: Basic" in answer
    assert proxy.upstream.connections == 0


def test_unknown_name_reaches_nothing(proxy):
    """A placeholder that names nothing refuses the request before the upstream is dialled."""
    token = proxy.reader.open()
    answer = proxy.get(token, "/x", "X: #{SECRETS.NOPE}")
    assert code(answer) == "unknown_secret"
    assert proxy.upstream.connections == 0


def test_plain_request_in_absolute_form(proxy):
    """A plain request carries its session and goes upstream in origin form, without the token."""
    token = proxy.reader.open()
    proxy.reader.put("PLAIN", b"plain-value-123", f"http://{proxy.plain.origin}")
    origin = proxy.plain.origin
    answer = proxy.raw(
        f"GET http://{origin}/p?q=%23%7BSECRETS.PLAIN%7D HTTP/1.1\r\nHost: {origin}\r\n"
        f"Proxy-Authorization: Bearer {token}\r\n\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 200")
    assert proxy.plain.log[0].target == b"/p?q=plain-value-123"
    assert b"egs_" not in proxy.plain.received
