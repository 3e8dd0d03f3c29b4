"""What groups may do with an entry: the rule of the control plane (the data plane's, for use, is in `store.reader`).

An entry's groups are its own, its scope's and those of the wider scopes. An entry that has any is for these groups, and
for owners, admins and the organisation's own keys, alone; one that has none is for whom the role includes it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy import ColumnElement, Connection, or_

from store.access import Principal, forbidden
from store.bounds import of_grant
from store.checks import Faults, check_id
from store.database.schema import entries
from store.errors import Forbidden
from store.ledger.commit import Transaction
from store.ledger.manifests import Kept
from store.lineage import Fetch, is_group
from store.model import Kind, Scope
from store.people import GroupGrant
from store.roles import PERMISSIONS, pack, unpack
from store.trust.entry import EntryState
from store.vault.gate import Gate, fetching, nothing
from store.vault.rights import hold

type Grants = Mapping[str, str]
"""Group to letters."""

MAX_GROUPS = 32
"""Groups of one entry or scope."""


class Ward:
    """What one principal may do with the entries of one scope; `area` is secrets or variables."""

    def __init__(self, wide: Callable[[Scope], Grants], sharing: "Sharing", area: str) -> None:
        principal, scope = sharing.principal, sharing.scope
        self._principal, self._scope, self._area = principal, scope, area
        self.sharing = sharing
        """What groups may be given here."""
        self._above = principal.above_groups(scope)
        self._groups = principal.member.groups if principal.member is not None else frozenset()
        self._wide: Grants = {} if self._above else wide(scope)

    def sees(self, entry: EntryState) -> bool:
        """Whether the entry may be known of."""
        return self._allowed(entry, "m", "read")

    def writes(self, entry: EntryState | None) -> bool:
        """Whether the entry may be changed; None: a new one."""
        return self._allowed(entry, "w", "write")

    def need_write(self, entry: EntryState | None) -> None:
        """Return when the entry may be written; raises `Forbidden`, the same for one that is hidden and for none."""
        if not self.writes(entry):
            raise self._refusal("write")

    def need_change(self, entry: EntryState) -> None:
        """Return when an entry that must be there may be changed; raises `NotFound` for what is hidden."""
        if self.writes(entry):
            return
        raise self._refusal("write") if self.sees(entry) else nothing()

    def need_sharing(self) -> None:
        """Return when groups may be given rights here; raises `Forbidden`."""
        if not self._above:
            raise Forbidden("Owners and admins say what groups may do.")

    def visible(self) -> list[ColumnElement[bool]]:
        """Return the condition for entries that may be known of."""
        held = self._principal.holds(f"{self._area}:read", self._scope)
        if self._above or self._has(self._wide, "m"):
            return []
        own = [entries.c.groups.contains(f'"{group}":"m', autoescape=True) for group in sorted(self._groups)]
        if held and not self._wide:
            own.append(entries.c.groups == "{}")
        return [or_(*own)] if own else [entries.c.id.is_(None)]

    def _allowed(self, entry: EntryState | None, letter: str, verb: str) -> bool:
        action = f"{self._area}:{verb}"
        if self._above or action not in self._principal.granted:
            return self._principal.holds(action, self._scope)
        own: Grants = entry.groups if entry is not None else {}
        if own or self._wide:
            return self._has(own, letter) or self._has(self._wide, letter)
        return self._principal.holds(action, self._scope)

    def _has(self, grants: Mapping[str, str], letter: str) -> bool:
        return any(letter in grants.get(group, "") for group in self._groups)

    def _refusal(self, verb: str) -> Forbidden:
        return forbidden(self._principal, f"{self._area}:{verb}", self._scope)


def ward(gate: Gate, connection: Connection, principal: Principal, scope: Scope, area: str) -> Ward:
    """Return what the principal may do with the entries of a scope."""
    sharing = Sharing(fetching(gate.ledger, connection), principal, scope, [area])
    return Ward(lambda each: scope_grants(lambda one: gate.ledger.manifest(connection, one), each), sharing, area)


def scope_grants(manifest: Callable[[Scope], Kept | None], scope: Scope) -> dict[str, str]:
    """Return what groups may do with everything in a scope, given there or further out; group to letters. Verified."""
    found: dict[str, str] = {}
    for each in scope.parents:
        kept = manifest(each)
        for group, letters in kept.settings.get("groups", {}).items() if kept is not None else ():
            found[group] = "".join(sorted(set(found.get(group, "")) | set(letters)))
    return found


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who gives groups something, where, and with what: entries of these areas."""

    fetch: Fetch
    principal: Principal
    scope: Scope
    areas: Collection[str] = ("secrets", "variables")

    def packed(
        self, grants: Sequence[GroupGrant], pointer: str, before: Grants = MappingProxyType({})
    ) -> dict[str, str]:
        """Check grants and return them as manifests have them, added up by group.

        Raises `Invalid`, and `Forbidden` where a group would have more than who gives it, and had not `before`.
        """
        faults, found = Faults(), dict[str, str]()
        if len(grants) > MAX_GROUPS:
            faults.add(pointer, "too_many", f"At most {MAX_GROUPS} groups.")
        for index, grant in enumerate(grants[:MAX_GROUPS]):
            where = f"{pointer}/{index}"
            if not set(grant.permissions) <= set(PERMISSIONS) or not grant.permissions:
                known = ", ".join(PERMISSIONS)
                faults.add(f"{where}/permissions", "permission_invalid", f"A group's permissions are {known}.")
                continue
            faults.run(lambda grant=grant, where=where: check_id(grant.group, f"{where}/group"))  # type: ignore[misc]
            found[grant.group] = pack({*unpack(found.get(grant.group, "")), *grant.permissions})
        faults.stop()
        for index, grant in enumerate(grants):
            if not is_group(self.scope.organisation, grant.group, self.fetch):
                faults.add(f"{pointer}/{index}/group", "group_unknown", "There is no such group.")
        faults.stop()
        for group, letters in found.items():
            more = set(unpack(letters)) - set(unpack(before.get(group, "")))
            if more:
                hold(self.principal, of_grant(more, self.areas, self.scope, group))
        return found


def need_upload(
    gate: Gate,
    transaction: Transaction,
    principal: Principal,
    scope: Scope,
    brings: Collection[Kind] = (),
    *,
    shares: bool = False,
) -> None:
    """Return when the principal may write all that an upload brings and replaces; raises `Forbidden`.

    The right to datasets alone must not be a way to erase secrets, or to put others in their place.
    """
    draft = transaction.draft(scope)
    present = draft.live() if draft is not None else []
    for kind in Kind:
        of_kind = ward(gate, transaction.connection, principal, scope, f"{kind}s")
        if kind in brings:
            of_kind.need_write(None)
        if shares:
            of_kind.need_sharing()
        for state in present:
            if state.kind == kind:
                of_kind.need_write(state)


def unpacked(grants: Grants) -> tuple[GroupGrant, ...]:
    """Return grants as they are told."""
    return tuple(GroupGrant(group, tuple(unpack(letters))) for group, letters in sorted(grants.items()))
