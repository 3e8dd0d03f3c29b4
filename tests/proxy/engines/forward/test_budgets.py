"""Budgets of a dataset, through both engines: what is counted, and what an exhausted one looks like."""

import gzip
import json
import threading

import pytest
import sockets
from forward import Forward
from served import code, receive, wait_for

from proxy.core.prices import Prices, parse_prices
from store.budgets import Budget
from store.model import Location

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"
P = b"#{SECRETS.API_KEY}"
KEY = "X-Key: #{SECRETS.API_KEY}"


@pytest.fixture(scope="module")
def running(tmp_path_factory, engine):
    with Forward(tmp_path_factory.mktemp("budgets"), passthrough=("pinned.test",)) as made:
        where = made.upstream.origin
        for name in ("API_KEY", "OTHER"):
            made.reader.put(name, VALUE + name.encode(), where, locations=frozenset(Location))
            made.reader.secrets["fresh"] = made.reader.secrets["d1"]
        yield made


@pytest.fixture
def proxy(running, request):
    """A dataset of its own for each test."""
    running.dataset = request.node.name
    running.reader.secrets[running.dataset] = running.reader.secrets["fresh"]
    running.upstream.log.clear()
    return running


def opened(proxy, *budgets, **options) -> str:
    proxy.reader.budgets[proxy.dataset] = budgets
    return proxy.reader.open(proxy.dataset, **options)


def statuses(answers) -> list[bytes]:
    return [each.split(b" ", 2)[1] for each in answers]


def test_requests_of_a_dataset(proxy):
    """All of its sessions count; what is refused never leaves, and says what to do."""
    tokens = [opened(proxy, Budget("dataset", "requests", "day", 3)) for _ in range(2)]
    answers = [proxy.get(tokens[turn % 2], "/x") for turn in range(5)]
    assert statuses(answers) == [b"200"] * 3 + [b"429"] * 2
    assert code(answers[3]) == "budget_exhausted"
    assert b"\r\nRetry-After: " in answers[3]
    assert json.loads(answers[3].partition(b"\r\n\r\n")[2])["error"]["code"] == "budget_exhausted"
    assert len(proxy.upstream.log) == 3


def test_requests_of_one_connection(proxy):
    """What is remembered of a connection's last request spares none its count."""
    with proxy.tunnel(opened(proxy, Budget("session", "requests", "ever", 2))) as sock:
        answers = []
        for _ in range(3):
            sock.sendall(f"GET /x HTTP/1.1\r\nHost: {proxy.upstream.origin}\r\n{KEY}\r\n\r\n".encode())
            answers.append(receive(sock))
    assert statuses(answers) == [b"200", b"200", b"429"]
    assert b"\r\nRetry-After" not in answers[2]


def test_requests_of_a_secret_in_head_and_body(proxy):
    """Requests without it go on; one that names it in its body is refused before its value leaves."""
    token = opened(proxy, Budget("secret", "requests", "ever", 2, name="API_KEY"))
    field, body = [KEY], {"method": "POST", "body": P}
    answers = [proxy.get(token, "/x", *field), proxy.get(token, "/x", **body)]
    answers += [proxy.get(token, "/x", *field), proxy.get(token, "/x", **body)]
    answers += [proxy.get(token, "/x", KEY.replace("API_KEY", "OTHER")), proxy.get(token, "/x")]
    assert statuses(answers) == [b"200", b"200", b"429", b"429", b"200", b"200"]
    assert json.loads(answers[3].partition(b"\r\n\r\n")[2])["secret"] == "API_KEY"
    assert sum(VALUE in each.raw for each in proxy.upstream.log) == 3


def test_bytes_up_are_counted_as_the_client_sends_them(proxy):
    """A body with a value in it counts as the placeholder that it had: 100 bytes are 100 bytes."""
    body = P.ljust(100, b"x")
    token = opened(proxy, Budget("dataset", "bytes", "ever", 350))
    proxy.upstream.routes[b"/none"] = lambda *_: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    answers = [proxy.get(token, "/none", method="POST", body=body) for _ in range(4)]
    assert statuses(answers) == [b"200"] * 3 + [b"429"]
    left = proxy.get(token, "/none", method="POST", body=body[:50])
    assert statuses([left, proxy.get(token, "/none")]) == [b"200", b"429"]


@pytest.mark.parametrize("sized", [True, False])
def test_bytes_down_end_where_the_budget_does(proxy, sized):
    """As the client gets them, with placeholders for values; the piece that has no room is cut, and looks cut."""
    text = VALUE + b"API_KEY" + b"y" * 82  # 100 bytes with the placeholder
    whole = b"Content-Length: %d\r\n\r\n%s" % (len(text), text)
    chunks = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(text), text)
    proxy.upstream.routes[b"/down"] = lambda *_: b"HTTP/1.1 200 OK\r\n" + (whole if sized else chunks)
    token = opened(proxy, Budget("dataset", "bytes", "ever", 250))
    answers = [proxy.get(token, "/down") for _ in range(2)]
    assert all(each.count(P) == 1 and each.count(b"y") == 82 for each in answers)
    third = proxy.get(token, "/down")
    assert b"yyy" not in third
    assert not third.endswith(b"0\r\n\r\n")
    assert proxy.audit()[-1]["code"] == "budget_exhausted"


