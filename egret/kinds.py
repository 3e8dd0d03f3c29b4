"""Kinds of configuration values: each parses one raw value, or says in words what is allowed.

A raw value comes from YAML (already typed) or from an environment variable (always text), so every kind takes both.
`Rejected` never holds the raw value: a database URL has a password in it, and other keys may be given one by mistake.
"""

import ipaddress
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNITS: Final = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
MAX_SIZE: Final = 1 << 40


class Rejected(ValueError):
    """The raw value is not of the kind."""


@dataclass(frozen=True, slots=True)
class Kind[T]:
    """How to read a value, and the allowed values in words."""

    allowed: str
    parse: Callable[[object], T]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener binds. Port 0 picks a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def whole(low: int, high: int) -> Kind[int]:
    """Whole numbers from `low` to `high`."""

    def parse(raw: object) -> int:
        number = _integer(raw)
        if not low <= number <= high:
            raise Rejected
        return number

    return Kind(f"a whole number from {low} to {high}", parse)


def size(low: int) -> Kind[int]:
    """Bytes, at least `low`."""

    def parse(raw: object) -> int:
        unit = 1
        if isinstance(raw, str) and raw.strip()[-3:] in UNITS:
            raw, unit = raw.strip()[:-3], UNITS[raw.strip()[-3:]]
        number = _integer(raw) * unit
        if not low <= number <= MAX_SIZE:
            raise Rejected
        return number

    return Kind(f"a number of bytes such as 65536, 64KiB, 1MiB or 1GiB, at least {low}", parse)


def seconds(low: float, high: float) -> Kind[float]:
    """Seconds, fractions allowed."""

    def parse(raw: object) -> float:
        if isinstance(raw, bool) or not isinstance(raw, int | float | str):
            raise Rejected
        try:
            number = float(raw)
        except (ValueError, OverflowError):
            raise Rejected from None
        if not math.isfinite(number) or not low <= number <= high:
            raise Rejected
        return number

    return Kind(f"seconds from {low:g} to {high:g}", parse)


def choice(*names: str) -> Kind[str]:
    """One of `names`, exactly."""

    def parse(raw: object) -> str:
        if raw not in names:
            raise Rejected
        return str(raw)

    return Kind("one of " + ", ".join(names), parse)


def _integer(raw: object) -> int:
    if isinstance(raw, str) and re.fullmatch(r"\s*[0-9]{1,18}\s*", raw, re.ASCII):
        return int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise Rejected
    return raw


def _flag(raw: object) -> bool:
    if isinstance(raw, str) and raw.strip().lower() in {"true", "false"}:
        return raw.strip().lower() == "true"
    if not isinstance(raw, bool):
        raise Rejected
    return raw


def _address(raw: object) -> Address:
    pattern = r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})"
    match = re.fullmatch(pattern, raw, re.ASCII) if isinstance(raw, str) else None
    if match is None or int(match[3]) > 65535:
        raise Rejected
    if match[1]:
        try:
            ipaddress.IPv6Address(match[1])
        except ValueError:
            raise Rejected from None
    return Address(match[1] or match[2], int(match[3]))


def _one_word(raw: object) -> str:
    if not isinstance(raw, str) or not re.fullmatch(r"[!-~]{1,255}", raw):
        raise Rejected
    return raw


def _scopes(raw: object) -> tuple[str, ...]:
    found = tuple(map(_one_word, items(raw)))
    if "openid" not in found:
        raise Rejected
    return found


def _teams(raw: object) -> tuple[str, ...]:
    found = tuple(item for item in items(raw) if isinstance(item, str))
    if len(found) != len(items(raw)) or not all(re.fullmatch(r".+=[A-Za-z0-9_.-]{1,64}", each) for each in found):
        raise Rejected
    return found


def items(raw: object) -> list[object]:
    """Return what a list holds, in either of its spellings."""
    if isinstance(raw, str):  # an environment variable: a,b,c with or without brackets
        return [part.strip() for part in raw.strip().removeprefix("[").removesuffix("]").split(",") if part.strip()]
    if not isinstance(raw, list):
        raise Rejected
    return raw


