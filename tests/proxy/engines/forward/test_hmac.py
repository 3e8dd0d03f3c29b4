"""Requests that a template signs leave with signatures that servers of those APIs take, whatever carries them."""

import importlib
import json

import http2
import pytest
import signers
from draw import Draw
from forward import Forward
from served import receive
from stores import Store, secret

from egret.trial import Failed, _examined
from store.credential import parse_credential
from store.templates import KNOWN

CANARIES = [*{*signers.SECRETS.values()}, signers.BASE64, signers.KEY_ID]


@pytest.fixture(scope="module")
def made(engine, tmp_path_factory):
    with Forward(tmp_path_factory.mktemp("hmac"), buffer_bytes=65_536) as forward:
        where = forward.upstream.origin
        for name in KNOWN:
            credential = parse_credential("hmac", {"template": name})
            forward.reader.put(name.upper(), json.dumps(signers.value(name)).encode(), where, credential=credential)
        limited = {"host": where, "methods": ["POST"], "paths": ["/hooks/*"]}
        forward.reader.put("LIMITED", json.dumps(signers.value("github")).encode(), limited, credential=parse_credential("hmac", {"template": "github"}))  # fmt: skip
        heads = {"payload": ["method", "target"], "signature_in": "header:X-Signature"}
        forward.reader.put("HEADS", json.dumps(signers.value("github")).encode(), where, credential=parse_credential("hmac", heads))  # fmt: skip
        forward.reader.put("TEXT", b"text-canary-0123456789", where)
        forward.token = forward.reader.open()
        forward.other = forward.reader.open("d2")
        yield forward


@pytest.fixture
def proxy(made):
    made.upstream.log.clear()
    made.upstream.received = b""
    return made


def status(answer: bytes) -> bytes:
    return answer.split(b"\r\n")[0]


def clean(proxy, *answers: bytes):
    """Secrets stand nowhere: not upstream, in no answer, no audit line. Key ids go upstream alone."""
    told = b"".join(answers) + json.dumps(proxy.audit()).encode()
    for each in CANARIES:
        assert each.encode() not in told
    assert all(each.encode() not in proxy.upstream.received for each in CANARIES if each != signers.KEY_ID)
    assert b"SECRETS" not in b"".join(request.head for request in proxy.upstream.log)


@pytest.mark.parametrize("name", KNOWN)
def test_each_api_takes_what_leaves(proxy, name):
    """Twenty generated requests of each; bodies that are signed leave as they came."""
    draw = Draw(f"wire {name}")
    for _ in range(20):
        method, target, fields, body = signers.drawn(draw, name)
        answer = proxy.get(proxy.token, target, *fields, method=method, body=body)
        assert status(answer) == b"HTTP/1.1 200 OK" and b"Egret-Injected: " + name.upper().encode() in answer, answer
        request = proxy.upstream.log[-1]
        assert signers.holds(name, request) and request.body == body
        clean(proxy, answer)


@pytest.mark.parametrize("size", [10, 40_000, 3 << 20])
def test_a_body_is_signed_however_it_comes(proxy, size):
    """Short, long, in chunks: one that is above the buffer waits in a file."""
    body = Draw("body").randbytes(size)
    fields, _ = signers.placed("stripe")
    answer = proxy.get(proxy.token, "/hook", *fields, method="POST", body=body)
    assert status(answer) == b"HTTP/1.1 200 OK"
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in (body[:7], body[7:]) if each) + b"0\r\n\r\n"
    head = "\r\n".join(["POST /hook HTTP/1.1", "Host: @HOST@", *fields, "Transfer-Encoding: chunked", "", ""]).encode()
    proxy.ask(proxy.token, head + pieces)
    assert [request.body == body and signers.holds("stripe", request) for request in proxy.upstream.log] == [True, True]
    long = [*fields, f"Content-Length: {(64 << 20) + 1}"]
    with proxy.tunnel(proxy.token) as sock:
        sock.sendall("\r\n".join(["POST / HTTP/1.1", f"Host: {proxy.upstream.origin}", *long, "", ""]).encode())
        assert status(receive(sock)) == b"HTTP/1.1 413 signed_body_too_large"


def test_a_body_that_is_not_signed_is_injected(proxy):
    """Only what is signed must stay as it came."""
    answer = proxy.get(proxy.token, "/x?y=1", "X-Signature: #{SECRETS.HEADS}", "Content-Type: application/json", method="POST", body=b'{"a": "#{SECRETS.TEXT}"}')  # fmt: skip
    request = proxy.upstream.log[-1]
    assert request.body == b'{"a": "text-canary-0123456789"}' and b"text-canary" not in answer
    assert request.header("X-Signature").decode() == signers.made(signers.TEXT.encode(), b"POST/x?y=1").hex()
    clean(proxy, answer)


