"""Forms with files. What goes to disk is the dataset's file alone; a `.env` file is read like any field.

The parts are bounded in number and, the dataset's file apart, in bytes; each read is bounded in time. aiohttp's reader
finds the boundaries; what it says of a fault quotes the request, so it is dropped.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from store.api.problem import Fault
from store.api.uploads import MAX_FILE, Uploads
from store.dashboard.guard import MAX_FORM, TIMEOUT, File, Form, as_fault

FILE: Final = "file"
"""The part that is the dataset's file."""

MAX_PARTS: Final = 200
_PIECE: Final = 64 << 10


@asynccontextmanager
async def uploaded(request: web.Request, uploads: Uploads) -> AsyncIterator[Form]:
    """Read a form with files; raises `Fault`. The file that came is gone afterwards, unless somebody took it."""
    if request.content_type != "multipart/form-data" or "Content-Encoding" in request.headers:
        raise Fault("unsupported_media_type", detail="Send the form as it is on the page.")
    files: list[File] = []
    try:
        with as_fault():
            fields = await _read(request, uploads, files)
        yield Form(fields, files[0] if files else None)
    finally:
        for each in files:
            each.received.path.unlink(missing_ok=True)


async def _read(request: web.Request, uploads: Uploads, files: list[File]) -> dict[str, str]:
    fields: dict[str, str] = {}
    left, parts = MAX_FORM, 0
    try:
        reader = await request.multipart()
        while (part := await _next(reader)) is not None:
            name, parts = part.name or "", parts + 1
            _check(part, parts, twice=name in fields or (name == FILE and bool(files)))
            if name == FILE:
                files += await _receive(part, uploads)
                continue
            raw = b"".join([piece async for piece in _pieces(part, left)])
            left -= len(raw)
            fields[name] = raw.decode("utf-8-sig" if part.filename else "utf-8")
    except (AssertionError, RuntimeError, HttpProcessingError, web.RequestPayloadError) as error:
        raise ValueError from error
    return fields


def _check(part: BodyPartReader, count: int, *, twice: bool) -> None:
    if twice or count > MAX_PARTS or "Content-Transfer-Encoding" in part.headers:
        raise ValueError


async def _next(reader: MultipartReader) -> BodyPartReader | None:
    async with asyncio.timeout(TIMEOUT):
        part = await reader.next()
    if part is None or isinstance(part, BodyPartReader):
        return part
    raise ValueError


async def _pieces(part: BodyPartReader, most: int) -> AsyncIterator[bytes]:
    while True:
        async with asyncio.timeout(TIMEOUT):
            piece = await part.read_chunk(_PIECE)
        if not piece:
            return
        most -= len(piece)
        if most < 0:
            raise Fault("body_too_large")
        yield piece


async def _receive(part: BodyPartReader, uploads: Uploads) -> list[File]:
    """Return the file; none where none was chosen: browsers send an empty one without a name then."""
    received = await uploads.receive(_pieces(part, MAX_FILE + 1))
    name = (part.filename or "").replace("\\", "/").rpartition("/")[2]
    if name or received.size:
        return [File(name, received)]
    received.path.unlink()
    return []
