"""A secret is tested: a token is made of it, and what is told of that is its end and scopes, never the token.

Of a client certificate its end is told: only an upstream can say whether it takes it.

It is made as for a request (`tokens`): by the same call, under the egress list, address guard and back-off of its uses,
with a line in the audit, and kept for them. Of the endpoint's answer nothing is repeated: scopes are told in the words
that were sealed.
"""

import datetime as dt
import json
import time

from proxy.admission.identity import Told
from proxy.admission.internal import Shown, Trial, framed
from proxy.border.tokens import Tokens
from proxy.core.refusal import Refusal, Refused
from proxy.core.trading import scopes
from store.client_certificates import CERTIFICATE, ends
from store.credential import endpoint_of, parts_of
from store.errors import Invalid
from store.kinds import CLIENT_CERTIFICATE
from store.model import Grant


async def tried(tokens: Tokens, trial: Trial) -> Shown:
    """Make a token, and return what is told of it; raises `Refused`."""
    grant = trial.grant
    if grant.credential.kind == CLIENT_CERTIFICATE:
        return framed(Told(json.dumps(_shown(grant), separators=(",", ":")).encode()))
    token, granted = await tokens.renewed(trial.view, grant)
    wall = time.time() - tokens.kept.clock()
    said = {
        "name": grant.name,
        "kind": grant.credential.kind,
        "endpoint": str(endpoint_of(grant.credential)),
        "made_at": _moment(token.made + wall),
        "expires_at": _moment(token.ends + wall),
        "scopes": scopes(grant.credential),
        "granted": granted,
    }
    return framed(Told(json.dumps(said, separators=(",", ":")).encode()))


def _shown(grant: Grant) -> dict[str, str]:
    """Return when a certificate expires, which whoever it is shown to sees; raises `Refused`."""
    kind = grant.credential.kind
    try:
        end = ends(parts_of(kind, grant.open().reveal())[CERTIFICATE])
    except (Invalid, ValueError):
        raise Refused(Refusal("value_not_encodable", grant.name)) from None
    return {"name": grant.name, "kind": kind, "expires_at": end.isoformat()}


def _moment(at: float) -> str:
    return dt.datetime.fromtimestamp(round(at), dt.UTC).isoformat()
