"""An in-memory resolver that obeys the contract of `store.model.Resolver`: names, destinations, locations."""

from dataclasses import dataclass, field

from store.kinds import WRITTEN, Credential
from store.model import DEFAULT_LOCATIONS, Denial, Destination, Kind, Location, SecretValue, Use


@dataclass(frozen=True)
class Known:
    """A name and where it may go."""

    name: str
    value: bytes
    hosts: tuple[Destination, ...]
    kind: Kind = Kind.SECRET
    locations: frozenset[Location] = DEFAULT_LOCATIONS
    credential: Credential = WRITTEN


@dataclass
class Given:
    """A grant that counts how often it was opened."""

    known: Known
    opened: int = field(default=0, compare=False)  # a body in pieces opens it once in each
    version: int = 1

    @property
    def name(self) -> str:
        return self.known.name

    @property
    def kind(self) -> Kind:
        return self.known.kind

    @property
    def credential(self) -> Credential:
        return self.known.credential

    @property
    def identity(self) -> str:
        return self.known.name

    def open(self) -> SecretValue:
        self.opened += 1
        return SecretValue(self.known.value)


@dataclass
class Names:
    """Resolves `Known` names."""

    known: list[Known]
    grants: list[Given] = field(default_factory=list)

    def resolve(self, kind: Kind, name: str, use: Use) -> Given | Denial:
        for known in self.known:
            if (known.kind, known.name) == (kind, name):
                if use.destination not in known.hosts:
                    return Denial.DESTINATION
                if use.location not in known.locations:
                    return Denial.LOCATION
                self.grants.append(Given(known))
                return self.grants[-1]
        return Denial.UNKNOWN

    def reachable(self, destination: Destination, location: Location) -> bool:
        return any(destination in known.hosts and location in known.locations for known in self.known)

    def values(self) -> list[tuple[str, SecretValue]]:
        """What a `Scrubber` is made of by hand."""
        return [(known.name, SecretValue(known.value)) for known in self.known if known.kind is Kind.SECRET]
