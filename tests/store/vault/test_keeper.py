"""The writer thread and the store's own clock."""

import threading
import time

import pytest
from stores import CANARY, Store, eventually, secret

from proxy.admission.events import Event, Spool
from store.database.writer import WriterThread
from store.errors import NotFound, Unavailable
from store.model import Kind, Scope
from store.records import NewEntry
from store.vault import Vault
from store.vault.keeper import Keeper


class Clock:
    """A clock that tests move."""

    def __init__(self):
        self.ahead = 0.0

    def __call__(self):
        return time.time() + self.ahead


def test_verbs_run_in_order_on_one_thread():
    """Results and exceptions come back to who asked."""
    writer = WriterThread()
    seen = []
    futures = [
        writer.submit(lambda number=number: seen.append((number, threading.current_thread().name)))
        for number in range(50)
    ]
    for future in futures:
        future.result(5)
    assert [number for number, _ in seen] == list(range(50))
    assert {name for _, name in seen} == {"store-writer"}
    with pytest.raises(ZeroDivisionError):
        writer.submit(lambda: 1 / 0).result(5)
    assert writer.submit(lambda: 7).result(5) == 7
    writer.close()


def test_a_full_queue_refuses_instead_of_growing():
    """The caller is told to try again; what was queued is done."""
    writer = WriterThread(limit=3)
    gate = threading.Event()
    first = writer.submit(gate.wait, 5)
    queued = []
    with pytest.raises(Unavailable):
        for _ in range(10):
            queued.append(writer.submit(lambda: 1))
    gate.set()
    assert first.result(5)
    assert [future.result(5) for future in queued] == [1] * len(queued)
    writer.close()
    with pytest.raises(Unavailable):
        writer.submit(lambda: 1)


def test_closing_finishes_what_was_queued():
    """Nothing that was taken is dropped."""
    writer = WriterThread()
    done = []
    for number in range(20):
        writer.submit(lambda number=number: (time.sleep(0.005), done.append(number)))
    writer.close()
    assert done == list(range(20))


def test_the_keeper_beats_and_takes_spools_in(store):
    """The head moves on by itself; a use shows up in the counts."""
    store.dataset(secret())
    writer = WriterThread()
    keeper = Keeper(store.vault, writer, store.data)
    keeper.start()
    reader = store.reader()
    caller = store.caller(reader)
    before = reader._source.head.beat
    spool = Spool(store.data / "spool")
    spool.write(Event("inject", caller.session, Scope("default", "default", "ds"), ("API_KEY",)))
    eventually(lambda: store.info().use_count == 1)
    eventually(lambda: reader._source.head.beat > before, 4.0)
    assert keeper.fault == ""
    keeper.close()
    writer.close()
    spool.close()
    reader.close()


def test_the_keeper_says_what_is_wrong_and_recovers(store, monkeypatch):
    """A store that cannot write shows a fault until it can again."""
    writer = WriterThread()
    broken = True
    beat = store.vault.beat

    def maybe():
        if broken:
            raise Unavailable("The disk is full.")
        beat()

    monkeypatch.setattr(store.vault, "beat", maybe)
    monkeypatch.setattr("store.vault.keeper.BEAT", 0.05)
    keeper = Keeper(store.vault, writer, store.data)
    with pytest.raises(Unavailable):
        keeper.start()
    broken = False
    keeper.start()
    broken = True
    eventually(lambda: "disk is full" in keeper.fault)
    broken = False
    eventually(lambda: keeper.fault == "")
    keeper.close()
    writer.close()


@pytest.fixture
def timed(tmp_path):
    """A store whose clock tests move; the vault's alone, so readers are given time to spare."""
    made = Store.make(tmp_path / "data")
    made.vault.close()
    made.clock = Clock()
    made.vault = Vault.open(made.url, made.data, made.clock)
    yield made
    made.close()


def envelopes(store):
    with store.vault._gate.database.read() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM versions WHERE body IS NOT NULL").scalar()


def test_deleted_values_are_erased_after_a_day(timed):
    """For a day they are kept for scrubbing, then no envelope is left, and the manifest forgets them."""
    timed.dataset(secret(), secret("KEPT", b"kept-value-123"))
    timed.vault.entries.delete(timed.owner, timed.scope(), Kind.SECRET, "API_KEY")
    timed.clock.ahead = 3500
    assert timed.vault.tend() == 0
    assert envelopes(timed) == 2
    timed.clock.ahead = 86_500
    assert timed.vault.tend() == 1
    assert envelopes(timed) == 1
    timed.clock.ahead = 0
    timed.vault.beat()
    reader = timed.reader(max_stale=9999)
    values = reader.view(timed.caller(reader)).values()
    assert [each.value.reveal() for each in values] == [b"kept-value-123"]
    reader.close()


def test_rotated_values_leave_the_scrubber_after_an_hour(timed):
    """Without any write: the window closes by the reader's clock."""
    timed.clock.ahead = -3599.2
    timed.dataset(secret())
    timed.put(NewEntry("API_KEY", secret(value=b"second-value-1").value))
    timed.clock.ahead = 0
    timed.vault.beat()
    reader = timed.reader()
    caller = timed.caller(reader)
    assert {each.value.reveal() for each in reader.view(caller).values()} == {CANARY, b"second-value-1"}
    key = reader.view(caller).key
    eventually(lambda: {each.value.reveal() for each in reader.view(caller).values()} == {b"second-value-1"})
    assert reader.view(caller).key != key
    reader.close()


def test_expired_sessions_are_forgotten(timed):
    """Rows and documents go; live ones stay."""
    timed.dataset()
    timed.token(ttl=60)
    timed.token(ttl=7200)
    timed.clock.ahead = 3600
    assert timed.vault.tend() == 1
    assert len(timed.vault.sessions.list(timed.owner, "default", "ds").items) == 1
    with timed.vault._gate.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM documents WHERE key LIKE 'session/%'").scalar() == 1
    with pytest.raises(NotFound):
        timed.vault.sessions.get(timed.owner, "default", "ds", "gone")
