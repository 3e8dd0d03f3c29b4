"""A rating platform, an app in a frame, an API that wants tokens, and Egret between them: one command, all on loopback.

.venv/bin/python examples/embed/run.py
"""

import asyncio
import contextlib
import signal
import tempfile
from pathlib import Path

import api
from backend import Backend

from egret.client import Client
from egret.demo.installation import Installation


async def main() -> None:
    """Start everything, say where to look, and wait."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="egret-embed-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        port, certificate = await api.start(folder)
        host = f"localhost:{port}"
        installation = await asyncio.to_thread(Installation, folder, certificate.read_bytes())
        stack.enter_context(installation)
        egret = Client(installation.urls["admin"], installation.key)
        secrets = [
            {"name": "API_TOKEN", "value": api.API_TOKEN, "hosts": [host]},
            {"name": "WS_TOKEN", "value": api.WS_TOKEN, "hosts": [host]},
        ]
        dataset = egret.create_dataset("texts to rate", secrets)
        backend = Backend(egret, dataset["id"], host)
        await backend.start()
        print(f"open {backend.origin('platform')}/", flush=True)
        print("Look for the tokens in the page, its source and its network log; then look here.", flush=True)
        await stop.wait()


asyncio.run(main())
