"""A session token goes to no upstream, wherever a request holds it and by whichever way it came."""

import base64

import pytest
from forward import Forward
from gatehouse import ORIGIN, Gatehouse
from served import code, receive

from proxy.admission.session import tells, untold
from store.keys.tokens import SESSION, mint

OTHERS = mint(SESSION, b"a key").token.reveal()


@pytest.fixture(scope="module")
def forward(tmp_path_factory):
    Forward.engine = "express"
    with Forward(tmp_path_factory.mktemp("untold")) as made:
        made.reader.put("KEY", b"sk-canary-0123456789", made.upstream.origin)
        yield made


@pytest.fixture(scope="module")
def gate():
    with Gatehouse() as house:
        yield house


def ask(forward, gate, way, target, *fields, body=b""):
    """A request; return the answer and the upstream that it was for."""
    lines = ["POST @ HTTP/1.1", "Host: @HOST@", *fields, "Connection: close"]
    lines += ["Transfer-Encoding: chunked"] if body else ["Content-Length: 0"]
    data = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
    if way == "gateway":
        gate.up.forget()
        return gate.raw(data.replace(b"@ ", gate.path(target).encode() + b" ", 1).replace(b"@HOST@", b"gw")), gate.up
    token = forward.reader.open()
    if way == "tunnelled":
        forward.upstream.forget()
        return forward.ask(token, data.replace(b"@ ", target.encode() + b" ", 1)), forward.upstream
    forward.plain.forget()
    url = f"http://{forward.plain.origin.removeprefix('http://')}"
    data = data.replace(b"@ ", f"{url}{target} ".encode(), 1).replace(b"@HOST@", url.partition("://")[2].encode())
    return forward.raw(
        data.replace(b"\r\n", b"\r\nProxy-Authorization: Bearer " + token.encode() + b"\r\n", 1)
    ), forward.plain


WAYS = ["tunnelled", "plain", "gateway"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "value",
    [OTHERS, b"https://gw.test/s/" + OTHERS + b"/https/api.test/x?y", b"Bearer " + OTHERS, b"x" + OTHERS + b"y", b"Basic " + base64.b64encode(OTHERS + b":")],
    ids=["alone", "URL", "Bearer", "inside", "Basic"],
)  # fmt: skip
def test_field_is_left_out(forward, gate, way, value):
    """Fronts, SDKs and pages write the URL that they know into fields of many names; the other fields go on."""
    fields = [f"X-Seen: {value.decode()}", f"Authorization: {value.decode()}", "X-One: 1"]
    answer, up = ask(forward, gate, way, "/", *fields)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    [request] = up.log
    assert not request.all("X-Seen")
    assert not request.all("Authorization")
    assert request.header("X-One") == b"1"
    assert OTHERS not in up.received


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("target", [f"/s/{OTHERS.decode()}/", f"/?page={OTHERS.decode()}"], ids=["path", "query"])
def test_target_is_refused(forward, gate, way, target):
    """A URL cannot be sent without a part of it."""
    answer, up = ask(forward, gate, way, target)
    assert code(answer) == "session_exposed"
    assert OTHERS not in answer
    assert up.received == b""


@pytest.mark.parametrize("way", ["tunnelled", "gateway"])
def test_target_is_refused_where_the_fields_are_known(forward, gate, way):
    """What was decided about the fields of the last request says nothing of another target."""
    up, token = (gate.up, gate.token) if way == "gateway" else (forward.upstream, forward.reader.open())
    up.forget()
    with gate.dial() if way == "gateway" else forward.tunnel(token) as client:
        for target in ("/one", f"/two?page={OTHERS.decode()}"):
            path = gate.path(target) if way == "gateway" else target
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: {up.origin}\r\nOrigin: {ORIGIN}\r\n\r\n".encode())
            answer = receive(client)
    assert code(answer) == "session_exposed"
    assert [each.target for each in up.log] == [b"/one"]
    assert OTHERS not in up.received


@pytest.mark.parametrize("way", WAYS)
def test_trailer_is_left_out(forward, gate, way):
    """Trailers come later, and are looked at too."""
    body = b"2\r\nhi\r\n0\r\nX-Seen: " + OTHERS + b"\r\nX-One: 1\r\n\r\n"
    answer, up = ask(forward, gate, way, "/", body=body)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    assert OTHERS not in up.received
    assert (b"X-One: 1" in up.received) == (way != "gateway")  # which sends none


@pytest.mark.parametrize(
    "value",
    [b"egs_", b"legs_of_a_table", OTHERS[:-1], OTHERS.replace(b"egs", b"egk"), OTHERS.upper(), b"ZWdzX29mZg=="],
    ids=["prefix", "word", "short", "key", "upper case", "base64"],
)
def test_what_is_no_token_passes(value):
    """Nothing that people write looks like one."""
    fields = ((b"X", value),)
    assert not tells(value)
    assert untold(fields) == fields


def test_own_token_of_a_page_stays_here(gate):
    """The one in the URL that the page asked by."""
    gate.up.forget()
    gate.get("/", {"X-Original-Link": f"https://gw{gate.path('/')}", "Origin": ORIGIN})
    assert gate.token.encode() not in gate.up.received
