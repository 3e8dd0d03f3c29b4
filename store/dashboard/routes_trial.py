"""Test a secret that is traded for tokens, or a certificate: the data plane is asked, as `egret secret test` asks it.

Nothing here can open a value. So a session is opened, in the visitor's name, which may use this one secret and ends
with the test, and the forward proxy is asked through it for what it may tell: the end of a token that it had made, and
its scopes, or the end of the certificate. The proxy's address is the one that clients are told; a store from which it
cannot be reached says so.
"""

import contextlib
import datetime as dt
import json
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from aiohttp import web

from store.dashboard.forms import trouble
from store.dashboard.routes_entries import entry_page, entry_path
from store.dashboard.view import moment
from store.dashboard.visit import Visit
from store.errors import Conflict, Forbidden, Invalid, StoreError
from store.model import OWN_HOST
from store.vault import NewSession

LIVES: Final = 60
"""Seconds that the session has, should its end not arrive."""
PATIENCE: Final = 30.0
"""Seconds for the whole answer; making a token takes ten at most."""
MOST: Final = 64 << 10
"""Bytes of an answer."""


class Untested(StoreError):
    """The test says no, or could not be made; in words of Egret's own."""

    code = "untested"


async def try_entry(visit: Visit) -> web.Response:
    """Have a token made, or a certificate read; say until when it is good, or whose fault it is that there is none."""
    name, environment, scope = visit.path["name"], visit.form.text("environment"), visit.scope
    sessions = visit.state.vault.sessions
    wish = NewSession(secrets=[name], environment=environment, label="dashboard: test", ttl=LIVES)
    try:
        info, token = await visit.write(sessions.open, scope.project, scope.dataset, wish)
        try:
            said = await _asked(visit.state.urls.proxy, token.reveal().decode(), name)
        finally:
            with contextlib.suppress(Forbidden):  # who may open sessions and not end them leaves it to its time
                await visit.write(sessions.revoke, scope.project, scope.dataset, info.id)
    except (Invalid, Conflict, Forbidden, Untested) as error:
        return await entry_page(visit, trouble(visit, "trial", error, "It does not pass the test."))
    return visit.done(entry_path(visit, name, environment), _passed(name, said), notes=_notes(said))


async def _asked(proxy: str, token: str, name: str) -> Mapping[str, Any]:
    """Ask the data plane; raises `Untested`."""
    limit, fields = aiohttp.ClientTimeout(total=PATIENCE), {"Proxy-Authorization": f"Bearer {token}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=limit, auto_decompress=False) as client,
            client.post(
                f"http://{OWN_HOST}/secrets/{name}/test",
                headers={"Egret-Session": "1", **fields},
                proxy=proxy,
                allow_redirects=False,
            ) as answer,
        ):
            raw, status = await answer.content.read(MOST), answer.status
        document = json.loads(raw)
        if status == 200 and document["name"] == name:
            ends = dt.datetime.fromisoformat(document["expires_at"])
            return {**document, "expires_at": f"{moment(ends.timestamp())} UTC"}
        raise Untested(f"{document['code']}: {document['detail']} {document['hint']}")
    except (aiohttp.ClientError, OSError, ValueError, LookupError, TypeError):
        raise Untested(
            f"The forward proxy does not answer this server. Where it can be reached: egret secret test {name}"
        ) from None


def _passed(name: str, said: Mapping[str, Any]) -> str:
    if "endpoint" not in said:
        return f"{name} is a certificate that is good until {said['expires_at']}; who takes it, only a request shows."
    return f"{name} passes the test: {said['endpoint']} gave a token that is good until {said['expires_at']}."


def _notes(said: Mapping[str, Any]) -> list[str]:
    """Say what it is for: what was sealed, and what of that the endpoint says that it granted."""
    scopes, granted = said.get("scopes", []), said.get("granted")
    lacks = [] if granted is None else [each for each in scopes if each not in granted]
    notes = [f"Asked for: {' '.join(scopes)}."] if scopes else []
    return notes + ([f"Not granted, by what it says: {' '.join(lacks)}."] if lacks else [])
