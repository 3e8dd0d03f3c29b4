"""Between the question and the answer: what ends while a request is decided about ends it."""

import pytest
from forward import Forward
from gatehouse import LOOPBACK, ORIGIN, Gatehouse
from served import code

from proxy.admission.destination import AddressGuard


@pytest.mark.parametrize("end", ["revoked", "egress"])
@pytest.mark.parametrize("way", ["plain", "gateway"])
def test_store_changes_while_a_name_is_looked_up(tmp_path, way, end):
    """Who answers for a name chooses how long that takes; the session is asked for again after it."""

    async def resolve(host, port):
        if end == "revoked":
            made.reader.revoke(token)
        else:
            made.reader.egress["d1"] = {"allow": ["nowhere.example"]}
            made.reader.moved()
        return ["127.0.0.1"]

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
