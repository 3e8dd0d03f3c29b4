"""A head that comes again is not decided about again, unless something else may be decided now."""

from forward import Forward
from served import receive

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_the_same_head_again_is_decided_by_what_is_so_now(engine, tmp_path):
    """Another value is written, what may not go there any more does not, another target is looked at for itself."""
    with Forward(tmp_path, routes={b"/x": lambda *_: ANSWER}) as proxy:
        there = proxy.upstream.origin
        proxy.reader.put("KEY", b"canary-value-one", there)
        client = proxy.tunnel(proxy.reader.open())

        def ask(target):
            head = f"GET {target} HTTP/1.1\r\nHost: {there}\r\nX-Key: #{{SECRETS.KEY}}\r\n\r\n"
            client.sendall(head.encode())
            return receive(client).partition(b"\r\n")[0]

        for _ in range(3):
            assert ask("/x") == b"HTTP/1.1 200 OK"
        assert ask("/x?k=%23%7BSECRETS.NONE%7D") == b"HTTP/1.1 403 unknown_secret"
        assert ask("/x?k=%23%7BSECRETS.KEY%7D") == b"HTTP/1.1 200 OK"
        assert ask("/x") == b"HTTP/1.1 200 OK"
        proxy.reader.put("KEY", b"canary-value-two", there)
        for _ in range(2):
            assert ask("/x") == b"HTTP/1.1 200 OK"
        seen = [request.header("X-Key") for request in proxy.upstream.log]
        assert seen == [b"canary-value-one"] * 5 + [b"canary-value-two"] * 2
        assert proxy.upstream.log[3].target == b"/x?k=canary-value-one"
        proxy.reader.put("KEY", b"canary-value-two", "other.example")
        assert ask("/x") == b"HTTP/1.1 403 destination_not_allowed"
        assert len(proxy.upstream.log) == 7
