"""The clock of an upstream connection: it fires after silence, never before, and one timer does for any number of pieces."""

import heapq

import pytest
from aiohttp import SocketTimeoutError

from proxy.relay.receiver import Receiver


class Handle:
    def __init__(self, when, act):
        self.when, self.act, self.cancelled = when, act, False

    def cancel(self):
        self.cancelled = True

    def __lt__(self, other):
        return self.when < other.when


class Clock:
    """A loop whose time passes when it is told to."""

    def __init__(self):
        self.now, self.timers, self.made = 100.0, [], 0

    def time(self):
        return self.now

    def call_later(self, seconds, act):
        self.made += 1
        handle = Handle(self.now + seconds, act)
        heapq.heappush(self.timers, handle)
        return handle

    def pass_(self, seconds):
        until = self.now + seconds
        while self.timers and self.timers[0].when <= until:
            handle = heapq.heappop(self.timers)
            self.now = max(self.now, handle.when)
            if not handle.cancelled:
                handle.act()
        self.now = until

    def waiting(self):
        return [handle for handle in self.timers if not handle.cancelled]


class Transport:
    def is_closing(self):
        return False

    def close(self):
        pass

    abort = close


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def receiver(clock):
    made = Receiver(clock)
    made.transport = Transport()
    return made


def given_up(receiver):
    return isinstance(receiver.exception(), SocketTimeoutError)


def test_silence_is_given_up(clock, receiver):
    """Not a moment before its time."""
    receiver.read_timeout = 10.0
    receiver.start_timeout()
    clock.pass_(9.99)
    assert not given_up(receiver)
    clock.pass_(0.02)
    assert given_up(receiver)


def test_each_piece_moves_the_deadline(clock, receiver):
    """A thousand pieces cost a timer for each timeout's length, and the silence after the last one is given up."""
    receiver.read_timeout = 10.0
    for _ in range(1000):
        receiver.start_timeout()
        clock.pass_(0.1)
    assert clock.made <= 11
    clock.pass_(9.8)
    assert not given_up(receiver)
    clock.pass_(0.2)
    assert given_up(receiver)


def test_shorter_timeout_counts_at_once(clock, receiver):
    """A timer that was set for later does not delay it."""
    receiver.read_timeout = 300.0
    receiver.start_timeout()
    receiver.read_timeout = 1.0
    receiver.start_timeout()
    clock.pass_(1.01)
    assert given_up(receiver)


def test_longer_timeout_counts_at_once(clock, receiver):
    """A timer that was set for sooner looks again."""
    receiver.read_timeout = 1.0
    receiver.start_timeout()
    receiver.read_timeout = 300.0
    receiver.start_timeout()
    clock.pass_(299)
    assert not given_up(receiver)
    clock.pass_(2)
    assert given_up(receiver)


@pytest.mark.parametrize("end", ["_drop_timeout", "eof_received"])
def test_what_is_not_awaited_is_not_given_up(clock, receiver, end):
    """Between two requests nothing runs out; and the next one has its full time."""
    receiver.read_timeout = 10.0
    receiver.start_timeout()
    getattr(receiver, end)()
    clock.pass_(1000)
    assert not given_up(receiver)
    receiver.start_timeout()
    clock.pass_(9)
    assert not given_up(receiver)
    clock.pass_(2)
    assert given_up(receiver)


def test_no_timeout_is_none(clock, receiver):
    """Without a limit nothing is waited for."""
    receiver.read_timeout = None
    receiver.start_timeout()
    clock.pass_(1e6)
    assert not given_up(receiver)
    assert clock.made == 0


@pytest.mark.parametrize("end", ["close", "abort", "connection_lost"])
def test_closed_connection_leaves_no_timer(clock, receiver, end):
    """A timer would hold the connection's buffers for minutes."""
    receiver.read_timeout = 10.0
    receiver.start_timeout()
    receiver.connection_lost(None) if end == "connection_lost" else getattr(receiver, end)()
    assert clock.waiting() == []
