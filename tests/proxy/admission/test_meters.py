"""What a request adds to the numbers of its process, once, and what the log says of it."""

import os
import threading
from types import SimpleNamespace

import pytest

from egret.logs import request_text
from proxy.admission import meters as numbers
from proxy.admission.meters import ANSWERED, REFUSED, Meters, Series
from proxy.admission.request_log import ATOMIC, WAITING, RequestLog
from proxy.admission.trail import Trail
from proxy.core.codes import CODES
from proxy.core.refusal import Refusal
from store.model import Caller, Destination, Scope

TOKEN = "egs_" + "a1B2c3D4e5F6" + "_" + "s" * 43
SCOPE = Scope("default", "p", "d")


class Lines:
    """Stands for a request log."""

    dropped = 0

    def __init__(self):
        self.told = []

    def add(self, members):
        self.told.append(dict(members))


def trail(meters: Meters, **fields) -> Trail:
    spool = SimpleNamespace(write=lambda event: None)
    caller = Caller("ses1", SCOPE, "", 2e9)
    return Trail(spool, caller=caller, meters=meters, **fields)


def answered(asked: Trail, status: int, seconds: float) -> None:
    """Have a request be answered, by an upstream that took as long as all of it and was not waited for."""
    asked.method, asked.began = "GET", 1000.0
    asked.status, asked.told, asked.heard, asked.result = status, 1000.0 + seconds, seconds, ANSWERED
    asked.end()


def test_a_bucket_holds_what_is_not_above_its_bound():
    """As Prometheus reads them: `le` is less or equal, and the last bucket has no bound."""
    meters = Meters()
    for seconds in (0.0, 0.5, 0.5 + 1e-9, 1e9):  # 1000.5 - 1000 is 0.5
        answered(trail(meters), 200, seconds)
    assert meters.upstream.cells == [1, *[0] * 7, 1, 1, *[0] * 6, 1]
    assert meters.added.cells == [1, *[0] * 10, 1, 1, 0, 1]
    assert meters.added.sum == pytest.approx(1e9 + 1.0)
    assert meters.classes == [0, 0, 4, *[0] * 7]


def test_a_request_counts_once_whoever_says_that_it_is_over():
    """An engine may say so twice (CONNECT: when it is granted, and when the tunnel ends)."""
    meters = Meters()
    asked = trail(meters)
    answered(asked, 204, 0.1)
    asked.end()
    assert meters.results[ANSWERED] == sum(meters.results) == 1
    assert meters.classes == [0, 0, 1, *[0] * 7]
    assert sum(meters.added.cells) == sum(meters.upstream.cells) == 1


def test_what_never_became_a_request_is_none():
    """A kept connection that its client closes; but a head that could not be read was a request, and was refused."""
    meters = Meters()
    trail(meters).end()
    assert meters.results == [0, 0, 0, 0]
    unread = trail(meters)
    unread.refused(Refusal("bad_request"))
    unread.end()
    assert meters.results[REFUSED] == meters.refusals["bad_request"] == 1
    assert sum(meters.added.cells) == 0


def test_every_code_has_its_cell():
    """A refusal is counted for a stranger too, who leaves no line in the audit."""
    meters = Meters()
    for code in CODES:
        stranger = Trail(SimpleNamespace(), meters=meters)
        stranger.refused(Refusal(code))
        stranger.end()
    assert set(meters.refusals.values()) == {1}
    assert meters.lines == 0


def test_series_have_an_end():
    """What finds no room counts as one, and what has its series goes on counting there."""
    series = Series(2)
    series.request(SCOPE, ANSWERED)
    series.injected(SCOPE, ["A", "B"])
    for index in range(50):
        series.request(Scope("default", "p", f"d{index}"), ANSWERED)
        series.injected(Scope("default", "p", f"d{index}"), ["A"])
    series.request(SCOPE, REFUSED)
    series.injected(SCOPE, ["A"])
    assert len(series.requests) + len(series.injections) == 2
    assert series.requests[SCOPE][ANSWERED] == series.requests[SCOPE][REFUSED] == 1
    assert series.injections == {(SCOPE, "A"): 2}
    assert series.more[0][ANSWERED] == 50
    assert series.more[1] == [51]


def test_a_line_repeats_no_word_of_the_clients():
    """A method that is none, a token in a host name, a path: nothing of them is told."""
    lines = Lines()
    asked = trail(Meters(log=lines), destination=Destination(True, f"{TOKEN}.example.com", 443), path=f"/p/{TOKEN}")
    asked.method, asked.began = TOKEN, 1.0
    asked.carried["MARKED"] = None
    asked.refused(Refusal("session_exposed"))
    asked.end()
    (told,) = lines.told
    assert told["request_id"] == asked.request_id
    assert (told["method"], told["destination"], told["code"], told["carried"]) == ("", "", "session_exposed", 1)
    assert "egs_" not in repr(told)
    assert "MARKED" not in repr(told)


def test_results_have_their_words():
    """The constants of a result and its words belong together."""
    named = {getattr(numbers, word.upper()): word for word in numbers.RESULTS}
    assert [named[index] for index in range(len(numbers.RESULTS))] == list(numbers.RESULTS)


def test_lines_reach_the_descriptor_in_pieces_that_a_pipe_takes_whole():
    """So that lines of several processes do not run into each other."""
    reading, writing = os.pipe()
    log = RequestLog(request_text, writing)
    for index in range(200):
        log.add({"request_id": f"req_{index}", "status": 200, "code": ""})
    sizes, write = [], log._put
    log._put = lambda portion: (sizes.append(len(portion)), write(portion))
    log.start()
    log.close()
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read().splitlines()
    assert [line.split()[-2] for line in told] == [f"request_id=req_{index}" for index in range(200)]
    assert max(sizes) <= ATOMIC


def test_a_log_that_nobody_reads_stops_nobody():
    """A full pipe holds up the writing thread alone; what finds no room is counted."""
    reading, writing = os.pipe()
    log = RequestLog(lambda at, members: "x" * 1000 + "\n", writing)
    log.start()
    fed = threading.Event()

    def feed():
        for _ in range(WAITING + 2000):
            log.add({})
        fed.set()

    threading.Thread(target=feed).start()
    assert fed.wait(60)
    assert log.dropped > 0
    os.close(reading)  # now writing fails, and the thread comes to its end
    log.close()
    assert not log._thread.is_alive()
    os.close(writing)
