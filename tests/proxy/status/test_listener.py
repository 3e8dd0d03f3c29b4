"""The listener of `proxy.status`: what it answers, whom, and how processes of one data folder show each other."""

import asyncio
import contextlib
import os
import socket
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families as families

from proxy.admission.events import Spool
from proxy.admission.meters import Meters
from proxy.status import listener, peers
from proxy.status.catalogue import METRICS
from proxy.status.listener import HEAD, MOST, Listener


class Reader:
    fresh, age, alarms = True, 0.5, 0


class Process:
    """One process of the data plane, as far as the listener sees it; several of them live here in one."""

    def __init__(self, folder, sock=None, engine="express"):
        self.reader = Reader()
        self.meters = Meters(series=4)
        plane = SimpleNamespace(data=folder, meters=self.meters, reader=self.reader, spool=Spool(folder / "spool"))
        self.listener = Listener(plane, engine, sock)


@pytest.fixture
async def start(tmp_path, monkeypatch):
    """Start processes; each has an id of its own, and the listening sockets are closed at the end."""
    started = []

    async def begin(folder=tmp_path, *, listens=False, engine="express"):
        sock = socket.create_server(("127.0.0.1", 0)) if listens else None
        process = Process(folder, sock, engine)
        own, name = process.listener._peers._own, str(len(started))
        process.listener._peers._own = lambda: own()._replace(worker=name)
        process.port = sock and sock.getsockname()[1]
        await process.listener.start()
        started.append(process)
        return process

    yield begin
    for process in started:
        process.listener.close()


async def ask(port, head: bytes) -> tuple[int, bytes]:
    """Send a head; the status and the body of the answer, 0 when there is none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.closing(writer):
        writer.write(head)
        try:
            answer = await asyncio.wait_for(reader.read(), 30)
        except ConnectionResetError:  # closed on what was not read
            answer = b""
    start, _, body = answer.partition(b"\r\n\r\n")
    return (int(start.split(b" ")[1]) if start else 0), body


async def get(port, path="/metrics", host="127.0.0.1", method="GET"):
    return await ask(port, f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())


def workers(text: bytes) -> dict[str, float]:
    """By worker, the answers that it says it had."""
    found = {}
    for family in families(text.decode()):
        for sample in family.samples:
            if sample.name == "egret_proxy_carried_total":
                found[sample.labels["worker"]] = sample.value
    return found


async def test_three_paths_and_no_more(start):
    """Health, readiness, metrics; to GET and HEAD."""
    process = await start(listens=True)
    assert await get(process.port, "/healthz") == (200, b"ok\n")
    assert await get(process.port, "/readyz") == (200, b"ok\n")
    assert (await get(process.port, "/metrics?x=1"))[0] == 200
    assert await get(process.port, method="HEAD") == (200, b"")
    for path in ("/", "/metrics/", "//metrics", "/../metrics", "http://127.0.0.1/metrics", "/sessions"):
        assert (await get(process.port, path))[0] == 404, path
    for method in ("POST", "PUT", "OPTIONS", "CONNECT", "TRACE"):
        assert (await get(process.port, method=method))[0] == 405, method


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8082", "127.0.0.1:1", "[::1]", "[::1]:8082", "10.0.0.1"])
async def test_addresses_may_be_asked(start, host):
    """No page can have an address for its name and be somebody else's."""
    assert (await get((await start(listens=True)).port, host=host))[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8082", "localhost.evil.example", "", "127.0.0.1.x", "[x]"]
)
async def test_names_may_not(start, host):
    """DNS rebinding: a page's own name that points here now."""
    status, body = await get((await start(listens=True)).port, host=host)
    assert status == 421
    assert b"egret_" not in body


async def test_one_host_field(start):
    """None, or two, is no name at all."""
    port = (await start(listens=True)).port
    assert (await ask(port, b"GET /metrics HTTP/1.1\r\n\r\n"))[0] == 421
    two = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"
    assert (await ask(port, two))[0] == 421


async def test_heads_have_an_end(start):
    """A head without one is dropped, and the next client is served."""
    port = (await start(listens=True)).port
    assert await ask(port, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 2 * HEAD) == (0, b"")
    assert (await get(port, "/healthz"))[0] == 200


