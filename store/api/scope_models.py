"""What organisation, project and dataset say of themselves, in; where secrets go that name no hosts, out."""

from typing import Literal

from pydantic import Field

from store.api.fields import Label, Out, Patch, Word
from store.api.hosts import Hosts, plain
from store.api.secret_models import Rule
from store.vault import ScopeChange


class ScopePatch(Patch):
    """A change of an organisation, a project or a dataset; what is left out stays."""

    name: Label | None = None
    hosts: Hosts | None = Field(
        None, description="Where secrets go that name no hosts; [] is nowhere, null says nothing of it."
    )

    def change(self) -> ScopeChange:
        """Return what the vault takes."""
        given = "hosts" in self.model_fields_set
        hosts = plain(self.hosts)
        return ScopeChange(self.name, ("" if hosts is None else hosts) if given else None)


class DefaultHosts(Out):
    """One scope's word on where secrets go that name no hosts."""

    level: Literal["dataset", "project", "organisation"]
    hosts: list[Rule]


class DefaultHostsList(Out):
    """All that is said, nearest first."""

    items: list[DefaultHosts]
    next: Word
