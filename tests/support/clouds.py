"""GitHub's, Google's and Microsoft's token endpoints on loopback, each verifying what its documentation asks for."""

import base64
import json
import time
from urllib.parse import parse_qsl

from certificates import Authority
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from draw import Draw
from issuer import answer
from upstream import Request, Upstream

NAMES = ("api.github.com", "oauth2.googleapis.com", "login.microsoftonline.com", "login.microsoftonline.us")
KEY = generate_private_key(65537, 2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
OLD_PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
SECRET = Draw("clouds").letters(40) + "~.%+"
VALUES = {
    "github_app": {"app_id": "7", "private_key": OLD_PEM},
    "gcp_service_account": {
        "type": "service_account", "project_id": "p", "private_key_id": "k1", "private_key": PEM, "client_email": "a@p.iam.gserviceaccount.com",
        "client_id": "1", "auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri": "https://oauth2.googleapis.com/token",
        "universe_domain": "googleapis.com",
    },
    "azure_client": {"tenant_id": "contoso.example", "client_id": "0-1", "client_secret": SECRET},
}  # fmt: skip


def decoded(part: str):
    return json.loads(base64.urlsafe_b64decode(part + "=="))


def verified(text: str) -> tuple[dict, dict]:
    """A JWT's head and claims; raises `InvalidSignature`."""
    head, claims, signature = text.split(".")
    KEY.public_key().verify(
        base64.urlsafe_b64decode(signature + "=="), f"{head}.{claims}".encode(), PKCS1v15(), SHA256()
    )
    return decoded(head), decoded(claims)


class Clouds(Upstream):
    """Serves until `close()`. `wants`: what is asked beyond who asks; `faults` has what does not verify."""

    def __init__(self, authority: Authority, wants):
        self.wants, self.faults, self.tokens = wants, [], []
        self._draw = Draw("clouds: tokens")
        super().__init__(authority.leaf(*NAMES), {b"/": self._answer})

    def _answer(self, request: Request, conn) -> bytes:
        host = request.header("Host").decode().split(".")[0]
        try:
            return {"api": self._github, "oauth2": self._google, "login": self._microsoft}[host](request)
        except (AssertionError, InvalidSignature, ValueError, KeyError) as error:
            self.faults.append(repr(error))
            return answer(
                {"message": "no", "error": "invalid_grant"}, status=b"404 Not Found" if host == "api" else b"400 No"
            )

    def _github(self, request: Request) -> bytes:
        head, claims = verified(request.header("Authorization").decode().removeprefix("Bearer "))
        now = time.time()
        assert head["alg"] == "RS256" and claims["iss"] == "7" and claims["iat"] <= now < claims["exp"] <= now + 600
        assert request.head.startswith(b"POST /app/installations/42/access_tokens HTTP/1.1")
        assert json.loads(request.body) == self.wants, request.body
        self.tokens.append("ghs_" + self._draw.letters(36))
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + 3600))
        return answer({"token": self.tokens[-1], "expires_at": ends, "permissions": {}}, status=b"201 Created")

    def _google(self, request: Request) -> bytes:
        given = dict(parse_qsl(request.body.decode(), strict_parsing=True))
        assert request.head.startswith(b"POST /token HTTP/1.1") and given.keys() == {"grant_type", "assertion"}
        assert given["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        head, claims = verified(given["assertion"])
        now, lives = time.time(), claims.pop("exp") - claims["iat"]
        assert (
            head == {"alg": "RS256", "typ": "JWT", "kid": "k1"} and abs(claims.pop("iat") - now) < 60 and lives == 3600
        )
        assert claims == {
            "iss": "a@p.iam.gserviceaccount.com",
            "aud": "https://oauth2.googleapis.com/token",
            **self.wants,
        }
        if "target_audience" in claims:
            parts = {"alg": "RS256"}, {"aud": claims["target_audience"], "exp": int(now) + 3600}
            text = ".".join(base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in parts)
            self.tokens.append(f"{text}.{self._draw.base64(32)}")
            return answer({"id_token": self.tokens[-1]})
        self.tokens.append("ya29." + self._draw.letters(60))
        return answer({"access_token": self.tokens[-1], "token_type": "Bearer", "expires_in": 3599})

    def _microsoft(self, request: Request) -> bytes:
        if request.head.startswith(b"GET "):  # what its libraries ask before anything else
            base = "https://login.microsoftonline.com/contoso.example"
            return answer({
                "issuer": f"{base}/v2.0", "authorization_endpoint": f"{base}/oauth2/v2.0/authorize", "token_endpoint": f"{base}/oauth2/v2.0/token",
                "tenant_discovery_endpoint": f"{base}/v2.0/.well-known/openid-configuration", "metadata": [],
            })  # fmt: skip
        given = dict(parse_qsl(request.body.decode(), strict_parsing=True))
        assert request.head.startswith(b"POST /contoso.example/oauth2/v2.0/token HTTP/1.1")
        known = {"grant_type": "client_credentials", "client_id": "0-1", "client_secret": SECRET, **self.wants}
        assert given == known and not request.header("Authorization")
        self.tokens.append("eyJ0eXAiOiJKV1Qi." + self._draw.base64(90) + "." + self._draw.base64(64))
        return answer(
            {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": self.tokens[-1]}
        )
