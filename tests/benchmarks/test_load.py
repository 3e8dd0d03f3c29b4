"""The load generator counts what happened: neither more, nor errors as answers."""

import asyncio
import contextlib

import pytest

from benchmarks import bulk, load, streams
from benchmarks.door import Door

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers every request head with what it is given, and counts."""

    def __init__(self, answer: bytes, *, close_after: int = 0, delay: float = 0.0) -> None:
        self.answer, self.close_after, self.delay = answer, close_after, delay
        self.requests = self.connections = 0

    async def __call__(self, reader, writer):
        self.connections += 1
        served = 0
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while not self.close_after or served < self.close_after:
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(self.delay)
                self.requests += 1
                served += 1
                last = served == self.close_after
                writer.write(self.answer.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n") if last else self.answer)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def serving(server):
    listener = await asyncio.start_server(server, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        yield Door("127.0.0.1", port, "straight", f"localhost:{port}", tls=False)
    finally:
        listener.close()


async def run(door, **more):
    went = []
    job = {"door": door, "request": door.request("GET", "/", {}), "clients": 3, "warm": 0.1, "seconds": 0.3, **more}
    result = await load.requests(job, lambda: went.append(True))
    assert went == [True]
    return result


async def test_counts_only_what_the_server_answered():
    """Answers within the measured time; the server saw those and the warm-up's."""
    server = Server(ANSWER)
    async with serving(server) as door:
        result = await run(door, length=2)
    assert result["errors"] == 0
    assert 0 < result["count"] < server.requests
    assert server.connections == 3
    assert result["rate"] == pytest.approx(result["count"] / result["seconds"])


async def test_latency_is_the_servers_delay():
    """A server that waits 20 ms gives a median of 20 ms and the rate that follows from it."""
    async with serving(Server(ANSWER, delay=0.02)) as door:
        result = await run(door, length=2, seconds=0.5)
    assert 20 <= result["p50"] < 30
    assert result["p99"] >= result["p50"]
    assert result["rate"] <= 3 / 0.02


@pytest.mark.parametrize(
    ("answer", "length"),
    [(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 2), (ANSWER, 3), (ANSWER + b"HTTP", 2)],
)
async def test_wrong_answers_are_errors(answer, length):
    """Another status, another length, or bytes too many are never counted as answers."""
    async with serving(Server(answer)) as door:
        result = await run(door, length=length)
    assert result["count"] == 0
    assert result["errors"] > 0
    assert result["example"]


async def test_opens_again_what_was_closed_between_requests():
    """A server may say that it closes a connection; that is no error, and counted apart."""
    server = Server(ANSWER, close_after=5)
    async with serving(server) as door:
        result = await run(door, length=2)
    assert result["errors"] == 0
    assert result["count"] > 15
    assert result["reopened"] > 0
    assert server.connections > 3


async def test_a_new_connection_for_each_request():
    """Fresh clients make as many connections as requests."""
    server = Server(ANSWER)
    async with serving(server) as door:
        result = await run(door, length=2, fresh=True)
    assert result["errors"] == 0
    assert 0 < result["count"] <= server.connections
    assert server.requests == pytest.approx(server.connections, abs=3)


async def test_nobody_listening_is_an_error():
    """A door to nowhere ends in errors, not in a hang."""
    async with serving(Server(ANSWER)) as door:
        pass
    result = await run(door, length=2)
    assert (result["count"], result["errors"] > 0) == (0, True)


@pytest.mark.parametrize("part", [0.0, 0.5, 0.99, 1.0])
def test_quantiles_are_by_nearest_rank(part):
    """Of 1 to 100 the quantile is the rank itself."""
    assert load.quantile([float(n) for n in range(1, 101)], part) == max(1, part * 100)


def test_no_latencies_have_no_quantile():
    """Nothing measured is zero."""
    assert load.quantile([], 0.5) == 0.0


@pytest.mark.parametrize("size", [0, 5, 125, 126, 4000])
def test_frames_are_masked_text(size):
    """A frame is read back by the rules of RFC 6455."""
    payload = bytes(n % 251 for n in range(size))
    data = streams.frame(payload)
    assert data[0] == 0x81
    length, start = (data[1] & 0x7F, 2) if data[1] & 0x7F < 126 else (int.from_bytes(data[2:4]), 4)
    mask, body = data[start : start + 4], data[start + 4 :]
    assert length == size == len(body)
    assert bytes(byte ^ mask[at % 4] for at, byte in enumerate(body)) == payload


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_bulk_says_when_bytes_are_missing(direction):
    """A transfer that ends with another count is an error."""
    body = b"7" if direction == "up" else b"short"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with serving(Server(answer)) as door:
        job = {"door": door, "direction": direction, "size": 1000, "headers": {}, "deadline": 5.0}
        result = await asyncio.to_thread(bulk.transfer, job, lambda: None)
    assert result["errors"] == 1
    assert "of 1000 arrived" in result["example"]
