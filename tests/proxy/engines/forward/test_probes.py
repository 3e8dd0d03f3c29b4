"""The extraction attacks through the real forward proxy: answers with guesses look the same whatever a store holds."""

import threading

import http2
import probes
import pytest
from forward import Forward
from served import receive
from vectors import decode

VALUES = {name: probes.drawn(name) for name in ("mine", "other")}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, engine):
    with Forward(tmp_path_factory.mktemp("proxy")) as running:
        running.h2 = http2.Upstream(running.authority.leaf(), lambda stream: running.h2_answer)
        hosts = (running.upstream.origin, running.h2.origin)
        for dataset, value in VALUES.items():
            running.reader.put("KEY", value, *hosts, dataset=dataset)
        running.tokens = {dataset: running.reader.open(dataset) for dataset in VALUES}
        yield running
        running.h2.close()


def outcomes(ask):
    """What both stores give."""
    return [ask(dataset) for dataset in VALUES]


@pytest.mark.parametrize("share", probes.SHARES)
@pytest.mark.parametrize("kind", probes.KINDS)
def test_answers(proxy, kind, share):
    """Body and fields, in one piece."""
    stream, text = probes.KINDS[kind], probes.guesses(VALUES["mine"], share)
    wire = stream.wire(probes.FIRST + text + probes.LAST)
    stream = stream._replace(fields=(*stream.fields, (b"X-Echo", VALUES["mine"][: int(28 * share)])))
    proxy.upstream.routes[b"/"] = lambda request, conn: stream.send(conn, wire)
    ask = lambda dataset: proxy.get(proxy.tokens[dataset], "/x", "Connection: close")  # noqa: E731
    mine, other = outcomes(lambda dataset: probes.seen(ask(dataset), stream.coding))
    assert mine == other
    assert mine[0][0].startswith(b"HTTP/1.1 %d" % stream.status)
    assert probes.LAST in mine[1]
    assert b"SECRETS" not in mine[1]


@pytest.mark.parametrize("kind", [name for name, kind in probes.KINDS.items() if not kind.coding])
def test_a_whole_value_is_told(proxy, kind):
    """Or the other tests would compare two stores that search for nothing."""
    stream = probes.KINDS[kind]
    wire = stream.wire(probes.FIRST + VALUES["mine"] + b" " + probes.LAST)
    proxy.upstream.routes[b"/"] = lambda request, conn: stream.send(conn, wire)
    mine, other = outcomes(lambda dataset: proxy.get(proxy.tokens[dataset], "/x", "Connection: close"))
    assert VALUES["mine"] in other
    assert VALUES["mine"] not in mine


@pytest.mark.parametrize("share", probes.SHARES)
@pytest.mark.parametrize("form", ["as it is", "hex, lower", "percent throughout, lower", "bytes in JSON", "base64"])
@pytest.mark.parametrize(
    "kind", [name for name, kind in probes.KINDS.items() if kind.framing == "chunked" and not kind.coding]
)
def test_what_is_held(proxy, kind, form, share):
    """A guess, and nothing more before the client has seen what stands before it: held or not, in the same pieces."""
    stream = probes.KINDS[kind]
    text = probes.FORMS[form](VALUES["mine"])
    guess = text[: int(len(text) * share)]

    def pieces(dataset):
        seen = threading.Event()

        def route(request, conn):
            first, last = stream.answer(probes.FIRST + guess, probes.LAST)
            conn.sendall(first)
            assert seen.wait(20)
            conn.sendall(last)
            return b""

        proxy.upstream.routes[b"/"] = route
        with proxy.tunnel(proxy.tokens[dataset]) as sock:
            sock.sendall(b"GET /x HTTP/1.1\r\nHost: %s\r\n\r\n" % proxy.upstream.origin.encode())
            data = b""
            while probes.FIRST.strip() not in data:
                data += sock.recv(65536)
            seen.set()
            while not data.endswith(b"0\r\n\r\n"):
                data += sock.recv(65536)
        return data.partition(b"\r\n\r\n")[2]

    mine, other = outcomes(pieces)
    assert mine == other
    assert b"SECRETS" not in mine


@pytest.mark.parametrize("share", probes.SHARES)
@pytest.mark.parametrize("kind", probes.KINDS)
def test_over_http2(proxy, kind, share):
    """The same, and trailers."""
    stream, text = probes.KINDS[kind], probes.guesses(VALUES["mine"], share)
    guess = VALUES["mine"][: int(28 * share)]
    fields = [(b":status", b"%d" % stream.status), *((k.lower(), v) for k, v in stream.fields), (b"x-echo", guess)]
    proxy.h2_answer = fields, stream.wire(probes.FIRST + text + probes.LAST), [(b"x-end", guess)]

    def ask(dataset):
        client = http2.Client(proxy.tunnel(proxy.tokens[dataset], proxy.h2.origin, alpn=["h2"]), proxy.h2.origin)
        found = client.ask("/x")
        content = decode(stream.coding, found.body)
        return [pair for pair in found.headers if pair[0] != b"date"], content, found.trailers, found.reset

    mine, other = outcomes(ask)
    assert mine == other
    assert probes.LAST in mine[1]


@pytest.mark.parametrize("share", probes.SHARES)
@pytest.mark.parametrize("message", probes.MESSAGES)
def test_messages(proxy, message, share):
    """Frames, their sizes and their order; close reasons."""
    proxy.upstream.routes[b"/"] = probes.socket_route(message, VALUES["mine"], share)

    def frames(dataset):
        with proxy.tunnel(proxy.tokens[dataset]) as sock:
            found = probes.frames(sock, proxy.upstream.origin, "/x")
            receive(sock)
        return found

    mine, other = outcomes(frames)
    assert mine == other
    assert mine[-1][1][2:] == VALUES["mine"][: int(28 * share)]
