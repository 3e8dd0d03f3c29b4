"""The vocabulary of both planes: frozen, parsed once, free of transport and storage.

`SecretValue` is the only type that holds a value. It is a plain class on purpose: a dataclass leaks through `asdict`,
a `str()` that reveals leaks through f-strings, and pickling leaks into caches.
"""

import enum
import ipaddress
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from store.kinds import Credential

NAME = re.compile(r"[A-Z][A-Z0-9_]{0,127}")
"""A secret's or variable's name (spec 1). Match with `fullmatch`."""

MAX_VALUE = 64 * 1024
"""Longest value, in bytes."""

_JUDGED = 4096
"""How many verdicts a request's uses remember: of as many rules for its host as that."""

MAX_SEALED = 11_264
"""Longest sealed part of a captured value's placeholder, in characters (`store.reader.captured`)."""

MIN_SEALED = 96
"""The shortest that there is."""

MIN_SCRUBBED = 8
"""Values shorter than this many bytes are injected but not scrubbed: they would match by chance."""


class SecretValue:
    """The bytes of a secret: unprintable, unpicklable, read only through `reveal()`, whose callers a test lists."""

    __slots__ = ("_bytes",)

    def __init__(self, value: bytes) -> None:
        self._bytes = value

    def reveal(self) -> bytes:
        """Return the bytes. The caller writes them upstream or seals them, and keeps no copy."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._bytes)

    def __repr__(self) -> str:
        return "SecretValue(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SecretValue is not serialised")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a SecretValue is not serialised")


class Kind(enum.StrEnum):
    """What a placeholder names: `#{SECRETS.X}` or `#{VARS.X}`."""

    SECRET = "secret"
    VARIABLE = "variable"


class Location(enum.StrEnum):
    """Where in a request a placeholder stands. `MESSAGE` is a WebSocket message."""

    HEADER = "header"
    URL = "url"
    BODY = "body"
    MESSAGE = "message"


OWN_HOST = "egret.internal"
"""Egret itself, as code behind its proxy asks it. This name and all below it are no upstream: `own`."""


def own(host: str) -> bool:
    """Whether a normalised host is Egret itself: it is never resolved or dialled, and no rule matches it."""
    return host == OWN_HOST or host.endswith("." + OWN_HOST)


DEFAULT_LOCATIONS = frozenset(Location)
"""Where a value may stand if its upload names nothing, as far as nothing is known of a host (`store.presets`)."""

WIDENED = "widened"
"""Sealed among the locations of a value whose upload named them, and with them more than a preset allows."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One upstream, as it will be dialled.

    `host` is normalised: lower-case A-label without trailing dot, or an IP literal without brackets.
    `secure` is TLS (https, wss); cleartext otherwise.
    """

    secure: bool
    host: str
    port: int

    @property
    def own(self) -> bool:
        """Whether it is Egret itself, whatever scheme and port."""
        return own(self.host)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.secure else 80
        authority = host if self.port == default else f"{host}:{self.port}"
        return authority if self.secure else f"http://{authority}"


@dataclass(frozen=True, slots=True)
class Use:
    """One wished-for use of a name: the question that `View.resolve` answers.

    `path` is the request path as sent, without query; `header` is the lower-case header name where `location` is
    `HEADER`, else "". `query` is what comes after the path; `fields` are the names of all of the request's fields, in
    lower case and with `-` for `_`.

    One request asks as often as it has names and places for them, and may be as long as it likes: what is judged of the
    request as a whole is judged `once` for all uses that `at` makes of one.
    """

    destination: Destination
    location: Location
    method: str = "GET"
    path: str = "/"
    header: str = ""
    query: str = ""
    fields: frozenset[str] = frozenset()
    judged: dict[Hashable, bool] = field(default_factory=dict, repr=False, compare=False)

    def at(self, location: Location, header: str = "") -> "Use":
        """Return the same request's question about another place."""
        if location is self.location and header == self.header:
            return self
        # Each message of a WebSocket asks, and `replace` takes three times as long.
        return Use(self.destination, location, self.method, self.path, header, self.query, self.fields, self.judged)

    def once(self, about: Hashable, judge: Callable[[], bool]) -> bool:
        """Return what `judge` says of the request, whatever the place; `about` names the question."""
        found = self.judged.get(about)
        if found is None:
            if len(self.judged) >= _JUDGED:  # a WebSocket asks for as long as it lives, and rules change
                self.judged.clear()
            found = self.judged[about] = judge()
        return found


