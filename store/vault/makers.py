"""Whom a filter by maker names: `key:…`, `member:…`, or the email of members, whose documents alone have it."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from store.access import Principal
from store.database.schema import members
from store.errors import NotFound, Tampered
from store.ledger.commit import Ledger
from store.model import Scope
from store.vault.members import document_of


def made_by(ledger: Ledger, connection: Connection, principal: Principal, asked: str) -> Sequence[str]:
    """Return the authors that are asked for. Who may not read members finds by its own email, and no other."""
    if "@" not in asked:
        return (asked,)
    home, wanted = Scope(principal.organisation), asked.casefold()
    if principal.holds("members:read", home):
        known = connection.execute(select(members.c.id).where(members.c.organisation == home.organisation)).scalars()
    else:
        known = [] if principal.member is None else [principal.member.id]  # type: ignore[assignment]
    return [f"member:{each}" for each in known if _email(ledger, connection, home, each).casefold() == wanted]


def _email(ledger: Ledger, connection: Connection, home: Scope, member: str) -> str:
    try:
        return str(document_of(ledger, connection, home, member)["email"])
    except (NotFound, Tampered):  # one that cannot be believed has made nothing by that name
        return ""
