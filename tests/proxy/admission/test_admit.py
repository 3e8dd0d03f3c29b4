"""Between the question and the answer: what ends while a request is decided about ends it."""

import pytest
from forward import Forward
from gatehouse import LOOPBACK, ORIGIN, Gatehouse
from served import code

from proxy.admission.destination import AddressGuard
from proxy.core.searches import Searches


@pytest.mark.parametrize("end", ["revoked", "egress"])
@pytest.mark.parametrize("moment", ["look-up", "search"])
@pytest.mark.parametrize("way", ["plain", "gateway"])
def test_store_changes_while_a_request_waits(tmp_path, monkeypatch, way, moment, end):
    """Who answers for a name chooses how long that takes, many values how long their search; then all is asked again."""
    prepare = Searches.prepare

    def change(now):
        if now != moment:
            return
        if end == "revoked":
            made.reader.revoke(token)
        else:
            made.reader.egress["d1"] = {"allow": ["nowhere.example"]}
            made.reader.moved()

    async def resolve(host, port):
        change("look-up")
        return ["127.0.0.1"]

    async def prepared(searches, view, destination):
        change("search")
        await prepare(searches, view, destination)

    monkeypatch.setattr(Searches, "prepare", prepared)

    if way == "gateway":
        with Gatehouse(guard=AddressGuard(allow_private=LOOPBACK, resolve=resolve)) as made:
            token = made.token
            asked = f"GET {made.path('/x')} HTTP/1.1\r\nHost: gw\r\nOrigin: {ORIGIN}\r\nX: #{{SECRETS.KEY}}\r\n"
            answer = made.raw(asked.encode() + b"Connection: close\r\n\r\n")
            reached = made.up.received
    else:
        Forward.engine = "express"
        with Forward(tmp_path, resolve=resolve) as made:
            made.reader.put("KEY", b"sk-canary-0123456789", made.plain.url)
            token, there = made.reader.open(), made.plain.url
            fields = f"Host: {there.rpartition('/')[2]}\r\nProxy-Authorization: Bearer {token}\r\nX: #{{SECRETS.KEY}}"
            answer = made.raw(f"GET {there}/x HTTP/1.1\r\n{fields}\r\n\r\n".encode())
            reached = made.plain.received
    assert code(answer) == ("session_invalid" if end == "revoked" else "destination_blocked")
    assert reached == b""
