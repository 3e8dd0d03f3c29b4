"""Answers to repeated requests are believed only where they were given, and only as long as that holds."""

import pytest
from sqlalchemy import insert, select
from stores import Store

from store.database.marks import KEPT, Mark
from store.database.schema import marks
from store.errors import Conflict
from store.operator.acceptance import accept_epoch
from store.operator.restore import restore
from store.vault import Answer, NewKey, Vault
from store.vault.once import Reused

ANSWER = Answer(201, '"1"', '{"id":"a"}')


def ask(store, name):
    """Carry a marked request out, and keep its answer."""
    mark = Mark(f"id of {name}", f"request {name}")
    store.vault.once.marked(mark, lambda: store.vault.keys.create(store.owner, NewKey(name)))
    store.vault.once.keep_answer(mark, ANSWER)
    return mark


def kept(store):
    with store.vault._gate.database.read() as connection:
        return [dict(row) for row in connection.execute(select(marks)).mappings()]


def put_back(store, rows):
    with store.vault._gate.database.write() as connection:
        connection.execute(marks.delete())
        connection.execute(insert(marks), rows)


def doubted(store, mark):
    with pytest.raises(Conflict) as refused:
        store.vault.once.recall(mark)
    return refused.value.code == "idempotency_in_doubt"


def test_an_answer_of_last_week_is_not_brought_back(store):
    """The same key is a new request after a day; a row with its day moved is no answer, and an alarm."""
    mark = ask(store, "rotate")
    rows = kept(store)
    gate = store.vault._gate
    now = gate.clock() + KEPT / 1000 + 1
    gate.clock = lambda: now
    assert store.vault.once.recall(mark) is None
    put_back(store, [{**row, "created_at": row["created_at"] + KEPT} for row in rows])
    alarms = store.vault.alarms.count
    assert doubted(store, mark)
    assert store.vault.alarms.count == alarms + 1


def test_an_answer_is_not_another_requests(store):
    """Neither under its id nor with its fingerprint."""
    one, two = ask(store, "one"), ask(store, "two")
    first, second = kept(store)
    put_back(store, [{**first, "body": second["body"], "signature": second["signature"]}, second])
    assert doubted(store, one)
    assert store.vault.once.recall(two) == ANSWER
    put_back(store, [{**first, "fingerprint": two.fingerprint}, second])
    assert doubted(store, Mark(one.id, two.fingerprint))
    with pytest.raises(Reused):
        store.vault.once.recall(one)


def test_what_a_restore_took_back_is_not_answered_as_done(tmp_path):
    """Its row, from the database that was replaced, is signed; the history that has the change is not there any more."""
    store = Store.make(tmp_path / "data")
    before = ask(store, "before")
    store.vault.backup(tmp_path / "copy.db")
    after = ask(store, "after")
    rows = kept(store)
    store.vault.close()
    restore(store.data, tmp_path / "copy.db", store.data / "egret.db")
    accept_epoch(store.url, store.data)
    store.vault = Vault.open(store.url, store.data)
    try:
        ask(store, "since")  # a history as long as the other one was
        assert store.vault.once.recall(before) == ANSWER
        assert store.vault.once.recall(after) is None
        put_back(store, rows)
        assert store.vault.once.recall(before) == ANSWER
        assert doubted(store, after)
    finally:
        store.close()
