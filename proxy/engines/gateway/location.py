"""Redirects come back into the gateway: `Location` in the gateway's form, wherever it points but to the page itself.

A page's own origin is asked by the browser, as the page would: nothing is put in on the way there.
Where it points is not judged here: the browser asks the gateway again, and every rule applies to that request.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import urljoin

from proxy.core.message import Fields
from proxy.core.placeholder import Surface, find
from proxy.core.verdicts import Verdicts
from proxy.engines.gateway.cors import origin_of
from store.model import Destination

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_ABSOLUTE: Final = re.compile(r"(https?)://([^/?#]+)(.*)", re.IGNORECASE | re.DOTALL)
_EDGES: Final = "".join(map(chr, range(33)))
"""What URL parsers strip at both ends (WHATWG URL 4.4)."""


class Mapping(NamedTuple):
    """How URLs of one exchange look from outside. `url` tells the gateway's own, `prefix` is its path.

    `pages`: the origins that may ask, as `cors.origin_of` spells them.
    """

    destination: Destination
    target: bytes
    token: str
    prefix: str
    url: Callable[[], str]
    pages: frozenset[str] = frozenset()
    form: str = ""
    """Where a redirect goes instead that answers a form: the page's own service worker, whose origin is in `pages`."""

    def fields(self, status: int, fields: Fields) -> Fields:
        """Map `Location`; one that is no http URL is left out.

        A redirect is followed by the browser, which resolves a path. Elsewhere (201, 202) a page reads it and asks
        for it itself, and needs the whole URL.
        """
        if not any(map(_IS_LOCATION.__getitem__, [name for name, _ in fields])):
            return fields
        redirect = status in REDIRECTS
        base = f"{self.prefix if redirect else self.url()}/s/{self.token}"
        if redirect and origin_of(self.form.encode("latin-1", "replace")) in self.pages:
            base = self.form
        mapped = []
        for name, value in fields:
            if not _IS_LOCATION[name]:
                mapped.append((name, value))
            elif (location := self._map(value.decode("latin-1"), base)) is not None:
                mapped.append((name, location.encode("latin-1")))
        return tuple(mapped)

    def _map(self, location: str, base: str) -> str | None:
        own = f"https://{self.destination}" if self.destination.secure else str(self.destination)
        here = portable(self.target.decode("latin-1"))
        location = re.sub(r"[\t\r\n]", "", portable(location.strip(_EDGES)))
        path, mark, query = location.partition("?")
        try:
            absolute = urljoin(own + here, path.replace("\\", "/") + mark + query)
        except ValueError:
            return None
        parts = _ABSOLUTE.fullmatch(absolute)
        if parts is None:
            return None
        scheme, host, rest = parts.groups()
        host = host.rpartition("@")[2]
        if not host:
            return None
        rest = rest if rest.startswith("/") else f"/{rest}"
        origin = origin_of(f"{scheme}://{host}".lower().encode("latin-1"))
        return f"{origin}{rest}" if origin in self.pages else f"{base}/{scheme.lower()}/{host}{rest}"


_IS_LOCATION: Final = Verdicts[bytes, bool](lambda name: name.lower() == b"location")


def portable(url: str) -> str:
    """Spell placeholders so that the `#` in them does not start a fragment."""
    data = url.encode("latin-1", "replace")
    pieces, done = [], 0
    for occurrence in find(data, Surface.QUERY):
        word = "SECRETS" if occurrence.kind == "secret" else "VARS"
        pieces += [data[done : occurrence.start], f"%23%7B{word}.{occurrence.asked}%7D".encode()]
        done = occurrence.end
    return b"".join((*pieces, data[done:])).decode("latin-1")
