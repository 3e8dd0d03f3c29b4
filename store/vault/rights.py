"""The rights of a new or changed key: checked, and never more than its maker has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from store.access import ACTIONS, AREAS, AREAS_ELSEWHERE, LEVELS, LEVELS_ELSEWHERE, Principal
from store.bounds import Rights, earliest, exceeded, parse_networks, sentence
from store.checks import check_id, check_text, is_plain, problem
from store.errors import Forbidden, Tampered
from store.lineage import Fetch
from store.model import Scope, inside
from store.roles import Member, member_key, rank

DEFAULT_TTL = 90 * 86400
MAX_TTL = 366 * 86400
MAX_SOURCES = 64


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to make.

    `permission` is a level, `access` limits it to areas, `actions` lists those of `restricted`. `datasets` are written
    `project/dataset`, or `dataset` where `projects` has one. `sources` are networks. `consumers` limits the sessions
    that it may open to those. `member` is whose it is; None: its maker's. `ttl` in seconds, None: no expiry (for the
    owner to grant).
    """

    name: str
    permission: str = "read_only"
    access: Sequence[str] | None = None
    actions: Sequence[str] = ()
    projects: Sequence[str] | None = None
    datasets: Sequence[str] | None = None
    sources: Sequence[str] = ()
    consumers: Sequence[str] | None = None
    member: str | None = None
    ttl: int | None = DEFAULT_TTL


def rights_of(wish: NewKey) -> dict[str, Any]:
    """Return the members of a key's document that are wished for, in one spelling; raises `Invalid`."""
    wish = _translated(wish)
    check_text(wish.name, "/name", 64, empty=False)
    projects = None if wish.projects is None else _ids(wish.projects, "/projects")
    return {
        "name": wish.name,
        "permission": wish.permission,
        "access": None if wish.access is None else sorted(set(wish.access)),
        "actions": sorted(_actions(wish)),
        "projects": projects,
        "datasets": None if wish.datasets is None else _datasets(wish.datasets, projects),
        "sources": networks(wish.sources),
        "consumers": None if wish.consumers is None else _ids(wish.consumers, "/consumers"),
    }


def _translated(wish: NewKey) -> NewKey:
    """Return a wish with the levels and areas of other systems in our words."""
    level, access = LEVELS_ELSEWHERE.get(wish.permission, wish.permission), wish.access
    if access is not None:
        access = [ours for each in access for ours in AREAS_ELSEWHERE.get(each, (each,))]
    return replace(wish, permission=level, access=access)


def hold(principal: Principal, made: Rights) -> None:
    """Return when what is made has no more than its maker; raises `Forbidden`, with a sentence for each limit."""
    if over := exceeded(principal.limits, made):
        raise Forbidden(" ".join(dict.fromkeys(map(sentence, over))))


def of_sign_in(member: Mapping[str, Any]) -> Rights:
    """Return the limits of a key by which a member signs in: none but its roles, which are asked at each request.

    What only an owner's key does, an owner's does: a principal is denied it with the role.
    """
    level = "owner" if member["role"] == "owner" else "full"
    none: dict[str, Any] = {"access": None, "projects": None, "datasets": None, "consumers": None, "sources": []}
    return {"permission": level, "actions": sorted(LEVELS[level]), **none, "member": member["id"], "expires_at": 0}


def expiry(principal: Principal, ttl: int | None, now: int) -> int | None:
    """Return when a new key ends (Unix ms): within a year, and not after its maker."""
    if ttl is None and principal.permission != "owner":
        raise problem("/ttl", "ttl_invalid", "Only the owner makes keys without expiry.")
    if ttl is not None and not 1 <= ttl <= MAX_TTL:
        raise problem("/ttl", "ttl_invalid", f"A key lives 1 to {MAX_TTL} seconds (366 days).")
    return earliest(None if ttl is None else now + ttl * 1000, principal.limits["expires_at"])


