"""Budgets: counted once for all processes, drawn from wholly or not at all."""

import contextlib
import fcntl
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import pytest

from proxy.admission import accounts
from proxy.admission.accounts import Account, Accounts
from proxy.core.refusal import Refused
from store.budgets import Budget
from store.model import Caller, Scope

NOW = 1_750_000_000.0
CALLER = Caller("one", Scope("o", "p", "d"), "prod", 4e9, egress={"allow": []}, consumer="plugin")


@pytest.fixture
def clock(monkeypatch):
    at = [NOW]
    monkeypatch.setattr("time.time", lambda: at[0])
    return at


def account(folder, *budgets, caller=CALLER, near=None):
    return Account(Accounts(folder), caller, budgets, near or (lambda *_: None))


def admitted(folder, *budgets, caller=CALLER, names=(), times=20):
    """How many of so many requests are let through."""
    found = 0
    for _ in range(times):
        with contextlib.suppress(Refused):
            account(folder, *budgets, caller=caller).begin(names)
            found += 1
    return found


def _worker(folder):
    budgets = Budget("dataset", "requests", "ever", 150), Budget("session", "requests", "ever", 100)
    sessions = [replace(CALLER, session=name) for name in ("one", "two")]
    shared, found = Accounts(folder), Counter()
    for turn in range(200):
        caller = sessions[turn % 2]
        with contextlib.suppress(Refused):
            Account(shared, caller, budgets, lambda *_: None).begin(())
            found[caller.session] += 1
    return found


def test_a_limit_is_exact_whatever_processes_draw_at_once(tmp_path):
    """Three processes ask 600 times for two sessions: 150 pass, 100 of a session at most, and 150 are counted."""
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        found = sum(pool.map(_worker, [tmp_path] * 3), Counter())
    assert found.total() == 150
    assert max(found.values()) <= 100
    assert admitted(tmp_path, Budget("dataset", "requests", "ever", 151)) == 1


def _payer(folder):
    shared, budgets = Accounts(folder), (Budget("dataset", "cost", "ever", 10), Budget("secret", "cost", "ever"))
    for turn in range(100):
        drawn = Account(shared, CALLER, budgets, lambda *_: None)
        drawn.uses(["KEY"])
        drawn.owes(7, turn)
    return [tuple(spent[:6]) for _, spent in shared.moved()]


def test_what_is_owed_is_exact_whatever_processes_owe_at_once(tmp_path):
    """Three processes owe a hundred costs each, beyond the limit: the last count is the sum, of each budget."""
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        found = [each for told in pool.map(_payer, [tmp_path] * 3) for each in told]
    whole = 3 * sum(range(100))
    assert max(found) == ("secret", "KEY", "cost", "ever", 0, whole)
    assert min(found)[:5] == ("dataset", "", "cost", "ever", 0)
    assert max(each[5] for each in found if each[0] == "dataset") == whole
    assert admitted(tmp_path, Budget("dataset", "cost", "ever", whole)) == 0


@pytest.mark.parametrize(
    ("budget", "other"),
    [
        (Budget("dataset", "requests", "ever", 3), 0),
        (Budget("session", "requests", "ever", 3), 3),
        (Budget("consumer", "requests", "ever", 3), 0),
        (Budget("consumer", "requests", "ever", 3, name="plugin"), 0),
        (Budget("consumer", "requests", "ever", 3, name="another"), 20),
        (Budget("secret", "requests", "ever", 3), 0),
        (Budget("secret", "requests", "ever", 3, name="KEY"), 0),
        (Budget("secret", "requests", "ever", 3, name="OTHER"), 20),
    ],
)
def test_whose_a_budget_is(tmp_path, budget, other):
    """Another session of the dataset, with the same consumer and secret, shares all but what is each session's."""
    first = 20 if other == 20 else 3
    assert admitted(tmp_path, budget, names=["KEY"]) == first
    assert admitted(tmp_path, budget, names=["KEY"], caller=replace(CALLER, session="two")) == other
    elsewhere = replace(CALLER, session="three", scope=Scope("o2", "p", "d"))
    assert admitted(tmp_path, budget, names=["KEY"], caller=elsewhere) == first


def test_who_is_refused_draws_nothing(tmp_path):
    """Of no budget, whichever is exhausted."""
    both = Budget("dataset", "requests", "ever", 10), Budget("session", "requests", "ever", 2)
    assert admitted(tmp_path, *both) == 2
    assert admitted(tmp_path, *both, caller=replace(CALLER, session="two")) == 2
    assert admitted(tmp_path, both[0]) == 6


@pytest.mark.parametrize(
    ("per", "wait"), [("hour", 3600 - NOW % 3600), ("day", 86_400 - NOW % 86_400), ("month", 1_751_328_000 - NOW)]
)
def test_a_period_ends_when_it_says(tmp_path, clock, per, wait):
    budget = Budget("dataset", "requests", per, 2)
    assert admitted(tmp_path, budget) == 2
    with pytest.raises(Refused) as refused:
        account(tmp_path, budget).begin(())
    assert refused.value.refusal.retry_after == wait
    clock[0] += wait - 1
    assert admitted(tmp_path, budget) == 0
    clock[0] += 1
    assert admitted(tmp_path, budget) == 2


