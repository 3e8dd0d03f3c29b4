"""A secret is tested: a token is made of it, and what is told of that is its end and scopes, never the token.

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
from proxy.core.trading import scopes
from store.credential import endpoint_of


async def tried(tokens: Tokens, trial: Trial) -> Shown:
    """Make a token, and return what is told of it; raises `Refused`."""
    grant = trial.grant
    token, granted = await tokens.renewed(trial.view, grant)
    wall = time.time() - tokens.clock()
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


def _moment(at: float) -> str:
    return dt.datetime.fromtimestamp(round(at), dt.UTC).isoformat()
