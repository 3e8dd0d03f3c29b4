"""store.ledger.log_watch: the store finds by itself what was done to its log."""

import pytest
from stores import secret

from store.ledger import log_watch


def walked(store):
    watch = store.vault.log_watch()
    while watch.turn():
        pass
    return store.vault.alarms.present()


@pytest.fixture
def filled(store, monkeypatch):
    monkeypatch.setattr(log_watch, "PORTION", 3)
    store.dataset(secret())
    for number in range(8):
        store.put(secret(value=b"value-number-%d" % number))
    return store


def test_a_whole_log_raises_nothing(filled):
    assert walked(filled) == []
    assert walked(filled) == []


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE audit SET body = replace(body, 'secrets:write', 'secrets:read') WHERE seq = 5",
        "UPDATE audit SET body = 'nothing' WHERE seq = 5",
        "UPDATE audit SET hash = 'nothing' WHERE seq = 5",
        "DELETE FROM audit WHERE seq = 5",
        "DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)",
        "DELETE FROM audit WHERE seq > 6",
        "DELETE FROM audit",
        "UPDATE audit SET seq = seq + 100 WHERE seq = (SELECT max(seq) FROM audit)",
    ],
)
def test_an_edited_row_or_a_cut_end_is_found(filled, edit):
    filled.sql(edit)
    assert any(each.startswith("the log was changed") for each in walked(filled))
