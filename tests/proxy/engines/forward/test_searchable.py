"""What a request may ask for, so that its answer can be searched, through the real proxy."""

import gzip

import http2
import pytest
from forward import Forward
from upstream import response

VALUE = b"canary-0123456789abcdef"
NOTE = b"some text before it, " + VALUE + b", and some text after it"


def part(request, _conn) -> bytes:
    """Answer a single range of the note, as object stores do."""
    asked = request.header("Range").removeprefix(b"bytes=")
    if not asked:
        return response(NOTE)
    first, last = (int(end) for end in asked.split(b"-"))
    content_range = b"Content-Range: bytes %d-%d/%d" % (first, min(last, len(NOTE) - 1), len(NOTE))
    return response(NOTE[first : last + 1], content_range, status=b"206 Partial Content")


PAD = []


def pad(request, _conn) -> bytes:
    """Keep a note; show the last one, compressed."""
    if request.head.startswith(b"POST"):
        PAD.append(request.body)
        return response(b"kept")
    return response(gzip.compress(PAD[-1]), b"Content-Encoding: gzip")


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, engine):
    with Forward(tmp_path_factory.mktemp("proxy"), routes={b"/note": part, b"/pad": pad}) as running:
        running.reader.put("KEY", VALUE, running.upstream.origin)
        running.token = running.reader.open()
        yield running


def body(answer: bytes) -> bytes:
    return answer.split(b"\r\n\r\n", 1)[1]


def test_only_codings_that_can_be_decoded_are_asked_for(proxy):
    """A browser offers shared dictionaries too."""
    proxy.upstream.forget()
    proxy.get(proxy.token, "/", "Accept-Encoding: gzip, br, dcb, dcz")
    assert proxy.upstream.log[0].header("Accept-Encoding") == b"gzip, br"


def test_a_range_keeps_its_length(proxy):
    """And what it says of itself stays true."""
    answer = proxy.get(proxy.token, "/note", "Range: bytes=0-49")
    assert answer.startswith(b"HTTP/1.1 206")
    assert len(body(answer)) == 50
    assert VALUE not in answer


@pytest.mark.parametrize(("first", "last"), [(0, 0), (30, 35), (21, 42), (22, 60)])
def test_a_range_is_passed_on_and_never_masked(proxy, first, last):
    """What is asked for is what is answered; a mask over a part of a value would tell which guess is right."""
    answer = proxy.get(proxy.token, "/note", f"Range: bytes={first}-{last}")
    assert body(answer) == NOTE[first : last + 1]


def test_a_whole_value_in_a_range_is_scrubbed(proxy):
    """A 206 is searched as it is."""
    answer = proxy.get(proxy.token, "/note", f"Range: bytes=10-{len(NOTE) - 1}")
    assert answer.startswith(b"HTTP/1.1 206")
    assert VALUE not in answer


def kept(proxy) -> bytes:
    """Put a value into a note; return what a client sees when it reads it."""
    text = b"see #{SECRETS.KEY}"
    request = b"POST /pad HTTP/1.1\r\nHost: @HOST@\r\nContent-Length: %d\r\n\r\n" % len(text)
    assert proxy.ask(proxy.token, request + text).startswith(b"HTTP/1.1 200")
    assert PAD[-1] == b"see " + VALUE
    return text


def test_a_stored_value_is_not_read_back(proxy):
    """Put into a note on an allowed API, and read by a request without any placeholder."""
    text = kept(proxy)
    assert gzip.decompress(body(proxy.get(proxy.token, "/pad"))) == text


def test_a_stored_value_is_not_read_back_over_http2(proxy):
    """The same note, asked for as browsers do."""
    text = kept(proxy)
    conn = http2.Client(proxy.tunnel(proxy.token, alpn=["h2"]), proxy.upstream.origin)
    assert gzip.decompress(conn.ask("/pad").body) == text
