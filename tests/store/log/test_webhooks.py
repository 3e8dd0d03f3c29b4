"""Webhooks: what is wanted is told, in order, signed, through faults and restarts; nothing else is."""

import base64
import itertools
import json
import logging

import pytest
from served import wait_for
from stores import CANARY, Store, secret
from webhook_receiver import KEY, TOKEN, Receiver

from store.database.schema import webhooks
from store.log import webhooks as module
from store.log.webhooks import BadKey, Hooks, read_key


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    for name in ("EVERY", "FIRST_DELAY", "LONGEST_DELAY"):
        monkeypatch.setattr(module, name, 0.01)


@pytest.fixture
def receiver():
    with Receiver() as running:
        yield running


@pytest.fixture
def store(tmp_path):
    made = Store.make(tmp_path / "data")
    made.dataset()
    yield made
    made.close()


@pytest.fixture
def tell(store, receiver):
    """Start a webhook, as a store that starts does; returns it once it has looked at the log."""
    running = []

    def start(*actions, leads=lambda: True, url=None):
        hooks = Hooks((url or receiver.url,), KEY, actions or ("secrets:write", "keys"))
        (webhook,) = store.vault.webhooks(hooks, leads)
        running.append(webhook)
        webhook.start()
        return webhook

    yield start
    for webhook in running:
        webhook.close()


def begun(store):
    return wait_for(lambda: store.sql(f"SELECT seq FROM {webhooks.name}"))


def put(store, count=1, numbers=itertools.count()):  # noqa: B008  # one series for all
    for _ in range(count):
        store.put(secret(f"NAME_{next(numbers)}"))


def told(receiver, store, action="secrets:write", least=1):
    """Wait until the log's last row of an action is told; return the numbers that were, and those that should be."""
    wanted = [seq for (seq,) in store.sql("SELECT seq FROM audit WHERE action = :a ORDER BY seq", a=action)]
    wait_for(lambda: receiver.rows and receiver.rows[-1]["seq"] == wanted[-1])
    return [row["seq"] for row in receiver.rows], wanted[-least:]


def test_what_is_wanted_is_told_and_nothing_else(store, receiver, tell):
    """From the first start on, in the log's order, as the log has it; variables were not asked for; no value is in it."""
    put(store)
    tell()
    begun(store)
    put(store, 250)
    found, wanted = told(receiver, store, least=250)
    assert found == wanted
    assert {row["action"] for row in receiver.rows} == {"secrets:write"}
    (body,) = store.sql("SELECT body FROM audit WHERE seq = :s", s=found[0])[0]
    assert receiver.rows[0] == json.loads(body)
    assert CANARY.decode() not in json.dumps(receiver.rows)
    assert max(len(seqs) for _, _, seqs in receiver.asked) <= module.MOST


@pytest.mark.parametrize("answers", [[500] * 3, [302, 404], [0, 0], [503, 0, 410]], ids=str)
def test_what_was_not_taken_is_told_again(store, receiver, tell, answers, caplog):
    """Nothing is left out or told out of turn; the log says once that a webhook is away, and nothing of its path."""
    receiver.answers = iter(answers)
    with caplog.at_level(logging.WARNING, "store.webhooks"):
        tell()
        begun(store)
        put(store)
        wait_for(lambda: len(receiver.asked) > len(answers))
        put(store)
        found, wanted = told(receiver, store, least=2)
    assert found == wanted
    assert len({id_ for id_, _, _ in receiver.asked[: len(answers) + 1]}) == 1, (
        "a message that is repeated keeps its id"
    )
    assert caplog.text.count("is not told") == caplog.text.count("answers again") == 1
    assert TOKEN not in caplog.text


def test_a_store_that_comes_back_goes_on(store, receiver, tell):
    """What was written while none ran is told; what was told is not told again."""
    first = tell()
    begun(store)
    put(store)
    told(receiver, store)
    wait_for(lambda: first.behind == 0)
    first.close()
    put(store, 3)
    tell()
    found, wanted = told(receiver, store, least=4)
    assert found == wanted


def test_one_store_tells(store, receiver, tell):
    """Of several the one that leads; another goes on where it ended."""
    leads = [True, False]
    first, second = (tell(leads=lambda at=at: leads[at]) for at in (0, 1))
    begun(store)
    put(store)
    told(receiver, store)
    wait_for(lambda: first.behind == 0)
    leads[:] = [False, True]
    wait_for(lambda: first._seq is None)
    put(store)
    found, wanted = told(receiver, store, least=2)
    assert found == wanted
    wait_for(lambda: second.behind == 0)


def test_each_url_for_itself(store, receiver, tell):
    """One that is away holds no other up, and is behind."""
    away = tell(url="http://127.0.0.1:1/")
    tell()
    wait_for(lambda: len(store.sql(f"SELECT seq FROM {webhooks.name}")) == 2)
    put(store)
    found, wanted = told(receiver, store)
    assert found == wanted
    wait_for(lambda: away.behind > 0)


def test_a_mark_beyond_the_log_is_put_right_aloud(store, receiver, tell, caplog):
    """Who writes the database could have nothing told any more."""
    begins = tell()
    begun(store)
    begins.close()
    store.sql(f"UPDATE {webhooks.name} SET seq = 999999")
    with caplog.at_level(logging.ERROR, "store.webhooks"):
        tell()
        wait_for(lambda: store.sql(f"SELECT seq FROM {webhooks.name}")[0][0] < 999999)
        put(store)
        told(receiver, store)
    assert "ahead of the log" in caplog.text


@pytest.mark.parametrize("text", ["", "whsec_", "c2hvcnQ=", "not base64!", "A" * 4 * 40], ids=str)
def test_a_bad_key_is_said_and_not_repeated(tmp_path, text):
    file = tmp_path / "hook.key"
    file.write_text(text)
    with pytest.raises(BadKey, match="openssl rand -base64 32") as raised:
        read_key(file)
    assert not text or text not in str(raised.value)


@pytest.mark.parametrize("before", ["", "whsec_"])
def test_a_key_is_read(tmp_path, before):
    file = tmp_path / "hook.key"
    file.write_text(before + base64.b64encode(KEY).decode() + "\n")
    assert read_key(file) == KEY
