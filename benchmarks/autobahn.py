"""Autobahn's WebSocket test suite, directly and through both engines: what a proxy must not change.

    pip install --target DIR autobahntestsuite==25.10.1      # of Python 2.7; there is none for Python 3
    python -m benchmarks autobahn 'PYTHONPATH=DIR python2.7 DIR/bin/wstest' [CASES …]

`CASES` as the suite names them (`1.*`, `12.1.3`); all of them without. The suite is the client of an echo server. It
knows no proxies: it talks to a bridge, which does the CONNECT and then passes on bytes. The server's answers are
searched for a secret, and what it is sent for placeholders. Shows what ends otherwise than directly, and fails where a
case fails that does not directly.
"""

import argparse
import asyncio
import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from benchmarks.h2spec import UPSTREAM, resolve, serve

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

End = tuple[str, str]
"""How a case ended, and how its connection did, in the suite's words."""
ENGINES = ("express", "mitmproxy")
PASSED = {"OK", "INFORMATIONAL", "NON-STRICT"}
"""Not strict is what the protocol allows too, and the case hoped for better."""


def echo(listener: socket.socket) -> None:
    """Be the server: all that comes goes back, compressed where that was agreed."""
    os.environ["WEBSOCKETS_MAX_FRAGMENTS"] = "131072"  # 4 MiB in frames of 64 bytes
    from websockets.asyncio.server import ServerConnection
    from websockets.asyncio.server import serve as listen
    from websockets.exceptions import ConnectionClosed

    async def one(connection: ServerConnection) -> None:
        try:
            async for message in connection:
                await connection.send(message)
        except ConnectionClosed:
            return

    async def main() -> None:
        async with listen(one, sock=listener, max_size=None, max_queue=None, ping_interval=None) as server:
            await server.serve_forever()

    asyncio.run(main())


def cases(wstest: list[str], folder: Path, agent: str, port: int, chosen: list[str]) -> dict[str, End]:
    """Run the suite against a port; return how each case ended, and how its connection did."""
    spec = {
        "outdir": str(folder / agent), "servers": [{"agent": agent, "url": f"ws://localhost:{port}"}], "cases": chosen,
        "exclude-cases": [], "exclude-agent-cases": {},
    }  # fmt: skip
    told = folder / f"{agent}.json"
    told.write_text(json.dumps(spec))
    subprocess.run([*wstest, "-m", "fuzzingclient", "-s", str(told)], check=True, stdout=subprocess.DEVNULL)
    found = json.loads((folder / agent / "index.json").read_text())[agent]
    return {name: (case["behavior"], case["behaviorClose"]) for name, case in found.items()}


def failed(end: End) -> bool:
    """Whether a case failed, or the end of its connection."""
    return not set(end) <= PASSED


def run(wstest: list[str], folder: Path, engine: str | None, chosen: list[str]) -> dict[str, End]:
    """Run it through an engine, or directly."""
    from forward import Forward

    bridge = socket.create_server(("127.0.0.1", 0), backlog=64)
    port = bridge.getsockname()[1]
    if engine is None:
        threading.Thread(target=echo, args=(bridge,), daemon=True).start()
        return cases(wstest, folder, "direct", port, chosen)
    upstream = socket.create_server((UPSTREAM, port), backlog=64)
    threading.Thread(target=echo, args=(upstream,), daemon=True).start()
    Forward.engine = engine
    with Forward(folder / "proxy" / engine, resolve=resolve) as proxy:
        proxy.reader.put("KEY", b"sk-abcdefgh-12345678", f"http://localhost:{port}")
        threading.Thread(target=serve, args=(proxy.port, proxy.reader.open(), bridge), daemon=True).start()
        return cases(wstest, folder, engine, port, chosen)


def main() -> None:
    """Run it three times, and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wstest", help="the command, with variables before it where it needs them")
    parser.add_argument("cases", nargs="*", default=["*"])
    args = parser.parse_args()
    wstest = ["/usr/bin/env", *shlex.split(args.wstest)]
    with tempfile.TemporaryDirectory() as name:
        folder, worse = Path(name), 0
        direct = run(wstest, folder, None, args.cases)
        amiss = sorted(case for case, end in direct.items() if failed(end))
        print(f"directly: {len(direct)} cases, failed: {' '.join(amiss) or 'none'}", flush=True)
        for engine in ENGINES:
            (folder / "proxy" / engine).mkdir(parents=True)
            found = run(wstest, folder, engine, args.cases)
            print(f"{engine}: {len(found)} cases, {sum(map(failed, found.values()))} failed", flush=True)
            for case, end in direct.items():
                got = found.get(case, ("not run", ""))
                if got != end:
                    worse += failed(got) and not failed(end)
                    print(f"  {case}: {', '.join(got)}; directly {', '.join(end)}", flush=True)
    sys.exit(1 if worse else 0)
