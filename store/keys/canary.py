"""The canary: a known value sealed when a key is registered. A data plane that cannot open it holds the wrong key."""

import base64
from collections.abc import Mapping

from store.keys.envelope import Binding
from store.keys.sealing import Sealer, sign_envelope
from store.model import Kind, Scope, SecretValue
from store.trust.signing import Writer

VALUE = b"egret-canary/v1"


def canary_key(kid: bytes) -> str:
    """Return the document key of an opening key's canary."""
    return f"canary/{kid.hex()}"


def canary_binding(store_id: bytes, kid: bytes) -> Binding:
    """Return what the canary is bound to; no secret can have this name."""
    return Binding(store_id, kid, Scope("egret"), Kind.SECRET, "", "canary", 0, [], [])


def canary_document(store_id: bytes, public: bytes, writer: Writer) -> tuple[str, Mapping[str, str]]:
    """Seal a canary to a public key; returns document key and body."""
    sealer = Sealer(public)
    binding = canary_binding(store_id, sealer.kid)
    envelope = sealer.seal(SecretValue(VALUE), binding)
    signature = sign_envelope(writer, envelope, binding)
    body = {
        "envelope": base64.b64encode(envelope).decode(),
        "signature": base64.b64encode(signature).decode(),
        "public_key": base64.b64encode(public).decode(),
    }
    return canary_key(sealer.kid), body
