"""One HTTP or HTTPS request through the forward proxy, as `egret doctor` makes it; and what it says of a session."""

import contextlib
import http.client
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

MOST: Final = 64 << 20
"""Bytes of an answer's body that are read."""


class Untold(Exception):
    """The proxy does not say what the session is. The message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `code` is Egret's refusal code, "" when an upstream answered."""

    status: int
    code: str
    injected: str
    body: str


def through(
    proxy_url: str,
    url: str,
    headers: Mapping[str, str],
    *,
    method: str = "GET",
    token: bool = True,
    ca: bytes = b"",
    timeout: float = 30.0,
) -> Answer:
    """Ask for `url`; without `token` the proxy is given no credentials. Raises OSError and HTTPException."""
    proxy, parts = urlsplit(proxy_url), urlsplit(url)
    auth = {"Proxy-Authorization": f"Bearer {unquote(proxy.username or '')}"} if token else {}
    host, port = proxy.hostname or "", proxy.port
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme == "https":
        context = ssl.create_default_context(cadata=ca.decode())
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=timeout, context=context
        )
        connection.set_tunnel(parts.hostname or "", parts.port or 443, auth)
        fields = dict(headers)
    else:
        kind = http.client.HTTPSConnection if proxy.scheme == "https" else http.client.HTTPConnection
        connection = kind(host, port, timeout=timeout)
        target = f"http://{parts.netloc}{target}"
        fields = {**headers, **auth}
    with contextlib.closing(connection):
        try:
            connection.request(method, target, headers=fields)
        except OSError as error:  # http.client says no more of a CONNECT that was refused; its headers say which code
            said = re.search(r"Tunnel connection failed: (\d+)", str(error))
            heads = connection.get_proxy_response_headers() if said else None
            if said is None or heads is None:
                raise
            return Answer(int(said[1]), heads.get("Egret-Error", ""), "", "")
        got = connection.getresponse()
        body = got.read(MOST).decode("utf-8", "replace")
        return Answer(got.status, got.getheader("Egret-Error", ""), got.getheader("Egret-Injected", ""), body)


def about(proxy_url: str, timeout: float = 10.0) -> dict[str, Any]:
    """Return what a session's proxy says of it (docs/forward-proxy.md); raises `Untold`."""
    if not urlsplit(proxy_url).hostname:
        raise Untold("there is no proxy: set HTTP_PROXY to the proxy_url of a session")
    try:
        answer = through(proxy_url, "http://egret.internal/session", {"Egret-Session": "1"}, timeout=timeout)
        if answer.status == 200:
            document: dict[str, Any] = json.loads(answer.body)
            if isinstance(document, dict) and isinstance(document.get("variables"), dict):
                return document
    except (OSError, http.client.HTTPException, ValueError):
        raise Untold("the session's proxy does not answer: check that the server runs, and HTTP_PROXY") from None
    if answer.code:
        raise Untold(f"the session's proxy refuses: {answer.code} (docs/errors.md)")
    raise Untold("what HTTP_PROXY names is no proxy of Egret's: set it to the proxy_url of a session")
