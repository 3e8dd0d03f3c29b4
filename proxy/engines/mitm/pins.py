"""What of mitmproxy we build on, pinned: a changed upstream stops the start with a sentence.

Classes of ours derive from mitmproxy's and rely on how these parts behave, private ones included. Each is pinned by a
digest of its source, so that an upgrade is a decision: read what changed, run the tests, write the new digest here
(`python -m proxy.engines.mitm.pins` prints them). Nothing of it is replaced; addons that it would import and nobody
calls are left out (`proxy.engines.mitm`).
"""

import hashlib
import inspect
from typing import Any, Final

from mitmproxy import addonmanager, connection, http, master, version
from mitmproxy.proxy import commands, context, events, layer, tunnel
from mitmproxy.proxy.layers import tls
from mitmproxy.proxy.layers.http import _http_h2

VERSION: Final = "12.2.3"

PARTS: Final[dict[str, Any]] = {
    "Master.__init__": master.Master.__init__,
    "AddonManager.add": addonmanager.AddonManager.add,
    "Layer": layer.Layer,
    "TunnelLayer": tunnel.TunnelLayer,
    "TLSLayer": tls.TLSLayer,
    "Context": context.Context,
    "commands": commands,
    "events": events,
    "Connection": connection.Connection,
    "BufferedH2Connection": _http_h2.BufferedH2Connection,
    "RequestData": http.RequestData,
}

DIGESTS: Final[dict[str, str]] = {
    "Master.__init__": "8e2a46cc1aca56ca",
    "AddonManager.add": "6c26295c4f0f4eb9",
    "Layer": "e98dedd896fb7cd2",
    "TunnelLayer": "a0a2a31af17dfacb",
    "TLSLayer": "c52e04ed2c416749",
    "Context": "dd52bbec90eacace",
    "commands": "aa32ee34a747871d",
    "events": "fda47e3a66245adb",
    "Connection": "fc9cbe673085d377",
    "BufferedH2Connection": "f983b7220f47b60a",
    "RequestData": "4371ac6b2dfb38a1",
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


if __name__ == "__main__":
    for name, part in PARTS.items():
        print(f'    "{name}": "{digest(part)}",')  # noqa: T201
