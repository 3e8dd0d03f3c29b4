"""An answer with credentials, as the client may have it: declared members of a JSON object become placeholders; pure.

Temporary keys of AWS come in XML, which `proxy.core.sts` reads.

An answer is believed in one form only. What is not plainly that form is withheld: it could hold a credential in a place
where nobody looks.
"""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from proxy.core import sts
from proxy.core.coding import Codec, codings
from proxy.core.limits import Limits
from proxy.core.message import Fields
from proxy.core.refusal import Refused
from proxy.core.scrub import drop_validators
from proxy.core.trading import Unfit as Unfit  # noqa: PLC0414  where the border looks for it
from proxy.core.trading import once
from store.kinds import TEMPORARY
from store.model import SecretValue

MOST: Final = 64 << 10
"""Bytes of an answer, as it came and decoded."""
_VALUE: Final = re.compile(r"[!-~]{16,8192}", re.ASCII)
"""What can be written into a field, and is no common word: it is searched for in answers."""
_JSON: Final = re.compile(rb"application/(?:[a-z0-9.-]+\+)?json[ \t]*(?:;.*)?", re.IGNORECASE)
_IDENTITY: Final = "id_token"
_HEAD: Final = urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
_SEEN: Final = frozenset({200, 201, 202, 203})


class Sealing(Protocol):
    """What is needed of `store.reader.Capturing`."""

    def seal(self, member: str, value: SecretValue, /) -> str:
        """Return a placeholder for the value of a member; raises `ValueError` where there is none."""

    def seal_key(self, key: SecretValue, /) -> str:
        """Return a placeholder for a key of AWS; raises `ValueError` where there is none."""


type Seal = Callable[[str, SecretValue], str]
"""Gives the placeholder for the value of a member; raises `ValueError` where there is none."""


def may_pass(status: int) -> bool:
    """Whether an answer with this status is looked into: no redirect, which tells in its address, and no part."""
    return status in _SEEN or status in {204, 205} or status >= 400


def _is_json(fields: Fields) -> bool:
    """Whether an answer says, once, that it is JSON."""
    said = _types(fields)
    return len(said) == 1 and _JSON.fullmatch(said[0].strip()) is not None


def _types(fields: Fields) -> list[bytes]:
    return [value for name, value in fields if name.lower() == b"content-type"]


class Gathered:
    """An answer as it comes, decoded. Raises `Unfit` for one that does not decode, or is too long."""

    __slots__ = ("_codec", "_taken", "_text")

    def __init__(self, fields: Fields, limits: Limits) -> None:
        self._codec = _fit(lambda: Codec(codings(fields), limits, MOST))
        self._text = bytearray()
        self._taken = 0

    def feed(self, data: bytes) -> None:
        """Take a piece."""
        self._taken += len(data)
        if self._taken > MOST:
            raise Unfit
        self._text += _fit(lambda: b"".join(self._codec.decode(data)))

    def end(self) -> bytes:
        """Return all of it."""
        _fit(self._codec.decoded)
        return bytes(self._text)


def _fit[T](step: Callable[[], T]) -> T:
    try:
        return step()
    except Refused:
        raise Unfit from None


def bare(fields: Fields) -> Fields:
    """Leave out what describes the bytes of an answer that is written anew."""
    return tuple(field for field in drop_validators(fields) if field[0].lower() != b"content-encoding")


type Held = dict[str, list[SecretValue]]
"""What was kept of an answer, by member: each part that is secret on its own."""


def shown(text: bytes, fields: Fields, status: int, by: Mapping[str, Sealing]) -> tuple[bytes, Held]:
    """Return what may be seen of an answer, and what may not; raises `Unfit`. An answer without a body holds nothing.

    Of an answer in XML that is a temporary key of AWS, where a rule names its member; nothing else is read there.
    """
    if not text:
        return b"", {}
    if TEMPORARY in by and sts.is_xml(_types(fields)):
        data, parts = sts.replaced(text, status, by[TEMPORARY].seal_key)
        return data, {TEMPORARY: parts} if parts else {}
    if not _is_json(fields):
        raise Unfit
    data, values = replaced(text, status, by, lambda member, value: by[member].seal(member, value))
    return data, {member: [value] for member, value in values.items()}


def replaced(body: bytes, status: int, members: Iterable[str], seal: Seal) -> tuple[bytes, dict[str, SecretValue]]:
    """Return a JSON object without the values of its members, and those; raises `Unfit`."""
    try:
        found = json.loads(body.decode(), object_pairs_hook=once, parse_constant=_refused)
        if not isinstance(found, dict):
            raise Unfit
        each = ((member, _replace(found, member, seal)) for member in sorted(members))
        values = {member: value for member, value in each if value is not None}
        if not values and status < 400 and not isinstance(found.get("error"), str):
            raise Unfit  # it should hold one: it is there by another name
        return json.dumps(found, separators=(",", ":"), allow_nan=False).encode(), values
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
        raise Unfit from None


def _replace(found: dict[str, Any], member: str, seal: Seal) -> SecretValue | None:
    """Put a placeholder where a member is, and return what stood there; None where there is none."""
    *path, last = member.split(".")
    for name in path:
        inner = found.get(name)
        if inner is None:
            return None
        if not isinstance(inner, dict):
            raise Unfit
        found = inner
    text = found.get(last)
    if text is None or text == "":
        return None
    if not isinstance(text, str) or _VALUE.fullmatch(text) is None:
        raise Unfit
    value = SecretValue(text.encode())
    found[last] = _stand_in(text) if last == _IDENTITY else seal(member, value)
    return value


def _stand_in(token: str) -> str:
    """Return an unsigned token with the same claims (RFC 7519 6.1): SDKs read them, and nobody takes it for genuine."""
    _, claims, _ = token.split(".")
    said = json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)).decode(), object_pairs_hook=once)
    if not isinstance(said, dict):
        raise Unfit
    text = json.dumps(said, separators=(",", ":"), allow_nan=False).encode()
    return f"{_HEAD}.{urlsafe_b64encode(text).rstrip(b'=').decode()}."


def _refused(_: str) -> None:
    raise Unfit
