"""The resolver inside: a name gets an address that stands for it, and nothing is looked up outside.

An address of 198.18.0.0/15 (RFC 2544, never on the internet) is given to each name that is asked for, and stays its own
for the run: so a connection says by its address which name was meant. Whether the name may be reached is the proxy's to
say, when a connection comes; until then no question leaves the machine, and names are no channel.

Wire format: RFC 1035. Canary: use-application-dns.net (Mozilla) turns DNS over HTTPS off; `wpad` would name a proxy.
"""

import re
import struct
from ipaddress import IPv4Address, IPv4Network
from typing import Final

RANGE: Final = IPv4Network("198.18.0.0/15")
FIRST: Final = int(RANGE.network_address) + 256
MOST: Final = 100_000
"""Names in one run; a program that asks for more is told SERVFAIL."""

TTL: Final = 60
A, AAAA, INTERNET = 1, 28, 1
OK, SERVFAIL, NXDOMAIN, NOT_IMPLEMENTED = 0, 2, 3, 4

_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")


class Malformed(Exception):
    """Not a question; it gets no answer."""


class Names:
    """Which address stands for which name."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._addresses: dict[str, IPv4Address] = {}
        self._names: dict[IPv4Address, str] = {}

    def name_of(self, address: str) -> str | None:
        """Return the name that an IPv4 address was given for."""
        return self._names.get(IPv4Address(address))

    def address_of(self, name: str) -> IPv4Address | None:
        """Return the address that stands for a name; None when there are no more."""
        found = self._addresses.get(name)
        if found is None and len(self._addresses) < self._most:
            found = IPv4Address(FIRST + len(self._addresses))
            self._addresses[name], self._names[found] = found, name
        return found

    def answer(self, message: bytes) -> bytes | None:
        """Answer one DNS message; None for one that is malformed."""
        try:
            name, kind, end = _question(message)
        except Malformed:
            return None
        if message[2] & 0x78:
            return _reply(message, end, NOT_IMPLEMENTED)
        if not _legal(name):
            return _reply(message, end, NXDOMAIN)
        if name == "localhost" or name.endswith(".localhost"):
            loopback = {A: b"\x7f\0\0\1", AAAA: bytes(15) + b"\1"}
            return _reply(message, end, OK, kind, loopback.get(kind, b""))
        if kind != A:
            return _reply(message, end, OK)
        address = self.address_of(name)
        return _reply(message, end, SERVFAIL) if address is None else _reply(message, end, OK, A, address.packed)


def _legal(name: str) -> bool:
    labels = name.split(".")
    if name == "use-application-dns.net" or labels[0] == "wpad" or len(name) > 253:
        return False
    return all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()  # 1.2.3.4 is no name


def _question(message: bytes) -> tuple[str, int, int]:
    """Return (lower-case name, type, where the question ends) of the only question."""
    if len(message) < 12 or message[2] & 0x80 or message[4:6] != b"\0\1":
        raise Malformed
    labels: list[str] = []
    at = 12
    try:
        while length := message[at]:
            if length > 63:  # a pointer has nothing to point to here
                raise Malformed
            label = message[at + 1 : at + 1 + length].decode("ascii").lower()
            if "." in label or len(labels) > 127:
                raise Malformed
            labels.append(label)
            at += length + 1
        kind, family = struct.unpack_from("!HH", message, at + 1)
    except (IndexError, UnicodeDecodeError, struct.error):
        raise Malformed from None
    return ".".join(labels), kind if family == INTERNET else 0, at + 5


def _reply(message: bytes, end: int, code: int, kind: int = 0, data: bytes = b"") -> bytes:
    flags = bytes([0x80 | message[2] & 0x79, 0x80 | code])  # a response; opcode and RD as asked; RA
    counts = struct.pack("!HHHH", 1, 1 if data else 0, 0, 0)
    record = b"\xc0\x0c" + struct.pack("!HHIH", kind, INTERNET, TTL, len(data)) + data if data else b""
    return message[:2] + flags + counts + message[12:end] + record
