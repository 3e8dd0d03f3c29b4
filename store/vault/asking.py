"""Would a request be allowed? Told by the very functions that the data plane decides by, over the same manifests.

What is told is what a session would meet that the asker opens now, in the environment and for the consumer that are
named. What only the data plane knows is left out: which addresses a name resolves to, budgets, the operator's settings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy import Connection

from store.access import Principal
from store.authorities import BadAuthority, egress_allows, parse_authority
from store.checks import check_environment, check_name, problem
from store.credential import endpoint_of, fits, places
from store.errors import NotFound
from store.kinds import CLIENT_CERTIFICATE, PRESENTS, WRITTEN, Credential
from store.model import Denial, Kind, Location, Scope, Use
from store.roles import ADMIN, consumer_key
from store.rules import Hosts, canonical_rules
from store.trust.index import Index
from store.trust.judging import DENIALS, Obstacle, Sight, serving_rules
from store.trust.manifest import Entry, manifest_key, parse
from store.trust.signing import digest
from store.vault.gate import Verbs, fetching, find_scope, nothing
from store.vault.sharing import ward
from store.vault.views import one_entry

_SECURE = {"https": True, "wss": True, "http": False, "ws": False}


@dataclass(frozen=True, slots=True)
class Question:
    """A request, and where in it the placeholder of `name` stands; `header` is the field's name where it is in one."""

    name: str
    url: str
    method: str = "GET"
    location: str = "header"
    header: str = "authorization"
    environment: str = ""
    consumer: str | None = None
    kind: Kind = Kind.SECRET


@dataclass(frozen=True, slots=True)
class Decision:
    """What would become of it. `code` is the refusal's, "" where it is allowed; `obstacle` says it more finely.

    `rules` are those that serve the request; all of the version's, where none does. `scope` is where the entry is from.
    `carried`: it stands in a body or a message, where what is not allowed goes on as it is written.
    """

    code: str
    use: Use
    obstacle: Obstacle | None = None
    scope: Scope | None = None
    version: int = 0
    rules: Sequence[object] = ()
    locations: tuple[str, ...] = ()
    carried: bool = False
    credential: Credential = WRITTEN

    @property
    def allowed(self) -> bool:
        """Whether the value, or what is made of it, would be put in."""
        return not self.code


class Asking(Verbs):
    """The verb that asks."""

    def ask(self, principal: Principal, scope: Scope, question: Question) -> Decision:
        """Say what would become of a request; raises `Invalid`.

        A name that the asker may not see is answered as one that is not there.
        """
        use = use_of(question)
        check_name(question.name, "/name")
        check_environment(question.environment, "/environment")
        with self._gate.look(principal, f"{question.kind}s:read", scope, "ask") as connection:
            find_scope(connection, scope)
            indexes = tuple(self._index(connection, each) for each in scope.parents)
            egress, strict = indexes[0].manifest.egress, indexes[0].manifest.strict_bodies
            if use.destination.own or not egress_allows(egress, use.destination):
                return Decision("destination_blocked", use)
            carried = use.location in {Location.BODY, Location.MESSAGE} and not strict
            sight = self._sight(connection, principal, indexes, question)
            entry = sight.find(question.kind, question.name)
            if entry is None or not self._visible(connection, principal, entry) or entry.active is None:
                return Decision(Denial.UNKNOWN, use, carried=carried)
            active = entry.active
            obstacle = sight.obstacle(entry, active, use)
            code = _unfit(active.credential, use, egress) if obstacle is None else DENIALS[obstacle]
            serving = serving_rules(active, use)[-1] or active.rules
            rules: Hosts = canonical_rules(serving)
            locations = tuple(places(active.credential, active.locations))
            stays = carried and bool(code)
            return Decision(code, use, obstacle, entry.scope, active.number, rules, locations, stays, active.credential)

    def _index(self, connection: Connection, scope: Scope) -> Index:
        body = self._gate.ledger.document(connection, manifest_key(scope))
        if body is None:
            raise nothing()
        return Index(parse(body, digest(body), scope))

    def _sight(
        self, connection: Connection, principal: Principal, indexes: tuple[Index, ...], question: Question
    ) -> Sight:
        """Return what a session sees that the asker opens now."""
        scope, member, declared = indexes[0].manifest.scope, principal.member, None
        if question.consumer is not None:
            key = consumer_key(scope.organisation, scope.project, question.consumer)
            found = fetching(self._gate.ledger, connection)(key)
            if found is None or not principal.holds("consumers:read", Scope(scope.organisation, scope.project)):
                raise problem("/consumer", "consumer_unknown", "There is no such consumer.")
            declared = frozenset(map(str, found["secrets"]))
        groups = None if member is None or member.rank_at(scope) >= ADMIN else member.groups
        return Sight(indexes, question.environment, declared, groups, unbound=False)

    def _visible(self, connection: Connection, principal: Principal, entry: Entry) -> bool:
        """Whether the asker may know of an entry, in whichever scope it is."""
        key = (entry.kind.value, entry.name, entry.environment)
        try:
            found = one_entry(connection, self._gate.manifest(connection, entry.scope), key)
        except NotFound:
            return False
        if found is None or not principal.sees(entry.scope):
            return False
        return ward(self._gate, connection, principal, entry.scope, f"{entry.kind}s").sees(found[0])


def _unfit(credential: Credential, use: Use, egress: Mapping[str, object]) -> str:
    """Return the code that what is not written as it is meets where a value could stand; "" where it fits."""
    shown = credential.kind == CLIENT_CERTIFICATE
    foreign = Credential(CLIENT_CERTIFICATE).misplaced if use.header == PRESENTS and not shown else ""
    if credential.written:
        return foreign
    endpoint = endpoint_of(credential)
    if endpoint is not None and not egress_allows(egress, endpoint):
        return "token_blocked"
    return foreign if fits(credential, use) else credential.misplaced


def use_of(question: Question) -> Use:
    """Return the use that a question is about; raises `Invalid`."""
    if question.location not in {*Location}:
        raise problem("/where", "location_invalid", "A placeholder stands in a header, url, body or message.")
    scheme, _, rest = question.url.strip().partition("://")
    secure = _SECURE.get(scheme.lower()) if rest else None
    if secure is None:
        raise problem("/url", "url_invalid", "Write a whole URL, such as https://api.example.com/v1/models.")
    try:
        parts = urlsplit(f"//{rest}")
        destination = parse_authority(parts.netloc, secure=secure)
    except (BadAuthority, ValueError):
        raise problem(
            "/url", "url_invalid", "Write a host that a request can go to, without user and password."
        ) from None
    location = Location(question.location)
    header = question.header.strip().lower() if location is Location.HEADER else ""
    fields = frozenset({"host", *([header.replace("_", "-")] if header else [])})
    return Use(destination, location, question.method.upper(), parts.path or "/", header, parts.query, fields)
