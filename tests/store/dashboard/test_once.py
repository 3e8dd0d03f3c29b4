"""What waits for the page after a form: given once, to the browser that it waits for, readable to nobody else."""

import pickle

import pytest
from cryptography.exceptions import InvalidTag

from store.dashboard import once
from store.dashboard.once import MOST, Once

TOKEN = "egs_canary9f3Kq7Zp2Wx8"


def test_it_is_given_once():
    """And nothing where nothing waits, or under another name."""
    waiting = Once()
    waiting.keep("cookie", "session/a", TOKEN)
    assert waiting.take("cookie", "session/b") == ""
    assert waiting.take("cookie", "session/a") == TOKEN
    assert waiting.take("cookie", "session/a") == ""


def test_the_memory_alone_does_not_tell():
    """Neither as it is nor to a browser with another cookie; nor does one thing open as another."""
    waiting = Once()
    waiting.keep("cookie", "session/a", TOKEN)
    assert TOKEN.encode() not in pickle.dumps(waiting._waiting)
    waiting._waiting["session/b"] = waiting._waiting["session/a"]
    for cookie, slot in (("another", "session/a"), ("cookie", "session/b")):
        with pytest.raises(InvalidTag):
            waiting.take(cookie, slot)


def test_it_waits_for_two_minutes_and_in_bounds(monkeypatch):
    """Then it is gone; the oldest of too many goes first."""
    now = [1000.0]
    monkeypatch.setattr(once.time, "monotonic", lambda: now[0])
    waiting = Once()
    for number in range(MOST + 1):
        waiting.keep("cookie", str(number), TOKEN)
    assert [waiting.take("cookie", each) != "" for each in ("0", "1")] == [False, True]
    now[0] += 121
    assert waiting.take("cookie", "2") == "" and waiting._waiting == {}
