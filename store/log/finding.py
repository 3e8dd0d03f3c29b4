"""What is asked of the log beyond its columns: who, which secret, which destination. Judged by the rows' own bodies.

The database is asked for rows whose text holds what is asked for, and each of those is looked at: a text proves
nothing, for names stand in rows in several places.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, or_

from store.database.schema import audit
from store.log.audit import as_row
from store.records import AuditRow

BATCH: Final = 500
"""Rows that are looked at at once."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What rows must be of. Empty: any. `actors` are parts of an actor: `key:…`, `member:…`, `session:…`."""

    actors: Collection[str] | None = None
    secret: str = ""
    destination: str = ""

    @property
    def anything(self) -> bool:
        """Whether rows have to be looked into."""
        return self.actors is not None or bool(self.secret or self.destination)

    def where(self) -> list[ColumnElement[bool]]:
        """Return what the text of a row must hold for it to be looked at."""
        texts = [[each] for each in (self.secret, self.destination.lower()) if each]
        texts += [] if self.actors is None else [list(self.actors)]
        return [
            or_(False, *(audit.c.body.contains(json.dumps(one)[1:-1], autoescape=True) for one in each))
            for each in texts
        ]

    def fits(self, body: Mapping[str, Any]) -> bool:
        """Whether a row is one of those that are asked for."""
        detail = body.get("detail")
        detail = detail if isinstance(detail, dict) else {}
        if self.actors is not None and not self._acts(str(body.get("actor", ""))):
            return False
        listed = (detail.get("secrets"), detail.get("variables"))
        if self.secret and not any(self._names(str(body.get("target", "")), each) for each in listed):
            return False
        return not self.destination or self._goes(str(detail.get("destination", "")))

    def _acts(self, actor: str) -> bool:
        return actor in (self.actors or ()) or any(part in (self.actors or ()) for part in actor.split("/"))

    def _names(self, target: str, used: object) -> bool:
        if isinstance(used, list) and self.secret in used:
            return True
        found = re.search(r"(?:^|[:/])(?:secrets|variables)/([A-Za-z0-9_]+)(?:#name=([A-Z0-9_]+))?", target)
        return found is not None and self.secret in found.groups()

    def _goes(self, destination: str) -> bool:
        asked, plain = self.destination.lower(), destination.rpartition("://")[2]
        host = plain if plain.endswith("]") else re.sub(r":[0-9]+$", "", plain)
        return asked in {destination, plain, host}


def found(connection: Connection, query: Select[Any], asked: Asked, limit: int) -> Iterator[AuditRow]:
    """Yield rows of a query, newest first, `limit` at most."""
    if not asked.anything:
        yield from map(as_row, connection.execute(query.limit(limit)).all())
        return
    query, left = query.where(*asked.where()), limit
    after: int | None = None
    while left:
        page = query if after is None else query.where(audit.c.seq < after)
        batch = [*map(as_row, connection.execute(page.limit(BATCH)).all())]
        for row in batch:
            if left and asked.fits(row.body):
                left -= 1
                yield row
        if len(batch) < BATCH:
            return
        after = batch[-1].seq
