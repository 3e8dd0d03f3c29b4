"""What a handler gets: the vault's verbs, called as the principal, in the right thread."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from store.access import Principal
from store.api import etags
from store.database.marks import Mark
from store.vault import Vault

if TYPE_CHECKING:
    from store.api.state import State


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler gets. `body` and `query` are instances of the operation's models."""

    state: "State"
    request: web.Request
    principal: Principal
    path: Mapping[str, str]
    query: Any = None
    body: Any = None
    mark: Mark | None = None

    @property
    def vault(self) -> Vault:
        """The vault, whose verbs go to `read` and `write`."""
        return self.state.vault

    async def read[T](self, verb: Callable[..., T], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401
        """Call a reading verb of the vault as this principal."""
        return await self.state.desk.read(verb, self.principal, *args, **kwargs)

    async def write[T](self, verb: Callable[..., T], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401
        """Call a writing verb of the vault as this principal, once for its mark."""
        work = partial(verb, self.principal, *args, **kwargs)
        if self.mark is None:
            return await self.state.desk.write(work)
        return await self.state.desk.write(self.vault.once.marked, self.mark, work)

    def cursor(self) -> str | None:
        """Return the vault's cursor of the query."""
        return self.state.cursors.read(self.request.path, self.query)

    def following(self, cursor: str | None) -> str | None:
        """Return the wire form of the vault's cursor for `next`."""
        return self.state.cursors.make(self.request.path, self.query, cursor)

    def match(self) -> str | None:
        """Return If-Match as the vault takes it."""
        return etags.if_match(self.request)

    def absent(self) -> str | None:
        """Return If-None-Match as the vault takes it: `*`, or entity tags that the object must not have."""
        return self.request.headers.get("If-None-Match")
