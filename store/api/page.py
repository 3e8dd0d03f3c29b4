"""Pages of lists: `{items, next}`, with cursors that are opaque, signed and bound to the list and its filters.

The vault's own cursor names the last row shown. On the wire it is base64url(cursor || MAC), MAC over list, filters and
cursor: unsigned, it would be one more input into a query; unbound, one list's cursor could probe another.
"""

import base64
import binascii
import hmac
import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from store.api.fields import Model
from store.api.problem import Fault

_MAC = 16
MAX_LIMIT = 200


def _number(text: object) -> object:
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 9 else text


class PageQuery(Model):
    """Which part of a list."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT), BeforeValidator(_number)] = 50
    cursor: Annotated[str | None, Field(max_length=1024, description="`next` of the page before.")] = None


class Cursors:
    """Makes and reads cursors under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, path: str, query: BaseModel, cursor: str | None) -> str | None:
        """Return the wire form of the vault's cursor, None at the end of the list."""
        if cursor is None:
            return None
        raw = cursor.encode()
        return base64.urlsafe_b64encode(raw + self._mac(path, query, raw)).rstrip(b"=").decode()

    def read(self, path: str, query: PageQuery) -> str | None:
        """Return the vault's cursor of a query; raises `Fault("cursor_unknown")`."""
        if query.cursor is None:
            return None
        try:
            padded = query.cursor + "=" * (-len(query.cursor) % 4)
            raw = base64.b64decode(padded, altchars=b"-_", validate=True)
            cursor, mac = raw[:-_MAC], raw[-_MAC:]
            if hmac.compare_digest(mac, self._mac(path, query, cursor)):
                return cursor.decode()
        except (ValueError, binascii.Error):
            pass
        raise Fault("cursor_unknown")

    def _mac(self, path: str, query: BaseModel, cursor: bytes) -> bytes:
        filters: dict[str, Any] = query.model_dump(exclude={"limit", "cursor"})
        bound = json.dumps([path.rstrip("/"), sorted(filters.items())]).encode()
        return hmac.digest(self._key, len(bound).to_bytes(4) + bound + cursor, "sha256")[:_MAC]
