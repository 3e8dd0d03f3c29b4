"""While the search for values that the store has just got is being built, nothing of an answer passes."""

import asyncio
import threading

import pytest
from asker import turns, until
from upstream import Upstream, response

NEW = b"sk-live-9Vn3Rt6Kd8Qs"


def as_a_whole(conn):
    return response(b"v=" + NEW, b"Content-Type: text/plain")


def in_the_head(conn):
    return response(b"", b"Content-Type: text/plain", b"X-Key: " + NEW)


def in_pieces(conn):
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(NEW), NEW)
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk


def in_a_trailer(conn):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"1\r\nx\r\n0\r\nX-Key: %s\r\n\r\n" % NEW


@pytest.mark.parametrize("answer", [as_a_whole, in_the_head, in_pieces, in_a_trailer])
async def test_an_answer_waits_for_the_search(border, answer, monkeypatch):
    """A secret is made while its request is under way; its value comes back before the search knows it."""
    asked, answered, built = threading.Event(), threading.Event(), threading.Event()

    def route(request, conn):
        asked.set()
        assert answered.wait(60)
        conn.sendall(answer(conn))

    server = Upstream(border.authority.leaf(), {b"/": route})
    border.reader.put("KEY", b"sk-live-4Xq9Zb7Lm2Pw", server.origin)
    asking = asyncio.create_task(border.ask(server, b"/", http2=False))
    await asyncio.to_thread(asked.wait, 10)

    view = type(border.services.view(border.caller))
    values = view.values
    monkeypatch.setattr(view, "values", lambda self: (built.wait(60), values(self))[1])
    border.reader.put("NEW", NEW, server.origin)
    await until(lambda: border.border._tasks)
    answered.set()
    await turns(200)
    assert not asking.done()
    built.set()
    got = await asking
    assert got.refused is None
    seen = got.data + b"".join(b"%s: %s\n" % field for field in (*got.fields, *(got.trailers or ())))
    assert NEW not in seen
    assert b"#{SECRETS.NEW}" in seen
    server.close()
