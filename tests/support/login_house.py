"""A login service over TLS, an API that takes its tokens, and a store with the client's secret; for every adapter.

`instead` are answers of the service to give first, in their order. `kept` is all that must never come back.
"""

import base64
import json
from urllib.parse import parse_qsl

from certificates import Authority
from draw import Draw
from issuer import answer
from stores import Store, secret
from upstream import Request, Upstream, echo, response

from store.model import Destination
from store.vault import NewSession, Upload

AUTH, API = "auth.test", "api.test"
CLIENT, SECRET, PASSWORD = "client-7", Draw("login").letters(40), Draw("password").letters(24)
MEMBERS = ["access_token", "refresh_token", "id_token"]
CLAIMS = {"sub": "u-1", "name": "Zoë", "exp": 4102444800}


def segment(document) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


class LoginHouse:
    """Serves until `close()`. `put` stores the client's secret anew."""

    def __init__(self, folder):
        folder.mkdir(exist_ok=True)
        self.authority = Authority(folder)
        routes = {b"/oauth/token": self._token, b"/registry/token": self._registry}
        self.auth = Upstream(self.authority.leaf(AUTH), routes)
        self.api = Upstream(self.authority.leaf(API), {b"/": self._api})
        self.store = Store.make(folder / "store")
        self.draw = Draw("tokens")
        self.live: set[str] = set()
        self.kept: list[str] = [SECRET, PASSWORD]
        self.instead: list = []
        self._others = False
        self.sizes = (1200, 48)
        self.store.dataset(*self.secrets())
        self.reader = self.store.reader()

    def capture(self, members=MEMBERS, hosts=None, **more):
        """A rule of the token endpoint."""
        rule = {"host": self.auth_origin, "methods": ["POST"], "paths": ["/oauth/token"]}
        return rule | {"capture": {"members": members, "hosts": [self.api_origin] if hosts is None else hosts}} | more

    def secrets(self):
        registry = self.capture(["token"], methods=["GET"], paths=["/registry/token"])
        return [
            secret("CLIENT", SECRET.encode(), [self.capture()]),
            secret("PASS", PASSWORD.encode(), [self.capture(), registry]),
        ]

    def elsewhere(self) -> list[str]:
        """Sessions of the dataset, of another one, and of its namesakes in another project and another organisation.

        All have the same secrets.
        """
        store = self.store
        if not self._others:
            store.dataset(*self.secrets(), dataset="other")
            store.vault.projects.create(store.owner, "Other", "other")
            store.vault.datasets.create(store.owner, "other", Upload("set", secrets=self.secrets()), "ds")
            key = store.vault.organisations.create(store.owner, "acme", "Acme").reveal().decode()
            self._stranger = store.vault.keys.authenticate(key)
            store.vault.datasets.create(self._stranger, "default", Upload("set", secrets=self.secrets()), "ds")
            self._others = True
        found = [(store.owner, "other"), (self._stranger, "default")]
        opened = [store.vault.sessions.open(who, project, "ds", NewSession())[1] for who, project in found]
        return [store.token(), store.token("other"), *(token.reveal().decode() for token in opened)]

    @property
    def auth_origin(self) -> str:
        return f"{AUTH}:{self.auth.port}"

    @property
    def api_origin(self) -> str:
        return f"{API}:{self.api.port}"

    def at(self, upstream: Upstream) -> Destination:
        return Destination(True, AUTH if upstream is self.auth else API, upstream.port)

    async def resolve(self, host, port):
        return ["127.0.0.1"]

    def draw_token(self, length: int) -> str:
        token = self.draw.letters(length)
        self.kept.append(token)
        return token

    def grant(self, **more):
        """What the service answers: tokens that the API takes."""
        access, refresh = (self.draw_token(size) for size in self.sizes)
        signature = self.draw_token(64)
        self.live |= {access, refresh}
        identity = f"{segment({'alg': 'RS256'})}.{segment(CLAIMS)}.{signature}"
        return {"access_token": access, "refresh_token": refresh, "id_token": identity, "token_type": "Bearer", "expires_in": 3600} | more  # fmt: skip

    def _token(self, request: Request, conn):
        if self.instead:
            given = self.instead.pop(0)
            return given(request, conn) if callable(given) else given
        form = dict(parse_qsl(request.body.decode()))
        basic = base64.b64decode(request.header("Authorization").removeprefix(b"Basic ")).decode()
        good = {
            "client_credentials": basic == f"{CLIENT}:{SECRET}",
            "password": form.get("password") == PASSWORD,
            "refresh_token": form.get("refresh_token") in self.live,
        }
        if not good.get(form.get("grant_type", ""), False):
            return answer({"error": "invalid_grant"}, status=b"400 Bad Request")
        return answer(self.grant())

    def _registry(self, request: Request, conn):
        if base64.b64decode(request.header("Authorization").removeprefix(b"Basic ")).decode() != f"u:{PASSWORD}":
            return answer({"errors": []}, status=b"401 Unauthorized")
        token = self.draw_token(900)
        self.live.add(token)
        return answer({"token": token, "access_token": token, "expires_in": 60}, b"X-Token: " + token.encode())

    def _api(self, request: Request, conn):
        """401 to who has no live token, else all that was asked; `/leak` shows every token that there is."""
        if request.path == b"/leak":
            return response("\n".join(self.kept).encode(), b"Content-Type: text/plain")
        given = request.header("Authorization").decode().removeprefix("Bearer ")
        return echo(request, conn) if given in self.live else response(b"who?", status=b"401 Unauthorized")

    def clean(self, *said: bytes) -> None:
        """Nothing that is kept was said."""
        text = b"".join(said)
        for each in self.kept:
            assert each.encode() not in text, "a value came back"
            assert base64.b64encode(each.encode())[:-4] not in text

    def close(self) -> None:
        self.reader.close()
        self.store.close()
        self.auth.close()
        self.api.close()
