import gzip
import tracemalloc

import pytest

CANARY = b"canary-9f3Kq7Zp2Wx8"
GOOD = b'{"value": "some-value-123"}'
PATH = "/projects/default/secrets/BODY"


@pytest.mark.parametrize(
    "kind",
    ["application/json", "Application/JSON", "application/json; charset=utf-8", 'application/json; charset="UTF-8"',
     "application/json;charset=utf8", "application/merge-patch+json", "application/vnd.egret+json"],
)  # fmt: skip
def test_json_in_its_spellings(shared, kind):
    """Every way to say JSON in UTF-8 is taken."""
    assert shared("PUT", PATH, raw=GOOD, headers={"Content-Type": kind}).status in (200, 201)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": ""},
        {"Content-Type": "application/json; charset=utf-16"}, {"Content-Type": "application/jsonp"},
        {"Content-Type": "application/json; charset=latin-1"}, {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/json", "Content-Encoding": "br, gzip"},
    ],
)  # fmt: skip
def test_other_types_and_codings(shared, headers):
    """All else is 415, whatever the bytes are: no decompression, no guessing."""
    data = gzip.compress(GOOD) if "Content-Encoding" in headers else GOOD
    answer = shared("PUT", PATH, raw=data, headers=headers)
    assert answer.status == 415 and answer.code == "unsupported_media_type"


def test_a_body_without_a_type(shared):
    """A body whose type nobody states is 415 too."""
    head = f"PUT {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Api-Key {shared.key}\r\nConnection: close\r\n"
    answer = shared.send(f"{head}Content-Length: {len(GOOD)}\r\n\r\n".encode() + GOOD)
    assert b" 415 " in answer[:20]


def test_a_bomb_is_not_unpacked(shared):
    """A compressed body costs what its bytes cost."""
    bomb = gzip.compress(b'{"value": "' + b"0" * (64 << 20) + b'"}')
    tracemalloc.start()
    answer = shared("PUT", PATH, raw=bomb, headers={"Content-Encoding": "gzip"})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.status == 415 and peak < 16 << 20


def test_too_long_a_body_is_refused_unread(shared):
    """A length over the limit is refused by its number; a chunked body when it passes it."""
    head = (
        f"PUT {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Api-Key {shared.key}\r\nContent-Type: application/json\r\n"
    )
    answer = shared.send(f"{head}Content-Length: {1 << 40}\r\n\r\n".encode(), wait=1)
    assert b" 413 " in answer[:20] and b"body_too_large" in answer


def test_a_chunked_body_is_bounded(shared, monkeypatch):
    """A body without a length is cut off at the limit."""
    head = (
        f"PUT {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Api-Key {shared.key}\r\nContent-Type: application/json\r\n"
    )
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    answer = shared.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 18, wait=2)
    assert b" 413 " in answer[:20]
    good = f"{head}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode() + b"%x\r\n%s\r\n0\r\n\r\n" % (
        len(GOOD),
        GOOD,
    )
    assert shared.send(good).split(b" ")[1] in (b"200", b"201")


def test_a_slow_body_is_given_up(shared, monkeypatch):
    """A body that does not arrive in time is 408, and nothing of it is stored."""
    monkeypatch.setattr("store.api.body.TIMEOUT", 0.3)
    head = f"PUT {PATH}SLOW HTTP/1.1\r\nHost: x\r\nAuthorization: Api-Key {shared.key}\r\nContent-Type: application/json\r\n"
    answer = shared.send(f"{head}Content-Length: 1000\r\n\r\n".encode() + b'{"value": "' + CANARY, wait=5)
    assert b" 408 " in answer[:20] and CANARY not in answer
    assert shared("GET", PATH + "SLOW").status == 404


def test_nothing_is_read_without_a_key(shared):
    """A stranger's gigabyte is refused before its first byte."""
    head = f"PUT {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {1 << 30}\r\n\r\n"
    assert b" 401 " in shared.send(head.encode(), wait=1)[:20]


def test_expecting_clients_are_told_to_go_on(shared):
    """Expect: 100-continue is answered, so that curl sends at once."""
    head = (
        f"PUT {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Api-Key {shared.key}\r\nContent-Type: application/json\r\n"
    )
    answer = shared.send(
        f"{head}Expect: 100-continue\r\nConnection: close\r\nContent-Length: {len(GOOD)}\r\n\r\n".encode() + GOOD
    )
    assert answer.startswith(b"HTTP/1.1 100") and b"HTTP/1.1 20" in answer


def test_a_large_upload_does_not_stop_the_others(shared):
    """While a body of many megabytes is parsed and sealed, other requests are answered."""
    import threading

    secrets = [{"name": f"BIG{number}", "value": "x" * 60_000, "hosts": ["a.test"]} for number in range(200)]
    results = []
    sender = threading.Thread(target=lambda: results.append(shared.dataset(*secrets)))
    sender.start()
    asked = 0
    while sender.is_alive():
        assert shared("GET", "/healthz", key=None).status == 200
        asked += 1
    assert len(results[0]["secrets"]) == 200
    assert asked > 3