def test_what_never_ends_names_no_time(tmp_path):
    with pytest.raises(Refused) as refused:
        account(tmp_path, Budget("dataset", "requests", "ever", 0)).begin(())
    assert refused.value.refusal.retry_after is None


def test_bytes_pass_as_long_as_there_is_room(tmp_path):
    """The piece that has no room is not counted; a smaller one may still pass; then no request begins."""
    budget = Budget("dataset", "bytes", "ever", 100)
    drawn = account(tmp_path, budget)
    drawn.begin(())
    drawn.passes(60)
    with pytest.raises(Refused):
        drawn.passes(41)
    drawn.passes(40)
    assert admitted(tmp_path, budget) == 0


def test_what_is_owed_is_drawn_whatever_is_left(tmp_path):
    """Tokens are known afterwards: those that were under way go beyond, and nothing begins then."""
    budget, told = Budget("dataset", "tokens", "ever", 100, soft=90), []
    drawn = [account(tmp_path, budget, near=lambda *each: told.append(each)) for _ in range(2)]
    for each in drawn:
        each.begin(())
    drawn[0].owes(99)
    drawn[1].owes(50)
    assert (told, admitted(tmp_path, budget)) == ([(budget, "")], 0)


def test_each_unit_draws_what_it_is_of(tmp_path):
    """Tokens and their cost in one step; what costs nothing is drawn from nothing."""
    drawn = account(tmp_path, *(Budget("dataset", unit, "ever") for unit in ("tokens", "cost", "bytes", "requests")))
    drawn.owes(5, 70)
    drawn.owes(6, 0)
    drawn.owes(0, 1 << 60)
    counts = {spent.unit: spent.used for _, spent in drawn.accounts.moved()}
    assert counts == {"tokens": 11, "cost": 70 + (1 << 40)}


def test_a_secret_that_a_body_names_has_its_share_of_what_passed(tmp_path):
    """Its request is counted once, its bytes from the beginning; a message counts each time."""
    budgets = Budget("secret", "bytes", "ever", 100), Budget("secret", "requests", "ever", 3)
    drawn = account(tmp_path, *budgets)
    drawn.begin(["HEAD"])
    drawn.passes(60)
    drawn.uses(["HEAD", "BODY"])
    drawn.uses(["BODY"])
    for name in ("BODY", "HEAD"):
        other = account(tmp_path, budgets[0])
        other.begin([name])
        with pytest.raises(Refused) as refused:
            other.passes(41)
        assert refused.value.refusal.secret == name
    for _ in range(2):
        drawn.says(["BODY"])
    with pytest.raises(Refused):
        drawn.says(["BODY"])


def test_a_soft_limit_is_told_once(tmp_path):
    told = []
    budget = Budget("dataset", "bytes", "ever", None, soft=100)
    for _ in range(5):
        account(tmp_path, budget, near=lambda *each: told.append(each)).passes(30)
    assert told == [(budget, "")]


def test_counts_are_told_as_they_are_for_all_processes(tmp_path):
    """What a process tells is the count of all; it tells it once."""
    budget, (one, two) = Budget("secret", "requests", "ever", 9, name="KEY"), (Accounts(tmp_path), Accounts(tmp_path))
    for each in (one, two, one):
        Account(each, CALLER, (budget,), print).begin(["KEY"])
    told = [spent for each in (one, two) for _, spent in each.moved()]
    assert [(spent.name, spent.used) for spent in told] == [("KEY", 3), ("KEY", 2)]
    assert len({spent.plane for spent in told}) == 1
    assert list(one.moved()) == []


def test_what_cannot_be_counted_is_refused(tmp_path, monkeypatch):
    """Another process has the lock and does not go on, or the disk takes nothing."""
    monkeypatch.setattr(accounts, "PATIENCE", 0.01)
    budget = Budget("dataset", "requests", "ever", 5)
    drawn = account(tmp_path, budget)
    drawn.begin(())
    other = os.open(tmp_path / "lock", os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(OSError, match="unavailable"):
        drawn.begin(())
    os.close(other)
    monkeypatch.setattr("os.pwrite", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        drawn.begin(())
    monkeypatch.undo()
    assert admitted(tmp_path, budget) == 4


def test_counters_of_the_past_are_deleted(tmp_path, clock):
    """Those of what never ends are kept; a session's are kept for longer than it may live."""
    budgets = [Budget("dataset", "requests", per, 9) for per in ("hour", "day", "month", "ever")]
    budgets.append(Budget("session", "requests", "ever", 9))
    account(tmp_path, *budgets).begin(())
    for path in tmp_path.iterdir():
        os.utime(path, (NOW, NOW))
    left = []
    for days in (0, 1, 3, 9, 40, 4000):
        clock[0] = NOW + days * 86_400
        Accounts(tmp_path).draw(CALLER, [])
        left.append({path.name.partition("-")[0] for path in tmp_path.iterdir()} - {"lock"})
    kinds = {"hour", "day", "month", "ever", "session"}
    assert left == [kinds, kinds - {"hour"}, {"month", "ever", "session"}, {"month", "ever"}, {"ever"}, {"ever"}]
