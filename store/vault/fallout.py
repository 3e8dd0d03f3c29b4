"""What ends with a key that may be in other hands: the sessions that it opened, and the keys that came of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select

from store.access import Principal
from store.database.schema import api_keys, sessions
from store.errors import Tampered
from store.lineage import document_key, is_leaked
from store.vault.gate import Gate, fetching


@dataclass(frozen=True, slots=True)
class EndedKey:
    """A key that ended with another."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Ended:
    """What ended with a key, beside it: how many live sessions, and which keys."""

    sessions: int
    keys: tuple[EndedKey, ...]


type Living = Mapping[str, tuple[str, int]]
"""Keys by id: name, and how many sessions each has open."""


def living(gate: Gate, principal: Principal) -> Living:
    """Return the organisation's keys that no leak has ended; one that does not verify is none."""
    table, found = sessions.c, dict[str, tuple[str, int]]()
    now = int(gate.clock() * 1000)
    counted = select(table.key, func.count()).where(table.expires_at > now).group_by(table.key)
    with gate.database.read() as connection:
        fetch = fetching(gate.ledger, connection)
        opened = {row[0]: int(row[1]) for row in connection.execute(counted)}
        where = api_keys.c.organisation == principal.organisation
        for key in connection.execute(select(api_keys.c.id).where(where)).scalars():
            try:
                document = fetch(document_key(key))
                if document is not None and document.get("ended") is None and not is_leaked(document, fetch):
                    found[key] = (document["name"], opened.get(key, 0))
            except Tampered:
                continue
    return found


def ended(before: Living, after: Living, key: str) -> Ended:
    """Return what a key took with it."""
    gone = sorted(before.keys() - after.keys())
    keys = tuple(EndedKey(each, before[each][0]) for each in gone if each != key)
    return Ended(sum(before[each][1] for each in gone), keys)
