"""Lists in pages: what the address asks for, and the cursor of what follows, signed as the API's are."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from store.api import strict
from store.api.page import PageQuery
from store.dashboard.visit import Visit
from store.records import Page

ROWS: Final = 50
"""Rows of a page."""


@dataclass(frozen=True, slots=True)
class Shown[T]:
    """A part of a list. `asked` are the filters as they were given; `more` is the query of what follows, or ""."""

    items: tuple[T, ...] = ()
    asked: Mapping[str, str] = field(default_factory=dict)
    more: str = ""
    first: bool = True

    @property
    def start(self) -> str:
        """The query of the first part."""
        return urlencode(self.asked)


async def listed[T](
    visit: Visit,
    model: type[PageQuery],
    fields: tuple[str, ...],
    find: Callable[[Any, str | None], Awaitable[Page[T]]],
    rows: int = ROWS,
) -> Shown[T]:
    """Return the part of a list that the address asks for; raises `Fault`, `Invalid`.

    `fields` are the members of `model` that the address may have; `find` gets the checked query and the vault's cursor.
    """
    given = visit.request.query
    asked = {name: text for name in fields if (text := given.get(name, "").strip())}
    cursor = {"cursor": given["cursor"]} if given.get("cursor") else {}
    query = strict.check(model, {**asked, **cursor, "limit": str(rows)})
    path = visit.request.path
    page = await find(query, visit.state.cursors.read(path, query))
    following = visit.state.cursors.make(path, query, page.next)
    more = "" if following is None else urlencode({**asked, "cursor": following})
    return Shown(page.items, asked, more, not cursor)
