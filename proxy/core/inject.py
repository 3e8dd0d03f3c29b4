"""The decision: a request head and a resolver give a plan, or raise a refusal; pure.

`plan` decides every occurrence of target and fields without opening anything. The plan holds grants, never a value;
`write` is called at the border only, opens each grant where it is written, and keeps nothing.

In a head nothing is carried: an occurrence that may not be injected refuses the request. The first refusal in the order
of the rules is the one that is told (unknown name before destination before location), and among equals the leftmost.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Final

from proxy.core import sigv4
from proxy.core.edit import Budget
from proxy.core.encoding import WIDEST, NotEncodable, encode
from proxy.core.found import Found, search, splice
from proxy.core.limits import DEFAULT, Limits
from proxy.core.message import Fields, Head
from proxy.core.placeholder import Occurrence, Surface, find, may_hold
from proxy.core.refusal import Refusal, Refused
from proxy.core.shape import rounded
from store.kinds import CLIENT_CERTIFICATE, HMAC, PRESENTS, Credential
from store.model import Denial, Grant, Kind, Location, Resolver, Use
from store.templates import Template, plain, template_of

_RULES: Final = {Denial.UNKNOWN: 0, Denial.DESTINATION: 1, Denial.LOCATION: 2}
_FIT: Final = 3
_FRAMING: Final = frozenset({
    "host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "content-encoding",
})  # fmt: skip
_DOTS: Final = (b".", b"..")

Key = tuple[Kind, str, Location, str]


@dataclass(frozen=True, slots=True)
class Signing:
    """A head that is to be signed with a key: what the client signed, or a template, and where it names the key."""

    grant: Grant = field(repr=False)
    claim: sigv4.Claim | Template
    keys: frozenset[Key]


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be written into a head. `names` are for `Egret-Injected`, `uses` for the audit.

    With `signing` the signature of what is written is made at the border, which leaves the body as it is. `making` are
    places where a token stands that the grant is traded for: nothing is written before they are `given`.
    """

    grants: dict[Key, Grant] = field(repr=False)
    budget: Budget
    found: "Found" = field(repr=False)
    names: tuple[str, ...] = ()
    uses: tuple[tuple[Grant, Use], ...] = field(default=(), repr=False)
    signing: Signing | None = None
    certificate: Grant | None = field(default=None, repr=False)
    """Of what the connection shows to the upstream."""
    making: tuple[tuple[Key, Grant], ...] = field(default=(), repr=False)

    def given(self, tokens: Sequence[Grant]) -> "Plan":
        """Return the plan with grants of tokens, one for each of `making`."""
        made = {key: token for (key, _), token in zip(self.making, tokens, strict=True)}
        return replace(self, grants={**self.grants, **made})

    def write(self, head: Head) -> tuple[bytes, Fields]:
        """Return target and fields with the values in place; raises `Refused`. At the border only."""
        self.budget.head = 0
        if not self.grants and not self.making and self.certificate is None:
            return head.target, head.fields
        return self._target(head) if b"S." in head.target else head.target, self.fields(head)

    def fields(self, head: Head) -> Fields:
        """Return the fields alone; raises `Refused`. At the border only.

        A head that is not the very one which was planned is searched anew: nothing is written without a grant.
        """
        found = self.found if self.found.head is head else search(head)
        fields = list(head.fields)
        for place, header, part in found.parts:
            if header == PRESENTS:
                continue
            write = partial(self._open, surface=part.surface, location=Location.HEADER, header=header)
            fields[place] = (fields[place][0], part.write(write))
        return tuple(fields) if self.certificate is None else tuple([pair for pair in fields if not _presents(pair[0])])

    def _open(self, occurrence: Occurrence, surface: Surface, location: Location, header: str = "") -> bytes:
        """Open, encode, count. A head that changed after planning finds no grant, and fails closed."""
        key = (occurrence.kind, occurrence.asked if occurrence.sealed else occurrence.name, location, header)
        if self.signing is not None and key in self.signing.keys:
            return b"-"  # the whole of what it stands in is written by who signs
        grant = self.grants.get(key)
        if grant is None:
            raise Refused(Refusal("internal"))
        try:
            raw = grant.open().reveal()
            value = encode(raw, surface)
        except NotEncodable:
            raise Refused(Refusal("value_not_encodable", occurrence.name)) from None
        count = rounded(len(raw)) * WIDEST[surface]
        self.budget.spend(count - (occurrence.end - occurrence.start), occurrence.name, head=True)
        return value

    def _target(self, head: Head) -> bytes:
        path, mark, query = head.target.partition(b"?")
        segments = [self._segment(segment) for segment in path.split(b"/")]
        write = partial(self._open, surface=Surface.QUERY, location=Location.URL)
        query = splice(query, find(query, Surface.QUERY), write)
        return b"/".join(segments) + mark + query

    def _segment(self, segment: bytes) -> bytes:
        """Write one path segment; the client's neighbouring bytes may complete a dot segment (RFC 3986 5.2.4)."""
        occurrences = find(segment, Surface.PATH)
        if not occurrences:
            return segment
        written = splice(segment, occurrences, partial(self._open, surface=Surface.PATH, location=Location.URL))
        # Dots of the client's beside a value are refused whatever it is, or they would tell if it begins with `/`.
        edges = segment[: occurrences[0].start] + b"/x", b"x/" + segment[occurrences[-1].end :]
        if any(map(_dotted, (written, *edges))):
            raise Refused(Refusal("value_not_encodable", occurrences[0].name))
        return written

    def protocol(self, head: Head, chosen: bytes) -> bytes | None:
        """Return the subprotocol that the upstream chose, as the client spelled it; `None` if it was not offered."""
        name, surface, chosen = b"sec-websocket-protocol", Surface.PROTOCOL, chosen.strip(b" \t")
        write = partial(self._open, surface=surface, location=Location.HEADER, header=name.decode())
        for line in head.values(name):
            for item in line.split(b","):
                offered = item.strip(b" \t")
                if splice(offered, find(offered, surface), write) == chosen:
                    return offered
        return None


