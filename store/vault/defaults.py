"""Where a secret may go whose upload does not say, nor its preset, nor the version before it.

A dataset, a project and an organisation may each name hosts for that, in their signed manifests; the nearest that says
anything decides, and an empty list says "nowhere". What is filled in is sealed with the value like hosts that were
named, so a default that changes later moves no value that is there already.
"""

from dataclasses import dataclass, field

from sqlalchemy import Connection

from store.ledger.commit import Ledger
from store.ledger.manifests import Draft
from store.model import Scope
from store.records import Warned
from store.rules import Hosts

SHOWN = 3
"""Hosts that a warning names; the answer has all."""


@dataclass(frozen=True, slots=True)
class Default:
    """Destinations of what names none, and whose word that is: dataset, project, organisation; "" nobody's."""

    hosts: Hosts = field(default_factory=list)
    level: str = ""

    def told(self) -> Warned:
        """Return what the uploader is told when these were filled in."""
        names = [str(each if isinstance(each, str) else each["host"]) for each in self.hosts]
        shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        return Warned(f"hosts_of_{self.level}", f"No hosts were named: filled in from the {self.level}: {shown}.")


def defaults_at(ledger: Ledger, connection: Connection, scope: Scope) -> list[Default]:
    """Return what a scope and those around it say, nearest first; raises `Tampered` where one does not verify."""
    found = []
    for each in scope.parents:
        kept = ledger.manifest(connection, each)
        if kept is not None and "hosts" in kept.settings:
            found.append(Default(kept.hosts, each.level))
    return found


def default_of(ledger: Ledger, connection: Connection, draft: Draft) -> Default:
    """Return what counts in a scope that is being changed."""
    if "hosts" in draft.settings:
        return Default(draft.settings["hosts"], draft.scope.level)
    around = draft.scope.parents[1:]
    return next(iter(defaults_at(ledger, connection, around[0])), Default()) if around else Default()