def test_messages_are_counted_both_ways(proxy):
    """The WebSocket ends with the code as its reason, before the message leaves."""
    seen = []

    def script(ends, send):
        while (got := ends.frame())[0] & 15 == 1:
            seen.append(got[1])
            send(sockets.frame(1, b"ok"))

    proxy.upstream.routes[b"/ws"] = sockets.serve(script)
    budgets = Budget("secret", "requests", "ever", 3), Budget("session", "bytes", "ever", 10_000)
    with proxy.tunnel(opened(proxy, *budgets)) as sock:
        _, ends = sockets.handshake(sock, proxy.upstream.origin, "/ws")
        for _ in range(3):
            sock.sendall(sockets.frame(1, P, masked=True))
            assert ends.frame() == (0x81, b"ok")
        sock.sendall(sockets.frame(1, P, masked=True))
        assert ends.frame()[1][2:] == b"budget_exhausted"
    with proxy.tunnel(proxy.reader.open(proxy.dataset)) as sock:
        _, ends = sockets.handshake(sock, proxy.upstream.origin, "/ws")
        sock.sendall(sockets.frame(1, b"z" * 9000, masked=True))
        assert ends.frame() == (0x81, b"ok")
        sock.sendall(sockets.frame(1, b"z" * 1000, masked=True))
        assert ends.frame()[1][2:] == b"budget_exhausted"
    assert seen == [VALUE + b"API_KEY"] * 3 + [b"z" * 9000]


def test_a_tunnel_that_is_passed_on_counts(proxy):
    """As one request, and with its bytes."""
    token = opened(proxy, Budget("session", "requests", "ever", 1))
    target = f"pinned.test:{proxy.upstream.port}"
    first, second = proxy.connect(token, target), proxy.connect(token, target)
    assert first[1].startswith(b"HTTP/1.1 200")
    assert code(second[1]) == "budget_exhausted"
    for sock, _ in (first, second):
        sock.close()


CHAT = b'{"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}}'
EVENT = b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\n'


def answers(proxy, body, media=b"application/json", coding=None):
    fields = b"Content-Type: %s\r\nContent-Length: %d\r\n" % (media, len(body))
    fields += b"Content-Encoding: %s\r\n" % coding if coding else b""
    proxy.upstream.routes[b"/v1"] = lambda *_: b"HTTP/1.1 200 OK\r\n%s\r\n%s" % (fields, body)


def tokens(proxy, unit="tokens") -> int:
    proxy.run(_soon(proxy.services.report))
    told = [line["spent"] for line in proxy.audit() if line["event"] == "spent" and line["dataset"] == proxy.dataset]
    return max((spent[5] for spent in told if spent[2] == unit), default=0)