async def test_silent_clients_are_few(start, monkeypatch):
    """More connections than anybody needs get nothing; those that are silent are closed."""
    monkeypatch.setattr(listener, "PATIENCE", 0.5)
    port = (await start(listens=True)).port
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST)]
    assert await get(port, "/healthz") == (0, b"")
    for reader, writer in silent:
        assert await asyncio.wait_for(reader.read(), 30) == b""
        writer.close()
    assert (await get(port, "/healthz"))[0] == 200


async def test_a_scrape_shows_all_processes(start):
    """Whoever took it; each under its own label, so that one that begins anew takes nothing back."""
    first, second, third = await start(listens=True), await start(engine="gateway"), await start(listens=True)
    for count, process in enumerate((first, second, third), 1):
        process.meters.events["carry"] = count
    for process in (first, third):
        assert workers((await get(process.port))[1]) == {"0": 1.0, "1": 2.0, "2": 3.0}
    second.listener.close()
    assert workers((await get(first.port))[1]) == {"0": 1.0, "2": 3.0}
    (await start()).meters.events["carry"] = 0
    assert workers((await get(first.port))[1]) == {"0": 1.0, "2": 3.0, "3": 0.0}


async def test_ready_means_all(start):
    """One process that would refuse every request makes it 503."""
    first, second = await start(listens=True), await start()
    second.reader.fresh = False
    status, body = await get(first.port, "/readyz")
    assert (status, body) == (503, b"the store is not fresh\n")
    assert (await get(first.port, "/healthz"))[0] == 200


async def test_other_folders_are_other_installations(start, tmp_path):
    """Numbers are shown by data folder."""
    first = await start(listens=True)
    await start(tmp_path / "other")
    assert list(workers((await get(first.port))[1])) == ["0"]


async def test_what_a_dead_process_left_is_removed(start, tmp_path):
    """A socket file that nobody listens on, as SIGKILL leaves it."""
    process = await start(listens=True)
    left = tmp_path / "state" / "status" / "4711-dead"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left))
    assert list(workers((await get(process.port))[1])) == ["0"]
    assert not left.exists()


@pytest.mark.parametrize("said", [b"", b"[1,2", b"{}", b'["e","w",true]', b'["e","w",true,[["x"]]]', b"[" * 100_000])
async def test_a_process_that_talks_nonsense_is_left_out(start, tmp_path, said):
    """And one that says nothing for too long; the others are shown."""
    process = await start(listens=True)
    served = await asyncio.start_unix_server(
        lambda _, writer: (writer.write(said), writer.close()), tmp_path / "state" / "status" / "4711-odd"
    )
    async with served:
        assert list(workers((await get(process.port))[1])) == ["0"]


async def test_a_process_that_hangs_is_left_out(start, tmp_path, monkeypatch):
    """It accepts, as the kernel does for it, and never answers."""
    monkeypatch.setattr(peers, "PATIENCE", 0.2)
    process = await start(listens=True)
    with socket.socket(socket.AF_UNIX) as hangs:
        hangs.bind(str(tmp_path / "state" / "status" / "4711-hangs"))
        hangs.listen()
        assert list(workers((await get(process.port))[1])) == ["0"]


async def test_a_folder_of_any_length(start, tmp_path):
    """A socket's address has 107 bytes; a data folder's path may have more."""
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    first = await start(deep, listens=True)
    await start(deep)
    assert list(workers((await get(first.port))[1])) == ["0", "1"]


async def test_where_no_socket_can_be_a_process_shows_itself(start, tmp_path):
    """`state` is a file, say: no reason not to serve."""
    (tmp_path / "state").write_text("")
    process = await start(listens=True)
    assert list(workers((await get(process.port))[1])) == ["0"]


async def test_the_folder_is_its_owners(start, tmp_path):
    """Others of the machine see no socket."""
    await start()
    folder = tmp_path / "state" / "status"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(os.listdir(folder)) == 1


async def test_every_metric_of_the_table_without_a_watcher(start):
    """What is counted, and what is looked at in the process itself; what a border adds has its end-to-end test."""
    process = await start(listens=True)
    text = (await get(process.port))[1].decode()
    known = {f"egret_proxy_{metric.name}" for metric in METRICS.values()}
    shown = {family.name for family in families(text)}
    assert shown <= known
    border = {"open", "upstream_connections", "upstream_dials", "searches_built", "searched_values", "token_calls", "tokens_kept"}  # fmt: skip
    assert known - shown == {f"egret_proxy_{name}" for name in border}
