"""The one way from an engine to an answer: over the border, or what Egret itself shows."""

from proxy.admission.admitted import Admitted
from proxy.admission.internal import Shown
from proxy.admission.trail import Trail
from proxy.border.border import Border
from proxy.border.client import Client
from proxy.border.exchange import Exchange
from proxy.border.shown import write
from proxy.border.trial import tried


async def carry(
    border: Border,
    trail: Trail,
    admitted: Admitted | Shown,
    client: Client,
    *,
    http2: bool = False,
    expects: bool = False,
) -> None:
    """Have a request answered, over the border or with what Egret itself shows; raises `Refused`, `Gone`."""
    if isinstance(admitted, Shown):
        if admitted.trial is not None:
            admitted = await tried(border.tokens, admitted.trial)
        write(client, trail, admitted)
    else:
        await Exchange(border, admitted, client, http2=http2, expects=expects).run()
