"""What a client may try on the wire: one row per trick, with the code it gets and what the upstream saw."""

import pytest
from forward import Forward
from served import code

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"
P = "#{SECRETS.API_KEY}"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, engine):
    with Forward(tmp_path_factory.mktemp("proxy"), header_bytes=16384) as running:
        running.reader.put("API_KEY", VALUE, running.upstream.origin, f"http://{running.plain.origin}")
        running.reader.put("ELSEWHERE", b"bound-elsewhere-1", "api.example.com")
        running.token = running.reader.open()
        yield running


@pytest.fixture(autouse=True)
def fresh(proxy):
    proxy.upstream.forget()
    proxy.plain.forget()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


HEADS = {
    "folded line": ("X: a\r\n b\r\n", 400),
    "folded first line": (" X: a\r\n", 400),
    "NUL in value": ("X: a\0b\r\n", 400),
    "bare CR in value": ("X: a\rX-C: d\r\n", 400),
    "bare LF ends a line": ("X: a\nX-B: b\r\n", 400),
    "control character": ("X: a\x01b\r\n", 400),
    "DEL": ("X: a\x7fb\r\n", 400),
    "space before colon": ("X : a\r\n", 400),
    "no colon": ("NoColon\r\n", 400),
    "empty name": (": a\r\n", 400),
    "illegal name": ("X(y): a\r\n", 400),
    "duplicate Host": ("Host: evil.test\r\n", 400),
    "duplicate equal Host": ("Host: @HOST@\r\n", 400),
    "CL and TE": ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
    "two CL": ("Content-Length: 0\r\nContent-Length: 5\r\n", 400),
    "two equal CL": ("Content-Length: 0\r\nContent-Length: 0\r\n", 400),
    "CL list": ("Content-Length: 0, 0\r\n", 400),
    "signed CL": ("Content-Length: +5\r\n", 400),
    "negative CL": ("Content-Length: -1\r\n", 400),
    "hex CL": ("Content-Length: 0x5\r\n", 400),
    "empty CL": ("Content-Length:\r\n", 400),
    "endless CL": (f"Content-Length: {'9' * 40}\r\n", 400),
    "unknown TE": ("Transfer-Encoding: xchunked\r\n", 400),
    "TE list": ("Transfer-Encoding: gzip, chunked\r\n", 400),
    "TE identity": ("Transfer-Encoding: identity\r\n", 400),
    "two TE": ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", 400),
    "TE with a tab": ("Transfer-Encoding:\x0bchunked\r\n", 400),
    "TE quoted": ('Transfer-Encoding: "chunked"\r\n', 400),
    "TE on a folded line": ("Transfer-Encoding:\r\n chunked\r\n", 400),
    "head over the limit": ("X: " + "y" * 20000 + "\r\n", 431),
    "many fields over the limit": ("X: y\r\n" * 5000, 431),
    "unknown secret": ("X: #{SECRETS.NOPE}\r\n", "unknown_secret"),
    "secret of another host": ("X: #{SECRETS.ELSEWHERE}\r\n", "destination_not_allowed"),
    "placeholder as a field name": ("#{SECRETS.API_KEY}: x\r\n", 400),
    "placeholder in Content-Length": ("Content-Length: #{SECRETS.API_KEY}\r\n", 400),
}


@pytest.mark.parametrize("where", ["tunnel", "clear", "plain"])
@pytest.mark.parametrize("name", HEADS)
def test_bad_heads_reach_nothing(proxy, where, name):
    """Each is refused with its code, inside TLS, inside a clear tunnel and on a plain request."""
    fields, expected = HEADS[name]
    answer = send(proxy, where, "GET", "/x", fields)
    assert (code(answer) if isinstance(expected, str) else status(answer)) == expected, answer[:300]
    if expected in (400, 431):
        assert code(answer) == "bad_request"
    assert b"Content-Type: application/problem+json" in answer
    assert not proxy.upstream.received
    assert not proxy.plain.received


def send(proxy, where, method, path, fields="", body=b"", version="HTTP/1.1", host=None) -> bytes:
    """One request in one of the three ways."""
    origin = proxy.upstream.origin if where == "tunnel" else proxy.plain.origin
    host = f"Host: {origin if host is None else host}\r\n" if host != "" else ""
    fields = fields.replace("@HOST@", origin)
    if where == "plain":
        target = f"http://{origin}{path}" if path.startswith("/") else path
        head = f"{method} {target} {version}\r\n{host}Proxy-Authorization: Bearer {proxy.token}\r\n{fields}\r\n"
        return proxy.raw(head.encode("latin-1") + body)
    head = f"{method} {path} {version}\r\n{host}{fields}\r\n".encode("latin-1") + body
    if where == "tunnel":
        return proxy.ask(proxy.token, head)
    sock, answer = proxy.connect(proxy.token, origin)
    assert answer.startswith(b"HTTP/1.1 200")
    from served import receive

    with sock:
        sock.sendall(head)
        return receive(sock)


