"""Signs a request by a template (`store.templates`): an HMAC over what leaves, in the parts that its secret says.

What is signed is what leaves: method, path and query as they are on the wire, fields as they are sent, the body as it
came. Time, key id and signature are ours; what the client has in their places is dropped, in every spelling that a
server may read as them, so that code cannot have another time signed than now.
"""

import datetime as dt
import hmac
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import quote_from_bytes, unquote_to_bytes

from proxy.core.inject import Signing
from proxy.core.message import Fields
from proxy.core.refusal import Refusal, Refused
from store.credential import parts_of
from store.errors import Invalid
from store.kinds import HMAC
from store.model import Location
from store.templates import Place, Template, plain

Body = Callable[[Callable[[bytes], None]], Awaitable[None]]
"""Gives all of a body to what hashes it, in pieces."""


@dataclass(frozen=True, slots=True)
class Made:
    """A signature, and the moment of which it is; "" for a request that has no place for one: only the key's id."""

    signature: str = field(repr=False)
    moment: str


async def made(  # noqa: PLR0917
    signing: Signing, method: str, target: bytes, fields: Fields, body: Body | None, now: float
) -> Made:
    """Sign target and fields as they are written, and the body, where that is signed; raises `Refused`.

    `now`: Unix seconds.
    """
    template, parts = _opened(signing)
    if not _asked(template.signature, target, fields):
        return Made("", "")
    moment = _moment(template.clock, now)
    target, fields = _laid(template, parts.get("key_id", ""), moment, target, fields)
    path, _, query = target.partition(b"?")
    texts = {
        "method": method.encode("latin-1"),
        "path": path,
        "query": query,
        "target": target,
        "timestamp": moment.encode(),
        "key_id": parts.get("key_id", "").encode(),
        "newline": b"\n",
    }
    try:
        mac = hmac.new(template.key(parts["secret"]), digestmod=template.algorithm)
    except ValueError:  # sealed by its client, which the store cannot look into
        raise Refused(Refusal("value_not_encodable", signing.grant.name)) from None
    for part in template.payload:
        if part != "body":
            mac.update(texts[part] if part in texts else _said(part, fields, signing.grant.name))
        elif body is not None:
            await body(mac.update)
    return Made(_encoded(template.encoding, mac.digest()), moment)


def written(signing: Signing, made: Made, target: bytes, fields: Fields) -> tuple[bytes, Fields]:
    """Return target and fields as they leave, given those that were signed; raises `Refused`."""
    template, parts = _opened(signing)
    known = parts.get("key_id", "")
    if not made.signature:
        return _put(template.key_id, known, target, fields)
    target, fields = _laid(template, known, made.moment, target, fields)
    texts = {"signature": made.signature, "timestamp": made.moment, "key_id": known}
    said = "".join(texts[part] if part in texts else part.removeprefix("text:") for part in template.format)
    return _put(template.signature, said, target, fields)


def _opened(signing: Signing) -> tuple[Template, dict[str, str]]:
    """Return the template, and the parts of the value."""
    template = signing.claim
    if not isinstance(template, Template):
        raise Refused(Refusal("internal"))
    try:
        parts = parts_of(HMAC, signing.grant.open().reveal())
    except Invalid:
        parts = {}
    if not parts or (template.names_key and "key_id" not in parts):  # as above
        raise Refused(Refusal("value_not_encodable", signing.grant.name))
    return template, parts


def _laid(template: Template, known: str, moment: str, target: bytes, fields: Fields) -> tuple[bytes, Fields]:
    """Return what is signed: with time and key id in their places, without a signature."""
    target, fields = _without(template.signature, target, fields)
    target, fields = _put(template.timestamp, moment, target, fields)
    return _put(template.key_id, known, target, fields)


def _asked(place: Place, target: bytes, fields: Fields) -> bool:
    return _without(place, target, fields) != (target, fields)


def _without(place: Place, target: bytes, fields: Fields) -> tuple[bytes, Fields]:
    if place.location is Location.HEADER:
        name = plain(place.name.encode())
        return target, tuple([pair for pair in fields if plain(pair[0]) != name])
    path, mark, query = target.partition(b"?")
    pairs = query.split(b"&") if mark else []
    kept = [pair for pair in pairs if _read(pair) != place.name.lower().encode()]
    return (target if len(kept) == len(pairs) else path + b"?" * bool(kept) + b"&".join(kept)), fields


def _read(pair: bytes) -> bytes:
    """Return the name of a parameter as a server reads it."""
    return unquote_to_bytes(pair.partition(b"=")[0].replace(b"+", b" ")).lower()


def _put(place: Place | None, said: str, target: bytes, fields: Fields) -> tuple[bytes, Fields]:
    """Write a text in its place, and nothing else of that name."""
    if place is None:
        return target, fields
    target, fields = _without(place, target, fields)
    name = place.name.encode()
    if place.location is Location.HEADER:
        return target, (*fields, (name, said.encode()))
    mark = b"&" if b"?" in target and not target.endswith(b"?") else b"" if target.endswith(b"?") else b"?"
    return target + mark + name + b"=" + quote_from_bytes(said.encode(), safe="-._~").encode(), fields


def _said(part: str, fields: Fields, name: str) -> bytes:
    """Return a separator, or a field, which is there once or not at all: of two, servers see one or both."""
    if part.startswith("text:"):
        return part.removeprefix("text:").encode()
    wanted = plain(part.removeprefix("header:").encode())
    found = [value.strip(b" \t") for each, value in fields if plain(each) == wanted]
    if len(found) > 1:
        raise Refused(Refusal("signature_malformed", name))
    return b"".join(found)


def _encoded(how: str, raw: bytes) -> str:
    return raw.hex() if how == "hex" else (b64encode if how == "base64" else urlsafe_b64encode)(raw).decode()


def _moment(clock: str, now: float) -> str:
    if clock == "iso":
        return dt.datetime.fromtimestamp(now, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(int(now * 1000) if clock == "ms" else int(now))
