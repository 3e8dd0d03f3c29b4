"""Organisations: made by the operator, who gets the first key of each and then sees nothing in it."""

from store.access import Principal
from store.checks import Faults, check_id, check_text
from store.errors import Conflict, Forbidden
from store.ledger.commit import Transaction
from store.model import Scope, SecretValue
from store.vault.gate import Verbs
from store.vault.key_documents import found_owner, owners_rights
from store.vault.rights import hold

OPERATOR = "default"
"""The organisation whose owner keys are the operator's."""


class Organisations(Verbs):
    """Verbs on organisations."""

    def create(self, principal: Principal, id: str, name: str) -> SecretValue:  # noqa: A002 - the field's name
        """Create an organisation with a project `default`; returns its owner's key, once."""
        home = Scope(principal.organisation)
        with self._gate.change(principal, "projects:write", home, f"orgs/{id[:64]}") as transaction:
            if principal.permission != "owner" or principal.organisation != OPERATOR:
                raise Forbidden("Only the operator's owner key makes organisations.")
            hold(principal, owners_rights())
            faults = Faults()
            faults.run(lambda: check_id(id, "/id"))
            faults.run(lambda: check_text(name, "/name", 64, empty=False))
            faults.stop()
            if transaction.draft(Scope(id)) is not None:
                raise Conflict("An organisation with this id exists.", code="exists")
            return found_organisation(transaction, id, name, principal.author)


def found_organisation(transaction: Transaction, id_: str, name: str, actor: str) -> SecretValue:
    """Write an organisation, its project `default` and its owner's key; returns the key."""
    transaction.found(Scope(id_), name=name, created_by=actor)
    transaction.found(Scope(id_, "default"), name="Default", created_by=actor)
    return found_owner(transaction, id_, actor)
