"""What of mitmproxy we build on, pinned: a changed upstream stops the start with a sentence.

Classes of ours derive from mitmproxy's and rely on how these parts behave, private ones included. Each is pinned by a
digest of its source, so that an upgrade is a decision: read what changed, run the tests, write the new digest here
(`python -m proxy.forward.patches` prints them). One part is replaced: a type check on every message, which costs a
fifth of the throughput and guards against addons that we do not load.
"""

import hashlib
import inspect
from typing import Any, Final

from mitmproxy import addonmanager, connection, http, master, version
from mitmproxy.proxy import commands, context, events, layer, tunnel
from mitmproxy.proxy.layers import http as layers
from mitmproxy.proxy.layers import tls
from mitmproxy.proxy.layers.http import _base, _events, _http2, _http_h2

VERSION: Final = "12.2.3"

PARTS: Final[dict[str, Any]] = {
    "Master.__init__": master.Master.__init__,
    "AddonManager.add": addonmanager.AddonManager.add,
    "Layer": layer.Layer,
    "TunnelLayer": tunnel.TunnelLayer,
    "LayerStack": tunnel.LayerStack,
    "Context": context.Context,
    "commands": commands,
    "events": events,
    "Connection": connection.Connection,
    "Server": connection.Server,
    "HttpLayer": layers.HttpLayer,
    "HttpClient": layers.HttpClient,
    "GetHttpConnection": layers.GetHttpConnection,
    "http events": _events,
    "http base": _base,
    "Http2Connection": _http2.Http2Connection,
    "Http2Server": _http2.Http2Server,
    "Http2Client": _http2.Http2Client,
    "BufferedH2Connection": _http_h2.BufferedH2Connection,
    "TLSLayer": tls.TLSLayer,
    "ServerTLSLayer": tls.ServerTLSLayer,
    "MessageData": http.MessageData,
}

DIGESTS: Final[dict[str, str]] = {
    "Master.__init__": "8e2a46cc1aca56ca",
    "AddonManager.add": "6c26295c4f0f4eb9",
    "Layer": "e98dedd896fb7cd2",
    "TunnelLayer": "a0a2a31af17dfacb",
    "LayerStack": "bbf3f601db3a758c",
    "Context": "dd52bbec90eacace",
    "commands": "aa32ee34a747871d",
    "events": "fda47e3a66245adb",
    "Connection": "fc9cbe673085d377",
    "Server": "757f6dcd0838e6c2",
    "HttpLayer": "8da4a8a48e637b88",
    "HttpClient": "8401d422afdaff15",
    "GetHttpConnection": "705fed26f72ea17f",
    "http events": "9fcac07bf6000727",
    "http base": "513429df48dde3de",
    "Http2Connection": "f18f3940fd55a0f0",
    "Http2Server": "97aac4eab18a0294",
    "Http2Client": "a113056f7d2beb2f",
    "BufferedH2Connection": "f983b7220f47b60a",
    "TLSLayer": "c52e04ed2c416749",
    "ServerTLSLayer": "8666fc7667d70e23",
    "MessageData": "bad2ea9a351a70d6",
}


class ChangedUpstream(RuntimeError):
    """mitmproxy is not the one this code was written against."""


def digest(part: object) -> str:
    """Return a short digest of a part's source."""
    return hashlib.sha256(inspect.getsource(part).encode()).hexdigest()[:16]  # type: ignore[arg-type]


def check() -> None:
    """Raise `ChangedUpstream` with the parts that changed."""
    if version.VERSION != VERSION:
        raise ChangedUpstream(f"This Egret needs mitmproxy {VERSION}; {version.VERSION} is installed.")
    changed = [name for name, part in PARTS.items() if digest(part) != DIGESTS.get(name)]
    if changed:
        raise ChangedUpstream(
            f"mitmproxy {VERSION} was changed here: {', '.join(changed)}. Install from the lock file."
        )


def install() -> None:
    """Check, and replace what is replaced."""
    check()
    http.MessageData.__post_init__ = lambda _self: None  # type: ignore[method-assign]


if __name__ == "__main__":
    for name, part in PARTS.items():
        print(f'    "{name}": "{digest(part)}",')  # noqa: T201
