"""Keys that code may sign with: they are good for nothing, and what they sign only says which secret is meant.

See `proxy.admission.stand_in`, and docs/stand-in-keys.md for what SDKs are given of this.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

BITS: Final = 2048
FOLDER: Final = "stand-in"


def write(folder: Path, kinds: Mapping[str, str]) -> dict[str, str]:
    """Write a key into `folder`, where secrets have kinds that SDKs sign with; returns the variables that name it.

    `kinds` is the kind of each secret. For accounts of Google's there is a key file for each, beside it.
    """
    from store.kinds import GCP_SERVICE_ACCOUNT, GITHUB_APP  # noqa: PLC0415  # not there inside a sandbox

    accounts = sorted(name for name, kind in kinds.items() if kind == GCP_SERVICE_ACCOUNT)
    if not accounts and GITHUB_APP not in kinds.values():
        return {}
    folder = folder / FOLDER
    folder.mkdir(mode=0o700)
    pem = _made()
    made = {"EGRET_STAND_IN_KEY": _put(folder / "key.pem", pem)}
    for name in accounts:
        made[f"EGRET_KEY_FILE_{name}"] = _put(folder / f"{name}.json", json.dumps(key_file(name, pem), indent=2))
    return made


def key_file(name: str, pem: str) -> dict[str, str]:
    """Return a key file as Google Cloud gives them, of an account that is a placeholder."""
    return {
        "type": "service_account",
        "project_id": "egret",
        "private_key_id": "egret",
        "private_key": pem,
        "client_email": f"#{{SECRETS.{name}}}",
        "client_id": "egret",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "universe_domain": "googleapis.com",
    }


def _made() -> str:
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat  # noqa: PLC0415

    key = generate_private_key(65537, BITS)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _put(path: Path, text: str) -> str:
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)
