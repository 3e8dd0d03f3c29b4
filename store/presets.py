"""What is known of a host: judged when a value is used, by the host that is dialled, whatever rule matched.

An API that acts on what it is told (a model with tools, a webhook, mail, a relay that takes its target from a field)
hands a value on to anybody. So where a preset names a host, a value stands in the header that the API's documentation
gives, and nowhere else, unless the value's upload named locations or headers.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from store.kinds import AWS, CLIENT_CERTIFICATE, HMAC, STATIC, TRADED
from store.model import WIDENED, Location, Use
from store.providers import Provider, load_providers, met
from store.records import Warned
from store.rules import DestinationRule, Hosts, parse_rules


@dataclass(frozen=True, slots=True)
class Preset:
    """All that the presets say of one host."""

    locations: frozenset[Location]
    headers: frozenset[str]
    refused: frozenset[str]
    acts: str

    def allows(self, use: Use, named: Sequence[DestinationRule], *, widened: bool) -> bool:
        """Whether a value may be used so. `named`: the rules that serve the use. `widened`: its locations were named.

        Headers that a rule names count as the preset's; so a field that redirects a relay passes where a rule names it.
        """
        headers = frozenset[str]().union(*(rule.headers or () for rule in named))
        if (use.fields & self.refused) - headers:
            return False
        if use.location not in self.locations and not widened:
            return False
        return use.location is not Location.HEADER or use.header in self.headers | headers


@functools.lru_cache(2048)
def preset_of(host: str) -> Preset | None:
    """Return what is known of a host (as `Destination.host`), or None."""
    found = [each for each in load_providers().values() if any(rule.names(host) for rule in each.judged)]
    return _all(found) if found else None


def _all(found: Sequence[Provider]) -> Preset:
    return Preset(
        frozenset(Location(name) for each in found for name in each.locations),
        frozenset[str]().union(*(each.headers for each in found)),
        frozenset[str]().union(*(each.refused for each in found)),
        next((each.acts for each in found if each.acts), ""),
    )


def beyond(hosts: Hosts, locations: Iterable[str]) -> list[Warned]:
    """Return the warning for rules that allow more than a preset does."""
    listed = [*locations]
    for rule in parse_rules(hosts):
        for preset in met(rule):
            wide = WIDENED in listed and not {*listed} - {WIDENED} <= {*preset.locations}
            if wide or (rule.headers or frozenset()) - preset.headers:
                where, why = preset.judged[0].authority, preset.acts or "its documentation"
                return [Warned("widens_preset", f"What was named goes beyond the preset of {where}: {why}.")]
    return []


def told(hosts: Hosts, locations: Sequence[str], kind: str = STATIC) -> str:
    """Return, for people, what rules allow and why, in a line. `kind`: what is done with the value (`store.kinds`)."""
    if not hosts:
        return "it is injected nowhere, as it has no hosts"
    groups: dict[str, list[str]] = {}
    for rule in parse_rules(hosts):
        groups.setdefault(_done(kind, rule, locations) + _captured(rule), []).append(rule.authority)
    return "; ".join(f"at {_some(names)} {what}" for what, names in groups.items())


def _allowed(rule: DestinationRule, locations: Sequence[str]) -> str:
    presets = met(rule)
    places = {*locations} - {WIDENED}
    known = _all(presets) if presets else None
    headers = rule.headers
    if known is not None and not rule.wildcard:
        places = places if WIDENED in locations else places & {*known.locations}
        headers = headers or known.headers
    parts = [_place(place, headers) for place in Location if place in places]
    said = "in " + ", ".join(parts) if parts else "nowhere"
    if known is None:
        return f"{said} (nothing is known of it)"
    if rule.wildcard:
        return f"{said}; less at hosts below it that a preset names"
    if WIDENED in locations:
        return f"{said} (as named, beyond its preset)"
    return f"{said}{' alone' if parts else ''} ({known.acts or 'its preset'})"


def _done(kind: str, rule: DestinationRule, locations: Sequence[str]) -> str:
    if kind == AWS:
        return _signed(locations)
    if kind == CLIENT_CERTIFICATE:
        return "connections show the certificate, where a request asks for it; the key is sent nowhere"
    if kind == HMAC:
        return "it signs requests by its template; the key itself is sent nowhere"
    if kind not in TRADED:
        return _allowed(rule, locations)
    return "a token that it is traded for, " + _allowed(rule, [each for each in locations if each not in _STREAMED])


def _captured(rule: DestinationRule) -> str:
    if rule.capture is None:
        return ""
    members, hosts = ", ".join(sorted(rule.capture.members)), _some([each.authority for each in rule.capture.hosts])
    return f", and {members} of its answers becomes a placeholder for {hosts}"


def _signed(locations: Sequence[str]) -> str:
    """Return what a signing key does at its hosts; presets are of values that are written, and say nothing of it."""
    places = [said for place, said in _SIGNED.items() if place in locations]
    if not places:
        return "it signs nothing: locations are neither header nor url"
    return f"it signs requests, {' and '.join(places)}; the key itself is sent nowhere"


def _place(place: Location, headers: frozenset[str] | None) -> str:
    if place is Location.HEADER and headers is not None:
        return "the header " + " or ".join(sorted(headers))
    return _PLACES[place]


_PLACES: Final = {
    Location.HEADER: "any header",
    Location.URL: "the URL",
    Location.BODY: "bodies",
    Location.MESSAGE: "messages",
}


_STREAMED: Final = {Location.BODY, Location.MESSAGE}
"""What passes in pieces, which wait for no token."""
_SIGNED: Final = {Location.HEADER: "in the header Authorization", Location.URL: "as presigned URLs"}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
