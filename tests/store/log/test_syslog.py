"""Syslog: each row as RFC 5424 has it, in order, through faults and restarts, by TCP, TLS and a socket of this machine."""

import itertools
import json
import logging

import pytest
from certificates import Authority
from served import wait_for
from stores import CANARY, Store, secret
from syslog_collector import SyslogCollector, parsed

from store.database.schema import webhooks
from store.log import syslog as spoken
from store.log import webhooks as module
from store.log.syslog import message
from store.log.webhooks import Hooks


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    for name in ("EVERY", "FIRST_DELAY", "LONGEST_DELAY"):
        monkeypatch.setattr(module, name, 0.01)


@pytest.fixture
def store(tmp_path):
    made = Store.make(tmp_path / "data")
    made.dataset()
    yield made
    made.close()


@pytest.fixture
def tell(store):
    running = []

    def start(url, *actions, leads=lambda: True, trust=()):
        (one,) = store.vault.webhooks(Hooks(syslog=url, syslog_actions=actions, syslog_trust=trust), leads)
        running.append(one)
        one.start()
        wait_for(lambda: store.sql(f"SELECT seq FROM {webhooks.name}"))
        return one

    yield start
    for one in running:
        one.close()


def put(store, count=1, numbers=itertools.count()):  # noqa: B008  # one series for all
    for _ in range(count):
        store.put(secret(f"NAME_{next(numbers)}"))


def written(store, after=0):
    return [seq for (seq,) in store.sql("SELECT seq FROM audit WHERE seq > :s ORDER BY seq", s=after)]


def last(store):
    return written(store)[-1]


def by_tcp(tmp_path):
    return SyslogCollector(), ()


def by_tls(tmp_path):
    authority = Authority(tmp_path)
    return SyslogCollector(leaf=authority.leaf()), (authority.path,)


def by_socket(tmp_path):
    return SyslogCollector(path=tmp_path / "log"), ()


@pytest.mark.parametrize("way", [by_tcp, by_tls, by_socket])
def test_each_row_is_told(store, tell, tmp_path, way):
    """From the first start on, as the log has it; what is no longer told when it stops is told by the next."""
    collector, trust = way(tmp_path)
    with collector:
        before = last(store)
        first = tell(collector.url, trust=trust)
        put(store, 150)
        wait_for(lambda: collector.raw and collector.rows[-1]["seq"] == last(store), "the rows")
        first.close()
        put(store, 3)
        tell(collector.url, trust=trust)
        wait_for(lambda: collector.rows[-1]["seq"] == last(store), "the rest")
        rows = collector.rows
        assert [row["seq"] for row in rows] == written(store, before)
        (body,) = store.sql("SELECT body FROM audit WHERE seq = :s", s=rows[0]["seq"])[0]
        store_id = rows[0].pop("store")
        assert (rows[0], len(store_id) > 10) == (json.loads(body), True)
        assert {parsed(raw)[:2] for raw in collector.raw} == {(110, "secrets:write")}
        assert not any(CANARY in raw for raw in collector.raw)


def test_what_is_asked_for_is_told(store, tell):
    with SyslogCollector() as collector:
        tell(collector.url, "datasets")
        put(store, 2)
        store.dataset(dataset="another")
        wait_for(lambda: collector.raw, "the row")
        assert {row["action"].partition(":")[0] for row in collector.rows} == {"datasets"}


def test_a_collector_that_hangs_up_is_told_again(store, tell, caplog):
    """In the midst of a batch, again and again: no row is left out, some may come twice."""
    with SyslogCollector() as collector, caplog.at_level(logging.WARNING, "store.webhooks"):
        collector.ends = iter((0, 3, 20, 1))
        before = last(store)
        tell(collector.url)
        put(store, 40)
        wait_for(lambda: collector.raw and collector.rows[-1]["seq"] == last(store), "the rows")
        assert collector.connections >= 4
        assert sorted({row["seq"] for row in collector.rows}) == written(store, before)
        assert any("the syslog at localhost is not told" in each for each in caplog.messages)


def test_a_collector_that_is_not_known_is_told_nothing(store, tell, tmp_path):
    """A certificate that no root vouches for."""
    collector, _ = by_tls(tmp_path)
    with collector:
        one = tell(collector.url)
        put(store)
        wait_for(lambda: one._delay, "a failure")
        assert collector.raw == []


def test_what_does_not_read_holds_nothing_as_told(store, tell, monkeypatch):
    """It takes the connection, and its machine takes some bytes: the row is not told before all are."""
    import socket

    monkeypatch.setattr(spoken, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        one = tell(f"tcp://127.0.0.1:{listening.getsockname()[1]}")
        put(store, 100)
        wait_for(lambda: one._delay, "a failure")
        assert store.sql(f"SELECT seq FROM {webhooks.name}")[0][0] < last(store)


@pytest.mark.parametrize("text", ["a\nb", "a\r\n<0>1 forged", "\x1b[2J", "\x00", "\x7f", "é\u2028", "\ud800", "] [x"])
def test_no_name_ends_a_line(text):
    """Whatever stands in a row is inside its JSON, as printable ASCII; the header has words of ours."""
    row = {
        "seq": 1,
        "at": 1_700_000_000_123,
        "action": f"use:{text}",
        "outcome": "ok",
        "target": text,
        "detail": {text: text},
    }
    said = message(row, "store")
    assert all(0x20 <= byte < 0x7F for byte in said)
    priority, id_, found = parsed(said)
    assert (priority, found.pop("store"), found) == (110, "store", row)
    assert id_.startswith("use:") and len(id_) <= 32
    assert b" 2023-11-14T22:13:20.123Z " in said


@pytest.mark.parametrize(
    ("action", "outcome", "priority"), [("use:refuse", "ok", 108), ("keys:write", "denied", 108), ("x", "ok", 110)]
)
def test_severity(action, outcome, priority):
    assert parsed(message({"at": 0, "action": action, "outcome": outcome}, "s"))[0] == priority
