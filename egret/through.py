"""One plain HTTP or HTTPS request through the forward proxy, as `egret doctor` makes it."""

import contextlib
import http.client
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `code` is Egret's refusal code, "" when an upstream answered."""

    status: int
    code: str
    injected: str
    body: str


def through(
    proxy_url: str, url: str, headers: Mapping[str, str], *, token: bool = True, ca: bytes = b"", timeout: float = 30.0
) -> Answer:
    """GET `url`; without `token` the proxy is given no credentials. Raises OSError and HTTPException."""
    proxy, parts = urlsplit(proxy_url), urlsplit(url)
    auth = {"Proxy-Authorization": f"Bearer {unquote(proxy.username or '')}"} if token else {}
    host, port = proxy.hostname or "", proxy.port
    target = parts.path or "/"
    if parts.scheme == "https":
        context = ssl.create_default_context(cadata=ca.decode())
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=timeout, context=context
        )
        connection.set_tunnel(parts.hostname or "", parts.port or 443, auth)
        fields = dict(headers)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
        target = f"http://{parts.netloc}{target}"
        fields = {**headers, **auth}
    with contextlib.closing(connection):
        try:
            connection.request("GET", target, headers=fields)
        except OSError as error:  # http.client says no more of a CONNECT that was refused; its headers say which code
            said = re.search(r"Tunnel connection failed: (\d+)", str(error))
            heads = connection.get_proxy_response_headers() if said else None
            if said is None or heads is None:
                raise
            return Answer(int(said[1]), heads.get("Egret-Error", ""), "", "")
        got = connection.getresponse()
        body = got.read(1 << 20).decode("utf-8", "replace")
        return Answer(got.status, got.getheader("Egret-Error", ""), got.getheader("Egret-Injected", ""), body)
