"""Sign-in by an identity provider: the member whom it names, and the key that this login has.

The provider says who somebody is; what that one may do, the member's signed document says alone, at each request. So a
sign-in makes a key of the member, as signed as any other, whose token nobody gets to see: it serves the login, and is
listed, limited and revoked like all keys. What the login opens and makes is judged by it, and ends with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select

from store.access import Principal
from store.database.schema import api_keys, members
from store.errors import Forbidden, NotFound, Tampered
from store.ledger.commit import Transaction
from store.lineage import Document, Fetch, document_key, member_of
from store.log.audit import Event
from store.model import Scope
from store.vault.gate import Verbs, fetching
from store.vault.key_documents import end_key, fresh, insert_key, principal_of
from store.vault.members import document_of
from store.vault.rights import of_sign_in

MAKER: Final = "sign-in"
"""In `created_by` of the keys of logins."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a provider named: an email address that it verified ("" without one), and members by its groups' word."""

    email: str
    teams: Sequence[str] = ()


class SignIns(Verbs):
    """The one verb of who signs in elsewhere."""

    def sign_in(self, who: Identity, life: float, *, source: str = "", request_id: str = "") -> Principal:
        """Make the key of a login, for `life` seconds; raises `Forbidden`, audited, where nobody, or more, is meant."""
        home = Scope("default")
        with self._gate.ledger.change() as transaction:
            found = self._members(transaction.connection, home, who)
            if len(found) == 1:
                return self._made(transaction, found[0], life, source, request_id)
            transaction.log(Event("keys:sign_in", home, "members/?", "denied", "", source, request_id))
        if found:
            raise Forbidden("Several members have this email address: have all but one changed.", code="member_unclear")
        raise Forbidden(
            "No member here has an email address that your provider has verified, nor one of your groups: have an "
            "admin add you under People.",
            code="member_unknown",
        )

    def _made(self, transaction: Transaction, member: Document, life: float, source: str, request_id: str) -> Principal:
        fetch = fetching(self._gate.ledger, transaction.connection)
        self._end_spent(transaction, fetch, member)
        rights: dict[str, Any] = {
            **of_sign_in(member),
            "name": f"sign-in of {member['name']}"[:64],
            "member_born": member["created_at"],
            "expires_at": transaction.now + round(life * 1000),
        }
        by = {"organisation": member["organisation"], "created_by": MAKER, "makers": [], "depth": 0}
        document = fresh(transaction, rights, by)
        insert_key(transaction, document)  # its token goes nowhere: the login names it by its id
        target, actor = f"keys/{document['id']}", f"member:{member['id']}/key:{document['id']}"
        transaction.log(Event("keys:sign_in", Scope(member["organisation"]), target, "ok", actor, source, request_id))
        return principal_of(document, member_of(document, fetch), source, request_id)

    def _members(self, connection: Connection, home: Scope, who: Identity) -> list[Document]:
        """Return the members by email; where there is none, the first one that a group stands for."""
        listed = connection.execute(select(members.c.id).where(members.c.organisation == home.organisation)).scalars()
        known = [found for each in listed if (found := self._member(connection, home, each)) is not None]
        if who.email and (named := [each for each in known if _same(each["email"], who.email)]):
            return named
        teams = {each["id"]: each for each in known}
        return [teams[each] for each in who.teams if each in teams][:1]

    def _member(self, connection: Connection, home: Scope, member: str) -> Document | None:
        try:
            return document_of(self._gate.ledger, connection, home, member)
        except (NotFound, Tampered):  # nobody signs in as one that cannot be believed
            return None

    def _end_spent(self, transaction: Transaction, fetch: Fetch, member: Document) -> None:
        """End the keys of the member's logins that ran out, so that lists do not grow by one a day."""
        of_member = (api_keys.c.organisation == member["organisation"], api_keys.c.member == member["id"])
        for key in transaction.connection.execute(select(api_keys.c.id).where(*of_member)).scalars().all():
            try:
                found = fetch(document_key(key))
            except Tampered:
                continue
            if found is None or found["created_by"] != MAKER or found.get("ended") is not None:
                continue
            if found["expires_at"] is not None and found["expires_at"] <= transaction.now:
                end_key(transaction, found)


def _same(kept: str, told: str) -> bool:
    """Whether two addresses are the same; letters outside ASCII have cases that make strangers look alike."""
    return kept == told or (kept.isascii() and told.isascii() and kept.lower() == told.lower())
