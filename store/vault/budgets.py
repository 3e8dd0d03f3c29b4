"""Budgets of a dataset: set as a whole, and shown with what was drawn from them."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from store.access import Principal
from store.budgets import MOST, Budget, parse_budgets, period
from store.checks import Faults, check_id, check_name
from store.ledger.spendings import spent_in
from store.model import Scope
from store.records import Budgeted, BudgetInfo
from store.vault.gate import Verbs, check_match, need_draft
from store.vault.views import dataset_etag


class Budgets(Verbs):
    """Verbs on a dataset's budgets."""

    def get(self, principal: Principal, project: str, dataset: str) -> Budgeted:
        """Return a dataset's budgets, with what was drawn in the period of now."""
        scope = principal.scope(project, dataset)
        with self._gate.look(principal, "datasets:read", scope, "budgets") as connection:
            return self._told(connection, scope, self._gate.manifest(connection, scope).settings)

    def set(
        self,
        principal: Principal,
        project: str,
        dataset: str,
        given: Sequence[Mapping[str, Any]],
        *,
        if_match: str | None = None,
    ) -> Budgeted:
        """Set all of a dataset's budgets. What was drawn stays drawn. Felt within a second by what comes then."""
        scope = principal.scope(project, dataset)
        with self._gate.change(principal, "datasets:write", scope, "budgets") as transaction:
            draft = need_draft(transaction, scope)
            found = _checked(given)
            check_match(dataset_etag(draft.settings), if_match)
            stamp = {"updated_at": transaction.now, "updated_by": principal.author}
            written = [each.written() for each in found] or None
            draft.set(stamp, budgets=written, revision=draft.settings["revision"] + 1)
            transaction.told |= {"budgets": written or []}
            return self._told(transaction.connection, scope, draft.settings)

    def _told(self, connection: Connection, scope: Scope, settings: Mapping[str, Any]) -> Budgeted:
        now = self._gate.ledger.clock()
        spent = spent_in(connection, scope, self._gate.keys.public.verifier)
        found = []
        for budget in parse_budgets(settings.get("budgets", ())):
            since, until = period(budget.per, now)
            used: dict[str, int] = {} if budget.of in ("consumer", "secret") and not budget.name else {budget.name: 0}
            used = {} if budget.of == "session" else used
            for each in spent:
                same = (each.of, each.unit, each.per, each.since) == (budget.of, budget.unit, budget.per, since)
                if same and budget.name in ("", each.name):
                    used[each.name] = used.get(each.name, 0) + each.used
            most = dict(sorted(used.items(), key=lambda item: (-item[1], item[0])))
            found.append(
                BudgetInfo(budget.of, budget.name, budget.unit, budget.per, budget.soft, budget.hard, until, most)
            )
        return Budgeted(tuple(found), dataset_etag(settings))


def _checked(given: Sequence[Mapping[str, Any]]) -> tuple[Budget, ...]:
    """Return budgets, each told what is wrong with it; raises `Invalid`."""
    faults, found = Faults(), list[Budget]()
    if len(given) > MOST:
        faults.add("/items", "too_many", f"A dataset has at most {MOST} budgets.")
    for index, each in enumerate(given[:MOST]):
        pointer = f"/items/{index}"
        check = {"secret": check_name, "consumer": check_id}.get(each.get("of", ""))
        if check is not None and (name := each.get("name")) is not None:
            faults.run(lambda: check(name, f"{pointer}/name"))  # noqa: B023  # run at once
        try:
            found.append(Budget.parse({**each, "name": each.get("name") or ""}))
        except (ValueError, KeyError, TypeError):
            detail = (
                "Say of what, the unit, the period, and whole numbers from 0; a name of a secret or consumer alone."
            )
            faults.add(pointer, "budget_invalid", detail)
    if len({each.key for each in found}) < len(found):
        faults.add("/items", "budget_duplicate", "There may be one budget of the same unit and period for the same.")
    faults.stop()
    return tuple(found)
