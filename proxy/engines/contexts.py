"""TLS contexts for clients, one per host name, with leaf certificates of our authority that are renewed in time."""

import datetime as dt
from typing import Final

from proxy.authority import Authority, Leaf

MAX_HOSTS: Final = 1024


class Contexts[Context]:
    """One context per host that clients ask for; what a context is, is its subclass's."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._known: dict[str, tuple[Context, dt.datetime]] = {}

    def make(self, host: str, leaf: Leaf) -> Context:
        """Return a new context."""
        raise NotImplementedError

    def get(self, host: str) -> Context:
        """Return the context of a normalised host, with a leaf that is good for another day."""
        found = self._known.get(host)
        if found is not None and found[1] > dt.datetime.now(dt.UTC):
            return found[0]
        leaf = self._authority.leaf(host)
        context = self.make(host, leaf)
        while len(self._known) >= MAX_HOSTS:
            self._known.pop(next(iter(self._known)))
        self._known.pop(host, None)
        self._known[host] = (context, leaf.renew_at)
        return context
