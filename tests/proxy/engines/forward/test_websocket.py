"""WebSockets through the forward proxy, frame by frame."""

import itertools
import struct
import zlib

import pytest
import sockets
from draw import Draw
from forward import Forward
from served import code, wait_for

from proxy.core.edit import MAX_NAMES
from store.model import Location

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"
P = b"#{SECRETS.WS_TOKEN}"
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"


@pytest.fixture
def proxy(tmp_path):
    with Forward(tmp_path) as running:
        running.seen = []
        locations = frozenset({Location.HEADER, Location.URL, Location.MESSAGE})
        running.reader.put("WS_TOKEN", VALUE, running.upstream.origin, locations=locations)
        only = frozenset({Location.HEADER})
        running.reader.put("HEADER_ONLY", b"header-only-1234", running.upstream.origin, locations=only)
        yield running


def echo(seen):
    def script(ends, send):
        while True:
            first, data = ends.frame()
            seen.append((first, data))
            if first & 15 == 8:
                send(sockets.frame(8, data))
                return
            send(sockets.frame(first & 15, data, final=bool(first & 128), rsv1=bool(first & 64)))

    return script


def opened(proxy, script=None, *fields, path="/ws", token=None, **route):
    """Open a WebSocket; returns socket, head, reader."""
    proxy.upstream.routes[b"/ws"] = sockets.serve(script or echo(proxy.seen), **route)
    sock = proxy.tunnel(token or proxy.reader.open())
    head, ends = sockets.handshake(sock, proxy.upstream.origin, path, *fields)
    return sock, head, ends


@pytest.mark.parametrize("size", [10, 120, 200, 70_000])
def test_text_grows_over_every_length_form(proxy, size):
    """Message by message, the value is put in and taken out; one frame stays one frame."""
    sock, _, ends = opened(proxy)
    text = P + b"x" * size
    sock.sendall(sockets.frame(1, text, masked=True))
    assert ends.frame() == (0x81, text)
    assert proxy.seen == [(0x81, VALUE + b"x" * size)]


def test_json_message_is_escaped(proxy):
    """A JSON message takes the placeholder in `\\u` spelling and gets an escaped value."""
    proxy.reader.put("Q", b'va"l\\ue-12345', proxy.upstream.origin, locations=frozenset({Location.MESSAGE}))
    sock, _, ends = opened(proxy)
    sock.sendall(sockets.frame(1, b'{"t":"\\u0023{SECRETS.Q}"}', masked=True))
    ends.frame()
    assert proxy.seen[0][1] == b'{"t":"va\\"l\\\\ue-12345"}'


def test_binary_goes_up_untouched_and_comes_down_scrubbed(proxy):
    """Binary messages are not injected; what comes back is scrubbed in either kind."""
    sock, _, ends = opened(proxy, lambda e, send: (proxy.seen.append(e.frame()), send(sockets.frame(2, b"\0" + VALUE))))
    sock.sendall(sockets.frame(2, P, masked=True))
    assert ends.frame() == (0x82, b"\0" + P)
    assert proxy.seen == [(0x82, P)]


def test_placeholder_and_value_split_over_fragments(proxy):
    """A placeholder in three fragments with a ping between them is found; so is a value on the way back."""

    def script(ends, send):
        for _ in range(4):
            proxy.seen.append(ends.frame())
        send(sockets.frame(1, VALUE[:5], final=False) + sockets.frame(9, b"hi") + sockets.frame(0, VALUE[5:]))

    sock, _, ends = opened(proxy, script)
    sock.sendall(
        sockets.frame(1, P[:4], final=False, masked=True) + sockets.frame(0, P[4:9], final=False, masked=True)
        + sockets.frame(9, b"ping", masked=True) + sockets.frame(0, P[9:] + b"!", masked=True)
    )  # fmt: skip
    got = [ends.frame() for _ in range(3)]
    assert b"".join(data for first, data in proxy.seen if first & 15 != 9) == VALUE + b"!"
    assert (0x89, b"ping") in proxy.seen
    assert (0x89, b"hi") in got
    assert b"".join(data for first, data in got if first & 15 != 9) == P


