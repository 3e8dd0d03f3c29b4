"""Hosts and authorities as requests write them, what a dataset's egress list says of them, and our own names. Pure.

The data plane decides by it, and the control plane tells by it what the data plane would decide.
"""

import functools
import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

import idna

from store.model import Destination

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r"[0-9]{1,5}")


PEOPLES: Final = "egret.localhost"
"""The name by which people reach the dashboard of their own machine: browsers take it to loopback without asking
anybody (RFC 6761), and its cookies reach no neighbour's port on 127.0.0.1 or localhost."""


class OwnNames:
    """The host names by which a listener may be asked.

    A page of a stranger whose name was made to point here (DNS rebinding) has the browser send that name, which is
    none of them. Addresses are always ours, since no name stands in between, and so are names under `localhost`, which
    nobody can point elsewhere (RFC 6761 6.3).
    """

    def __init__(self, url: str | None, more: Iterable[str] = ()) -> None:
        """Take the listener's URL as clients reach it, and further names."""
        told = (f"[{host}]" if ":" in host else host for host in (urlsplit(url or "").hostname or "", *more))
        self._names = frozenset({"localhost", *map(_named, told)}) - {""}

    def has(self, host: str) -> bool:
        """Whether a Host field names this listener; its port says nothing, since fronts change it."""
        name = _named(host)
        return name in self._names or name.endswith(".localhost") or _is_address(name)


@functools.lru_cache(maxsize=1024)
def _named(host: str) -> str:
    try:
        return parse_authority(host, secure=False).host
    except BadAuthority:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class BadAuthority(ValueError):
    """What is written is no host, or one that may not be written so. `code` is the refusal's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def normalise(host: str) -> str:
    """Return a host as `Destination.host` has it: lower-case A-label without trailing dot, or a plain IP literal.

    Raises `BadAuthority("bad_request")` for what no host can be, and `BadAuthority("destination_blocked")` for the
    spellings of an IPv4 address that resolvers accept and people misread (octal, hex, short, one number; inet_aton(3))
    and for IPv6 scope ids: no public API needs them, and filters are bypassed with them.
    """
    if host.startswith("["):
        return _literal6(host)
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True, transitional=False).decode()
        except (idna.IDNAError, UnicodeError):
            raise BadAuthority("bad_request") from None
    host = host.lower().removesuffix(".")
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadAuthority("bad_request")
    if _NUMERIC.fullmatch(labels[-1]):
        # WHATWG URL "ends in a number": only the four plain decimal parts are let through.
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise BadAuthority("destination_blocked") from None
    return host


def _literal6(host: str) -> str:
    if "%" in host:
        raise BadAuthority("destination_blocked")
    try:
        return str(ipaddress.IPv6Address(host[1:-1] if host.endswith("]") else ""))
    except ValueError:
        raise BadAuthority("bad_request") from None


def parse_authority(authority: str, *, secure: bool) -> Destination:
    """Parse `host[:port]`, port 443 or 80 by `secure`. Raises as `normalise` does; user info is `bad_request`."""
    head, colon, port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        return Destination(secure, normalise(authority), 443 if secure else 80)
    if not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
        raise BadAuthority("bad_request")
    return Destination(secure, normalise(head), int(port))


def egress_allows(egress: Mapping[str, object], destination: Destination) -> bool:
    """Whether a dataset's egress list lets the destination through.

    `{"allow": [hosts], "default": "allow" | "deny"}`. Empty allows all. Without `default`, a list with `allow` denies
    the rest. A host is `api.example.com`, `*.example.com` (one or more labels, never the apex), either with `:port` or
    `http://` or `https://` in front; without a port every port that the address guard allows. What cannot be
    understood denies.
    """
    if not egress:
        return True
    allow = egress.get("allow", ())
    if isinstance(allow, (list, tuple)) and any(_host_matches(rule, destination) for rule in allow):
        return True
    return egress.get("default", "deny" if "allow" in egress else "allow") == "allow"


def _host_matches(rule: object, destination: Destination) -> bool:
    if not isinstance(rule, str):
        return False
    scheme, separator, authority = rule.strip().rpartition("://")
    if separator and scheme.lower() not in (("https", "wss") if destination.secure else ("http", "ws")):
        return False
    wildcard = authority.startswith("*.")
    has_port = ":" in authority.rpartition("]")[2]
    try:
        wanted = parse_authority(authority.removeprefix("*."), secure=destination.secure)
    except BadAuthority:
        return False
    if has_port and wanted.port != destination.port:
        return False
    if wildcard:
        return destination.host.endswith("." + wanted.host)
    return destination.host == wanted.host
