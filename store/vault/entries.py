"""Secrets and variables: put, info, list, patch, delete, versions, activate, destroy, disable, enable."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from store.access import Principal
from store.advice import advised
from store.checks import check_environment, check_name, problem
from store.database import rows
from store.database.schema import versions
from store.errors import Conflict, NotFound, Tampered
from store.ledger.commit import Transaction
from store.ledger.manifests import Draft, Key
from store.ledger.stops import Stop
from store.model import NAME, Kind, Scope
from store.people import GroupGrant
from store.records import Change, EntryInfo, NewEntry, Page, VersionInfo, Warned
from store.trust.entry import EntryState
from store.vault.changes import listed_of, narrowed, need_version, renamed
from store.vault.defaults import Default, default_of
from store.vault.gate import Verbs, check_match, need_draft, nothing, refuse_immutable, stop_in
from store.vault.listing import Listing, list_entries
from store.vault.makers import made_by
from store.vault.mentions import Mentions
from store.vault.sharing import Ward, ward
from store.vault.upload import MAX_ENTRIES, check
from store.vault.versions import Author, delete_entry, write_version
from store.vault.views import entry_etag, entry_of, one_entry, version_info

_AREA = {Kind.SECRET: "secrets", Kind.VARIABLE: "variables"}


class Entries(Verbs):
    """Verbs on one secret or variable of a scope. `kind` comes after the scope everywhere."""

    def put(
        self,
        principal: Principal,
        scope: Scope,
        kind: Kind,
        entry: NewEntry,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> EntryInfo:
        """Store a new version, used at once. Rules left out are kept; given ones are free, as the value is entered."""
        target = f"{_AREA[kind]}/{entry.name[:128]}"
        with self._gate.change(principal, f"{_AREA[kind]}:write", scope, target) as transaction:
            draft = need_draft(transaction, scope)
            refuse_immutable(draft)
            sealer = self._gate.sealing(transaction.connection)
            ready = check(kind, entry, "", sealer.kid)
            existing = draft.find((kind.value, ready.name, ready.environment))
            ward = self._ward(transaction.connection, principal, scope, kind)
            ward.need_write(existing)
            groups = self._shared(ward, existing, entry.groups)
            _same_kind(existing, entry)
            check_match(entry_etag(existing) if existing else None, if_match, if_none_match=if_none_match)
            if existing is None and draft.count >= MAX_ENTRIES:
                raise Conflict(f"A scope holds at most {MAX_ENTRIES} secrets and variables.", code="too_many")
            default = Default()
            if ready.hosts is None and not (existing is not None and existing.version(existing.active)):
                default = default_of(self._gate.ledger, transaction.connection, draft)
            author = Author(principal.author, default)
            state = write_version(transaction, draft, sealer, author, ready, inherit=True, groups=groups)
            return advised([entry_of(transaction.connection, state, draft.row(state.id))], [entry])[0]

    def info(self, principal: Principal, scope: Scope, kind: Kind, name: str, *, environment: str = "") -> EntryInfo:
        """Return metadata; of a variable its value too."""
        with self._gate.look(principal, f"{_AREA[kind]}:read", scope, f"{_AREA[kind]}/{name[:128]}") as connection:
            state, row = self._need_seen(connection, principal, scope, kind, name, environment)
            return entry_of(connection, state, row)

    def list(self, principal: Principal, scope: Scope, kind: Kind, listing: Listing | None = None) -> Page[EntryInfo]:
        """Return a page of metadata."""
        with self._gate.look(principal, f"{_AREA[kind]}:read", scope, _AREA[kind]) as connection:
            kept = self._gate.manifest(connection, scope)
            ward = self._ward(connection, principal, scope, kind)
            asked = listing or Listing()
            makers = made_by(self._gate.ledger, connection, principal, asked.created_by)
            return list_entries(connection, kept, kind, asked, now=self._gate.clock(), ward=ward, makers=makers)

    def patch(
        self,
        principal: Principal,
        scope: Scope,
        kind: Kind,
        name: str,
        change: Change,
        *,
        environment: str = "",
        if_match: str | None = None,
    ) -> EntryInfo:
        """Change metadata. Destinations and locations can only narrow: widening needs the value again (`put`).

        A new name counts at once, for sessions that are open too: the old one is then nobody's. Who still names it is
        told among the warnings of this answer.
        """
        mark = "" if change.name is None else f"#name={change.name[:128]}"
        with self._edit(principal, scope, kind, name, environment=environment, if_match=if_match, mark=mark) as edit:
            listed, keep = listed_of(change)
            ward = self._ward(edit.transaction.connection, principal, scope, kind)
            groups = self._shared(ward, edit.state, change.groups)
            if change.name is not None:
                ward.need_write(None)
            state = narrowed(renamed(edit.draft, edit.state, change.name), change)
            fields = {"keep": state.keep if keep is None else keep}
            state = state.changed(**fields, groups=state.groups if groups is None else groups)
            info = edit.done(state.pruned(edit.transaction.now) if keep is not None else state, listed)
            if info.name == edit.state.name:
                return info
            mentions = Mentions(self._gate, edit.transaction.connection, principal, scope)
            return replace(info, warnings=(*info.warnings, *mentions.told(kind, edit.state.name)))

    def delete(
        self,
        principal: Principal,
        scope: Scope,
        kind: Kind,
        name: str,
        *,
        environment: str = "",
        if_match: str | None = None,
    ) -> None:
        """Take it out of use at once. Its sealed value is kept for one day for scrubbing, then erased."""
        try:
            with self._edit(principal, scope, kind, name, environment=environment, if_match=if_match) as edit:
                delete_entry(edit.transaction, edit.draft, edit.state)
        except Tampered:
            self._stop(principal, scope, Stop("delete", kind.value, name, environment))

    def disable(self, principal: Principal, scope: Scope, kind: Kind, name: str, *, environment: str = "") -> EntryInfo:
        """Stop every use at once, immutable or not; still scrubbed. `enable` undoes it."""
        try:
            return self._set_state(principal, scope, kind, name, environment=environment, state="disabled")
        except Tampered:
            return self._stop(principal, scope, Stop("disable", kind.value, name, environment))

    def enable(self, principal: Principal, scope: Scope, kind: Kind, name: str, *, environment: str = "") -> EntryInfo:
        """Undo `disable`."""
        return self._set_state(principal, scope, kind, name, environment=environment, state="active")

    def versions(
        self, principal: Principal, scope: Scope, kind: Kind, name: str, *, environment: str = ""
    ) -> tuple[VersionInfo, ...]:
        """Return all versions, newest first."""
        with self._gate.look(principal, f"{_AREA[kind]}:read", scope, f"{_AREA[kind]}/{name[:128]}") as connection:
            state, row = self._need_seen(connection, principal, scope, kind, name, environment)
            found = rows.versions_of(connection, row["id"])
            return tuple(version_info(state, row) for row in reversed(found))

    def activate(
        self, principal: Principal, scope: Scope, kind: Kind, name: str, number: int, *, environment: str = ""
    ) -> EntryInfo:
        """Go back (or forward) to a version, under the rules sealed with it."""
        with self._edit(principal, scope, kind, name, environment=environment) as edit:
            version, state, now = need_version(edit.state, number), edit.state, edit.transaction.now
            if number == state.active:
                return edit.shown(state)
            if version.spent:  # whoever sends it again ends what came of that login
                raise Conflict("Its refresh token is used up: log in, and store the new one.", code="version_spent")
            again = replace(version, retired_at=None)
            state = state.retired(now).changed(again, active=number).pruned(now)
            return edit.done(state, {"rotated_at": now})

    def destroy(
        self, principal: Principal, scope: Scope, kind: Kind, name: str, number: int, *, environment: str = ""
    ) -> VersionInfo:
        """Erase a version's envelope now and for ever: it is neither used nor scrubbed afterwards."""
        try:
            with self._edit(principal, scope, kind, name, environment=environment) as edit:
                row = rows.find(edit.transaction.connection, versions, entry=edit.state.id, number=number)
                if row is None and number not in {each.number for each in edit.state.versions}:
                    raise NotFound("There is no such version.")
                edit.done(edit.state.without(number).changed(), {})
                if row is not None:  # where somebody took it away it is not to be put back
                    return version_info(edit.state.without(number), row)
        except Tampered:
            self._stop(principal, scope, Stop("destroy", kind.value, name, environment, number))
        return VersionInfo(number, "destroyed", [], [], 0, "", None)

    def _stop(self, principal: Principal, scope: Scope, stop: Stop) -> EntryInfo:
        """Take away what cannot be read: signed beside the manifest, and done as soon as that verifies again."""
        kind = Kind(stop.kind)
        check_name(stop.name, "/name")
        check_environment(stop.environment, "/environment")
        stop_in(self._gate, principal, f"{_AREA[kind]}:write", scope, stop)
        said = Warned("damaged", "The manifest is damaged: nothing of it is used, and this is done at its repair.")
        told = (stop.name, stop.environment, 0, 0, "disabled")
        info = EntryInfo("", scope, kind, *told, [], [], "", "", None, None, 0, "", 0, principal.author, None, 0, "")
        return replace(info, warnings=(said,))

    def _ward(self, connection: Connection, principal: Principal, scope: Scope, kind: Kind) -> Ward:
        return ward(self._gate, connection, principal, scope, _AREA[kind])

    def _shared(
        self, ward: Ward, state: EntryState | None, grants: Sequence[GroupGrant] | None
    ) -> dict[str, str] | None:
        """Return what groups shall be given on an entry; None: what they have."""
        if grants is None:
            return None
        ward.need_sharing()
        return ward.sharing.packed(grants, "/groups", {} if state is None else state.groups)

    @contextmanager
    def _edit(
        self,
        principal: Principal,
        scope: Scope,
        kind: Kind,
        name: str,
        *,
        environment: str,
        if_match: str | None = None,
        mark: str = "",
        immutable: bool = False,
    ) -> Iterator["_Edit"]:
        target = f"{_AREA[kind]}/{name[:128]}{mark}"
        with self._gate.change(principal, f"{_AREA[kind]}:write", scope, target) as transaction:
            draft = need_draft(transaction, scope)
            if not immutable:
                refuse_immutable(draft)
            state = _named(draft, (kind.value, name, environment))
            if state is None:
                raise nothing()
            self._ward(transaction.connection, principal, scope, kind).need_change(state)
            check_match(entry_etag(state), if_match)
            yield _Edit(transaction, draft, state, principal)

    def _set_state(
        self, principal: Principal, scope: Scope, kind: Kind, name: str, *, environment: str, state: str
    ) -> EntryInfo:
        mark = f"#{state}"
        with self._edit(principal, scope, kind, name, environment=environment, mark=mark, immutable=True) as edit:
            return edit.done(edit.state.changed(state=state), {})

    def _need_seen(  # noqa: PLR0917
        self, connection: Connection, principal: Principal, scope: Scope, kind: Kind, name: str, environment: str
    ) -> tuple[EntryState, Mapping[Any, Any]]:
        found = one_entry(connection, self._gate.manifest(connection, scope), (kind.value, name, environment))
        if found is None or not self._ward(connection, principal, scope, kind).sees(found[0]):
            raise nothing()
        return found


