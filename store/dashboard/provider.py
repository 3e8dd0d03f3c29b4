"""The identity provider: where people sign in, and what its signed word is worth.

OpenID Connect Core 1.0, authorization code with PKCE (RFC 7636), for one issuer. Whatever it sends is read in bounds,
in time, over TLS that is verified, and from nowhere that it redirects to. Only what its ID token says counts, once
signature, issuer, audience, time and nonce are right. Its other tokens are dropped unread.
"""

import asyncio
import base64
import hashlib
import hmac
import re
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

import aiohttp
import certifi

from store.api import strict
from store.api.problem import Fault
from store.errors import Forbidden, Unavailable

_FAMILIES: Final = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA", "Ed25519"),
}
"""By the kind of key. Each algorithm fits one alone, and none is symmetric: no public key is taken for a secret."""
_KIND_OF: Final = {each: kind for kind, names in _FAMILIES.items() for each in names}

MAX_ANSWER: Final = 256 << 10
TIMEOUT: Final = 10.0
LEEWAY: Final = 60
"""Seconds that its clock may differ from ours."""
DESCRIBED: Final = 300.0
"""Seconds for which its description is believed."""

_WELL_KNOWN: Final = "/.well-known/openid-configuration"
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True, slots=True)
class Client:
    """What we are to the provider, as the configuration's `oidc` says; `teams` are members by its groups' names."""

    issuer: str
    client_id: str
    redirect_uri: str
    secret: str = field(default="", repr=False)
    scopes: Sequence[str] = ("openid", "email")
    trust: Sequence[Path] = ()
    groups_claim: str = "groups"
    teams: Mapping[str, str] = field(default_factory=dict)
    key_life: float = 12 * 3600.0


