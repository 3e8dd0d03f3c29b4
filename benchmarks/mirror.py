"""An upstream for the soak: it says which value reached it, by its hash, and tries to hand the value itself back.

python -m benchmarks.mirror LEAF KEY HTTP HTTPS
"""

import asyncio
import base64
import hashlib
import json
import ssl
import sys
from contextlib import suppress
from urllib.parse import parse_qs, quote, urlsplit

import uvloop

from benchmarks.hostile import head, length


def value_of(block: bytes, body: bytes) -> tuple[str, str]:
    """Nonce and value, from wherever the request has them."""
    first, *lines = block.decode("latin1").split("\r\n")
    query = parse_qs(urlsplit(first.split(" ")[1]).query)
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    posted = json.loads(body) if body else {}
    value = fields.get("x-key") or query.get("key", [""])[0] or posted.get("key", "")
    return query.get("nonce", [""])[0], value


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection."""
    with suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
        while True:
            block = await head(reader)
            body = await reader.readexactly(max(length(block), 0))
            nonce, value = value_of(block, body)
            sha = hashlib.sha256(value.encode()).hexdigest()
            encoded = base64.b64encode(value.encode()).decode()
            back = {
                "nonce": nonce,
                "sha": sha,
                "echo": value,
                "base64": encoded,
                "percent": quote(f"<{value}>", safe=""),
            }
            text = json.dumps({**back, "end": nonce}).encode()
            fields = b"Content-Type: application/json\r\nX-Back: %b\r\nContent-Length: %d" % (value.encode(), len(text))
            writer.write(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (fields, text))
    writer.transport.abort()


async def _listen(http: int, https: int, tls: ssl.SSLContext) -> None:
    await asyncio.start_server(serve, "127.0.0.1", http, backlog=4096)
    await asyncio.start_server(serve, "127.0.0.1", https, ssl=tls, backlog=4096)
    await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    leaf, key, http, https = sys.argv[1:]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(leaf, key)
    uvloop.run(_listen(int(http), int(https), tls))


if __name__ == "__main__":
    main()
