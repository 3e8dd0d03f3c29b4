"""Budgets of a dataset."""

from store.api.budget_models import BudgetList, BudgetsPut
from store.api.call import Call
from store.api.operation import Operation, Reply, registrar

OPERATIONS: list[Operation] = []
route = registrar(OPERATIONS, "budgets")
_ALL = "/projects/{project}/datasets/{dataset}/budgets/"


@route("GET", _ALL, answer=BudgetList, tagged=True)
async def list_budgets(call: Call) -> Reply:
    """List a dataset's budgets, and what was drawn from each in the period of now."""
    found = await call.read(call.vault.budgets.get, call.path["project"], call.path["dataset"])
    return Reply(BudgetList.of_all(found), etag=found.etag)


@route("PUT", _ALL, body=BudgetsPut, answer=BudgetList, tagged=True)
async def put_budgets(call: Call) -> Reply:
    """Set all of a dataset's budgets; requests feel them within a second. What was drawn stays drawn."""
    project, dataset, match = call.path["project"], call.path["dataset"], call.match()
    given = [each.model_dump(exclude_none=True) for each in call.body.items]
    found = await call.write(call.vault.budgets.set, project, dataset, given, if_match=match)
    return Reply(BudgetList.of_all(found), etag=found.etag)
