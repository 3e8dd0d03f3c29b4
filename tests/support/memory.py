"""A store in memory that answers as the reader does: sessions, secrets, rules. The real rules, no files."""

import threading
from dataclasses import dataclass, field

from store.errors import NotAuthenticated, Unavailable
from store.model import DEFAULT_LOCATIONS, Caller, Denial, Destination, Kind, Location, Scope, SecretValue, Use


def allows(rule: str, destination: Destination) -> bool:
    """Exact host rules: `host[:port]`, `http://host:port`, `*.host`."""
    scheme, _, rest = rule.rpartition("://")
    secure = scheme not in ("http", "ws")
    host, _, port = rest.partition(":")
    number = int(port) if port else (443 if secure else 80)
    matches = destination.host.endswith(host[1:]) if host.startswith("*.") else destination.host == host
    return matches and destination.port == number and destination.secure == secure


@dataclass
class Secret:
    """One secret or variable."""

    name: str
    value: bytes
    hosts: tuple[str, ...] = ()
    locations: frozenset[Location] = DEFAULT_LOCATIONS
    kind: Kind = Kind.SECRET
    version: int = 1

    def open(self) -> SecretValue:
        return SecretValue(self.value)


@dataclass
class View:
    """What one dataset may use."""

    caller: Caller
    secrets: dict[tuple[Kind, str], Secret]
    key: object
    egress: dict = field(default_factory=dict)
    strict_bodies: bool = False
    extra: tuple[tuple[str, bytes], ...] = ()
    all: tuple[Secret, ...] = ()

    def resolve(self, kind: Kind, name: str, use: Use):
        secret = self.secrets.get((kind, name))
        if secret is None:
            return Denial.UNKNOWN
        if not any(allows(rule, use.destination) for rule in secret.hosts):
            return Denial.DESTINATION
        return secret if use.location in secret.locations else Denial.LOCATION

    def reachable(self, destination: Destination, location: Location) -> bool:
        return any(
            location in secret.locations and any(allows(rule, destination) for rule in secret.hosts)
            for secret in self.secrets.values()
        )

    def binds(self, destination: Destination) -> bool:
        return any(allows(rule, destination) for secret in self.all for rule in secret.hosts)

    def values(self):
        found = [(s.name, SecretValue(s.value)) for s in self.secrets.values() if s.kind is Kind.SECRET]
        return found + [(name, SecretValue(value)) for name, value in self.extra]


class Reader:
    """Sessions by token; everything may be changed while the proxy runs, from any thread."""

    def __init__(self):
        self.sessions: dict[str, Caller] = {}
        self.secrets: dict[str, list[Secret]] = {}
        self.egress: dict[str, dict] = {}
        self.strict: set[str] = set()
        self.rotated: dict[str, tuple[tuple[str, bytes], ...]] = {}
        self.fresh = True
        self.revision = 1
        self.failure: Exception | None = None
        self._callbacks = []

    def open(self, dataset: str = "d1", token: str | None = None, **options) -> str:
        """Make a session and return its token."""
        token = token or f"egs_{len(self.sessions):04d}secretsecret"
        options = {"environment": "prod", "expires_at": 4e9} | options
        self.sessions[token] = Caller(f"ses_{len(self.sessions)}", Scope("default", "default", dataset), **options)
        return token

    def put(self, name: str, value: bytes, *hosts: str, dataset: str = "d1", **options) -> Secret:
        secret = Secret(name, value, hosts, **options)
        kept = [s for s in self.secrets.get(dataset, []) if (s.kind, s.name) != (secret.kind, name)]
        self.secrets[dataset] = [*kept, secret]
        self.moved()
        return secret

    def revoke(self, token: str) -> None:
        self.sessions.pop(token, None)
        self.moved()

    def lose(self) -> None:
        self.fresh = False
        self.moved()

    def moved(self) -> None:
        self.revision += 1
        for callback in self._callbacks:
            threading.Thread(target=callback).start()

    # what the proxy calls

    def caller(self, token: str) -> Caller:
        self._check()
        if token not in self.sessions:
            raise NotAuthenticated("no such session")
        return self.sessions[token]

    def view(self, caller: Caller) -> View:
        self._check()
        if caller not in self.sessions.values():
            raise NotAuthenticated("no such session")
        declared = caller.declared
        secrets = {
            (s.kind, s.name): s for s in self.secrets.get(caller.dataset, []) if declared is None or s.name in declared
        }
        key = (caller.dataset, self.revision, declared)
        return View(
            caller, secrets, key, self.egress.get(caller.dataset, {}), caller.dataset in self.strict,
            self.rotated.get(caller.dataset, ()), tuple(self.secrets.get(caller.dataset, ())),
        )  # fmt: skip

    def subscribe(self, callback) -> None:
        self._callbacks.append(callback)

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure
        if not self.fresh:
            raise Unavailable("stale")
