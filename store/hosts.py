"""Host names in one spelling: lower-case A-labels without trailing dot, IP addresses as `ipaddress` writes them."""

import functools
import ipaddress

import idna
from publicsuffix2 import PublicSuffixList

from store.errors import Invalid, Problem

_LABEL = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


def normalise_host(text: str) -> str:
    """Return the one spelling of a host, or "" when it is none.

    IPv6 may stand in brackets and comes back without. Odd IPv4 spellings (`127.1`, `0x7f.1`, `2130706433`) are no
    hosts: resolvers read them as addresses, a rule that meant a name would not.
    """
    if text.startswith("[") != text.endswith("]"):
        return ""
    if text.startswith("[") or ":" in text:
        return _address(text.strip("[]"))
    name = text.removesuffix(".")
    if not name.isascii():
        name = _ascii(name)
    name = name.lower()
    labels = name.split(".")
    if not name or len(name) > 253 or not all(_label_ok(label) for label in labels):
        return ""
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        return _address(name)
    return name


def _ascii(name: str) -> str:
    try:
        return idna.encode(name, uts46=True, transitional=False).decode("ascii").removesuffix(".")
    except (idna.IDNAError, UnicodeError):
        return ""


def _label_ok(label: str) -> bool:
    if not label or len(label) > 63 or not set(label) <= _LABEL or label[0] == "-" or label[-1] == "-":
        return False
    if not label.startswith("xn--"):
        return True
    try:
        return idna.alabel(idna.ulabel(label)).decode("ascii") == label  # a forged A-label has two readings
    except (idna.IDNAError, UnicodeError):
        return False


def _address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    return "" if getattr(address, "scope_id", None) else str(address)


@functools.cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def too_wide(name: str) -> bool:
    """Whether strangers can register names below `name`: a public suffix (`com`, `co.uk`, `github.io`)."""
    return "." not in name or _suffixes().get_tld(name) == name


@functools.lru_cache(4096)
def registrable(host: str) -> str:
    """Return the domain that one party owns and `host` is in (Public Suffix List, private part too).

    An address, a name of one label and a public suffix are in no such domain, and stand for themselves.
    """
    if _is_address(host) or too_wide(host):
        return host
    found = str(_suffixes().get_sld(host) or host)
    return found if "." in found else ".".join(host.split(".")[-2:])  # below a suffix that the list does not know


def _is_address(host: str) -> bool:
    return ":" in host or host.rpartition(".")[2].isdigit()


def bad_host(pointer: str, host: str) -> Invalid:
    """Return the error for a host that is none, with the remedy for the usual mistakes."""
    if host.strip("*.") == "" or "*" in host[1:]:
        detail = 'A "*" stands only in front, as in "*.example.com", and never alone.'
    elif "@" in host:
        detail = "Leave user and password out of the host."
    else:
        detail = 'Write a host name or address such as "api.example.com", "127.0.0.1:9000" or "[::1]:9000".'
    return Invalid(Problem(pointer, "host_invalid", detail))