class Denial(enum.StrEnum):
    """Why a name may not be used: the refusal codes of spec 3 that the store decides."""

    UNKNOWN = "unknown_secret"
    DESTINATION = "destination_not_allowed"
    LOCATION = "location_not_allowed"


class Grant(Protocol):
    """Permission for one use. `open()` decrypts anew at each call, so that plaintext lives only while it is written."""

    @property
    def name(self) -> str:
        """The secret's or variable's name."""

    @property
    def kind(self) -> Kind:
        """Secret or variable."""

    @property
    def version(self) -> int:
        """The version that `open()` gives."""

    @property
    def credential(self) -> Credential:
        """What is done with what `open()` gives."""

    @property
    def identity(self) -> str:
        """Tells what `open()` gives from all else, of every tenant."""

    def open(self) -> SecretValue:
        """Decrypt and verify; raises `Tampered`."""


class Resolver(Protocol):
    """What the pure core asks. `store.reader.View` is the real one."""

    def resolve(self, kind: Kind, name: str, use: Use) -> Grant | Denial:
        """Decide rules 4 to 6 of spec 2: name, destination, location."""

    def reachable(self, destination: Destination, location: Location) -> bool:
        """Whether any name of the caller could be injected there (methods, paths and headers not considered)."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Where something belongs: a dataset, a project (`dataset` empty) or an organisation (both empty)."""

    organisation: str
    project: str = ""
    dataset: str = ""

    @property
    def level(self) -> str:
        """Say organisation, project or dataset."""
        return "dataset" if self.dataset else "project" if self.project else "organisation"

    @property
    def parents(self) -> tuple["Scope", ...]:
        """This scope and those it inherits from, nearest first."""
        chain = (self, Scope(self.organisation, self.project), Scope(self.organisation))
        return tuple(dict.fromkeys(chain))

    def __str__(self) -> str:
        return "/".join(part for part in (self.organisation, self.project, self.dataset) if part)


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def inside(networks: Iterable[Network], address: str) -> bool:
    """Whether an address is in one of the networks; what is no address is in none. Mapped IPv4 is IPv4."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    plain = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(plain in network for network in networks)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request is for; everything follows from the live session. Times are Unix seconds."""

    session: str
    scope: Scope
    environment: str
    expires_at: float
    declared: frozenset[str] | None = None
    origins: tuple[str, ...] = ()
    max_requests: int | None = None
    label: str = ""
    egress: Mapping[str, object] = field(default_factory=dict)
    """The dataset's egress list: `{"allow": [hosts], "default": "allow" | "deny"}`; empty allows all."""
    sources: tuple[Network, ...] = ()
    """The networks that the session may be used from; none: any. `allowed` asks."""
    consumer: str = ""
    """The consumer that it was opened for."""

    @property
    def organisation(self) -> str:
        """The tenant, to be written in lines; keys take `scope` whole, whose other parts are the tenants' own."""
        return self.scope.organisation

    @property
    def project(self) -> str:
        """The project's id, unique in its organisation only."""
        return self.scope.project

    @property
    def dataset(self) -> str:
        """The dataset's id, unique in its project only."""
        return self.scope.dataset


def allowed(caller: Caller, address: str) -> bool:
    """Whether the caller's session may be used from an address: the connection's own, never one that a header tells.

    Code can give its token away; to whom is elsewhere, it is then of no use.
    """
    return not caller.sources or inside(caller.sources, address)
