"""The demo, step by step.

Nothing is staged: the four sides are the program's text, the API's log, the program's output and the bytes of the files
that the store keeps.
"""

import re
import secrets
import sys
import tempfile
import time
from pathlib import Path

import click

from egret import programs
from egret.client import Client, Document
from egret.demo.installation import Installation
from egret.demo.screen import box, heading, painter
from egret.echo import Echo
from egret.sandbox.environment import variables, write
from egret.secrets import variables_inside
from egret.settings import environment

CODE = Path(__file__).with_name("client_code.py")
NAME = "DEMO_TOKEN"


def run() -> bool:
    """Run it; True when the value was only where it belongs."""
    value = f"sk-demo-{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory(prefix="egret-demo-") as name, Echo(tls=True) as echo:
        folder = Path(name)
        click.echo("Starting Egret in a temporary folder, and a TLS API on loopback that echoes what it receives …")
        began = time.monotonic()
        with Installation(folder, echo.certificate) as egret, Client(egret.urls["admin"], egret.key) as client:
            click.echo(f"ready after {time.monotonic() - began:.1f} s: {' '.join(egret.urls.values())}")
            return _Demo(folder, egret, client, echo, value).run()


class _Demo:
    def __init__(self, folder: Path, egret: Installation, client: Client, echo: Echo, value: str) -> None:
        self._folder, self._egret, self._client, self._echo, self._value = folder, egret, client, echo, value
        self._paint = painter(value)
        self._kept = True

    def run(self) -> bool:
        dataset = self._upload()
        environ = self._environ(dataset)
        self._round("Python", CODE.read_text().split('"""', 2)[2], [sys.executable, "-I", str(CODE)], environ)
        if curl := programs.system("curl"):
            command = [curl, "-sS", "-H", f"Authorization: Bearer #{{SECRETS.{NAME}}}", f"{self._echo.url}/v1/items"]
            shown = f"curl -H 'Authorization: Bearer #{{SECRETS.{NAME}}}' {self._echo.url}/v1/items"
            self._round("curl", shown, command, environ)
        else:
            heading("(curl is not installed here: its request is left out)")
        self._elsewhere(environ)
        self._store(dataset)
        heading(
            "The value went to its destination, and nowhere else." if self._kept else "THE VALUE LEAKED: see above."
        )
        return self._kept

    def _upload(self) -> Document:
        heading(f"1. A secret goes in once: {NAME}, for {self._host()} only")
        dataset = self._client.create_dataset("demo", [{"name": NAME, "value": self._value, "hosts": [self._host()]}])
        (shown,) = self._client.call("GET", f"/projects/default/datasets/{dataset['id']}/secrets/")["items"]
        box(f"value: {self._value}", self._paint)
        click.echo("  and what the admin API says about it from now on, to anybody:")
        self._expect_clean(str(shown))
        box(", ".join(f"{field}={shown[field]}" for field in ("name", "version", "state", "hosts") if field in shown))
        return dataset

    def _environ(self, dataset: Document) -> dict[str, str]:
        session = self._client.open_session(dataset["id"])
        files = write(self._folder, self._client.ca())
        inside = variables_inside(session["id"], [NAME])
        plain = {name: value for name, value in environment().items() if name in {"PATH", "HOME", "LANG"}}
        return {**variables(session["proxy_url"], files, inside, plain), "DEMO_API": self._echo.url}

    def _round(self, who: str, code: str, command: list[str], environ: dict[str, str]) -> None:
        before = len(self._echo.seen)
        done = programs.run(command, env=environ, capture_output=True, text=True, timeout=60)
        received = "\n".join(self._echo.seen[before:])
        heading(f"2. {who}: what the code wrote")
        self._expect_clean(code)
        box(code, self._paint)
        heading("   what the API received")
        self._kept &= self._value in received
        box(received or "(nothing)", self._paint)
        heading("   what the code got back: the API's echo of that, scrubbed")
        self._expect_clean(done.stdout + done.stderr)
        box(done.stdout + done.stderr, self._paint)

    def _elsewhere(self, environ: dict[str, str]) -> None:
        heading("3. The same placeholder towards another API")
        before = len(self._echo.seen)
        with Echo(tls=False) as other:
            code = (
                "import urllib.request, urllib.error\n"
                f"request = urllib.request.Request('{other.url}/', headers={{'X-Token': '#{{SECRETS.{NAME}}}'}})\n"
                "try: print(urllib.request.urlopen(request).read().decode())\n"
                "except urllib.error.HTTPError as error: print(error.code, error.read().decode())\n"
            )
            done = programs.run(
                [sys.executable, "-I", "-c", code], env=environ, capture_output=True, text=True, timeout=60
            )
            self._kept &= not other.seen and len(self._echo.seen) == before and "destination_not_allowed" in done.stdout
        box(code, self._paint)
        click.echo("  gives")
        box(re.sub(r',"(detail|hint|request_id)', r',\n   "\1', done.stdout + done.stderr), self._paint)

    def _store(self, dataset: Document) -> None:
        heading("4. What the store's files contain")
        files = [path for path in self._egret.data.rglob("*") if path.is_file()]
        everything = {path: path.read_bytes() for path in files}
        hits = [path for path, data in everything.items() if self._value.encode() in data]
        self._kept &= not hits
        database = b"".join(data for path, data in everything.items() if path.name.startswith("egret.db"))
        where = database.find(b"HSE1")
        if where >= 0:
            click.echo("  the beginning of the sealed envelope in egret.db:")
            for offset in range(0, 64, 16):
                piece = database[where + offset : where + offset + 16]
                box(f"{piece.hex(' ')}  {''.join(chr(byte) if 32 <= byte < 127 else '.' for byte in piece)}")
        size = sum(map(len, everything.values()))
        click.echo(f"  searched for the value in {len(files)} files, {size:,} bytes: found {len(hits)} times")
        self._client.delete_dataset(dataset["id"])

    def _expect_clean(self, text: str) -> None:
        self._kept &= self._value not in text

    def _host(self) -> str:
        return self._echo.url.removeprefix("https://")