def renewed(principal: Principal, old: Mapping[str, Any], now: int) -> int | None:
    """Return when a successor ends: it lives as long as the old key was to, and not longer than its maker."""
    life = None if old["expires_at"] is None else now + old["expires_at"] - old["created_at"]
    return earliest(life, principal.limits["expires_at"])


def member_for(fetch: Fetch, principal: Principal, wanted: str | None) -> dict[str, Any]:
    """Return whose a key shall be: a member makes keys for itself, and with `members:write` for lower ones."""
    own = principal.member.id if principal.member is not None else None
    chosen, home = own if wanted is None else wanted, Scope(principal.organisation)
    if chosen is None:
        return {"member": None, "member_born": None}
    if chosen != own and not principal.holds("members:write", home):
        raise Forbidden("This key makes keys for its own member only.")
    found = fetch(member_key(principal.organisation, chosen)) if is_plain(chosen) else None
    if found is None:
        raise problem("/member", "member_unknown", "There is no such member.")
    if chosen != own and rank(Member.of(found).role) > principal.rank_at(home):
        raise Forbidden("The member has a higher role than this key.")
    return {"member": chosen, "member_born": found["created_at"]}


def is_gone(fetch: Fetch, organisation: str, member: str) -> bool:
    """Whether nothing believable is left of a member: what was its may be ended by whoever ends keys."""
    try:
        return fetch(member_key(organisation, member)) is None
    except Tampered:
        return True


def admits(document: Mapping[str, Any], source: str) -> bool:
    """Whether a key may be used from there (an unknown source fails a limited key)."""
    return not document["sources"] or inside(parse_networks(document["sources"]), source)


def networks(texts: Sequence[str]) -> list[str]:
    """Return networks in one spelling; raises `Invalid`."""
    if len(texts) > MAX_SOURCES:
        raise problem("/sources", "too_many", f"At most {MAX_SOURCES} networks.")
    return [_network(text, f"/sources/{index}") for index, text in enumerate(texts)]


def _actions(wish: NewKey) -> frozenset[str]:
    if wish.permission not in LEVELS:
        raise problem("/permission", "permission_invalid", "Permissions are " + ", ".join(sorted(LEVELS)) + ".")
    if wish.actions and wish.permission != "restricted":
        raise problem("/actions", "actions_unused", "Only a restricted key lists actions.")
    for index, action in enumerate(wish.actions):
        if action not in ACTIONS:
            raise problem(f"/actions/{index}", "action_invalid", "Actions are " + ", ".join(sorted(ACTIONS)) + ".")
    for index, area in enumerate(wish.access or ()):
        if area not in AREAS:
            areas = ", ".join(sorted({*AREAS, *AREAS_ELSEWHERE}))
            raise problem(f"/access/{index}", "access_invalid", f"Areas are {areas}.")
    granted = frozenset(wish.actions) if wish.permission == "restricted" else LEVELS[wish.permission]
    if wish.access is None:
        return granted
    return frozenset(action for action in granted if action.partition(":")[0] in wish.access)


def _ids(names: Sequence[str], pointer: str) -> list[str]:
    for index, name in enumerate(names):
        check_id(name, f"{pointer}/{index}")
    return sorted(set(names))


def _datasets(names: Sequence[str], projects: list[str] | None) -> list[str]:
    found = set()
    for index, name in enumerate(names):
        project, slash, dataset = name.rpartition("/")
        if not slash:
            if projects is None or len(projects) != 1:
                raise problem(f"/datasets/{index}", "project_missing", 'Write "project/dataset".')
            project = projects[0]
        check_id(project, f"/datasets/{index}")
        check_id(dataset, f"/datasets/{index}")
        if projects is not None and project not in projects:
            raise problem(f"/datasets/{index}", "project_outside", "The dataset is in none of the key's projects.")
        found.add(f"{project}/{dataset}")
    return sorted(found)


def _network(text: str, pointer: str) -> str:
    try:
        return str(parse_networks([text])[0])
    except ValueError:
        raise problem(pointer, "source_invalid", 'Write a network such as "10.0.0.0/8" or an address.') from None
