"""What is made never has more than its maker: one table of limits, and one function that holds two of them together.

A key's document has these limits; a session, a member's role and what a group is given are put in the same words.
Whatever makes, edits, rotates, renews, recovers or shares asks `exceeded`, and nothing else decides. A member of a
document that is in neither table exceeds, so that a new one is refused until somebody has judged it.
"""

import ipaddress
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from store.model import Network, Scope

type Rights = Mapping[str, Any]
"""The limits by name, as in a key's document; its other members may stand beside them."""

_LEVELS: Final[Mapping[str, frozenset[str]]] = {
    "owner": frozenset({"owner", "full", "read_only"}),
    "full": frozenset({"full", "read_only"}),
    "read_only": frozenset({"read_only"}),
}
"""Levels whose actions a level includes, in later releases too. What the others say is said by their actions."""


def _level(maker: str, made: str) -> bool:
    return made in {"restricted", "rater_only"} or made in _LEVELS.get(maker, ())


def _subset(maker: Collection[str] | None, made: Collection[str] | None) -> bool:
    """Whether a list is inside another; None: no limit."""
    return maker is None or (made is not None and set(made) <= set(maker))


def _networks(maker: Collection[str], made: Collection[str]) -> bool:
    """Whether all addresses of some networks are in others; none: any address."""
    if not maker or not made:
        return not maker
    wide = parse_networks(maker)
    return all(any(one[0] in each and one[-1] in each for each in wide) for one in parse_networks(made))


def _until(maker: int | None, made: int | None) -> bool:
    return maker is None or (made is not None and made <= maker)


def _same_or_bound(maker: str | None, made: str | None) -> bool:
    """Whether what a member makes is some member's: what is the organisation's would outlive it."""
    return maker is None or made is not None


LIMITS: Final[Mapping[str, tuple[Callable[[Any, Any], bool], str]]] = {
    "permission": (_level, "A key cannot grant a level that its maker has not."),
    "access": (_subset, "A key cannot reach areas that its maker cannot."),
    "actions": (_subset, "A key cannot grant what its maker may not do."),
    "projects": (_subset, "A key cannot reach projects or datasets that its maker cannot: name some of its own."),
    "datasets": (_subset, "A key cannot reach projects or datasets that its maker cannot: name some of its own."),
    "consumers": (_subset, "This key is for the consumers that it lists, and makes nothing for others: name some."),
    "sources": (_networks, "This key is limited to networks, and makes nothing for others: name some of them."),
    "member": (_same_or_bound, "A member's key makes nothing that belongs to no member."),
    "expires_at": (_until, "What a key makes ends with the key at the latest; take one that lives longer."),
}
"""Each limit, whether what is made is inside the maker's, and what to say when it is not."""

SAYS_NO_RIGHT: Final = frozenset(
    {"id", "token", "name", "organisation", "created_at", "created_by", "revision", "makers", "depth", "run", "nth"}
    | {"member_born", "superseded_at", "sessions_era", "logins_era", "ended", "leaked_from"}
)
"""Members of a key's document that give nothing."""

SESSION_LIMITS: Final = frozenset({"consumer", "project", "dataset", "sources", "member", "expires_at"})
SESSION_SAYS_NO_RIGHT: Final = frozenset(
    {"id", "token", "key", "era", "member_born", "consumer_born", "organisation", "environment", "secrets", "origins"}
    | {"dataset_born", "dataset_era", "max_requests", "label", "created_at", "created_by"}
)
"""Members of a session's document that limit it, and those that give nothing that its key could be without."""

_PLAIN: Final[Rights] = {"permission": "restricted", "access": (), "datasets": None, "consumers": None, "sources": ()}


def exceeded(maker: Rights, made: Rights) -> list[str]:
    """Return the names of what is made that are more than the maker has; none where it may be made."""
    strange = made.keys() - LIMITS.keys() - SAYS_NO_RIGHT
    return [name for name, (fits, _) in LIMITS.items() if name not in made or not fits(maker[name], made[name])] + [
        *sorted(strange)
    ]


def sentence(name: str) -> str:
    """Return what to say of a limit that is exceeded."""
    return LIMITS[name][1] if name in LIMITS else "This release does not know what that grants."


def of_session(document: Rights) -> Rights:
    """Return a session's document in the words of a key's."""
    strange = {name: document[name] for name in document.keys() - SESSION_LIMITS - SESSION_SAYS_NO_RIGHT}
    return {
        **_PLAIN,
        **strange,
        "actions": ("sessions:open",),
        "projects": (document["project"],),
        "datasets": (f"{document['project']}/{document['dataset']}",),
        "consumers": None if document["consumer"] is None else (document["consumer"],),
        "sources": document["sources"],
        "member": document["member"],
        "expires_at": document["expires_at"],
    }


def of_role(actions: Collection[str], scope: Scope, member: str) -> Rights:
    """Return a member's role in the words of a key's. A role ends when it is taken away, and not with a key."""
    projects = (scope.project,) if scope.project else None
    return {**_PLAIN, "actions": actions, "projects": projects, "member": member, "expires_at": 0}


def of_grant(permissions: Collection[str], areas: Collection[str], scope: Scope, group: str) -> Rights:
    """Return what a group is given on entries of these areas in a scope, in the words of a key's."""
    verbs = [("read", {"metadata", "write"}), ("write", {"write"})]
    actions = {f"{area}:{verb}" for area in areas for verb, by in verbs if by & set(permissions)}
    datasets = (f"{scope.project}/{scope.dataset}",) if scope.dataset else None
    use = {"sessions:open"} if "use" in permissions else set()
    return {**of_role(actions | use, scope, group), "datasets": datasets}


def earliest(*ends: int | None) -> int | None:
    """Return the first of several ends; None: never."""
    known = [each for each in ends if each is not None]
    return min(known) if known else None


def parse_networks(texts: Collection[str]) -> tuple[Network, ...]:
    """Read networks; those of mapped IPv4 are IPv4, neighbours are joined. Raises `ValueError`."""
    found = [_plain(ipaddress.ip_network(text, strict=False)) for text in texts]
    four = [each for each in found if isinstance(each, ipaddress.IPv4Network)]
    six = [each for each in found if isinstance(each, ipaddress.IPv6Network)]
    return (*ipaddress.collapse_addresses(four), *ipaddress.collapse_addresses(six))


def _plain(network: Network) -> Network:
    first = getattr(network.network_address, "ipv4_mapped", None)
    if first is None or network.prefixlen < 96:
        return network
    return ipaddress.IPv4Network((int(first), network.prefixlen - 96))
