"""Bearer tokens: `egs_<id>_<secret><crc>` for sessions, `egk_…` for API keys.

The id is public (listings, audit). The secret has 190 bits, so a fast keyed hash is enough to store: a slow hash adds
nothing against 190 bits, and lets anyone spend our CPU. The CRC tells a typo from a guess without asking the store, and
lets scanners be sure of what they found.
"""

import hashlib
import hmac
import secrets
import zlib
from dataclasses import dataclass

from store.model import SecretValue
from store.trust.signing import frame

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID, _SECRET, _CRC = 12, 32, 6
SESSION = "egs"
API_KEY = "egk"


def random_text(length: int) -> str:
    """Return base62 text."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _crc(text: str) -> str:
    number, out = zlib.crc32(text.encode("ascii")), ""
    for _ in range(_CRC):
        number, digit = divmod(number, 62)
        out = _ALPHABET[digit] + out
    return out


@dataclass(frozen=True, slots=True)
class Minted:
    """A new token: `token` is shown once, `id` is public, `keyed` is stored."""

    id: str
    token: SecretValue
    keyed: str


def mint(prefix: str, key: bytes) -> Minted:
    """Make a token and its keyed hash."""
    public = random_text(_ID)
    body = f"{prefix}_{public}_{random_text(_SECRET)}"
    token = body + _crc(body)
    return Minted(public, SecretValue(token.encode()), keyed_hash(token, key))


def token_id(token: str, prefix: str) -> str | None:
    """Return the public id of a well-formed token, else None."""
    if not token.isascii() or len(token) != len(prefix) + 2 + _ID + _SECRET + _CRC:
        return None
    head, _, rest = token.partition("_")
    public, _, secret = rest.partition("_")
    if head != prefix or len(public) != _ID or not (public + secret).isalnum():
        return None
    return public if hmac.compare_digest(_crc(token[:-_CRC]), token[-_CRC:]) else None


def keyed_hash(token: str, key: bytes) -> str:
    """HMAC-SHA256 in hex: without the key file, a stolen database verifies nothing."""
    return hmac.new(key, token.encode(), hashlib.sha256).hexdigest()


def vouch(key: bytes, purpose: bytes, message: bytes) -> str:
    """Return what proves that a plane of the store says this: HMAC-SHA256 in hex, under a key of its purpose.

    `key` is the one of session tokens, which the planes have and nobody else.
    """
    own = hmac.new(key, frame(purpose, b"vouch"), hashlib.sha256).digest()
    return hmac.new(own, message, hashlib.sha256).hexdigest()
