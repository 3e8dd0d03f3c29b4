"""What was taken away while a scope's manifest did not verify: a signed document beside it, done once it does.

A manifest that was damaged cannot be changed, and nothing in its scope is used. When it is put right, from a backup or
by whoever damaged it, it says what it said before. So what somebody wanted disabled, deleted or destroyed meanwhile is
kept as `stop/<scope>`: while that is there proxies use nothing of the scope, and the store's first change of the
manifest, or its sweep, does what it says.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from store.errors import Conflict, Tampered
from store.ledger.manifests import Draft
from store.trust.entry import EntryState

MOST: Final = 1000
"""Stops of one scope; who wants more ends the whole scope."""


@dataclass(frozen=True, slots=True)
class Stop:
    """One thing to be taken away: `disable`, `delete` or `destroy` of an entry, what a `group` may do in the scope.

    Without a name, of the scope: `disable` it, or end its `sessions`.
    """

    verb: str
    kind: str = ""
    name: str = ""
    environment: str = ""
    number: int = 0


def parse(body: bytes | None) -> list[Stop]:
    """Read the document; none: nothing. Raises `Tampered`."""
    try:
        return [] if body is None else [Stop(**each) for each in json.loads(body)["stops"]]
    except (TypeError, ValueError, KeyError) as error:
        raise Tampered("a list of stops is of another format") from error


def written(stops: list[Stop], more: Stop) -> dict[str, Any]:
    """Return the document with one more; raises `Conflict` where there is no room."""
    every = [*stops, *([more] if more not in stops else [])]
    if len(every) > MOST:
        raise Conflict("Too much of the scope is stopped one by one: disable or delete all of it.", code="too_many")
    return {"stops": [{name: getattr(each, name) for name in Stop.__slots__} for each in every]}


def do(draft: Draft, stop: Stop, now: int) -> None:
    """Do what was wanted, as far as there is something to do it to."""
    if stop.verb == "sessions":
        draft.set(sessions_era=draft.settings.get("sessions_era", 0) + 1)
        return
    if stop.verb == "ungrant":
        groups = draft.settings.get("groups", {})
        draft.set(groups={name: letters for name, letters in groups.items() if name != stop.name} or None)
        return
    if not stop.name:
        settings: Mapping[str, Any] = draft.settings
        if settings["state"] != "disabled":
            draft.set(state="disabled", state_before=settings["state"], revision=settings["revision"] + 1)
        return
    state = draft.find((stop.kind, stop.name, stop.environment))
    if state is not None:
        draft.put(_after(state, stop, now), now, {})


def _after(state: EntryState, stop: Stop, now: int) -> EntryState:
    if stop.verb == "delete":
        return state.deleted(now)
    if stop.verb == "destroy":
        return state.without(stop.number).changed()
    return state.changed(state="disabled")
