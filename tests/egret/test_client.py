"""egret.client against a recording server: what is sent, and what becomes of answers."""

import json

import pytest
from upstream import Upstream, response

from egret import client as api
from egret.client import Area, Client

PROBLEM = b'{"code": "%s", "detail": "A sentence.", "request_id": "req_1", "errors": [{"pointer": "/a", "code": "c"}]}'


@pytest.fixture
def server():
    answers = []

    def answer(request, conn):
        return answers.pop(0) if answers else response(b'{"items": [], "next": null}')

    with Upstream(None, {b"/": answer}) as upstream:
        upstream.answers = answers
        yield upstream


@pytest.fixture
def client(server):
    with Client(server.url, "egk_key", seal=False) as made:
        yield made


def test_what_a_request_looks_like(server, client):
    """The key in Authorization, JSON in the body, every part of the path encoded."""
    server.answers.append(response(b'{"id": "x"}', status=b"201 Created"))
    client.put_secret(Area("a/b", "p?q"), "NAME", 'väl"ue', hosts=["h"])
    (request,) = server.log
    assert request.head.startswith(b"PUT /projects/p%3Fq/datasets/a%2Fb/secrets/NAME HTTP/1.1")
    assert request.header("Authorization") == b"Api-Key egk_key"
    assert json.loads(request.body) == {"name": "NAME", "value": 'väl"ue', "hosts": ["h"]}


def test_a_url_with_a_path(server):
    """A server behind a path prefix is reached below it."""
    with Client(server.url + "/egret/", "k") as client:
        list(client.datasets())
    assert server.log[0].target == b"/egret/projects/default/datasets/"


def test_pages_are_followed(server, client):
    """Cursors are opaque: they are sent back as they came."""
    server.answers += [
        response(b'{"items": [{"n": 1}], "next": "a+b/c="}'),
        response(b'{"items": [{"n": 2}], "next": null}'),
    ]
    assert [item["n"] for item in client.audit(limit="1")] == [1, 2]
    assert server.log[1].target == b"/audit/?limit=1&cursor=a%2Bb%2Fc%3D"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (b"401 X", api.NotAuthenticated), (b"403 X", api.Forbidden), (b"404 X", api.NotFound), (b"409 X", api.Conflict),
        (b"412 X", api.Conflict), (b"429 X", api.Unavailable), (b"503 X", api.Unavailable), (b"500 X", api.ApiError),
        (b"422 X", api.ApiError), (b"301 X", api.ApiError),
    ],
)  # fmt: skip
def test_statuses_become_errors(server, client, status, error):
    """One class per reaction, with code, request id and pointers."""
    server.answers.append(response(PROBLEM % b"a_code", status=status))
    with pytest.raises(api.ApiError) as caught:
        client.dataset("x")
    assert type(caught.value) is error
    assert (caught.value.code, caught.value.request_id, caught.value.status) == ("a_code", "req_1", int(status[:3]))
    assert "/a" in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>canary</html>", b"canary", b"[1]", b'"canary"', b"\xff"])
def test_a_stranger_is_not_quoted(server, client, body):
    """Whatever answers with an error page, its words are not shown."""
    server.answers.append(response(body, status=b"502 Bad"))
    with pytest.raises(api.Unavailable) as caught:
        client.dataset("x")
    assert "canary" not in str(caught.value)
    server.answers.append(response(b"<html>"))
    with pytest.raises(api.ApiError, match="not JSON"):
        client.dataset("x")


def test_nobody_there():
    """No answer is `Unavailable`, with the reason."""
    with pytest.raises(api.Unavailable, match="refused"):
        Client("http://127.0.0.1:1", "k").dataset("x")


def test_a_kept_connection_that_went_stale(server, client):
    """A GET is tried once more on a fresh connection; a POST is not, because it may have been done."""
    closing = response(b'{"items": [], "next": null}', b"X: 1")
    server.answers += [closing, None]
    list(client.datasets())
    list(client.datasets())  # the server closes instead of answering: the second try gets the answer
    assert len(server.log) == 3
    server.answers.append(None)
    with pytest.raises(api.Unavailable):
        client.open_session("x")
    assert len(server.log) == 4


def test_a_dataset_is_found_by_id_or_name(server, client):
    """The id first; else the only one of the name; several are a conflict."""
    listed = response(
        b'{"items": [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}, {"id": "3", "name": "b"}], "next": null}'
    )
    missing = response(PROBLEM % b"not_found", status=b"404 X")
    server.answers += [response(b'{"id": "x"}'), missing, listed, missing, listed, missing, listed]
    assert client.find_dataset("x")["id"] == "x"
    assert client.find_dataset("a")["id"] == "1"
    with pytest.raises(api.Conflict):
        client.find_dataset("b")
    with pytest.raises(api.NotFound):
        client.find_dataset("c")


@pytest.mark.parametrize("url", ["", "egret.example.com", "ftp://x", "http://", "https://x/?q=1", "https://x/#f"])
def test_urls_that_are_none(url):
    """Refused when the client is made, not when it is used."""
    with pytest.raises(ValueError, match="must look like"):
        Client(url, "k")


def test_the_key_is_not_shown():
    """Not in a repr."""
    assert "egk_canary" not in repr(Client("http://x", "egk_canary"))
