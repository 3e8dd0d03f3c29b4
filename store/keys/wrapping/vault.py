"""Wrapped by the transit engine of HashiCorp Vault or OpenBao, over its HTTP API; nothing to install.

The token comes from a file that Vault's agent keeps fresh (`opening.vault_token_file`). A policy for the data plane:

    path "transit/decrypt/egret" { capabilities = ["update"] }

Store and key id are associated data (Vault 1.9 and later, AES-GCM keys), so another key's ciphertext does not fit.
"""

import base64
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from store.errors import KeyMismatch, Unavailable
from store.keys.wrapping.form import About, Document, text
from store.trust.signing import canonical

TIMEOUT = 5.0
_PART = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")


class VaultTransit:
    """One key of a transit engine. `mount` is the engine's path."""

    name = "vault-transit"

    def __init__(self, url: str, mount: str, key: str, token: Callable[[], str] | None) -> None:
        if not (_PART.fullmatch(mount) and _PART.fullmatch(key)) or not re.fullmatch(r"https?://[^/?#@\s]+/?", url):
            raise KeyMismatch("A transit key is named by its server's URL, the engine's mount and the key's name.")
        self._place = {"url": url.rstrip("/"), "mount": mount, "key": key}
        self._token = token

    def wrap(self, seed: bytes, about: About) -> dict[str, object]:
        """Encrypt under the transit key."""
        answer = self._call("encrypt", {"plaintext": base64.b64encode(seed).decode()}, about)
        return {**self._place, "ciphertext": str(answer["ciphertext"])}

    def unwrap(self, document: Document, about: About) -> bytes:
        """Decrypt."""
        answer = self._call("decrypt", {"ciphertext": text(document, "ciphertext")}, about)
        return base64.b64decode(str(answer["plaintext"]))

    def _call(self, verb: str, body: dict[str, str], about: About) -> dict[str, Any]:
        if self._token is None:
            raise KeyMismatch("The opening key is wrapped by Vault: name its token's file in opening.vault_token_file.")
        bound = base64.b64encode(canonical(about.members())).decode()
        request = urllib.request.Request(  # noqa: S310  # the constructor has checked the scheme
            f"{self._place['url']}/v1/{self._place['mount']}/{verb}/{self._place['key']}",
            json.dumps({**body, "associated_data": bound}).encode(),
            {"X-Vault-Token": self._token(), "X-Vault-Request": "true", "Content-Type": "application/json"},
        )
        try:
            with _opener().open(request, timeout=TIMEOUT) as answer:
                data: dict[str, Any] = json.loads(answer.read(1 << 20))["data"]
        except urllib.error.HTTPError as error:
            sentence = f"Vault refuses to {verb} the opening key (status {error.code})."
            raise (KeyMismatch if error.code in {400, 403, 404} else Unavailable)(sentence) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unavailable(f"Vault cannot be asked ({type(error).__name__}).") from None
        return data


def _opener() -> urllib.request.OpenerDirector:
    """Without redirects, which would carry the token elsewhere, and without a proxy."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    return urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay)