@pytest.mark.parametrize("extension", [b"permessage-deflate", b"permessage-deflate; server_no_context_takeover"])
def test_deflate_with_and_without_takeover(proxy, extension):
    """Compressed messages are inflated, rewritten and deflated again, also when their window spans messages."""
    got = []

    def script(ends, send):
        down = zlib.compressobj(wbits=-15)
        for _ in range(3):
            first, data = ends.frame()
            got.append(sockets.inflate(data) if first & 64 else data)
            if b"no_context" in extension:
                down = zlib.compressobj(wbits=-15)
            send(sockets.frame(1, sockets.deflate(b"echo " + got[-1], down), rsv1=True))

    sock, head, ends = opened(proxy, script, DEFLATE, extension=extension)
    assert b"Sec-WebSocket-Extensions: permessage-deflate" in head
    up = zlib.compressobj(wbits=-15)
    for n in range(3):
        text = b"%d " % n + P + b" padding" * 40
        sock.sendall(sockets.frame(1, sockets.deflate(text, up), rsv1=True, masked=True))
        first, data = ends.frame()
        assert (sockets.inflate(data) if first & 64 else data) == b"echo " + text
    assert got[2] == b"2 " + VALUE + b" padding" * 40


@pytest.mark.parametrize("cuts", [(), (300,), (100, 405)])
def test_a_guess_beside_a_value_has_one_length(proxy, cuts):
    """Compressed with the value, a right guess would be shorter than a wrong one; without one it is still compressed."""

    def script(ends, send):
        frames = []
        while not frames or not frames[-1][0] & 0x80:
            frames.append(ends.frame())
        proxy.seen.append(frames)
        send(sockets.frame(1, b"%d" % sum(len(data) for _, data in frames)))

    lengths = []
    for guess in (VALUE, VALUE[::-1], None):
        sock, _, ends = opened(proxy, script, DEFLATE, extension=b"permessage-deflate")
        text = guess * 20 + P * 5 + guess if guess else b"no value " * 60
        wire = sockets.deflate(text)
        edges = (0, *(min(cut, len(text)) for cut in cuts), len(text))
        if cuts:
            pieces = [text[a:b] for a, b in itertools.pairwise(edges)]
            packer = zlib.compressobj(wbits=-15)
            wires = [packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
            wires[-1] = wires[-1].removesuffix(sockets.TAIL)
        else:
            wires = [wire]
        for number, each in enumerate(wires):
            final = number == len(wires) - 1
            first = number == 0
            sock.sendall(sockets.frame(int(first), each, final=final, rsv1=first, masked=True))
        lengths.append(int(ends.frame()[1]))
        sock.close()
        unpacked = zlib.decompressobj(-15)
        got = b"".join(data for _, data in proxy.seen[-1])
        got = unpacked.decompress(got + sockets.TAIL) if proxy.seen[-1][0][0] & 0x40 else got
        assert got == text.replace(P, VALUE)
    assert lengths[0] == lengths[1]
    assert lengths[2] < 200


@pytest.mark.parametrize("packed", [True, False])
def test_a_long_message_is_cut_where_it_is_scrubbed(proxy, packed):
    """Fragments are as long for a long value as for a short one: cut as it came, its length could be read from them."""
    values = [Draw(length).letters(length).encode() for length in (20, 60, 140)]
    for number, value in enumerate(values):
        proxy.reader.put(f"LONG_{number}", value, proxy.upstream.origin)

    def script(ends, send):
        for value in values:
            text = b"a " * 50_000 + value * 4 + b"b " * 200_000 + value
            send(sockets.frame(1, sockets.deflate(text) if packed else text, rsv1=packed))
        ends.frame()

    _, _, ends = opened(proxy, script, DEFLATE, extension=b"permessage-deflate")
    sizes = []
    for number in range(len(values)):
        frames = []
        while not frames or not frames[-1][0] & 0x80:
            frames.append(ends.frame())
        unpacked = zlib.decompressobj(-15)
        texts = [unpacked.decompress(data) if packed else data for _, data in frames]
        told = b"#{SECRETS.LONG_%d}" % number
        assert b"".join(texts) == b"a " * 50_000 + told * 4 + b"b " * 200_000 + told
        assert [first & 0xF for first, _ in frames] == [1, *[0] * (len(frames) - 1)]
        sizes.append([len(text) for text in texts])
    assert sizes == [sizes[0]] * 3
    assert len(sizes[0]) == 4


def test_handshake_injects_url_header_and_subprotocol(proxy):
    """Values go up in URL, header and subprotocol; the chosen subprotocol comes back as the client spelled it."""
    spelled = "bearer.%23%7BSECRETS.WS_TOKEN%7D"
    _, head, _ = opened(
        proxy, None, "Authorization: Bearer #{SECRETS.WS_TOKEN}", f"Sec-WebSocket-Protocol: chat, {spelled}",
        path="/ws?t=%23%7BSECRETS.WS_TOKEN%7D", protocol=lambda r: r.header("Sec-WebSocket-Protocol").split(b", ")[1],
    )  # fmt: skip
    request = proxy.upstream.log[0]
    assert request.target == b"/ws?t=" + VALUE
    assert request.header("Authorization") == b"Bearer " + VALUE
    assert request.header("Sec-WebSocket-Protocol") == b"chat, bearer." + VALUE
    assert f"Sec-WebSocket-Protocol: {spelled}".encode() in head
    assert b"Egret-Injected: WS_TOKEN" in head
    assert b"Sec-WebSocket-Accept: " + sockets.accept(sockets.KEY) in head
    assert VALUE not in head


def test_what_may_not_be_injected_is_carried(proxy):
    """A name without the message location goes up as the text it is, once in the audit."""
    sock, _, ends = opened(proxy)
    for _ in range(2):
        sock.sendall(sockets.frame(1, b"#{SECRETS.HEADER_ONLY}", masked=True))
        ends.frame()
    assert [data for _, data in proxy.seen] == [b"#{SECRETS.HEADER_ONLY}"] * 2
    carried = [line for line in proxy.audit() if line["event"] == "carry"]
    assert [(line["secrets"], line["location"], line["code"]) for line in carried] == [
        (["HEADER_ONLY"], "message", "location_not_allowed")
    ]


def test_names_made_up_without_end_are_not_written_down_without_end(proxy):
    """Each message may carry others; as many lines as for one body are written, and as many names remembered."""
    sock, _, ends = opened(proxy)
    for message in range(3):
        text = b"".join(b"#{SECRETS.N%d}" % (60 * message + name) for name in range(60))
        sock.sendall(sockets.frame(1, text, masked=True))
        assert ends.frame() == (0x81, text)
    assert len([line for line in proxy.audit() if line["event"] == "carry"]) == MAX_NAMES


def test_strict_dataset_refuses_instead(proxy):
    """With strict bodies the WebSocket is closed with 1008 and the code, and the message stays here."""
    proxy.reader.strict.add("d1")
    sock, _, ends = opened(proxy)
    sock.sendall(sockets.frame(1, b"#{SECRETS.HEADER_ONLY}", masked=True))
    first, data = ends.frame()
    assert (first, data) == (0x88, struct.pack("!H", 1008) + b"location_not_allowed")
    assert all(first & 15 == 8 for first, _ in proxy.seen)


def test_ping_and_close_reasons_are_scrubbed(proxy):
    """Control payloads from the upstream hold no value."""
    script = lambda e, send: send(sockets.frame(9, VALUE) + sockets.frame(8, struct.pack("!H", 1000) + VALUE))  # noqa: E731
    _, _, ends = opened(proxy, script)
    assert ends.frame() == (0x89, P)
    assert ends.frame() == (0x88, struct.pack("!H", 1000) + P)


VIOLATIONS = {
    "unmasked frame": (sockets.frame(1, b"x"), 1002),
    "reserved bit": (sockets.frame(1, b"x", masked=True, rsv=0x20), 1002),
    "compressed without agreement": (sockets.frame(1, b"x", masked=True, rsv1=True), 1002),
    "reserved opcode": (sockets.frame(3, b"x", masked=True), 1002),
    "reserved control opcode": (sockets.frame(11, b"x", masked=True), 1002),
    "orphan continuation": (sockets.frame(0, b"x", masked=True), 1002),
    "new message inside a message": (sockets.frame(1, b"x", final=False, masked=True) * 2, 1002),
    "fragmented ping": (sockets.frame(9, b"x", final=False, masked=True), 1002),
    "long ping": (sockets.frame(9, b"x" * 126, masked=True), 1002),
    "padded length": (sockets.frame(1, b"x", masked=True, size=2), 1002),
    "padded long length": (sockets.frame(1, b"x", masked=True, size=8), 1002),
    "invalid utf-8": (sockets.frame(1, b"\xff\xfe", masked=True), 1007),
    "cut utf-8": (sockets.frame(1, "é".encode()[:1], masked=True), 1007),
    "bad close code": (sockets.frame(8, struct.pack("!H", 1005), masked=True), 1002),
    "one byte of close": (sockets.frame(8, b"\x03", masked=True), 1002),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_violations_close_with_their_code(proxy, name):
    """What RFC 6455 forbids ends the WebSocket, and reaches nobody."""
    data, expected = VIOLATIONS[name]
    sock, _, ends = opened(proxy)
    sock.sendall(data)
    first, payload = ends.frame()
    assert (first, payload[:2]) == (0x88, struct.pack("!H", expected))
    wait_for(lambda: proxy.seen and proxy.seen[-1][0] & 15 == 8)
    assert all(payload != b"x" or first & 15 == 1 for first, payload in proxy.seen)


def test_too_long_messages_close_with_1009(tmp_path):
    """A message over the limit is refused: in one frame, in endless fragments, and when it inflates beyond."""
    with Forward(tmp_path, message_bytes=100_000) as proxy:
        proxy.seen = []
        proxy.reader.put("A", VALUE, proxy.upstream.origin)
        bomb = sockets.deflate(b"\0" * 10_000_000)
        for data in (
            sockets.frame(2, b"x" * 100_001, masked=True),
            sockets.frame(2, b"x" * 60_000, final=False, masked=True) + sockets.frame(0, b"x" * 60_000, masked=True),
            sockets.frame(2, bomb, masked=True, rsv1=True),
        ):
            sock, _, ends = opened(proxy, None, DEFLATE, extension=b"permessage-deflate")
            sock.sendall(data)
            while (got := ends.frame())[0] != 0x88:
                pass
            assert got[1][:2] == struct.pack("!H", 1009)


def test_who_sends_on_after_a_refusal_reads_it(tmp_path):
    """The close frame of a refused message is not lost to a reset: what the client still sends is read, for a while."""
    with Forward(tmp_path, message_bytes=100_000) as proxy:
        proxy.seen = []
        sock, _, ends = opened(proxy)
        sock.sendall(sockets.frame(2, b"x" * 100_001, masked=True))
        while (got := ends.frame())[0] != 0x88:
            pass
        assert got[1][:2] == struct.pack("!H", 1009)
        for _ in range(20):
            sock.sendall(b"x" * 50_000)


def test_revocation_closes(proxy):
    """The open WebSocket of a revoked session is told why and closed, without a message being sent."""
    token = proxy.reader.open()
    sock, _, ends = opened(proxy, token=token)
    sock.sendall(sockets.frame(1, b"hello", masked=True))
    ends.frame()
    sock.settimeout(60)
    proxy.reader.revoke(token)
    assert ends.frame() == (0x88, struct.pack("!H", 1008) + b"session_invalid")


def test_new_version_counts_from_the_next_message(proxy):
    """A rotated value is used in an open WebSocket, and scrubbed."""
    sock, _, ends = opened(proxy)
    proxy.reader.put("WS_TOKEN", b"rotated-value-99", proxy.upstream.origin, locations=frozenset(Location))
    sock.sendall(sockets.frame(1, P, masked=True))
    assert ends.frame() == (0x81, P)
    assert proxy.seen == [(0x81, b"rotated-value-99")]


ANSWERS = {
    "no upgrade": b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\n\r\n",
    "wrong accept": b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: eA==\r\n\r\n",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_unfinished_handshakes_are_502(proxy, name):
    """A 101 that does not answer our key is no WebSocket."""
    _, head, _ = opened(proxy, head=ANSWERS[name])
    assert head.startswith(b"HTTP/1.1 502")
    assert code(head) == "upstream_unreachable"


def test_extension_or_subprotocol_that_nobody_offered_is_502(proxy):
    """An upstream cannot switch on what we could not read."""
    _, head, _ = opened(proxy, extension=b"x-secret-compression")
    assert head.startswith(b"HTTP/1.1 502")
    _, head, _ = opened(proxy, protocol=lambda r: b"surprise")
    assert head.startswith(b"HTTP/1.1 502")


def test_refused_upgrade_is_an_ordinary_response(proxy):
    """An upstream that says no is heard, scrubbed."""
    proxy.upstream.routes[b"/ws"] = lambda r, c: b"HTTP/1.1 403 No\r\nContent-Length: %d\r\n\r\n" % len(VALUE) + VALUE
    sock = proxy.tunnel(proxy.reader.open())
    head, _ = sockets.handshake(sock, proxy.upstream.origin)
    assert head.startswith(b"HTTP/1.1 403 No")
    assert head.endswith(P)


def test_bad_key_is_refused(proxy):
    """A handshake that no server could answer is a bad request."""
    answer = proxy.get(
        proxy.reader.open(), "/ws", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: short",
    )  # fmt: skip
    assert code(answer) == "bad_request"
    assert not proxy.upstream.received
