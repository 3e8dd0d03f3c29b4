"""Style sheet, icon and script: our own files, asked for by an address that changes with their bytes."""

import hashlib
from functools import cache
from importlib import resources
from typing import Final

from aiohttp import web

PREFIX: Final = "/dashboard/"
_MEDIA: Final = {"style.css": "text/css", "icon.svg": "image/svg+xml", "live.js": "text/javascript"}
_KEPT: Final = {"Cache-Control": "max-age=31536000, immutable"}
"""Of an address that says which bytes are meant: a browser need not ask again, for other bytes have another."""


@cache
def _read(name: str) -> tuple[bytes, str]:
    data = (resources.files("store.dashboard") / "pages" / name).read_bytes()
    return data, hashlib.sha256(data).hexdigest()[:16]


def address(name: str) -> str:
    """Return where a page finds a file."""
    return f"{PREFIX}{name}?v={_read(name)[1]}"


def add(app: web.Application) -> None:
    """Add the files' routes."""
    for name in _MEDIA:
        app.router.add_get(PREFIX + name, _answer)


async def _answer(request: web.Request) -> web.Response:
    """Give a file. Asked for other bytes, as the page of another version does, it is not to be kept."""
    name = request.path.removeprefix(PREFIX)
    data, mark = _read(name)
    headers = _KEPT if request.query.get("v") == mark else {}
    return web.Response(body=data, content_type=_MEDIA[name], headers=headers)
