"""Ids to names, for people: who made, changed and used something, looked up while a page is written.

Only what the visitor may read is looked up, so that a page leaves no denial in the log; the rest has no name, and is
called by what it is. Ids stay in addresses, and as the title of what has no other name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from store.access import Principal
from store.errors import StoreError
from store.model import Scope
from store.records import SessionInfo
from store.vault import Vault

_KNOWN = {
    "": "nobody",
    "init": "the setup of this store",
    "anyone": "who had the key",
    "key:local": "the operator",
    "sign-in": "a sign-in",
}


@dataclass(frozen=True, slots=True)
class Named:
    """A name, where its page is ("" without one), and the id behind it."""

    text: str
    href: str = ""
    id: str = ""


class Names:
    """Looks names up, each once. For one page, in one thread: it reads the vault."""

    def __init__(self, vault: Vault, principal: Principal) -> None:
        self._vault = vault
        self._principal = principal
        self._found: dict[tuple[str, ...], Named] = {}

    def who(self, author: str, scope: Scope | None = None) -> Named:
        """Name who did something, as `created_by` or the audit's `actor` has it; sessions are those of `scope`."""
        if author in _KNOWN:
            return Named(_KNOWN[author])
        first, _, rest = author.partition("/")
        kind, _, id_ = first.partition(":")
        known: dict[str, Callable[[str], Named]] = {"key": self.key, "member": self.member}
        if kind == "session" and scope is not None:
            return self.session(scope.project, scope.dataset, id_)
        if kind not in known:
            return Named(author)
        named = known[kind](id_)
        return Named(named.text, named.href, rest.removeprefix("key:") or named.id)

    def key(self, id_: str) -> Named:
        """Name an API key."""
        if id_ == self._principal.key:
            return Named(self._principal.name, _path("keys", id_), id_)
        may = self._may("keys:read", self._principal.scope())
        return self._named(may, "a key", ("keys", id_), lambda: self._vault.keys.get(self._principal, id_).name)

    def member(self, id_: str) -> Named:
        """Name a member."""
        may = self._may("members:read", self._principal.scope())
        find = lambda: self._vault.members.get(self._principal, id_).name  # noqa: E731
        own = self._principal.member is not None and self._principal.member.id == id_
        return self._named(
            may, "you" if own else "a member", ("members", id_), find, f"/dashboard/members/#{quote(id_)}"
        )

    def group(self, id_: str) -> Named:
        """Name a group."""
        may = self._may("members:read", self._principal.scope())
        find = lambda: self._vault.groups.get(self._principal, id_).name  # noqa: E731
        return self._named(may, id_, ("groups", id_), find, "/dashboard/members/#groups")

    def consumer(self, project: str, id_: str) -> Named:
        """Name a consumer of a project; its id was chosen by people, and stands in where it may not be read."""
        scope = self._principal.scope(project)
        may = self._may("consumers:read", scope)
        find = lambda: self._vault.consumers.get(self._principal, project, id_).name  # noqa: E731
        return self._named(may, id_, ("consumers", project, id_), find, f"{_path('projects', project)}consumers/")

    def project(self, id_: str) -> Named:
        """Name a project; where it may not be read its id stands in, which people chose."""
        scope = self._principal.scope(id_)
        may = self._may("projects:read", scope)
        find = lambda: self._vault.settings.get(self._principal, scope).name  # noqa: E731
        return self._named(may, id_, ("projects", id_), find)

    def dataset(self, project: str, id_: str) -> Named:
        """Name a dataset."""
        scope = self._principal.scope(project, id_)
        may = self._may("datasets:read", scope)
        find = lambda: self._vault.datasets.get(self._principal, project, id_, whole=False).name  # noqa: E731
        return self._named(may, "a dataset", ("projects", project, "datasets", id_), find)

    def scope(self, text: str) -> Named:
        """Name a scope as the audit writes it: `organisation/project/dataset`."""
        _, project, dataset = (*text.split("/"), "", "")[:3]
        if dataset:
            return self.dataset(project, dataset)
        return self.project(project) if project else Named("the organisation")

    def session(self, project: str, dataset: str, id_: str) -> Named:
        """Name a session by its label."""
        scope = self._principal.scope(project, dataset)
        may = self._may("sessions:read", scope)
        find = lambda: called(self._vault.sessions.get(self._principal, project, dataset, id_))  # noqa: E731
        return self._named(may, "a session", ("projects", project, "datasets", dataset, "sessions", id_), find)

    def _may(self, action: str, scope: Scope) -> bool:
        return self._principal.holds(action, scope) and self._principal.sees(scope)

    def _named(self, may: bool, kind: str, place: tuple[str, ...], find: Callable[[], str], href: str = "") -> Named:  # noqa: FBT001
        if place not in self._found:
            id_ = place[-1]
            try:
                self._found[place] = Named(find(), href or _path(*place), id_) if may else Named(kind, "", id_)
            except StoreError:  # gone since, or damaged
                self._found[place] = Named(f"{kind} that is gone" if kind != id_ else id_, "", id_)
        return self._found[place]


def called(session: SessionInfo) -> str:
    """Return what a session is called."""
    return session.label or "a session without a label"


def _path(*parts: str) -> str:
    return "/dashboard/" + "".join(f"{quote(part, safe='')}/" for part in parts)