def test_rules_of_the_secret_decide(proxy):
    """Host, method and path as of any secret; another dataset has none of it; elsewhere it is told where it belongs."""
    mark = "X-Hub-Signature-256: #{SECRETS.LIMITED}"
    ask = proxy.get
    assert status(ask(proxy.token, "/hooks/a", mark, method="POST", body=b"x")) == b"HTTP/1.1 200 OK"
    proxy.upstream.received = b""
    for wrong in (
        ask(proxy.token, "/hooks/a", mark),
        ask(proxy.token, "/other", mark, method="POST", body=b"x"),
        ask(proxy.token, "/hooks/../other", mark, method="POST", body=b"x"),
    ):
        assert status(wrong) == b"HTTP/1.1 403 destination_not_allowed"
    assert status(ask(proxy.other, "/hooks/a", mark, method="POST", body=b"x")) == b"HTTP/1.1 403 unknown_secret"
    for path, fields in (("/?a=%23%7BSECRETS.GITHUB%7D", ()), ("/", ["Authorization: Bearer #{SECRETS.GITHUB}"])):
        assert status(ask(proxy.token, path, *fields)) == b"HTTP/1.1 403 signing_key_misplaced"
    form = ask(proxy.token, "/", "Content-Type: application/x-www-form-urlencoded", method="POST", body=b"a=%23%7BSECRETS.GITHUB%7D")  # fmt: skip
    assert status(form) == b"HTTP/1.1 403 signing_key_misplaced"
    assert proxy.upstream.received == b""
    clean(proxy)


def test_a_client_of_http2(proxy):
    """Its fields are signed by their names, which are in lower case there."""
    sock = proxy.tunnel(proxy.token, alpn=["h2"])
    fields = [("ok-access-sign", "#{SECRETS.OKX}"), ("content-length", "2")]
    answer = http2.Client(sock, proxy.upstream.origin).ask("/a?b=1", *fields, method="POST", body=b"{}")
    sock.close()
    assert (answer.status, answer.get(b"egret-injected")) == (200, b"OKX"), answer.body
    assert signers.holds("okx", proxy.upstream.log[-1])
    clean(proxy, answer.body)


def test_a_handshake_of_a_websocket(proxy):
    """It is a request like others: its target is signed."""
    fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "OK-ACCESS-SIGN: #{SECRETS.OKX}"]  # fmt: skip
    proxy.get(proxy.token, "/ws?a=1", *fields)
    assert signers.holds("okx", proxy.upstream.log[-1])


def test_what_can_be_tested(proxy):
    """Nobody but its API can say whether it takes a signature; that is told."""
    url = f"http://{proxy.token}:x@127.0.0.1:{proxy.port}"
    with pytest.raises(Failed, match="try it with one"):
        _examined(url, proxy.ca.read_bytes(), "OKX")


def test_a_key_of_the_real_store(engine, tmp_path):
    """From the vault to the wire: the template that was sealed with the value is the one that signs."""
    store = Store.make(tmp_path / "store")
    reader = store.reader()
    with Forward(tmp_path, reader=reader) as made:
        store.dataset(
            secret(
                "OKX",
                json.dumps(signers.value("okx")).encode(),
                [made.upstream.origin],
                kind="hmac",
                parameters={"template": "okx"},
            )
        )
        answer = made.get(store.token(), "/a?b=1", "OK-ACCESS-SIGN: #{SECRETS.OKX}", method="POST", body=b"{}")
        assert status(answer) == b"HTTP/1.1 200 OK" and signers.holds("okx", made.upstream.log[-1])
        clean(made, answer)
    reader.close()


@pytest.mark.parametrize(
    "where",
    [
        "mac.made", "mac.written", "mac._opened", "mac._laid", "mac._put", "mac._said", "mac._encoded", "mac.parts_of",
        "signing.holds_body", "upload.Upload.hold", "upload.Upload.hashed",
        "outgoing.Outgoing.ahead", "held.Held.write",
    ],
)  # fmt: skip
def test_a_fault_sends_nothing(proxy, monkeypatch, where):
    """In any step of signing: a refusal without a word of the fault, nothing at the upstream, and the next one works."""

    def fails(*_, **__):
        raise RuntimeError("fault-canary-text")

    module, _, name = where.partition(".")
    owner = importlib.import_module(f"proxy.border.{module}")
    holder, _, last = name.rpartition(".")
    ask = lambda: proxy.get(proxy.token, "/", *signers.placed("stripe")[0], method="POST", body=b"x")  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(getattr(owner, holder) if holder else owner, last, fails)
        assert status(ask()) == b"HTTP/1.1 500 internal"
    assert proxy.upstream.received == b""
    assert status(ask()) == b"HTTP/1.1 200 OK"
    clean(proxy)
