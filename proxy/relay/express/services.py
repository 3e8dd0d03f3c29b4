"""What every connection of one process shares, with what this engine needs besides: upstream connections, leaves."""

from dataclasses import dataclass

from proxy import services
from proxy.relay.express.pool import Pool
from proxy.relay.express.tls import ClientContexts

log = services.log


@dataclass(slots=True, kw_only=True)
class Services(services.Services):
    """See the module."""

    pool: Pool
    contexts: ClientContexts
