from types import SimpleNamespace

import pytest
from apis import Api

from store.api import limits
from store.api.limits import Buckets, Rate
from store.api.state import Rates


@pytest.fixture(autouse=True)
def now(monkeypatch):
    """The moment, which stands still: on a busy machine buckets would fill while requests are sent."""
    moment = [100.0]
    monkeypatch.setattr(limits, "time", SimpleNamespace(monotonic=lambda: moment[0]))
    return moment


def test_a_bucket_empties_and_fills(now):
    """A burst is let through, then one per interval."""
    buckets = Buckets(Rate(2, 3))
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    now[0] += 0.5
    assert buckets.look("a") == 0 and buckets.take("a") == 0 and buckets.look("a") == 0.5
    now[0] += 60
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_buckets_are_bounded(monkeypatch):
    """However many addresses come, memory is bounded; the one unused for longest is forgotten."""
    monkeypatch.setattr(limits, "MAX_BUCKETS", 10)
    buckets = Buckets(Rate(0.001, 1))
    for number in range(100):
        buckets.take(str(number))
    assert buckets.take("99") > 0 and buckets.take("0") == 0


def test_failed_authentication_is_slowed_but_locks_nobody_out(tmp_path):
    """After a burst of bad keys the same address gets 429, is not audited further, and a live key still works."""
    api = Api(tmp_path / "data", Rates(failure=100))
    try:
        statuses = [api("GET", "/keys/", key="egk_bad").status for _ in range(130)]
        assert statuses == [401] * 100 + [429] * 30
        slowed = api("GET", "/keys/", key="egk_bad")
        assert slowed.code == "rate_limited" and int(slowed.headers["Retry-After"]) >= 1
        assert api("GET", "/keys/").status == 200
        rows = api.store.sql("SELECT count(*) FROM audit WHERE action = 'keys:authenticate'")[0][0]
        assert rows == 100
    finally:
        api.close()


def test_a_key_has_its_rate(tmp_path):
    """One key over its rate is told to wait; another is not."""
    api = Api(tmp_path / "data", Rates(key=60))
    try:
        other = api.new_key(permission="full")
        statuses = [api("GET", "/sealing-key").status for _ in range(110)]
        assert 429 in statuses and statuses[:90] == [200] * 90
        assert api("GET", "/sealing-key", key=other).status == 200
    finally:
        api.close()
