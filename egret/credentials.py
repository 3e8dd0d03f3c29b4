"""Where the command line finds its server and API key.

First `EGRET_URL` and `EGRET_API_KEY`; else what `egret login` kept: the key in the system's keyring, or, where there
is none at all, in a file of mode 0600. The URL is always in the file. A file that others can read is refused, not
repaired: the key in it may have been read already.
"""

import contextlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

SERVICE: Final = "egret"
"""The name of our entries in a keyring; the account is the server's URL."""


class CredentialsError(Exception):
    """There are no usable credentials; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A server and the key for it."""

    url: str
    key: str = field(repr=False)


def path(environ: Mapping[str, str]) -> Path:
    """Return the file that `egret login` writes."""
    base = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".config")
    return Path(base) / "egret" / "credentials.json"


def find(environ: Mapping[str, str]) -> Credentials:
    """Return the credentials to use; raises `CredentialsError`."""
    url, key = environ.get("EGRET_URL", "").strip(), environ.get("EGRET_API_KEY", "").strip()  # of a CRLF file
    if not (url and key):
        kept = _read(path(environ))
        # A key is only for the server that it was entered for: never send it to another EGRET_URL.
        if not key and (not url or url == kept.get("url")):
            url = kept.get("url", "")
            key = kept.get("key") or (_keyring_get(url) if url else "")
        else:
            url = url or kept.get("url", "")
    if not url or not key:
        raise CredentialsError("no server or no key: set EGRET_URL and EGRET_API_KEY, or use `egret login`")
    return Credentials(url, key)


def is_exposed(url: str) -> bool:
    """Whether a key sent to this server crosses a network in clear text."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}


def keep(environ: Mapping[str, str], credentials: Credentials) -> str:
    """Keep credentials for later commands; return where the key went, in words."""
    kept = {"url": credentials.url}
    where = "the system's keyring"
    if not _has_keyring():
        kept["key"] = credentials.key
        where = str(path(environ))
    elif not _keyring_set(credentials):
        raise CredentialsError("the system's keyring refuses the key: unlock it, or set EGRET_URL and EGRET_API_KEY")
    _write(path(environ), kept)
    return where


def forget(environ: Mapping[str, str]) -> bool:
    """Remove what `keep` kept; False when there was nothing."""
    file = path(environ)
    if not file.exists():
        return False
    with contextlib.suppress(CredentialsError):
        _keyring_delete(_read(file).get("url", ""))
    file.unlink()
    return True


def _read(file: Path) -> dict[str, str]:
    try:
        mode = file.stat().st_mode
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CredentialsError(f"{file}: {error.strerror}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise CredentialsError(f"{file} can be read by others: revoke that key, then `egret logout` and `egret login`")
    try:
        kept = json.loads(text)
        return {name: str(kept[name]) for name in ("url", "key") if name in kept}
    except (ValueError, TypeError):
        raise CredentialsError(f"{file} is damaged: use `egret logout`, then `egret login`") from None


def _write(file: Path, kept: Mapping[str, str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(dict(kept), stream)
    fresh.replace(file)


def _keyring_get(url: str) -> str:
    import keyring  # noqa: PLC0415  # 100 ms, and rarely needed
    from keyring.errors import KeyringError  # noqa: PLC0415

    try:
        return keyring.get_password(SERVICE, url) or ""
    except KeyringError:
        return ""


def _has_keyring() -> bool:
    """Whether there is one at all; a file is for machines without, not for a keyring that is locked just now."""
    import keyring  # noqa: PLC0415

    return keyring.get_keyring().priority >= 1  # the stand-in that always fails has 0, the one that forgets -1


def _keyring_set(credentials: Credentials) -> bool:
    import keyring  # noqa: PLC0415
    from keyring.errors import KeyringError  # noqa: PLC0415

    try:
        keyring.set_password(SERVICE, credentials.url, credentials.key)
        return keyring.get_password(SERVICE, credentials.url) == credentials.key
    except KeyringError:
        return False


def _keyring_delete(url: str) -> None:
    import keyring  # noqa: PLC0415
    from keyring.errors import KeyringError  # noqa: PLC0415

    with contextlib.suppress(KeyringError):
        keyring.delete_password(SERVICE, url)
