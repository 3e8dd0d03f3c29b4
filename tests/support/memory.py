"""A store in memory that answers as the reader does: sessions, secrets, rules. The real rules, no files."""

import itertools
import threading
from dataclasses import dataclass, field

from store.credential import endpoint_of, secrets_of
from store.errors import NotAuthenticated, Unavailable
from store.kinds import WRITTEN, Credential
from store.model import DEFAULT_LOCATIONS, Caller, Denial, Destination, Kind, Location, Scope, SecretValue, Use
from store.reach import Stored, Traded, among, scrub_hosts
from store.reader import Locker
from store.rules import DestinationRule


def allows(rule: str, destination: Destination) -> bool:
    """Exact host rules: `host[:port]`, `http://host:port`, `*.host`."""
    scheme, _, rest = rule.rpartition("://")
    secure = scheme not in ("http", "ws")
    host, _, port = rest.partition(":")
    number = int(port) if port else (443 if secure else 80)
    matches = destination.host.endswith(host[1:]) if host.startswith("*.") else destination.host == host
    return matches and destination.port == number and destination.secure == secure


_numbers = itertools.count()


@dataclass
class Secret:
    """One secret or variable."""

    name: str
    value: bytes
    hosts: tuple[str, ...] = ()
    locations: frozenset[Location] = DEFAULT_LOCATIONS
    kind: Kind = Kind.SECRET
    version: int = 1
    credential: Credential = WRITTEN
    identity: str = field(default_factory=lambda: f"{next(_numbers):064x}")

    @property
    def reached(self):
        endpoint = endpoint_of(self.credential)
        return _rules([*self.hosts, *([] if endpoint is None else [str(endpoint)])])

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
    budgets: tuple = ()
    extra: tuple[tuple[str, bytes], ...] = ()
    all: tuple[Secret, ...] = ()
    captures: tuple = ()

    def capturing(self, use: Use):
        return ()

    def resolve(self, kind: Kind, name: str, use: Use):
        secret = self.secrets.get((kind, name))
        if secret is None:
            return Denial.UNKNOWN
        if not any(_serves(rule, use) for rule in secret.hosts):
            return Denial.DESTINATION
        return secret if use.location in secret.locations else Denial.LOCATION

    def reachable(self, destination: Destination, location: Location) -> bool:
        return any(
            location in secret.locations and any(allows(_host(rule), destination) for rule in secret.hosts)
            for secret in self.secrets.values()
        )

    def binds(self, destination: Destination) -> bool:
        return any(allows(_host(rule), destination) for secret in self.all for rule in secret.hosts)

    @property
    def credentials(self):
        usable = [s for s in self.secrets.values() if s.kind is Kind.SECRET and not s.credential.written]
        return {s.name: s.credential for s in usable}

    def grant(self, name):
        return self.secrets.get((Kind.SECRET, name))

    def about(self):
        usable = sorted(self.secrets.items(), key=lambda item: item[0])
        return {
            "dataset": self.caller.dataset,
            "expires_at": "2096-10-02T07:06:40+00:00",
            "secrets": [
                {"name": name, "kind": s.credential.kind, "hosts": list(s.hosts), "locations": sorted(s.locations)}
                for (kind, name), s in usable
                if kind is Kind.SECRET
            ],
            "variables": {name: s.value.decode() for (kind, name), s in usable if kind is Kind.VARIABLE},
        }

    @property
    def hosts(self):
        rules = [rule for s in self.secrets.values() if s.kind is Kind.SECRET for rule in _rules(s.hosts)]
        return sorted({rule.authority.rpartition("://")[2] for rule in rules})

    @property
    def names(self):
        return frozenset(s.name for s in self.secrets.values()) | {name for name, _ in self.extra}

    def searched(self, host):
        return among(host, scrub_hosts(self.egress))

    @property
    def traded(self):
        return tuple(Traded(s.name, s.identity, s.reached) for s in self.all if s.credential.traded)

    def values(self):
        rules = [rule for secret in self.secrets.values() for rule in secret.hosts]
        found = [
            Stored(s.name, part, s.reached)
            for s in self.secrets.values()
            if s.kind is Kind.SECRET
            for part in secrets_of(s.credential.kind, s.open())
        ]
        return found + [Stored(name, SecretValue(value), _rules(rules)) for name, value in self.extra]


def _rules(hosts):
    return [DestinationRule.parse(host if isinstance(host, dict) else str(host)) for host in hosts]


def _host(rule):
    return rule["host"] if isinstance(rule, dict) else rule


def _serves(rule, use: Use) -> bool:
    """A rule that is an object is judged as the store does."""
    return DestinationRule.parse(rule).serves(use) if isinstance(rule, dict) else allows(rule, use.destination)


def _where(scope: Scope) -> str:
    """Tests name datasets of the first organisation by themselves; the second one's have the same names."""
    return scope.dataset if scope.organisation == "default" else str(scope)


class Reader:
    """Sessions by token; everything may be changed while the proxy runs, from any thread."""

    def __init__(self):
        self.sessions: dict[str, Caller] = {}
        self.secrets: dict[str, list[Secret]] = {}
        self.egress: dict[str, dict] = {}
        self.budgets: dict[str, tuple] = {}
        self.strict: set[str] = set()
        self.rotated: dict[str, tuple[tuple[str, bytes], ...]] = {}
        self.fresh = True
        self.revision = 1
        self.failure: Exception | None = None
        self._callbacks = []
        self._views: dict[str, tuple[tuple, View]] = {}

    def open(self, dataset: str = "d1", token: str | None = None, organisation: str = "default", **options) -> str:
        """Make a session and return its token."""
        token = token or f"egs_{len(self.sessions):012d}_{'secret' * 6}00"
        options = {"environment": "prod", "expires_at": 4e9} | options
        self.sessions[token] = Caller(f"ses_{len(self.sessions)}", Scope(organisation, "default", dataset), **options)
        return token

    def put(
        self, name: str, value: bytes, *hosts: str, dataset: str = "d1", organisation: str = "default", **options
    ) -> Secret:
        secret = Secret(name, value, hosts, **options)
        where = _where(Scope(organisation, "default", dataset))
        kept = [s for s in self.secrets.get(where, []) if (s.kind, s.name) != (secret.kind, name)]
        self.secrets[where] = [*kept, secret]
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
        """The same object while nothing has changed, as the store's reader gives."""
        self._check()
        if caller not in self.sessions.values():
            raise NotAuthenticated("no such session")
        where, declared = _where(caller.scope), caller.declared
        everything = tuple(self.secrets.get(where, ()))
        made = (
            caller, self.revision, tuple(map(id, everything)),
            repr((self.egress.get(where), self.budgets.get(where), where in self.strict, self.rotated.get(where))),
        )  # fmt: skip
        before = self._views.get(caller.session)
        if before is not None and before[0] == made:
            return before[1]
        secrets = {(s.kind, s.name): s for s in everything if declared is None or s.name in declared}
        view = View(
            caller, secrets, (where, self.revision, declared), self.egress.get(where, {}), where in self.strict,
            self.budgets.get(where, ()), self.rotated.get(where, ()), everything,
        )  # fmt: skip
        self._views[caller.session] = made, view
        return view

    def locker(self, kid):
        return Locker(b"k" * 32)

    def subscribe(self, callback) -> None:
        self._callbacks.append(callback)

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure
        if not self.fresh:
            raise Unavailable("stale")