@pytest.mark.parametrize(
    ("body", "media", "coding", "expected"),
    [
        (CHAT, b"application/json; charset=utf-8", None, 21),
        (gzip.compress(CHAT), b"application/json", b"gzip", 21),
        (EVENT * 3 + b"data: " + CHAT + b"\n\n", b"text/event-stream", None, 21),
        (EVENT * 7, b"text/event-stream", None, 7 + 40 // 4),
        (b'{"id": 1}', b"application/json", None, 0),
        (CHAT, b"text/plain", None, 0),
    ],
    ids=["json", "gzip", "stream", "silent stream", "no API of tokens", "text"],
)
def test_tokens_are_what_the_answer_says(proxy, body, media, coding, expected):
    """Those of a stream that does not say are counted by its events; reading an answer that is stored costs nothing."""
    token = opened(proxy, Budget("dataset", "tokens", "day", 10_000))
    answers(proxy, body, media, coding)
    assert proxy.get(token, "/v1").startswith(b"HTTP/1.1 200")
    assert tokens(proxy) == 0
    assert proxy.get(token, "/v1", method="POST", body=b"p" * 40).startswith(b"HTTP/1.1 200")
    assert tokens(proxy) == expected


@pytest.mark.parametrize(
    ("body", "coding"), [(b"?" * 80, b"unheard-of"), (CHAT[:80], b"gzip")], ids=["strange coding", "no gzip"]
)
def test_what_cannot_be_read_counts_by_its_bytes(proxy, body, coding):
    """Where nothing is searched for values, and so no answer refused for its coding: it is no way around a budget."""
    proxy.reader.secrets[proxy.dataset] = type(proxy.reader.secrets["fresh"])()
    token = opened(proxy, Budget("dataset", "tokens", "day", 10_000))
    answers(proxy, body, coding=coding)
    answer = proxy.get(token, "/v1", method="POST", body=b"p" * 40)
    assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(body)
    assert tokens(proxy) == 40 // 4 + 80 // 4


def test_tokens_end_where_the_budget_does(proxy):
    """The answer that goes beyond is whole, and counted; the next request is refused."""
    token = opened(proxy, Budget("secret", "tokens", "day", 30, name="API_KEY"))
    answers(proxy, CHAT)
    told = [proxy.get(token, "/v1", KEY, method="POST", body=b"p") for _ in range(3)]
    assert statuses(told) == [b"200", b"200", b"429"]
    assert statuses([proxy.get(token, "/v1", method="POST", body=b"p")]) == [b"200"]
    assert tokens(proxy) == 42


PRICED = b'{"model": "big-2026-01-31", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 12}}'


@pytest.fixture
def prices(proxy):
    document = {
        "currency": "USD",
        "unknown": {"input": 100, "output": 200},
        "providers": {
            "ours": {"hosts": [proxy.upstream.origin.partition(":")[0]], "models": {"big": {"input": 1, "output": 2}}}
        },
    }
    proxy.services.prices = parse_prices(document)
    yield proxy.services.prices
    proxy.services.prices = Prices()


@pytest.mark.parametrize(
    ("body", "media", "expected", "unpriced"),
    [
        (PRICED, b"application/json", 9 * 1 + 12 * 2, 0),
        (PRICED.replace(b"big", b"biggest"), b"application/json", 9 * 100 + 12 * 200, 2),
        (CHAT, b"application/json", 9 * 100 + 12 * 200, 2),
        (b'data: {"model": "big"}\n\n' * 7, b"text/event-stream", 10 * 1 + 7 * 2, 0),
        (EVENT * 7, b"text/event-stream", 10 * 100 + 7 * 200, 2),
        (b'{"id": 1}', b"application/json", 0, 0),
    ],
    ids=["priced", "another model", "no model", "silent stream", "silent stream of no model", "no API of tokens"],
)
def test_cost_is_what_the_models_tokens_cost(proxy, prices, body, media, expected, unpriced):
    """One without a price counts as unknown, is counted by a metric each time, and written down once a session."""
    token, before = opened(proxy, Budget("dataset", "cost", "day", 10**9)), proxy.services.meters.unpriced
    answers(proxy, body, media)
    for count in (1, 2):
        assert proxy.get(token, "/v1", method="POST", body=b"p" * 40).startswith(b"HTTP/1.1 200")
        assert tokens(proxy, "cost") == count * expected
    assert proxy.services.meters.unpriced - before == unpriced
    lines = [each for each in proxy.audit() if each["event"] == "budget" and each["dataset"] == proxy.dataset]
    assert [each["code"] for each in lines] == ["unpriced"] * bool(unpriced)


def test_cost_ends_where_the_budget_does(proxy, prices):
    """Softly first; the answer that goes beyond is whole, and counted; the next request is refused."""
    token = opened(proxy, Budget("session", "cost", "day", 40, soft=30))
    answers(proxy, PRICED)
    told = [proxy.get(token, "/v1", KEY, method="POST", body=b"p") for _ in range(3)]
    assert statuses(told) == [b"200", b"200", b"429"]
    assert code(told[2]) == "budget_exhausted"
    assert tokens(proxy, "cost") == 66
    lines = [each["code"] for each in proxy.audit() if each["event"] == "budget" and each["dataset"] == proxy.dataset]
    assert lines == ["session cost/day"]


def test_who_leaves_before_the_end_pays_for_what_came(proxy):
    """The upstream goes on; the client took four events, and never heard what they cost."""
    token = opened(proxy, Budget("dataset", "tokens", "day", 10_000))
    left = threading.Event()

    def stream(_, conn):
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        conn.sendall(head + b"%x\r\n%s\r\n" % (4 * len(EVENT), 4 * EVENT))
        left.wait(30)

    proxy.upstream.routes[b"/v1"] = stream
    with proxy.tunnel(token) as sock:
        sock.sendall(f"POST /v1 HTTP/1.1\r\nHost: {proxy.upstream.origin}\r\nContent-Length: 0\r\n\r\n".encode())
        got = b""
        while got.count(b"data:") < 4:
            got += sock.recv(65536)
    wait_for(lambda: tokens(proxy) == 4)
    left.set()


def test_what_was_drawn_is_told_to_the_store(proxy):
    """A soft limit once, in the audit; a count with the plane that has it."""
    token = opened(proxy, Budget("secret", "requests", "ever", None, soft=2, name="API_KEY"))
    for _ in range(3):
        proxy.get(token, "/x", KEY)
    proxy.run(_soon(proxy.services.report))
    lines = [line for line in proxy.audit() if line["dataset"] == proxy.dataset]
    (near,) = (line for line in lines if line["event"] == "budget")
    assert (near["code"], near["secrets"]) == ("secret requests/ever", ["API_KEY"])
    *_, last = (line for line in lines if line["event"] == "spent")
    assert last["spent"][:6] == ["secret", "API_KEY", "requests", "ever", 0, 3]


async def _soon(call) -> None:
    call()