LINES = {
    "two spaces": ("GET  /x HTTP/1.1", 400),
    "tab": ("GET\t/x HTTP/1.1", 400),
    "trailing space": ("GET /x HTTP/1.1 ", 400),
    "no version": ("GET /x", 400),
    "HTTP/0.9": ("GET /x HTTP/0.9", 400),
    "HTTP/1.2": ("GET /x HTTP/1.2", 400),
    "HTTP/2.0": ("GET /x HTTP/2.0", 400),
    "lower-case version": ("GET /x http/1.1", 400),
    "no target": ("GET HTTP/1.1", 400),
    "relative target": ("GET x HTTP/1.1", 400),
    "asterisk without OPTIONS": ("GET * HTTP/1.1", 400),
    "other scheme": ("GET ftp://@HOST@/x HTTP/1.1", 400),
    "user info": ("GET http://user:pw@@HOST@/x HTTP/1.1", 400),
    "no authority": ("GET http:///x HTTP/1.1", 400),
    "placeholder as host": ("GET http://#{SECRETS.API_KEY}/x HTTP/1.1", 400),
    "NUL in target": ("GET /x\0 HTTP/1.1", 400),
    "method with a bracket": ("GE{T /x HTTP/1.1", 400),
    "placeholder as method": ("#{SECRETS.API_KEY} /x HTTP/1.1", 400),
    "TRACE": ("TRACE /x HTTP/1.1", "method_not_allowed"),
    "TRACK": ("TRACK /x HTTP/1.1", "method_not_allowed"),
    "trace": ("trace /x HTTP/1.1", "method_not_allowed"),
    "CONNECT inside": ("CONNECT api.example.com:443 HTTP/1.1", "method_not_allowed"),
    "PRI": ("PRI * HTTP/2.0", 400),
    "another authority": ("GET https://evil.test/x HTTP/1.1", "authority_mismatch"),
    "another port": ("GET https://localhost:1/x HTTP/1.1", "authority_mismatch"),
}


@pytest.mark.parametrize("name", LINES)
def test_bad_request_lines_reach_nothing(proxy, name):
    """Request lines that two servers could read in two ways, and methods that echo."""
    line, expected = LINES[name]
    origin = proxy.upstream.origin
    answer = proxy.ask(proxy.token, f"{line}\r\nHost: {origin}\r\n\r\n".replace("@HOST@", origin).encode())
    assert (code(answer) if isinstance(expected, str) else status(answer)) == expected, answer[:300]
    assert not proxy.upstream.received


CHUNKS = {
    "not a number": b"zz\r\nabc\r\n0\r\n\r\n",
    "negative": b"-1\r\n\r\n",
    "prefixed": b"0x3\r\nabc\r\n0\r\n\r\n",
    "signed": b"+3\r\nabc\r\n0\r\n\r\n",
    "too long": b"fffffffffffffffff\r\nabc",
    "LF only": b"3\nabc\r\n0\r\n\r\n",
    "space before": b" 3\r\nabc\r\n0\r\n\r\n",
    "bare CR": b"3\rabc\r\n0\r\n\r\n",
    "missing end": b"3\r\nabcX\r\n0\r\n\r\n",
    "longer than said": b"3\r\nabcdef\r\n0\r\n\r\n",
    "NUL in extension": b"3;\0\r\nabc\r\n0\r\n\r\n",
    "endless extension": b"3;" + b"x" * 5000,
    "bad trailer": b"3\r\nabc\r\n0\r\nX y\r\n\r\n",
    "folded trailer": b"3\r\nabc\r\n0\r\nX: a\r\n b\r\n\r\n",
}


@pytest.mark.parametrize("where", ["tunnel", "clear", "plain"])
@pytest.mark.parametrize("name", CHUNKS)
def test_bad_chunks_never_make_a_whole_request(proxy, where, name):
    """A chunked body that breaks is refused, and the upstream never sees the end of one."""
    answer = send(proxy, where, "POST", "/x", "Transfer-Encoding: chunked\r\n", CHUNKS[name])
    assert status(answer) == 400, answer[:200]
    assert code(answer) == "bad_request"
    assert not proxy.upstream.log
    assert not proxy.plain.log


