"""One client of a soak: asks in every way, and judges what it gets."""

import asyncio
import json
import re
import secrets
import time
from typing import Any

from benchmarks.door import Door, context
from benchmarks.served import PAGE_ORIGIN
from benchmarks.soak_run import GRACE, TRACES, Run, Session
from benchmarks.wire import BadResponse

KINDS = (
    *("header", "header", "url", "json", "kept", "kept", "tunnel", "gateway", "gateway-json"),
    *("wrong-destination", "unknown"),
)
REFUSALS = {"wrong-destination": "destination_not_allowed", "unknown": "unknown_secret"}


class Client:
    """One client: a plain connection and a tunnel that it keeps, and new ones."""

    def __init__(self, run: Run, seed: int) -> None:
        self.run, self.turn = run, seed
        self._kept: dict[tuple[str, str], tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def work(self) -> None:
        """Ask until the run is over."""
        while not self.run.over:
            self.turn += 1
            kind = KINDS[self.turn % len(KINDS)]
            session = self.run.sessions[secrets.randbelow(len(self.run.sessions))]
            began = time.monotonic()
            try:
                await asyncio.wait_for(self._ask(kind, session, began), 30)
            except (OSError, asyncio.IncompleteReadError, TimeoutError, BadResponse) as exc:
                self._lost(kind, session, began, exc)
            self.run.done += 1
        for _, writer in self._kept.values():
            writer.transport.abort()

    def _lost(self, kind: str, session: Session, began: float, exc: Exception) -> None:
        if session.ended < float("inf"):
            self.run.count["connection closed, session revoked"] += 1
        elif self.run.near_kill(began):
            self.run.count["connection lost, worker killed"] += 1
        else:
            self.run.fault("connection lost without a reason", (kind, type(exc).__name__, str(exc)))

    def _door(self, kind: str, session: Session) -> Door:
        run, ca = self.run, str(self.run.served.ca)
        tls = kind in {"kept", "tunnel"}
        host = "127.0.0.1" if kind == "wrong-destination" else "localhost"
        origin = f"{host}:{run.https if tls else run.http}"
        if kind.startswith("gateway"):
            prefix = f"/s/{session.token}/http/{origin}"
            address = run.served.address("gateway")
            return Door(*address, "path", origin, tls=False, prefix=prefix, headers={"Origin": PAGE_ORIGIN})
        address = run.served.address("proxy")
        return Door(*address, "connect" if tls else "absolute", origin, tls, ca, session.token)

    async def _connection(self, kind: str, door: Door, session: Session) -> tuple[Any, Any]:
        """A kept connection of this session, or a new one."""
        key = (door.style, session.token if door.style == "connect" else "")
        pair = self._kept.pop(key, None) if kind != "tunnel" else None
        if pair is not None and not pair[0].at_eof() and not pair[1].is_closing():
            return pair
        reader, writer = await asyncio.open_connection(door.host, door.port)
        if door.style == "connect":
            writer.write(door.connect_head())
            head = await self._head(reader)
            if head[9:12] != b"200":
                writer.transport.abort()
                raise BadResponse(head[:40].decode("latin1"))
            await writer.start_tls(context(door.ca), server_hostname=door.server_name)
        return reader, writer

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        self._search(head)
        return head

    def _search(self, data: bytes) -> None:
        if TRACES.search(data):
            self.run.fault("VALUE SEEN BY A CLIENT", data)

    async def _ask(self, kind: str, session: Session, began: float) -> None:
        door, nonce = self._door(kind, session), secrets.token_hex(8)
        name = "NOBODY" if kind == "unknown" else "KEY"
        fields, body, path = {}, b"", f"/?nonce={nonce}"
        if kind in {"url", "gateway"}:
            path += f"&key=%23%7BSECRETS.{name}%7D"
        elif kind.endswith("json"):
            body = json.dumps({"filler": "x" * 2000, "key": f"#{{SECRETS.{name}}}"}).encode()
            fields["Content-Type"] = "application/json"
        else:
            fields["X-Key"] = f"#{{SECRETS.{name}}}"
        reader, writer = await self._connection(kind, door, session)
        try:
            writer.write(door.request("POST" if body else "GET", path, fields, body))
            head = await self._head(reader)
            answered = time.monotonic()
            data = await self._body(reader, head)
        except BaseException:
            writer.transport.abort()
            raise
        self._judge(kind, session, began, answered, head, data, nonce)
        key = (door.style, session.token if door.style == "connect" else "")
        if kind == "tunnel" or b"connection: close" in head.lower() or len(self._kept) > 12:
            writer.transport.abort()
        elif (old := self._kept.get(key)) is None or old[1] is writer:
            self._kept[key] = (reader, writer)

    async def _body(self, reader: asyncio.StreamReader, head: bytes) -> bytes:
        low, body = head.lower(), b""
        try:
            if b"\r\ntransfer-encoding: chunked" in low:
                while size := int(await reader.readuntil(b"\r\n"), 16):
                    body += (await reader.readexactly(size + 2))[:-2]
                await reader.readuntil(b"\r\n")
            else:
                body = await reader.readexactly(int(low.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]))
        except asyncio.IncompleteReadError as exc:
            self._search(body + exc.partial)
            if head[9:12] == b"200":
                self.run.count["200 cut by a kill"] += 1
            raise
        self._search(body)
        return body

    def _judge(self, kind, session, began, answered, head, data, nonce) -> None:
        run, status = self.run, head[9:12].decode()
        code = re.search(rb"\r\negret-error: *([a-z_]+)", head, re.IGNORECASE)
        said = code[1].decode() if code else ""
        if status in {"401", "407"}:
            if session.ended == float("inf"):
                run.fault("a live session refused", (kind, status, said))
            run.count["refused, session revoked"] += 1
        elif said == "store_unavailable" and run.near_kill(began):
            run.count["503 store_unavailable, worker killed"] += 1
        elif kind in REFUSALS:
            if (status, said) != ("403", REFUSALS[kind]):
                run.fault(f"{kind}: not refused as it should be", (status, said, data))
            run.count["refused as it should be"] += 1
        elif status == "200":
            self._right(session, began, head, data, nonce)
        elif run.near_kill(began) and said:
            run.count[f"{status} {said}, worker killed"] += 1
        else:
            run.fault(f"unexpected {status} {said}", (kind, f"{began - run.killed[-1]:.1f} s after a kill"))

    def _right(self, session: Session, began: float, head: bytes, data: bytes, nonce: str) -> None:
        """A 200 is whole, answers this request, was made with a current version of this dataset, and is scrubbed."""
        run = self.run
        run.count["200, right"] += 1
        run.injected += 1
        try:
            back = json.loads(data)
        except ValueError:
            run.fault("a 200 that is not whole", data)
            return
        if (back["nonce"], back["end"]) != (nonce, nonce):
            run.fault("the answer to another request", (nonce, back))
        if not run.values.good(back["sha"], began):
            run.fault("a stale or foreign value", (session.number, back["sha"]))
        if back["echo"] != "#{SECRETS.KEY}":
            run.fault("not scrubbed to its placeholder", back["echo"])
        if session.ended < began - GRACE:
            run.fault("served after its session was revoked", session.id)