@dataclass(frozen=True, slots=True)
class _Edit:
    """A change of one entry that is under way."""

    transaction: Transaction
    draft: Draft
    state: EntryState
    principal: Principal

    def done(self, state: EntryState, listed: Mapping[str, object]) -> EntryInfo:
        """Give the entry back."""
        now = self.transaction.now
        self.draft.put(state, now, {"updated_at": now, "updated_by": self.principal.author, **listed})
        return self.shown(state)

    def shown(self, state: EntryState) -> EntryInfo:
        """Return it as it is told."""
        return entry_of(self.transaction.connection, state, self.draft.row(state.id))


def _same_kind(existing: EntryState | None, entry: NewEntry) -> None:
    """Refuse a rotation that leaves the kind out where it is not the default: the parts would be a text."""
    active = None if existing is None else existing.version(existing.active)
    if entry.kind is None and active is not None and not active.credential.written:
        hint = f"It is of kind {active.credential.kind}: say `kind` again, or `static` for a value that is written."
        raise problem("/kind", "kind_required", hint)


def _named(draft: Draft, key: Key) -> EntryState | None:
    """Return the live entry that a path names: by its name, or by its id, which looks like no name."""
    if NAME.fullmatch(key[1]):
        return draft.find(key)
    line = draft.ids.get(key[1])
    return draft.entry(key[1]) if line is not None and line.live and line.key[0] == key[0] else None
