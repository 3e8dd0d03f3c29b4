"""A gibibyte each way, with what matters in its last bytes: right bytes, in constant memory."""

import hashlib
import re
from pathlib import Path

import pytest
from rawserver import RawServer

pytestmark = pytest.mark.long

TOKEN = b"bulk-token-9Qd7XwLm3Rt"
PIECE = bytes(range(256)) * 4096
QUIET = bytes(range(128, 256)) * 8192
"""In bytes that are in no spelling of a value there is little to search for: most of the gibibyte is there for its size."""
GIB = 1 << 30
PLACEHOLDER = b"#{SECRETS.TOKEN}"
ALLOWED_KIB = 32 * 1024


class Bulk(RawServer):
    """Takes or gives a gibibyte, and keeps only the digest of what it took."""

    def __init__(self, pem):
        super().__init__(pem, self.answer)
        self.digest = ""

    def answer(self, conn):
        with conn.makefile("rwb", 1 << 20) as file:
            head = b"".join(iter(file.readline, b"\r\n"))
            if head.startswith(b"GET"):
                file.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIB)
                for piece in ending(TOKEN):
                    file.write(piece)
            else:
                self.digest = digest(chunks(file))
                file.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            file.flush()


def ending(end: bytes):
    """A gibibyte, in pieces, that ends in `end`."""
    yield from [PIECE, *[QUIET] * 15] * (GIB // len(PIECE) // 16 - 1)
    yield from [*[QUIET] * 15, PIECE[: -len(end)]]
    yield end


def expected(sent: bytes, received: bytes) -> str:
    """The digest of a gibibyte whose end was replaced."""
    return digest([*list(ending(sent))[:-1], received])


def chunks(file):
    """The pieces of a chunked body."""
    while size := int(file.readline().split(b";")[0], 16):
        yield file.read(size)
        file.read(2)
    file.readline()


def digest(pieces) -> str:
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
    return found.hexdigest()


@pytest.fixture(scope="module")
def bulk(egret):
    with Bulk(egret.authority.leaf()) as it:
        yield it


@pytest.fixture
def tunnel(egret, bulk):
    dataset = egret.dataset({"name": "TOKEN", "value": TOKEN.decode(), "hosts": [bulk.origin]})
    with egret.tunnel(egret.session(dataset)["token"], bulk.origin) as sock:
        sock.settimeout(120)
        yield sock


class Peak:
    """The highest resident size of a process since the last reset (proc(5): VmHWM)."""

    def __init__(self, pid: int):
        self.proc = Path(f"/proc/{pid}")
        (self.proc / "clear_refs").write_text("5")
        self.before = self._read("VmRSS")

    def _read(self, name: str) -> int:
        return int(re.search(rf"{name}:\s+(\d+)", (self.proc / "status").read_text())[1])

    @property
    def grown_kib(self) -> int:
        return self._read("VmHWM") - self.before


def test_upload(egret, bulk, tunnel):
    """The placeholder in the last bytes is injected; nothing is missing; memory stays."""
    peak = Peak(egret.pid("proxy --role forward"))
    tunnel.sendall(b"POST /up HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n" % (bulk.origin.encode(), GIB))
    for piece in ending(PLACEHOLDER):
        tunnel.sendall(piece)
    assert tunnel.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert bulk.digest == expected(PLACEHOLDER, TOKEN)
    assert peak.grown_kib <= ALLOWED_KIB


def test_download(egret, bulk, tunnel):
    """The value in the last bytes is scrubbed; nothing is missing; memory stays."""
    peak = Peak(egret.pid("proxy --role forward"))
    tunnel.sendall(b"GET /down HTTP/1.1\r\nHost: %s\r\n\r\n" % bulk.origin.encode())
    with tunnel.makefile("rb", 1 << 20) as file:
        head = b"".join(iter(file.readline, b"\r\n"))
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"transfer-encoding: chunked" in head.lower()
        assert digest(chunks(file)) == expected(TOKEN, PLACEHOLDER)
    assert peak.grown_kib <= ALLOWED_KIB