def _dotted(segment: bytes) -> bool:
    """Say whether a server would see a dot segment, also one that decodes `%2F` and `%5C` or cuts at `;` first."""
    plain = re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), segment)
    return any(piece in _DOTS or piece.split(b";")[0] in _DOTS for piece in re.split(rb"[/\\]", plain))


type _Place = tuple[Occurrence, Location, str, bytes]
"""An occurrence, and the text that it stands in where that can be a signature; else b""."""


def _in_target(head: Head) -> Iterator[_Place]:
    path, _, query = head.target.partition(b"?")
    for part, surface in ((path, Surface.PATH), (query, Surface.QUERY)) if may_hold(head.target) else ():
        for occurrence in find(part, surface):
            yield occurrence, Location.URL, "", part if surface is Surface.QUERY else b""


def _in_fields(found: Found) -> Iterator[_Place]:
    for _, header, part in found.parts:
        for occurrence in part.occurrences:
            yield occurrence, Location.HEADER, header, getattr(part, "text", b"")


def _misplaced(head: Head, fields: Found) -> Refusal | None:
    """Find an occurrence where none may be: method, header names, and headers that frame or address the request."""
    names = (head.method.encode("utf-8", "replace"), *[name for name, _ in head.fields])
    for part in names if may_hold(b"\n".join(names)) else ():
        if found := find(part, Surface.HEADER):
            return Refusal("location_not_allowed", found[0].name)
    for place, header, value in fields.parts:
        multipart = header == "content-type" and b"multipart/" in head.fields[place][1].lower()
        if multipart or header in _FRAMING:
            return Refusal("location_not_allowed", value.occurrences[0].name)
    return None


def plan(head: Head, resolver: Resolver, limits: Limits = DEFAULT, *, before: Head | None = None) -> Plan:
    """Decide all occurrences of a head; raises `Refused`. Opens nothing.

    With `before`, the head that was decided already, the fields are the trailers of that request.
    """
    asked: Use | None = None
    grants: dict[Key, Grant] = {}
    shown: dict[Key, Grant] = {}
    uses: list[tuple[Grant, Use]] = []
    refusals: list[tuple[int, Refusal]] = []
    signings: list[Signing] = []
    making: dict[Key, Grant] = {}
    decided: set[tuple[Key, bool]] = set()  # denials too: a client repeats what it likes
    found = search(head)
    for occurrence, location, header, text in chain(() if before else _in_target(head), _in_fields(found)):
        key = (occurrence.kind, occurrence.asked, location, header)
        scope = bool(text) and sigv4.is_scope(text, occurrence, location, header)
        if (key, scope) in decided:
            refusals += _astray(signings, text, occurrence, key)
            continue
        decided.add((key, scope))
        asked = asked or (head.after(before.fields, location) if before else head.use(location))
        use = asked.at(location, header)
        decision = resolver.resolve(occurrence.kind, occurrence.asked, use)
        if isinstance(decision, Denial):
            refusals.append((_RULES[decision], Refusal(decision.value, occurrence.name)))
            continue
        alone = header == PRESENTS and text.strip(b" \t") == text[occurrence.start : occurrence.end]
        misused = _misused(decision, head, scope=scope and before is None, trailer=before is not None, alone=alone)
        if misused is not None:
            refusals.append((_FIT, misused))
            continue
        into = _kept(decision.credential, grants, making, shown)
        if into is not None:
            into[key] = decision
        else:
            try:
                signings.append(_signing(head, decision, text, occurrence, key))
            except Refused as refused:
                refusals.append((_FIT, refused.refusal))
        uses.append((decision, use))
    misplaced = _misplaced(head, found)
    if misplaced is not None:
        refusals.append((_RULES[Denial.LOCATION], misplaced))
    signing = _one(signings)
    refusals += _doubtful(head, signings, signing, shown)
    if refusals:
        raise Refused(min(refusals, key=lambda pair: pair[0])[1])
    names = tuple(dict.fromkeys(grant.name for grant, _ in uses))
    one = next(iter(shown.values()), None)
    budget = Budget(limits.expansion_bytes)
    return Plan(grants, budget, found, names, tuple(uses), signing, one, tuple(making.items()))


