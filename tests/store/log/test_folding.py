"""A key that is denied again and again fills the log for a minute's worth, then only counts."""

import pytest
from stores import secret

from store.errors import Forbidden
from store.log import folding
from store.vault import LogQuery, NewKey


def test_a_flood_of_denials(store, monkeypatch):
    """So many rows, then none, then one that says how many there were; other keys are not affected."""
    now = [store.vault._gate.clock()]
    store.vault._gate.folding = folding.Folding(lambda: now[0])
    monkeypatch.setattr(folding, "EACH", 5)
    store.dataset(secret())
    raters = [store.vault.keys.authenticate(store.vault.keys.create(store.owner, NewKey("r", "rater_only"))[1].reveal().decode()) for _ in range(2)]  # fmt: skip

    def denied(rater, times):
        for _ in range(times):
            with pytest.raises(Forbidden):
                store.vault.datasets.get(rater, "default", "ds")

    denied(raters[0], 20)
    denied(raters[1], 2)
    found = [row.body["actor"] for row in store.vault.log.list(store.owner, LogQuery(outcome="forbidden")).items]
    assert [found.count(rater.actor) for rater in raters] == [5, 2]
    store.vault.tend()
    assert not store.vault.log.list(store.owner, LogQuery(action="store:fold")).items
    now[0] += 61
    store.vault.tend()
    (row,) = store.vault.log.list(store.owner, LogQuery(action="store:fold")).items
    assert (row.body["actor"], row.body["detail"]["folded"]) == (raters[0].actor, 15)
    denied(raters[0], 1)
    assert len(store.vault.log.list(store.owner, LogQuery(outcome="forbidden")).items) == 9
    assert store.vault.log.verify(store.owner).ok
