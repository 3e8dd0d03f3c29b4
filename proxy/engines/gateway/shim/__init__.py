"""The browser shim, as it is served: read once, the same for every session. Its base is the URL it is loaded from."""

from dataclasses import dataclass
from importlib import resources
from typing import Final

from proxy.core.message import Fields


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the fields it is served with."""

    body: bytes
    fields: Fields


SHIM: Final = Script(
    resources.files(__name__).joinpath("egret.min.js").read_bytes(),
    (
        (b"Content-Type", b"text/javascript; charset=utf-8"),
        (b"Cache-Control", b"private, max-age=600"),
        (b"X-Content-Type-Options", b"nosniff"),
        (b"Cross-Origin-Resource-Policy", b"cross-origin"),
        (b"Access-Control-Allow-Origin", b"*"),  # it holds nothing of a session; `crossorigin` and SRI need this
        (b"Referrer-Policy", b"no-referrer"),
    ),
)
