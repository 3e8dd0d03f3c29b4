"""Probes: what a client sees of a right next letter of a value and of a wrong one, through each adapter (minutes).

An upstream answers with a true beginning of a value, in some form, and its next letter. The same answer goes to two
stores with values of one shape: for one the letter is right; the other's value begins as far the same, and goes on
otherwise. Compared is all that the client has of both: status, fields, every byte, and in which pieces (chunks, HTTP/2
and WebSocket frames), what was there before the stream went on among them; compressed bodies as they come, so by
their lengths too. Who sees the same of both can do no better than to toss a coin.

The control is the same with the whole value, which must be told.
"""

import argparse
import random
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.report import table

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

import http2
import probes
import sockets
from draw import Draw
from forward import ENGINES, Forward
from gatehouse import ANYWHERE, Gatehouse
from upstream import Upstream

from proxy.core.scrub import Scrubber
from proxy.core.shape import shape_of
from store.model import SecretValue

PROBES = 10_000
SECONDS = 60.0  # for one answer
VALUE = probes.drawn("mine")
FORMS = list(probes.FORMS.values())
RIGHT = "right"
Answer = tuple[list[bytes], bytes, list[tuple[bytes, bytes]]]
Seen = tuple[object, ...]
See = Callable[[str, bytes], Seen]
"""Asks a store for an answer that holds a text, and returns what there was to see."""


def other(known: int) -> bytes:
    """Return a value of the same shape that begins with so much of the first, and no more."""
    letters = Draw(f"other {known}")
    while True:
        value = VALUE[:known] + letters.letters(len(VALUE) - 1 - known).encode() + VALUE[-1:]
        if value[known] != VALUE[known] and shape_of(value) == shape_of(VALUE):
            return value


STORES = {RIGHT: VALUE, **{str(known): other(known) for known in range(len(VALUE) - 1)}}
SEARCHES = {name: Scrubber([("KEY", SecretValue(value))]).search for name, value in STORES.items()}


class Adapter:
    """One way through Egret: connections by store, the path of a request, and the upstream behind it."""

    def __init__(self, up: Upstream, connect: Callable[[str], socket.socket], path: Callable[[str], str]) -> None:
        self.up, self._connect, self._path = up, connect, path
        self.host = up.origin
        self._kept: dict[str, socket.socket] = {}
        self.h2: http2.Upstream | None = None
        self.h2_answer: Answer = ([], b"", [])
        self._clients: dict[str, http2.Client] = {}
        self.connect_h2: Callable[[str], http2.Client] | None = None

    def close(self) -> None:
        """Close what was kept open."""
        for sock in (*self._kept.values(), *(client.sock for client in self._clients.values())):
            sock.close()

    def kind(self, kind: probes.Kind) -> See:
        """Answers of a kind; where pieces can be seen, its end follows when its beginning is through."""
        parts = kind.framing == "chunked" and not kind.coding

        def see(store: str, text: bytes) -> Seen:
            self.up.received, self.up.log = b"", []
            echo = kind._replace(fields=(*kind.fields, (b"X-Echo", text.split(b"\n")[0][:200].strip(b" \0"))))
            if any(byte < 0x20 or byte > 0x7E for byte in echo.fields[-1][1]):
                echo = kind
            through = threading.Event()

            def route(request: object, conn: socket.socket) -> bytes | None:
                if not parts:
                    return echo.send(conn, echo.wire(probes.FIRST + text + probes.LAST))
                first, last = echo.answer(echo.wrap(probes.FIRST + text), probes.LAST)
                conn.sendall(first)
                if not through.wait(SECONDS):
                    raise TimeoutError
                conn.sendall(last)
                return b""

            self.up.routes[b"/"] = route
            sock = self._kept.pop(store, None) or self._connect(store)
            sock.sendall(f"GET {self._path(store)} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode())
            answer, whole = _answer(sock, through if parts else None)
            if whole and kind.framing != "close":
                self._kept[store] = sock
            else:
                sock.close()
            return (answer,)

        return see

    def message(self, message: Callable[[bytes], bytes]) -> See:
        """WebSocket messages, and a reason to close."""

        def see(store: str, text: bytes) -> Seen:
            sent = message(b"some text " + text + b" ~\n") + sockets.frame(8, b"\x03\xe8" + probes.spoken(text)[:100])

            def script(ends: sockets.Ends, send: Callable[[bytes], None]) -> None:
                send(sent)
                ends.frame()

            self.up.routes[b"/"] = sockets.serve(script)
            frames: list[tuple[int, bytes]] = []
            with self._connect(store) as sock:
                _, ends = sockets.handshake(sock, self.host, self._path(store))
                while not frames or frames[-1][0] & 15 != 8:
                    frames.append(ends.frame())
                sock.sendall(sockets.frame(8, b"\x03\xe8", masked=True))
            return tuple(frames)

        return see

    def over_h2(self, kind: probes.Kind) -> See:
        """Answers of a kind over HTTP/2 on both sides, with the text in trailers too."""

        def see(store: str, text: bytes) -> Seen:
            assert self.connect_h2 is not None
            end = [(b"x-end", text[:200])] if all(0x21 <= byte <= 0x7E for byte in text[:200]) else []
            fields = [(b":status", b"%d" % kind.status), *((k.lower(), v) for k, v in kind.fields)]
            self.h2_answer = fields, kind.wire(probes.FIRST + text + probes.LAST), end
            client = self._clients.get(store) or self.connect_h2(store)
            self._clients[store] = client
            found = client.ask("/x")
            return [pair for pair in found.headers if pair[0] != b"date"], found.body, found.trailers, found.reset

        return see

    def streams(self) -> dict[str, See]:
        """Every kind of stream."""
        found = {name: self.kind(kind) for name, kind in probes.KINDS.items()}
        found |= {f"WebSocket: {name}": self.message(message) for name, message in probes.MESSAGES.items()}
        if self.connect_h2 is not None:
            found |= {f"HTTP/2: {name}": self.over_h2(kind) for name, kind in probes.KINDS.items()}
        return found


def _answer(sock: socket.socket, through: threading.Event | None) -> tuple[bytes, bool]:
    """Return all of an HTTP/1 answer but its date, and whether the connection goes on."""
    data = b""
    while not _over(data):
        more = sock.recv(1 << 16)
        data += more
        if through is not None and probes.FIRST.strip() in data:
            through.set()
        if not more:
            break
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"date:")]
    return b"\r\n".join(lines) + b"\r\n\r\n" + rest, _over(data) and b"connection: close" not in head.lower()