AUTHORITIES = {
    "Host of another name": (None, None, "evil.test", "authority_mismatch"),
    "Host of another port": (None, None, "localhost:1", "authority_mismatch"),
    "Host without the port": (None, None, "localhost", "authority_mismatch"),
    "Host with a placeholder": (None, None, "#{SECRETS.API_KEY}", "bad_request"),
    "Host with user info": (None, None, "a@@HOST@", "bad_request"),
    "Host list": (None, None, "@HOST@, evil.test", "bad_request"),
    "empty Host": (None, None, " ", "bad_request"),
    "SNI of another name": (None, "other.test", None, "authority_mismatch"),
    "CONNECT by address, SNI by name": ("127.0.0.1:@PORT@", "localhost", None, "authority_mismatch"),
    "three names": ("api.test:@PORT@", "localhost", "other.test", "authority_mismatch"),
}


@pytest.mark.parametrize("name", AUTHORITIES)
def test_one_authority_or_421(proxy, name):
    """CONNECT target, server name and Host are one."""
    target, server_name, host, expected = AUTHORITIES[name]
    port, origin = str(proxy.upstream.port), proxy.upstream.origin
    target = (target or "localhost:@PORT@").replace("@PORT@", port)
    host = (host or target).replace("@HOST@", origin)
    head = f"GET /x HTTP/1.1\r\nHost: {host}\r\nX: {P}\r\n\r\n".encode()
    answer = proxy.ask(proxy.token, head, target=target, name=server_name or target.rpartition(":")[0])
    assert code(answer) == expected
    assert status(answer) == {"authority_mismatch": 421, "bad_request": 400}[expected]
    assert not proxy.upstream.received


