"""The store's sealing keys, as a signed document: one active, others that still open what was sealed to them.

States: `active` (new values are sealed to it), `decrypt_only` (envelopes are left under it), `retired` (none is; its
private half may be destroyed once no backup needs it).
"""

import base64
import json
from dataclasses import dataclass

from store.errors import Tampered
from store.keys.envelope import PUBLIC_SIZE, key_id

DOCUMENT = "keyring"
ACTIVE, DECRYPT_ONLY, RETIRED = "active", "decrypt_only", "retired"


@dataclass(frozen=True, slots=True)
class SealingKey:
    """A registered public key. `registered_at` in Unix milliseconds."""

    public: bytes
    state: str
    registered_at: int

    @property
    def kid(self) -> bytes:
        """Its id."""
        return key_id(self.public)


@dataclass(frozen=True, slots=True)
class SealingKeyList:
    """All of them; exactly one is active."""

    keys: tuple[SealingKey, ...]

    @property
    def active(self) -> SealingKey:
        """The one that new values are sealed to."""
        return next(key for key in self.keys if key.state == ACTIVE)

    def find(self, kid: bytes) -> SealingKey | None:
        """Return a key by its id."""
        return next((key for key in self.keys if key.kid == kid), None)

    def body(self) -> dict[str, object]:
        """Return the document."""
        return {
            "keys": [
                {
                    "kid": key.kid.hex(),
                    "public_key": base64.b64encode(key.public).decode(),
                    "state": key.state,
                    "registered_at": key.registered_at,
                }
                for key in self.keys
            ],
        }

    @classmethod
    def parse(cls, body: bytes) -> "SealingKeyList":
        """Read a document whose hash and signature were checked; raises `Tampered`."""
        try:
            lines = json.loads(body)["keys"]
            keys = tuple(
                SealingKey(base64.b64decode(line["public_key"], validate=True), line["state"], line["registered_at"])
                for line in lines
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Tampered("the keyring document is of another format") from error
        if [key.state for key in keys].count(ACTIVE) != 1 or any(len(key.public) != PUBLIC_SIZE for key in keys):
            raise Tampered("the keyring document names no single active key")
        return cls(keys)
