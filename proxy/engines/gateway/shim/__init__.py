"""What browsers load from the gateway: the page's script and the service worker's, as their sources say. Read once.

The page's script learns one thing of its session: the hosts that its secrets are bound to. Everything else it has from
the URL it is loaded from. `egret.js?plain` is the same for every session, for integrity hashes.
"""

import json
from importlib import resources
from typing import Final

from proxy.core.message import Fields


def served(seconds: int) -> Fields:
    """Return what a script is served with; browsers may keep it for so long."""
    return (
        (b"Content-Type", b"text/javascript; charset=utf-8"),
        (b"Cache-Control", b"private, max-age=%d" % seconds),
        (b"X-Content-Type-Options", b"nosniff"),
        (b"Cross-Origin-Resource-Policy", b"cross-origin"),
        (b"Access-Control-Allow-Origin", b"*"),  # it holds nothing of a session; `crossorigin` and SRI need this
        (b"Referrer-Policy", b"no-referrer"),
    )


def _read(name: str) -> bytes:
    return resources.files(__name__).joinpath(name).read_bytes()


PAGE: Final = _read("egret.js")
WORKER: Final = _read("egret-sw.js")
_HOSTS: Final = b"null /* HOSTS */"
if PAGE.count(_HOSTS) != 1:
    raise RuntimeError("egret.js has no one place for the hosts of a session")


def page_script(hosts: list[str]) -> bytes:
    """Return the page's script for a session whose secrets go to these hosts."""
    return PAGE.replace(_HOSTS, json.dumps(" ".join(hosts)).encode("ascii"))