def _over(data: bytes) -> bool:
    head, found, rest = data.partition(b"\r\n\r\n")
    head = head.lower()
    if found and b"\r\ntransfer-encoding: chunked" in head:
        return rest.endswith(b"0\r\n\r\n")
    length = head.partition(b"\r\ncontent-length:")[2].split(b"\r\n")[0]
    return bool(found and length) and len(rest) >= int(length)


@contextmanager
def forward(engine: str, folder: Path) -> Iterator[Adapter]:
    """The forward proxy with one of its engines."""
    Forward.engine = engine
    with Forward(folder) as running:
        h2 = http2.Upstream(running.authority.leaf(), lambda stream: adapter.h2_answer)
        for store, value in STORES.items():
            running.reader.put("KEY", value, running.upstream.origin, h2.origin, dataset=store)
        tokens = {store: running.reader.open(store) for store in STORES}
        adapter = Adapter(running.upstream, lambda store: running.tunnel(tokens[store]), lambda store: "/x")
        if engine == "mitmproxy":  # express speaks HTTP/1 only
            adapter.connect_h2 = lambda store: http2.Client(
                running.tunnel(tokens[store], h2.origin, alpn=["h2"]), h2.origin
            )
        try:
            yield adapter
        finally:
            adapter.close()
            h2.close()


@contextmanager
def gateway(folder: Path) -> Iterator[Adapter]:
    """The gateway."""
    with Gatehouse() as house:
        for store, value in STORES.items():
            house.reader.egress[store] = ANYWHERE
            house.reader.put("KEY", value, house.up.origin, dataset=store)
        tokens = {store: house.reader.open(store) for store in STORES}
        adapter = Adapter(
            house.up,
            lambda store: house.dial(SECONDS),
            lambda store: f"/s/{tokens[store]}/https/{house.up.origin}/x",
        )
        try:
            yield adapter
        finally:
            adapter.close()


ADAPTERS: dict[str, Callable[[Path], AbstractContextManager[Adapter]]] = {
    **{f"forward, {engine}": partial(forward, engine) for engine in ENGINES},
    "gateway": gateway,
}


def drawn(chance: random.Random) -> tuple[str, bytes]:
    """Return a store whose next letter is another, and a text with the right one that holds no value whole."""
    while True:
        wrong, form = str(chance.randrange(len(VALUE) - 1)), chance.choice(FORMS)
        pairs = zip(form(VALUE), form(STORES[wrong]), strict=False)
        alike = next(at for at, (one, another) in enumerate(pairs) if one != another)
        text = form(VALUE)[: alike + 1]
        around = probes.FIRST + text + probes.LAST, b"\n" + text + b" ~\n", text
        if not any(SEARCHES[store].matches(each)[0] for store in (RIGHT, wrong) for each in around):
            return wrong, text


def probed(see: See, wrong: str, text: bytes, chance: random.Random) -> bool:
    """Ask both stores, in any order; say whether they can be told apart."""
    order = chance.sample([RIGHT, wrong], 2)
    outcome = {store: see(store, text) for store in order}
    return outcome[RIGHT] != outcome[wrong]


def main() -> None:
    """Print the table; exits with 1 where a probe tells something, or the whole value does not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks probes", description=__doc__)
    parser.add_argument("--probes", type=int, default=PROBES, help="for each adapter")
    parser.add_argument("--only", choices=list(ADAPTERS), help="one adapter")
    given = parser.parse_args()
    rows, right = [], True
    for name, start in ADAPTERS.items():
        if given.only not in (None, name):
            continue
        chance, begun = random.Random(name), time.monotonic()
        with tempfile.TemporaryDirectory() as folder, start(Path(folder)) as adapter:
            streams = adapter.streams()
            names, told = list(streams), Counter[str]()
            for number in range(given.probes // 2):
                kind = names[number % len(names)]
                told[kind] += probed(streams[kind], *drawn(chance), chance)
            controls = sum(see(RIGHT, VALUE + b" ") != see("0", VALUE + b" ") for see in streams.values())
        pairs, found = given.probes // 2, sum(told.values())
        right = right and not found and controls == len(streams)
        best = f"{50 + 50 * found / pairs:.2f} %"
        rows.append([name, f"{len(streams)}", f"{2 * pairs:,}", f"{found}", best, f"{controls} of {len(streams)}"])
        print(f"{name}: {time.monotonic() - begun:.0f} s; told: {dict(+told)}", file=sys.stderr, flush=True)
    head = ["adapter", "kinds of streams", "probes", "pairs that differ", "guessed right at best", "controls told"]
    print(table(head, rows))
    if not right:
        sys.exit("a line is not as it should be")


if __name__ == "__main__":
    main()