def _presents(name: bytes) -> bool:
    """Whether a field is the one that names a certificate, as any server reads it."""
    return len(name) == len(PRESENTS) and plain(name) == PRESENTS.encode()


def _kept(credential: Credential, *groups: dict[Key, Grant]) -> dict[Key, Grant] | None:
    """Return where a grant is kept: of `groups`, what is written, traded or shown; None for what signs."""
    written, traded, shown = groups
    if credential.kind == CLIENT_CERTIFICATE:
        return shown
    return written if credential.written else traded if credential.traded else None


def _doubtful(
    head: Head, signings: Sequence[Signing], signing: Signing | None, shown: Mapping[Key, Grant]
) -> Iterator[tuple[int, Refusal]]:
    """Refuse what says two things at once, and a field for certificates that names none."""
    if signings and signing is None:
        yield _FIT, Refusal("signature_malformed", signings[0].grant.name)
    if len(shown) > 1 or (not shown and any(_presents(name) for name, _ in head.fields)):
        yield _FIT, Refusal("client_certificate_misplaced", next((name for _, name, *_ in shown), None))


def _signing(head: Head, grant: Grant, text: bytes, occurrence: Occurrence, key: Key) -> Signing:
    """Return what signs a head; raises `Refused` where it cannot, or the key is named elsewhere."""
    if grant.credential.kind != HMAC:
        return Signing(grant, sigv4.read(head, text, occurrence, key[2]), frozenset({key}))
    template = template_of(grant.credential.parameters)
    if not template.names(text, occurrence.start, key[2], key[3]):
        raise Refused(Refusal(grant.credential.misplaced, grant.name))
    return Signing(grant, template, frozenset({key}))


def _astray(signings: Sequence[Signing], text: bytes, occurrence: Occurrence, key: Key) -> list[tuple[int, Refusal]]:
    """Refuse a name that was decided about at its place, and stands at another of the same location, too."""
    found = [each for each in signings if key in each.keys and isinstance(each.claim, Template)]
    placed = all(each.claim.names(text, occurrence.start, key[2], key[3]) for each in found)  # type: ignore[union-attr]
    return [] if placed else [(_FIT, Refusal("signing_key_misplaced", occurrence.name))]


def _one(signings: Sequence[Signing]) -> Signing | None:
    """Return what signs a head: one signature, and perhaps the id of its very key beside it."""
    if not signings:
        return None
    first = signings[0]
    same = all(each.claim == first.claim and each.grant.name == first.grant.name for each in signings)
    if len(signings) > 1 and not (same and isinstance(first.claim, Template)):
        return None
    return replace(first, keys=frozenset[Key]().union(*(each.keys for each in signings)))


def _misused(grant: Grant, head: Head, *, scope: bool, trailer: bool, alone: bool) -> Refusal | None:
    """Say what is wrong with a text where a key belongs, or a key where a text does. A variable is public."""
    if grant.credential.kind == CLIENT_CERTIFICATE:
        fits = alone and not trailer and head.destination.secure
        return None if fits else Refusal(grant.credential.misplaced, grant.name)
    if grant.credential.kind == HMAC and not trailer:
        return None  # its template says where it belongs
    if grant.credential.written or (grant.credential.traded and not trailer):
        return Refusal("signing_key_needed", grant.name) if scope and grant.kind is Kind.SECRET else None
    return None if scope and not trailer else Refusal(grant.credential.misplaced, grant.name)


def cut_hint(head: Head) -> bool:
    """Say whether the target was probably cut at `#` by the client: its last parameter is empty."""
    return head.target.endswith(b"=") and b"?" in head.target
