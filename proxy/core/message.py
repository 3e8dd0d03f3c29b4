"""A request as the core sees it: immutable bytes, parsed once at the border of each adapter."""

from dataclasses import dataclass, field, replace

from store.model import Destination, Location, Use

Fields = tuple[tuple[bytes, bytes], ...]
"""Header or trailer pairs in wire order, repeats kept apart, names as sent."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request, with placeholders where the client wrote them.

    `target` is the origin-form request target (path and query) as sent, byte for byte; never absolute-form.
    `fields` leave out what the adapter owns (hop-by-hop, `Proxy-*` meant for us, framing) or keep it untouched.
    `websocket` says that this is a WebSocket handshake.
    """

    method: str
    target: bytes
    fields: Fields
    destination: Destination
    websocket: bool = False
    path: str = field(init=False, repr=False, compare=False)
    """The target without its query, latin-1 decoded."""
    _asked: Use | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", self.target.split(b"?", 1)[0].decode("latin-1"))

    def use(self, location: Location) -> Use:
        """Return the question whether a name may be used in this request.

        What the request says is gathered once, not for each occurrence or message: heads may be long.
        """
        asked = self._asked
        if asked is None:
            asked = self.after((), location)
            object.__setattr__(self, "_asked", asked)
        return asked.at(location)

    def after(self, before: Fields, location: Location) -> Use:
        """Return the same where the fields came after others, as trailers do."""
        _, _, query = self.target.partition(b"?")
        names = frozenset(_spelled(name) for name, _ in (*before, *self.fields))
        return Use(self.destination, location, self.method, self.path, "", query.decode("latin-1"), names)

    def values(self, name: bytes) -> list[bytes]:
        """All values of a header, in order; `name` in lower case."""
        return [value for key, value in self.fields if key.lower() == name]

    def with_parts(self, target: bytes, fields: Fields) -> "Head":
        """Return a private copy for the wire."""
        return replace(self, target=target, fields=fields)


def _spelled(name: bytes) -> str:
    """Return a field's name as servers read it that are given variables (CGI, WSGI): they know one of `-` and `_`."""
    return name.decode("latin-1").lower().replace("_", "-")
