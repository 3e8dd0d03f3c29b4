"""A token endpoint on loopback, over TLS, that verifies who asks and for what; and an API's side of its tokens.

What does not verify is answered as RFC 6749 5.2 says, and `faults` has the reason. `instead` are answers to give first, in
their order: bytes, or functions of a request and a connection.
"""

import base64
import json
import threading
from urllib.parse import parse_qsl, unquote_plus

from certificates import Authority
from draw import Draw
from upstream import Request, Upstream, echo, response

HOST = "auth.test"
ID, SECRET = "client 7", Draw("issuer").letters(40) + "+/&=%"
VALUE = json.dumps({"client_id": ID, "client_secret": SECRET}).encode()
JSON = b"Content-Type: application/json"


def answer(document, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return response(body, JSON, *fields, status=status)


class Issuer(Upstream):
    """Serves until `close()`; knows one client. `wants`: what its form must say beside the grant type."""

    def __init__(self, authority: Authority, way: str = "basic", wants=None, name: str = "issuer", host: str = HOST):
        self.way, self.wants, self.seconds = way, wants or {}, 3600
        self.faults: list[str] = []
        self.tokens: list[str] = []
        self.revoked: set[str] = set()
        self.instead: list = []
        self.gate = threading.Event()
        self.gate.set()
        self._draw = Draw(name)
        super().__init__(authority.leaf(host), {b"/": self._answer})
        self.token_url = f"https://{host}:{self.port}/oauth/token?tenant=t"

    @property
    def parameters(self) -> dict[str, str]:
        return {"token_url": self.token_url, "client_auth": self.way, **self.wants}

    def _answer(self, request: Request, conn) -> bytes | None:
        if request.path != b"/oauth/token":  # a page of the same host, which says what it was asked
            return echo(request, conn)
        self.gate.wait(60)
        if self.instead:
            given = self.instead.pop(0)
            return given(request, conn) if callable(given) else given
        fault = self.verify(request)
        if fault is not None:
            self.faults.append(fault)
            return answer({"error": "invalid_client", "error_description": f"{fault} {SECRET}"}, status=b"401 No")
        self.tokens.append(self._draw.letters(48) + "-._~+/==")
        return answer({"access_token": self.tokens[-1], "token_type": "bearer", "expires_in": self.seconds, "scope": "a"})  # fmt: skip

    def verify(self, request: Request) -> str | None:
        """Return what is wrong with a request (RFC 6749 2.3.1, 4.4.2)."""
        if not request.head.startswith(b"POST /oauth/token?tenant=t HTTP/1.1"):
            return "another request"
        if request.header("Content-Type") != b"application/x-www-form-urlencoded":
            return "no form"
        given = dict(parse_qsl(request.body.decode(), strict_parsing=True))
        pair = given.pop("client_id", None), given.pop("client_secret", None)
        if self.way == "basic":
            if pair != (None, None):
                return "both ways"
            basic = request.header("Authorization").removeprefix(b"Basic ")
            pair = tuple(map(unquote_plus, base64.b64decode(basic).decode().split(":")))
        if pair != (ID, SECRET):
            return "another client"
        return None if given == {"grant_type": "client_credentials", **self.wants} else "another form"

    def api(self, request: Request, conn) -> bytes:
        """What an API answers: 401 to what is no live token, else all that it was asked."""
        given = request.header("Authorization").decode().removeprefix("Bearer ")
        if given not in self.tokens or given in self.revoked:
            return response(b"who?", status=b"401 Unauthorized")
        return echo(request, conn)
