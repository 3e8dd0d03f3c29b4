"""Kinds of configuration values that are URLs: each for what it leads to, and in clear to this machine at most."""

import re
from typing import Final
from urllib.parse import urlsplit

from egret.kinds import Kind, Rejected, items


def _public_url(raw: object) -> str | None:
    if raw is None or raw == "null":
        return None
    if not isinstance(raw, str) or not re.fullmatch(r"https?://[^\s?#@\\]+", raw):
        raise Rejected
    try:
        parts = urlsplit(raw)
        if not parts.hostname or parts.port == 0:
            raise Rejected
    except ValueError:
        raise Rejected from None
    return raw.rstrip("/")


def _issuer(raw: object) -> str | None:
    """Take an issuer as it writes itself: a slash at its end is part of it."""
    if raw is None or raw == "null":
        return None
    if not isinstance(raw, str) or _public_url(raw) is None or not raw.startswith("https://"):
        raise Rejected
    return raw


def _store_url(raw: object) -> str:
    if raw == "sqlite" or (isinstance(raw, str) and re.match(r"postgresql\+psycopg://.", raw)):
        return str(raw)
    raise Rejected


def _webhook(raw: object) -> str:
    """Take a URL; in clear only to this machine, since rows name secrets and hosts."""
    if not isinstance(raw, str) or not re.fullmatch(r"https?://[!-~]+", raw) or re.search(r"[@#\\]", raw):
        raise Rejected
    try:
        parts = urlsplit(raw)
        here = parts.hostname in {"127.0.0.1", "::1", "localhost"}
        if not parts.hostname or parts.port == 0 or (parts.scheme == "http" and not here):
            raise Rejected
    except ValueError:
        raise Rejected from None
    return raw


def _collector(raw: object) -> str:
    """Take a URL to which paths are added; in clear only to this machine, since spans name secrets and hosts."""
    url = _webhook(raw)
    if "?" in url:
        raise Rejected
    return url.rstrip("/")


def _syslog(raw: object) -> str:
    """Take where syslog is; in clear only on this machine, since rows name secrets and hosts."""
    if not isinstance(raw, str) or not re.fullmatch(r"unix:/[!-~]+|t(?:cp|ls)://[^\s/?#@\\]+", raw, re.ASCII):
        raise Rejected
    try:
        parts = urlsplit(raw)
        here = parts.hostname in {"127.0.0.1", "::1", "localhost"}
        if parts.scheme != "unix" and (not parts.hostname or parts.port == 0 or (parts.scheme == "tcp" and not here)):
            raise Rejected
    except ValueError:
        raise Rejected from None
    return raw


PUBLIC_URL: Final = Kind("null, or an http:// or https:// URL without user, query and fragment", _public_url)
ISSUER: Final = Kind("null, or an https:// URL without user, query and fragment", _issuer)
STORE_URL: Final = Kind("sqlite, or a URL that begins with postgresql+psycopg://", _store_url)
COLLECTOR: Final = Kind(
    "null, or an https:// URL without user, query and fragment, http:// to this machine only",
    lambda raw: None if raw in {None, "null"} else _collector(raw),
)
WEBHOOKS: Final = Kind(
    "a list of https:// URLs without user and fragment, http:// to this machine only",
    lambda raw: tuple(dict.fromkeys(map(_webhook, items(raw)))),
)
SYSLOG: Final = Kind(
    "null, tls://HOST[:PORT], or to this machine tcp://HOST[:PORT] or unix:/dev/log",
    lambda raw: None if raw in {None, "null"} else _syslog(raw),
)
