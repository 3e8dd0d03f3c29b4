"""What was drawn from budgets: taken in, shown, and never what somebody wrote into the database."""

import pytest
from stores import secret

from proxy.admission.events import Event, Spool
from store.budgets import Spent
from store.model import Scope
from store.vault import LogQuery

BUDGET = {"of": "secret", "name": "API_KEY", "unit": "requests", "per": "ever", "soft": 5, "hard": 10}


@pytest.fixture
def caller(store, reader):
    """Of a dataset with a budget."""
    store.dataset(secret())
    store.vault.budgets.set(store.owner, "default", "ds", [BUDGET])
    return store.caller(reader)


@pytest.fixture
def told(store, caller):
    """Tell the store of counts; returns what it shows."""
    spool, intake = Spool(store.data / "spool"), store.vault.intake(store.data)

    def tell(*counts, plane="one", session=caller.session, **changed):
        for used in counts:
            spent = Spent("secret", "API_KEY", "requests", "ever", 0, used, plane)._replace(**changed)
            spool.write(Event("spent", session, Scope("default", "default", "ds"), spent=spent))
        intake.take()
        return used_of(store)

    yield tell
    spool.close()


def used_of(store, dataset="ds"):
    (budget,) = store.vault.budgets.get(store.owner, "default", dataset).items
    return dict(budget.used)


def test_counts_are_shown_and_not_logged(store, told):
    """The most that a plane told; those of several planes are added; the audit has no line for it."""
    assert used_of(store) == {"API_KEY": 0}
    assert told(3, 2) == {"API_KEY": 3}
    assert told(1) == {"API_KEY": 3}
    assert told(4, plane="two") == {"API_KEY": 7}
    assert told(9, name="OTHER") == {"API_KEY": 7}
    assert told(9, session="unknown") == {"API_KEY": 7}
    assert store.vault.log.list(store.owner, LogQuery(action="use")).items == ()


def test_a_new_period_begins_at_nothing(store, told):
    """And what was drawn in the one before is not shown, nor kept for ever."""
    store.vault.budgets.set(store.owner, "default", "ds", [{**BUDGET, "per": "hour"}])
    now = int(store.vault._gate.clock())
    since = now - now % 3600
    assert told(8, per="hour", since=since - 3600) == {"API_KEY": 0}
    assert told(2, per="hour", since=since) == {"API_KEY": 2}
    assert told(7, per="hour", since=since - 3600) == {"API_KEY": 2}
    store.later(3600)
    assert used_of(store) == {"API_KEY": 0}
    store.vault.tend()
    assert store.sql("SELECT count(*) FROM spendings")[0][0] == 0


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE spendings SET body = replace(body, ',3,', ',1,')",
        "UPDATE spendings SET id = 'x'",
        "UPDATE spendings SET signature = x'00'",
        "UPDATE spendings SET body = x'ff'",
        "DELETE FROM spendings",
    ],
)
def test_a_row_that_somebody_wrote_says_nothing(store, told, edit):
    """It is not shown, and the next count is right."""
    assert told(3) == {"API_KEY": 3}
    store.sql(edit)
    assert used_of(store) == {"API_KEY": 0}
    assert told(4) == {"API_KEY": 4}


def test_a_copy_of_a_row_counts_once(store, told):
    """Under another id, or in another dataset, it is nobody's."""
    store.dataset(secret(), dataset="other")
    store.vault.budgets.set(store.owner, "default", "other", [BUDGET])
    told(3)
    columns = "body, over_at, signature FROM spendings"
    store.sql(f"INSERT INTO spendings SELECT 'x', organisation, project, dataset, {columns}")
    store.sql(f"INSERT INTO spendings SELECT 'y', organisation, project, 'other', {columns} WHERE id != 'x'")
    assert (used_of(store), used_of(store, "other")) == ({"API_KEY": 3}, {"API_KEY": 0})


def test_counts_go_with_their_dataset(store, told):
    told(3)
    store.vault.datasets.delete(store.owner, "default", "ds")
    assert store.sql("SELECT count(*) FROM spendings")[0][0] == 0


def test_the_data_plane_has_the_budgets_that_are_signed(store, caller, reader):
    (budget,) = reader.view(caller).budgets
    assert budget.written() == BUDGET
    store.vault.budgets.set(store.owner, "default", "ds", [])
    assert store.reader().view(caller).budgets == ()