class Provider:
    """One issuer. Errors: `Unavailable` where it cannot be asked, `Forbidden` for a word that is worth nothing."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._tls = ssl.create_default_context(cafile=certifi.where())
        for path in client.trust:
            self._tls.load_verify_locations(path)
        self._described: tuple[float, Mapping[str, Any]] = (0.0, {})

    async def address(self, state: str, nonce: str, verifier: str, *, afresh: bool) -> str:
        """Return where a browser goes to sign in; `afresh`: whoever is signed in there already has to do it again."""
        known = await self._description()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": self.client.redirect_uri,
            "scope": " ".join(self.client.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **({"prompt": "login", "max_age": "0"} if afresh else {}),
        }
        url = str(known["authorization_endpoint"])
        return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(asked)}"

    async def claims(self, code: str, issuer: str | None, nonce: str, verifier: str) -> Mapping[str, Any]:
        """Trade a code for what the provider says of who signed in; `issuer` is what came with the code (RFC 9207)."""
        known = await self._description()
        if issuer != self.client.issuer and (
            issuer is not None or known.get("authorization_response_iss_parameter_supported")
        ):
            raise _worthless()  # a code of another provider, which would learn ours (mix-up)
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.client.redirect_uri,
            "client_id": self.client.client_id,
            "code_verifier": verifier,
        }
        headers = {}
        if self.client.secret:
            methods = known.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
            if "client_secret_basic" in methods:
                # RFC 6749 2.3.1: both are form-encoded before they are joined.
                pair = f"{quote_plus(self.client.client_id)}:{quote_plus(self.client.secret)}"
                headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            else:
                asked["client_secret"] = self.client.secret
        answer = await self._json("POST", str(known["token_endpoint"]), data=asked, headers=headers)
        token = answer.get("id_token")
        keys = (await self._json("GET", str(known["jwks_uri"]))).get("keys")
        if not isinstance(token, str) or not isinstance(keys, list):
            raise _worthless()
        found = signed_by(token, [each for each in keys if isinstance(each, dict)])
        self._judge(found, nonce)
        return found

    def _judge(self, claims: Mapping[str, Any], nonce: str) -> None:
        """Return for claims that are meant for us, and for this very sign-in (Core 3.1.3.7)."""
        audience, now = claims.get("aud"), time.time()
        named = [audience] if isinstance(audience, str) else audience
        ours = isinstance(named, list) and self.client.client_id in named
        party = claims.get("azp", None if ours and len(named or ()) > 1 else self.client.client_id)
        told = claims.get("nonce")
        if (
            claims.get("iss") != self.client.issuer
            or not ours
            or party != self.client.client_id
            or not isinstance(told, str)
            or not hmac.compare_digest(told.encode(), nonce.encode())
            or not _moment(claims.get("exp")) > now - LEEWAY
            or not 0 < _moment(claims.get("iat")) < now + LEEWAY
            or not _moment(claims.get("nbf", 0)) < now + LEEWAY
            or not isinstance(claims.get("sub"), str)
            or not 0 < len(claims["sub"]) < 256
        ):
            raise _worthless()

    async def _description(self) -> Mapping[str, Any]:
        until, known = self._described
        if time.monotonic() < until:
            return known
        known = await self._json("GET", self.client.issuer.rstrip("/") + _WELL_KNOWN)
        plain = all(isinstance(url := known.get(name), str) and _is_tls(url) for name in _ENDPOINTS)
        if known.get("issuer") != self.client.issuer or not plain:
            raise _unasked()
        self._described = time.monotonic() + DESCRIBED, known
        return known

    async def _json(self, method: str, url: str, **options: Any) -> Mapping[str, Any]:  # noqa: ANN401 - aiohttp's
        connector = aiohttp.TCPConnector(ssl=self._tls, force_close=True)
        try:
            async with (
                asyncio.timeout(TIMEOUT),
                aiohttp.ClientSession(connector=connector) as session,
                session.request(method, url, allow_redirects=False, **options) as answer,
            ):
                status, data = answer.status, b""
                async for part in answer.content.iter_any():
                    data += part
                    if len(data) > MAX_ANSWER:
                        raise _unasked()
            found = strict.read_json(data) if status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, Fault):
            raise _unasked() from None  # an exception's text may hold the URL, or what came
        if status in {400, 401} and method == "POST":
            raise _worthless()  # the code was used, or is another's
        if not isinstance(found, dict):
            raise _unasked()
        return found


def signed_by(token: str, keys: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the claims of a token that one of the provider's keys signed; raises `Forbidden`.

    The key is chosen by us, by what it is for: a token may neither bring its own nor say that it needs none.
    """
    from joserfc import jws  # noqa: PLC0415  # where nobody signs in so, it need not be there
    from joserfc.errors import JoseError  # noqa: PLC0415
    from joserfc.jwk import JWKRegistry, Key  # noqa: PLC0415

    def choose(told: Any) -> Key:  # noqa: ANN401 - joserfc's protocol
        head = told.headers()
        algorithm, id_ = head.get("alg"), head.get("kid")
        fitting = [
            each
            for each in keys
            if each.get("kty") == _KIND_OF.get(algorithm, "")
            and each.get("use", "sig") == "sig"
            and each.get("alg", algorithm) == algorithm
            and (id_ is None or each.get("kid") == id_)
        ]
        if len(fitting) != 1:
            raise ValueError
        return JWKRegistry.import_key(dict(fitting[0]))

    try:
        found = jws.deserialize_compact(token.encode("ascii"), choose, algorithms=[*_KIND_OF])
        claims = strict.read_json(found.payload or b"")
    except (JoseError, ValueError, TypeError, KeyError, Fault):
        raise _worthless() from None
    if not isinstance(claims, dict):
        raise _worthless()
    return claims


def _moment(claim: object) -> float:
    """Return a time of a claim; what is none is long ago, or never to come."""
    return float(claim) if isinstance(claim, int | float) and not isinstance(claim, bool) else float("nan")


def _is_tls(url: str) -> bool:
    return re.fullmatch(r"https://[^\s#@\\]+", url) is not None


def _worthless() -> Forbidden:
    return Forbidden("What the provider said is not valid for this sign-in. Start it again.", code="sign_in_refused")


def _unasked() -> Unavailable:
    text = "The identity provider cannot be asked now, or its answer is not in order. Log in with an API key meanwhile."
    return Unavailable(text, code="provider_unavailable")
