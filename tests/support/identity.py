"""An identity provider on loopback, over TLS, much like Keycloak: description, keys, a page to sign in, tokens.

Its tokens are written by hand here, so that they can be wrong in every way.
"""

import base64
import hashlib
import hmac
import http.server
import json
import ssl
import threading
import time
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from certificates import Authority
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

CLIENT, SECRET = "egret:dashboard", "s3cret/+ of the client"
REALM = "/realms/egret"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8))


class IdentityProvider:
    """`person` are the claims of who sits there. Tests put functions into `change`, by what they change:

    `claims` and `head` (of the ID token), `sign`, `token` (the endpoint's answer), `answers` (path to raw answer).
    """

    def __init__(self, folder):
        self.authority = Authority(folder)
        self.key = rsa.generate_private_key(65537, 2048)
        self.other = rsa.generate_private_key(65537, 2048)
        self.log: list[tuple[str, dict]] = []
        self.change: dict = {}
        self.asks = False
        """Whether it shows a page to sign in, or is signed in already."""
        self.secret = SECRET
        self.sit("mia")
        self._codes: dict[str, dict] = {}
        self._count = 0
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                provider._answer(self, "GET", {})

            def do_POST(self):
                form = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
                provider._answer(self, "POST", {name: each[0] for name, each in parse_qs(form).items()})

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.authority.leaf("localhost"))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://localhost:{self._server.server_port}"
        self.issuer = self.url + REALM
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def sit(self, name, **claims):
        self.person = {"sub": f"sub-{name}", "email": f"{name}@example.com", "email_verified": True, **claims}

    def description(self):
        at = self.issuer + "/protocol/openid-connect"
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{at}/auth",
            "token_endpoint": f"{at}/token",
            "jwks_uri": f"{at}/certs",
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": True,
        }

    def keys(self):
        public = self.key.public_key().public_numbers()
        enc = {"kty": "RSA", "kid": "enc-1", "use": "enc", "alg": "RSA-OAEP", "n": number(public.n), "e": "AQAB"}
        return {"keys": [{**enc, "kid": "sig-1", "use": "sig", "alg": "RS256"}, enc]}

    def public_pem(self) -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.key.public_key().public_bytes(serialization.Encoding.PEM, form)

    # tokens

    def id_token(self, asked: dict) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": CLIENT, "azp": CLIENT, "iat": now, "exp": now + 300, "nonce": asked.get("nonce"),
            **({"auth_time": now} if "max_age" in asked else {}), **self.person,
        }  # fmt: skip
        claims = self.change.get("claims", lambda found: found)(claims)
        head = self.change.get("head", lambda found: found)({"alg": "RS256", "typ": "JWT", "kid": "sig-1"})
        body = claims if isinstance(claims, str) else json.dumps(claims)
        text = f"{b64(json.dumps(head).encode())}.{b64(body.encode())}"
        signature = self.change.get("sign", self.rs256)(text.encode())
        return f"{text}.{b64(signature)}"

    def rs256(self, data: bytes, key=None) -> bytes:
        return (key or self.key).sign(data, padding.PKCS1v15(), hashes.SHA256())

    def hs256(self, data: bytes) -> bytes:
        """Signed as if the public key were a shared secret."""
        return hmac.digest(self.public_pem(), data, "sha256")

    # what it is asked

    def _answer(self, request, method, form):
        url = urlsplit(request.path)
        query = {name: each[0] for name, each in parse_qs(url.query).items()}
        path = url.path.removeprefix(REALM).removeprefix("/protocol/openid-connect")
        self.log.append((path, {**query, **form}))
        if path in self.change.get("answers", {}):
            status, headers, body = self.change["answers"][path]
        else:
            steps = {
                "/.well-known/openid-configuration": lambda: self._json(self.description()),
                "/certs": lambda: self._json(self.keys()),
                "/auth": lambda: self._auth(method, query),
                "/token": lambda: self._token(request.headers.get("Authorization", ""), form),
            }
            status, headers, body = steps.get(path, lambda: (404, {}, b""))()
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    def _json(self, document, status=200):
        return status, {"Content-Type": "application/json"}, json.dumps(document).encode()

    def _auth(self, method, query):
        """The page; where `asks` is off, the browser is signed in already and goes back at once."""
        known = query.get("client_id") == CLIENT and query.get("redirect_uri") == self.redirect_uri
        wanted = query.get("response_type") == "code" and query.get("code_challenge_method") == "S256"
        if not known or not wanted or "openid" not in query.get("scope", "").split():
            return 400, {}, b"no such client, or not by code and PKCE"
        if self.asks and method == "GET":
            page = "<!doctype html><title>Sign in</title><form method=post><button>It is me</button></form>"
            return 200, {"Content-Type": "text/html"}, page.encode()
        self._count += 1
        code = f"code-{self._count}"
        self._codes[code] = query
        back = urlencode({"state": query["state"], "iss": self.issuer, "code": code})
        return 302, {"Location": f"{query['redirect_uri']}?{back}"}, b""

    def _token(self, authorization, form):
        scheme, _, pair = authorization.partition(" ")
        given = form.get("client_id"), form.get("client_secret", "")
        if scheme == "Basic":
            given = tuple(map(unquote_plus, base64.b64decode(pair).decode().split(":", 1)))
        if given != (CLIENT, self.secret):
            return self._json({"error": "invalid_client"}, 401)
        asked = self._codes.pop(form.get("code", ""), None)  # once
        challenge = b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (
            asked is None
            or form.get("grant_type") != "authorization_code"
            or form.get("redirect_uri") != asked["redirect_uri"]
            or challenge != asked["code_challenge"]
        ):
            return self._json({"error": "invalid_grant"}, 400)
        answer = {"access_token": "access-canary-4Kd8", "token_type": "Bearer", "id_token": self.id_token(asked)}
        return self._json(self.change.get("token", lambda found: found)(answer))