def _network(raw: object) -> Network:
    if not isinstance(raw, str):
        raise Rejected
    try:
        return ipaddress.ip_network(raw)
    except ValueError:
        raise Rejected from None


def _pem(raw: object) -> Path:
    if not isinstance(raw, str):
        raise Rejected
    try:
        path = Path(raw).resolve()
        if b"-----BEGIN CERTIFICATE-----" not in path.read_bytes():
            raise Rejected
    except (OSError, ValueError):
        raise Rejected from None
    return path


_port = whole(1, 65535)


_NAME: Final = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


def _name(raw: object) -> str:
    """Take a host name; what ends in a number is an address (WHATWG URL), and no name."""
    name = raw.lower().removesuffix(".") if isinstance(raw, str) else ""
    if len(name) > 253 or _NAME.fullmatch(name) is None:
        raise Rejected
    return name


def _file(raw: object) -> Path | None:
    if raw is None or raw == "null":
        return None
    if not isinstance(raw, str) or not raw:
        raise Rejected
    return Path(raw)


FLAG: Final = Kind("true or false", _flag)
ADDRESS: Final = Kind("HOST:PORT, an IPv6 address in brackets, port 0 for a free one", _address)
CLIENT_ID: Final = Kind("1 to 255 characters without blanks", _one_word)
SCOPES: Final = Kind("a list of scopes, openid among them", _scopes)
TEAMS: Final = Kind("a list of GROUP=MEMBER: a group of the provider, the id of a member", _teams)
NETWORKS: Final = Kind(
    "a list of networks such as 10.0.0.0/8 or fd00::/8, host bits zero", lambda raw: tuple(map(_network, items(raw)))
)
PORTS: Final = Kind(
    "a list of ports from 1 to 65535", lambda raw: tuple(dict.fromkeys(_port.parse(item) for item in items(raw)))
)
HOST_NAMES: Final = Kind(
    "a list of host names such as pinned.example.com: no addresses, no ports, no wildcards",
    lambda raw: tuple(dict.fromkeys(map(_name, items(raw)))),
)
FILE: Final = Kind("null, or the path of a file", _file)
FOLDER: Final = Kind(
    "null, or the absolute path of a folder", lambda raw: None if raw in {None, "null"} else _folder(raw)
)
PEM_FILES: Final = Kind(
    "a list of readable PEM files with certificates", lambda raw: tuple(_pem(item) for item in items(raw))
)


def _folder(raw: object) -> Path:
    if not isinstance(raw, str) or not raw.startswith("/"):
        raise Rejected
    return Path(raw)


def _word(raw: object) -> str:
    if not isinstance(raw, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", raw):
        raise Rejected
    return raw


def choices(*names: str) -> Kind[tuple[str, ...]]:
    """Any of `names`, as a list."""
    one = choice(*names)
    return Kind("a list of " + ", ".join(names), lambda raw: tuple(map(one.parse, items(raw))))


def _group(raw: object) -> str | None:
    """Take the name of a group that this machine knows."""
    if raw is None or raw == "null":
        return None
    if not isinstance(raw, str):
        raise Rejected
    import grp  # noqa: PLC0415  # not on Windows, where a client may run

    try:
        grp.getgrnam(raw)
    except (KeyError, ValueError):
        raise Rejected from None
    return raw


GROUP: Final = Kind("null, or the name of a group of this machine", _group)
FOLDERS: Final = Kind("a list of absolute paths", lambda raw: tuple(map(_folder, items(raw))))


def _action(raw: object) -> str:
    if not isinstance(raw, str) or not re.fullmatch(r"[a-z]+(?::[a-z_]+)?", raw):
        raise Rejected
    return raw


ACTIONS: Final = Kind(
    "a list of actions, or their areas, such as use:refuse or keys", lambda raw: tuple(map(_action, items(raw)))
)
WORDS: Final = Kind("a list of names of variables", lambda raw: tuple(map(_word, items(raw))))
