"""`egret.internal`: what Egret itself answers, for all engines and every way in.

    GET http://egret.internal/session          with the header Egret-Session: 1

tells code what it may know of its own session: dataset, end, the names that it may use with their hosts and locations,
and plain variables with their values. No value of a secret is in it. The name is no upstream (`store.model.own`): the
address guard does not resolve it, no rule matches it, and a request for it ends here, whatever its scheme and port.

Who else could be made to ask: a page in a browser behind the proxy (it cannot send the header without a preflight,
which is refused, and its Origin is), and a server that fetches what it is told to (a relay says so, by Via or
X-Forwarded-*, and seldom lets the header be chosen). The token of a session with `origins` is known to whoever sees the
page, so such a session is told what is public, by whatever way it asks.
"""

import json
from typing import Final, NamedTuple

from proxy.admission.services import Services, View
from proxy.core.message import Fields, Head
from proxy.core.refusal import Refusal, Refused
from store.errors import StoreError
from store.model import OWN_HOST

SESSION: Final = b"/session"
PUBLIC: Final = ("expires_at", "variables")
METHODS: Final = ("GET", "HEAD")
FIELDS: Final[Fields] = (
    (b"Content-Type", b"application/json"),
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
)


class Shown(NamedTuple):
    """An answer of Egret's own, whole. `bare`: without its body, for HEAD."""

    fields: Fields
    body: bytes
    bare: bool

    def close(self) -> None:
        """Do nothing: it was counted, and is over."""


def show(services: Services, view: View, head: Head, *, length: int, page: bool) -> Shown:
    """Return the answer to a request for Egret itself, with all the fields that it came with; raises `Refused`.

    `length` is its body's framing. `page`: it came through the gateway, which has judged its Origin, and whose fronts
    say that they are there.
    """
    if head.destination.host != OWN_HOST or head.target != SESSION:
        raise Refused(Refusal("not_found"))
    if head.method not in METHODS:
        raise Refused(Refusal("method_not_allowed", allow=", ".join(METHODS).encode()))
    if length != 0 or head.values(b"egret-session") != [b"1"] or not (page or _of_code(head.fields)):
        raise Refused(Refusal("session_not_shown"))
    services.budgets.begin(view.caller)
    services.budgets.end(view.caller)
    try:
        about = view.about()
    except StoreError:
        raise Refused(Refusal("store_unavailable")) from None
    if page or view.caller.origins:
        about = {name: about[name] for name in PUBLIC}
    body = json.dumps(about, separators=(",", ":")).encode()
    return Shown((*FIELDS, (b"Content-Length", b"%d" % len(body))), body, head.method == "HEAD")


def _of_code(fields: Fields) -> bool:
    """Whether a request comes from the code itself: no page's, and not handed on by anybody."""
    names = [name.lower() for name, _ in fields]
    return not any(name in (b"origin", b"via", b"forwarded") or name.startswith(b"x-forwarded-") for name in names)