def test_names_are_compared_as_names(proxy):
    """Case and the trailing dot make no difference, and no Host is rewritten."""
    host = f"LOCALHOST.:{proxy.upstream.port}"
    answer = proxy.ask(proxy.token, f"GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert status(answer) == 200
    assert proxy.upstream.log[0].header("Host") == host.encode()


def test_no_server_name_is_no_mismatch(proxy):
    """A client that sends no SNI gets the certificate of the CONNECT target."""
    answer = proxy.ask(proxy.token, b"GET /x HTTP/1.1\r\nHost: @HOST@\r\n\r\n", name=None)
    assert status(answer) == 200


CONNECTS = {
    "no port": ("localhost", "bad_request"),
    "empty port": ("localhost:", "bad_request"),
    "port zero": ("localhost:0", "bad_request"),
    "huge port": ("localhost:99999", "bad_request"),
    "user info": ("a@localhost:443", "bad_request"),
    "path": ("localhost:443/x", "bad_request"),
    "scheme": ("https://localhost:443", "bad_request"),
    "placeholder": ("#{SECRETS.API_KEY}:443", "bad_request"),
    "octal address": ("0177.0.0.1:443", "destination_blocked"),
    "number as address": ("2130706433:443", "destination_blocked"),
    "short address": ("127.1:443", "destination_blocked"),
    "metadata": ("169.254.169.254:80", "destination_blocked"),
    "mapped metadata": ("[::ffff:169.254.169.254]:80", "destination_blocked"),
    "private": ("10.0.0.1:443", "destination_blocked"),
    "mail port": ("93.184.216.34:25", "destination_blocked"),
    "ourselves": ("127.0.0.1:@OURS@", "destination_blocked"),
    "a name that does not resolve": ("nope.invalid:443", "upstream_unreachable"),
}


@pytest.mark.parametrize("name", CONNECTS)
def test_connect_is_refused_before_the_dial(proxy, name):
    """A tunnel to nowhere is not opened."""
    target, expected = CONNECTS[name]
    sock, answer = proxy.connect(proxy.token, target.replace("@OURS@", str(proxy.port)))
    sock.close()
    assert code(answer) == expected, answer[:200]
    assert b"application/problem+json" in answer


TOKENS = {
    "none": ((), "session_required"),
    "unknown": (("Bearer egs_unknownunknown",), "session_invalid"),
    "not ours": (("Bearer ghp_something",), "session_invalid"),
    "empty": (("Bearer ",), "session_invalid"),
    "other scheme": (("Negotiate abc",), "session_invalid"),
    "broken base64": (("Basic !!!",), "session_invalid"),
    "two": (("Bearer @TOKEN@", "Bearer @TOKEN@"), "bad_request"),
}


@pytest.mark.parametrize("how", ["connect", "plain"])
@pytest.mark.parametrize("name", TOKENS)
def test_credentials(proxy, name, how):
    """Without a live session nothing is opened; 407 says how to ask again."""
    values, expected = TOKENS[name]
    fields = "".join(f"Proxy-Authorization: {v}\r\n".replace("@TOKEN@", proxy.token) for v in values)
    origin = proxy.plain.origin
    line = f"CONNECT {origin} HTTP/1.1" if how == "connect" else f"GET http://{origin}/x HTTP/1.1"
    answer = proxy.raw(f"{line}\r\nHost: {origin}\r\n{fields}\r\n".encode())
    assert code(answer) == expected
    if expected != "bad_request":
        assert status(answer) == 407
        assert b'Proxy-Authenticate: Basic realm="Egret"' in answer
        assert b"Proxy-Authenticate: Bearer" in answer
    assert not proxy.plain.received


@pytest.mark.parametrize("spelled", ["Basic {b}", "basic {b}", "BASIC  {b}", "bearer {t}", "Basic {nopad}"])
def test_spellings_of_a_credential(proxy, spelled):
    """Basic with the token as user name, padded or not, and Bearer, in any case."""
    import base64

    b = base64.b64encode(f"{proxy.token}:".encode()).decode()
    value = spelled.format(b=b, t=proxy.token, nopad=b.rstrip("="))
    origin = proxy.plain.origin
    answer = proxy.raw(
        f"GET http://{origin}/x HTTP/1.1\r\nHost: {origin}\r\nProxy-Authorization: {value}\r\n\r\n".encode()
    )
    assert status(answer) == 200
    assert b"egs_" not in proxy.plain.received
    assert b"roxy-Authorization" not in proxy.plain.received


def test_407_keeps_the_connection_for_the_retry(proxy):
    """A client that asks without credentials first may ask again on the same connection."""
    from served import receive

    origin = proxy.plain.origin
    with proxy.open() as sock:
        sock.sendall(f"CONNECT {origin} HTTP/1.1\r\nHost: {origin}\r\n\r\n".encode())
        first = receive(sock)
        assert status(first) == 407
        assert b"Connection: close" not in first
        sock.sendall(
            f"CONNECT {origin} HTTP/1.1\r\nHost: {origin}\r\nProxy-Authorization: Bearer {proxy.token}\r\n\r\n".encode()
        )
        assert receive(sock, head_only=b"200").startswith(b"HTTP/1.1 200")
        sock.sendall(f"GET /x HTTP/1.1\r\nHost: {origin}\r\n\r\n".encode())
        assert status(receive(sock)) == 200


PLAIN = {
    "origin form": ("GET /x HTTP/1.1", "@HOST@", "bad_request"),
    "asterisk": ("OPTIONS * HTTP/1.1", "@HOST@", "bad_request"),
    "authority form": ("GET @HOST@ HTTP/1.1", "@HOST@", "bad_request"),
    "Host differs": ("GET http://@HOST@/x HTTP/1.1", "evil.test", "authority_mismatch"),
    "Host is another port": ("GET http://@HOST@/x HTTP/1.1", "localhost:1", "authority_mismatch"),
    "private address": ("GET http://10.1.2.3/x HTTP/1.1", "10.1.2.3", "destination_blocked"),
    "blocked before unknown name": ("GET http://10.1.2.3/#{SECRETS.NOPE} HTTP/1.1", "10.1.2.3", "destination_blocked"),
    "our own port": ("GET http://127.0.0.1:@OURS@/x HTTP/1.1", "127.0.0.1:@OURS@", "destination_blocked"),
    "TRACE": ("TRACE http://@HOST@/x HTTP/1.1", "@HOST@", "method_not_allowed"),
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_requests(proxy, name):
    """Absolute form, and the Host that it means."""
    line, host, expected = PLAIN[name]
    text = f"{line}\r\nHost: {host}\r\nProxy-Authorization: Bearer {proxy.token}\r\n\r\n"
    text = text.replace("@HOST@", proxy.plain.origin).replace("@OURS@", str(proxy.port))
    assert code(proxy.raw(text.encode())) == expected
    assert not proxy.plain.received


RAW = {
    "binary": b"\x00\x01binary\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9\r\n",
    "smtp": b"EHLO x\r\n",
    "redis": b"*1\r\n$4\r\nPING\r\n",
    "h2 preface in clear": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls garbage": b"\x16\x03\x01\x00\x05garbage",
    "postgres": b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
}


@pytest.mark.parametrize("name", RAW)
def test_other_protocols_in_a_tunnel_reach_nothing(proxy, name):
    """CONNECT is no pipe."""
    sock, _ = proxy.connect(proxy.token, proxy.plain.origin)
    with sock:
        sock.settimeout(60)
        sock.sendall(RAW[name])
        got = sock.recv(65536)
        assert got == b"" or got.startswith((b"HTTP/1.1 400", b"\x15"))
    assert not proxy.plain.received
    assert proxy.plain.connections == 0
