"""Pages of lists: opaque cursors, signed, bound to the list and its filters.

A cursor is base64url(position || HMAC-SHA256(key, list || filters || position)[:16]). Unsigned, it would be an input of its own
into the query; unbound, one list's cursor could probe another.
"""

import base64
import binascii
import hmac
import json
from collections.abc import Mapping

from store.api.problem import Fault

_MAC = 16


class Cursors:
    """Makes and reads cursors under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, list_name: str, position: str) -> str:
        """Return the cursor of `position` in the list."""
        raw = position.encode()
        return base64.urlsafe_b64encode(raw + self._mac(list_name, raw)).rstrip(b"=").decode()

    def read(self, list_name: str, cursor: str) -> str:
        """Return the position; raises `Fault("cursor_unknown")`."""
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            position, mac = raw[:-_MAC], raw[-_MAC:]
            if hmac.compare_digest(mac, self._mac(list_name, position)):
                return position.decode()
        except (ValueError, binascii.Error):
            pass
        raise Fault("cursor_unknown")

    def _mac(self, list_name: str, position: bytes) -> bytes:
        name = list_name.encode()
        return hmac.digest(self._key, len(name).to_bytes(4) + name + position, "sha256")[:_MAC]


def list_name(path: str, filters: Mapping[str, object]) -> str:
    """Return what a cursor is bound to: the list's path and its filters."""
    return json.dumps([path, sorted((key, value) for key, value in filters.items() if value is not None)])
