"""`egret.internal`: what Egret itself answers, for all engines and every way in.

    GET http://egret.internal/session          with the header Egret-Session: 1

tells code what it may know of its own session: dataset, end, the names that it may use with their kinds, hosts and
locations, and plain variables with their values. No value of a secret is in it. The name is no upstream
(`store.model.own`): the address guard does not resolve it, no rule matches it, and a request for it ends here, whatever
its scheme and port. Beside it are the endpoints that SDKs of clouds ask (`identity`), but for a session that is told
what is public alone.

    POST http://egret.internal/secrets/NAME/test          with the same header

has a token made of a secret that is traded for them, as its use would, and tells until when it is good: see
`proxy.border.trial`.

Who else could be made to ask: a page in a browser behind the proxy (it cannot send the header without a preflight,
which is refused, and its Origin is), and a server that fetches what it is told to (a relay says so, by Via or
X-Forwarded-*, and seldom lets the header be chosen). The token of a session with `origins` is known to whoever sees the
page, so such a session is told what is public, by whatever way it asks.
"""

import json
import re
import time
from typing import Final, NamedTuple

from proxy.admission import identity
from proxy.admission.services import Services, View
from proxy.core.message import Fields, Head
from proxy.core.refusal import Refusal, Refused
from store.errors import StoreError
from store.model import OWN_HOST, Grant

SESSION: Final = b"/session"
PUBLIC: Final = ("expires_at", "variables")
METHODS: Final = ("GET", "HEAD")
_TRIAL: Final = re.compile(rb"/secrets/([A-Z][A-Z0-9_]{0,127})/test")
FIELDS: Final[Fields] = (
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
)


class Trial(NamedTuple):
    """A secret that is traded for tokens, and for whom one is to be made; or a certificate, whose end is told."""

    view: View
    grant: Grant


class Shown(NamedTuple):
    """An answer of Egret's own, whole. `bare`: without its body, for HEAD. `trial`: it is to be made of this first."""

    fields: Fields
    body: bytes
    bare: bool
    trial: Trial | None = None

    def close(self) -> None:
        """Do nothing: it was counted, and is over."""


def show(services: Services, view: View, head: Head, *, length: int, page: bool) -> Shown:
    """Return the answer to a request for Egret itself, with all the fields that it came with; raises `Refused`.

    `length` is its body's framing. `page`: it came through the gateway, which has judged its Origin, and whose fronts
    say that they are there.
    """
    public = page or bool(view.caller.origins)
    shown = head.target == SESSION
    named = None if public else _TRIAL.fullmatch(head.target)
    endpoint = None if shown or public else identity.endpoint(head.target.partition(b"?")[0])
    if head.destination.host != OWN_HOST or not (shown or named or endpoint):
        raise Refused(Refusal("not_found"))
    methods = ("POST",) if named else METHODS
    if head.method not in methods:
        raise Refused(Refusal("method_not_allowed", allow=", ".join(methods).encode()))
    asked = head.values(b"egret-session") == [b"1"] or endpoint is not None
    if length != 0 or not asked or not (page or _of_code(head.fields)):
        raise Refused(Refusal("session_not_shown"))
    trial = None if named is None else _trial(view, named[1].decode())
    said = None if endpoint is None else endpoint(view, head, time.time())
    services.budgets.begin(view.caller)
    services.budgets.end(view.caller)
    if trial is not None:
        return Shown((), b"", bare=False, trial=trial)
    return framed(said or _session(view, public=public), bare=head.method == "HEAD")


def _trial(view: View, name: str) -> Trial:
    grant = view.grant(name)
    if grant is None:
        raise Refused(Refusal("unknown_secret", name))
    if not grant.credential.examined:
        raise Refused(Refusal("test_unsupported", name))
    return Trial(view, grant)


def _session(view: View, *, public: bool) -> identity.Told:
    try:
        about = view.about()
    except StoreError:
        raise Refused(Refusal("store_unavailable")) from None
    if public:
        about = {name: about[name] for name in PUBLIC}
    return identity.Told(json.dumps(about, separators=(",", ":")).encode())


def framed(said: identity.Told, *, bare: bool = False) -> Shown:
    """Return an answer with the fields that all of Egret's own have."""
    length = b"%d" % len(said.body)
    return Shown(((b"Content-Type", said.kind), *FIELDS, *said.more, (b"Content-Length", length)), said.body, bare)


def _of_code(fields: Fields) -> bool:
    """Whether a request comes from the code itself: no page's, and not handed on by anybody."""
    names = [name.lower() for name, _ in fields]
    return not any(name in (b"origin", b"via", b"forwarded") or name.startswith(b"x-forwarded-") for name in names)
