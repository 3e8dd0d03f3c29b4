"""Requests that are signed with an HMAC (RFC 2104): what is signed, how it is written, where; in parts of a list.

A template holds no expression, so all that can be said of it is said when it is stored. `text:` is a part for the
separators between others; what a request may choose is signed as it leaves, whole. Known APIs have a template of their
own (`KNOWN`), whose meaning never changes: its name is what is sealed.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from store.errors import Invalid, Problem
from store.model import Location

ALGORITHMS: Final = ("sha256", "sha1", "sha384", "sha512")
ENCODINGS: Final = ("hex", "base64", "base64url")
SECRET_ENCODINGS: Final = ("text", "base64", "hex")
CLOCKS: Final = ("s", "ms", "iso")
"""Of a timestamp: seconds or milliseconds since 1970, or ISO 8601 with milliseconds in UTC."""

SIGNED: Final = ("method", "path", "query", "target", "body", "timestamp", "key_id", "newline")
"""Parts of what is signed that have no name of their own; `target` is path and query."""
WRITTEN: Final = ("signature", "timestamp", "key_id")
"""Parts of what is written in the place of the signature."""

_TEXT: Final = "text:"
_FIELD: Final = "header:"
_PARTS: Final = re.compile(rf"(?:{'|'.join(SIGNED)}|header:[A-Za-z0-9-]{{1,64}}|text:[ -~]{{1,64}})", re.ASCII)
_SPELT: Final = re.compile(rf"(?:{'|'.join(WRITTEN)}|text:[ -~]{{1,64}})", re.ASCII)
_PLACES: Final = re.compile(r"(header|query):([A-Za-z0-9-]{1,64}|(?<=query:)[A-Za-z0-9_.-]{1,64})", re.ASCII)
_MOST: Final = 32

# What frames, addresses or routes a request, or is written by the proxy: none may be a signature's place.
_OTHERS: Final = frozenset((
    "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie", "expect", "host",
    "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "via",
))  # fmt: skip
_UNSIGNED: Final = _OTHERS - {"content-type", "host"}
_FAMILIES: Final = ("egret-", "proxy-", "sec-", "x-forwarded-")


@dataclass(frozen=True, slots=True)
class Place:
    """A field, or a parameter of the query; `name` as it is written."""

    location: Location
    name: str

    def holds(self, text: bytes, start: int, location: Location, header: str) -> bool:
        """Whether what begins at `start` stands there: `text` is the query, or a field that is called `header`."""
        if location is not self.location:
            return False
        if location is Location.HEADER:
            return plain(header.encode()) == plain(self.name.encode())
        begins = self.name.encode() + b"="
        before = start - len(begins)
        return before >= 0 and text[before:start] == begins and text[max(0, before - 1) : before] in {b"", b"&"}


def plain(name: bytes) -> bytes:
    """Return a field's name as the least careful servers read it: `_` is `-` there (CGI, RFC 3875 4.1.18)."""
    return name.lower().replace(b"_", b"-")


@dataclass(frozen=True, slots=True)
class Template:
    """How requests are signed."""

    payload: tuple[str, ...]
    signature: Place
    format: tuple[str, ...] = ("signature",)
    timestamp: Place | None = None
    key_id: Place | None = None
    algorithm: str = "sha256"
    encoding: str = "hex"
    secret_encoding: str = "text"
    clock: str = "s"

    @property
    def keeps_body(self) -> bool:
        """Whether the body is signed, and so leaves as it came."""
        return "body" in self.payload

    @property
    def names_key(self) -> bool:
        """Whether the value needs a key id."""
        return self.key_id is not None or "key_id" in {*self.payload, *self.format}

    def names(self, text: bytes, start: int, location: Location, header: str) -> bool:
        """Whether what begins at `start` of a query or a field stands where a request may have its placeholder."""
        return any(each.holds(text, start, location, header) for each in self.places)

    @property
    def places(self) -> tuple[Place, ...]:
        """Where a request may have its placeholder."""
        return (self.signature,) if self.key_id is None else (self.signature, self.key_id)

    def key(self, secret: str) -> bytes:
        """Return the bytes of the key; raises `ValueError`, without any of them."""
        if self.secret_encoding == "text":
            return secret.encode()
        try:
            return bytes.fromhex(secret) if self.secret_encoding == "hex" else _decoded(secret)
        except ValueError:
            raise ValueError("secret") from None


def _decoded(secret: str) -> bytes:
    """Decode either alphabet, padded or not; Standard Webhooks and Svix write `whsec_` in front."""
    text = secret.removeprefix("whsec_").translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise ValueError("secret") from None


def parts(said: object, pointer: str) -> list[str]:
    """Read a list of parts of what is signed; their order counts, and each may be there twice."""
    hint = f"{', '.join(SIGNED)}, header:NAME or text:… (1 to 64 printable ASCII characters)"
    return _list(said, pointer, _PARTS, hint)


def spelling(said: object, pointer: str) -> list[str]:
    """Read a list of parts of what is written."""
    return _list(said, pointer, _SPELT, f"{', '.join(WRITTEN)} or text:… (1 to 64 printable ASCII characters)")


def place(said: object, pointer: str) -> str:
    """Read where something is written."""
    found = _PLACES.fullmatch(said) if isinstance(said, str) else None
    if found is None or (found[1] == "header" and _foreign(found[2], _OTHERS)):
        hint = "Write header:NAME or query:NAME, such as header:X-Signature; a field that frames a request is none."
        raise fault(pointer, "parameter_invalid", hint)
    return found[0]


def _foreign(name: str, names: frozenset[str]) -> bool:
    return name.lower() in names or name.lower().startswith(_FAMILIES)


def _list(said: object, pointer: str, form: re.Pattern[str], hint: str) -> list[str]:
    fits = isinstance(said, list | tuple) and 1 <= len(said) <= _MOST
    words = [str(word) for word in said if isinstance(word, str) and form.fullmatch(word)] if fits else []  # type: ignore[attr-defined]
    signs = [word.removeprefix(_FIELD) for word in words if word.startswith(_FIELD)]
    if not words or len(words) != len(said) or any(_foreign(name, _UNSIGNED) for name in signs):  # type: ignore[arg-type]
        raise fault(pointer, "parameter_invalid", f"Write a list of {_MOST} parts at most, each {hint}.")
    return words


def check(said: Mapping[str, object], pointer: str) -> None:
    """Check that parameters, each read, make one template; raises `Invalid`."""
    if "template" in said:
        if len(said) > 1:
            hint = "A known template says all of it: give template alone, or the parameters without it."
            raise fault(pointer, "parameter_invalid", hint)
        return
    if not {"payload", "signature_in"} <= said.keys():
        hint = f"Kind hmac needs template ({', '.join(KNOWN)}), or payload and signature_in."
        raise fault(pointer, "parameter_required", hint)
    made = template_of(said)
    for wrong, name, hint in _faults(made, said):
        if wrong:
            raise fault(f"{pointer}/{name}", "parameter_invalid", hint)


def _faults(made: Template, said: Mapping[str, object]) -> list[tuple[bool, str, str]]:
    wheres = [each for each in (made.signature, made.timestamp, made.key_id) if each is not None]
    spots = {(each.location, each.name.lower()) for each in wheres}
    own = made.signature.location is Location.HEADER and _FIELD + made.signature.name.lower()
    timed = "timestamp" in made.payload and made.timestamp is None and "timestamp" not in made.format
    covers = set(made.payload) & {"method", "path", "query", "target", "body", "timestamp"}
    return [
        (not covers, "payload", "Sign something of the request: method, path, query, target, body or timestamp."),
        (made.payload.count("body") > 1, "payload", "The body is signed once."),
        (own in {part.lower() for part in made.payload}, "payload", "The field of the signature cannot be signed."),
        (made.format.count("signature") != 1, "format", "Write the part signature once."),
        (timed, "payload", "A timestamp that is signed is sent: give timestamp_in, or write it in format."),
        (len(spots) != len(wheres), "signature_in", "Signature, timestamp and key id have a place each."),
        ("timestamp" in said and "timestamp" not in {*made.payload, *made.format} and made.timestamp is None,
         "timestamp", "Nothing here has a timestamp: give timestamp_in, or leave this out."),
    ]  # fmt: skip


def template_of(said: Mapping[str, object]) -> Template:
    """Return the template that parameters make which were checked."""
    if "template" in said:
        return KNOWN[str(said["template"])]
    words = {name: str(said[name]) for name in ("algorithm", "encoding", "secret_encoding") if name in said}
    return Template(
        _words(said["payload"]),
        _place(str(said["signature_in"])),
        _words(said["format"]) if "format" in said else ("signature",),
        _place(str(said["timestamp_in"])) if "timestamp_in" in said else None,
        _place(str(said["key_id_in"])) if "key_id_in" in said else None,
        clock=str(said.get("timestamp", "s")),
        **words,
    )


def _words(said: object) -> tuple[str, ...]:
    return tuple(map(str, said)) if isinstance(said, Sequence) else ()


def _place(said: str) -> Place:
    where, _, name = said.partition(":")
    return Place(Location.HEADER if where == "header" else Location.URL, name)


def fault(pointer: str, code: str, detail: str) -> Invalid:
    """Return what an upload is refused with."""
    return Invalid(Problem(pointer, code, detail))


def _exchange(begins: str, clock: str, *, secret_encoding: str, sign: str, key: str) -> Template:
    """Return the template that Coinbase's exchange began, and others took over."""
    return Template(
        ("timestamp", "method", "target", "body"),
        _place(f"header:{begins}-{sign}"),
        timestamp=_place(f"header:{begins}-TIMESTAMP"),
        key_id=_place(f"header:{begins}-{key}"),
        encoding="base64",
        secret_encoding=secret_encoding,
        clock=clock,
    )


KNOWN: Final[Mapping[str, Template]] = {
    # docs.github.com: "Validating webhook deliveries"
    "github": Template(("body",), _place("header:X-Hub-Signature-256"), ("text:sha256=", "signature")),
    # docs.slack.dev: "Verifying requests from Slack"
    "slack": Template(
        ("text:v0:", "timestamp", "text::", "body"),
        _place("header:X-Slack-Signature"),
        ("text:v0=", "signature"),
        _place("header:X-Slack-Request-Timestamp"),
    ),
    # docs.stripe.com: "Verify webhook signatures manually"
    "stripe": Template(
        ("timestamp", "text:.", "body"),
        _place("header:Stripe-Signature"),
        ("text:t=", "timestamp", "text:,v1=", "signature"),
    ),
    # github.com/standard-webhooks: the specification
    "standard_webhooks": Template(
        ("header:webhook-id", "text:.", "timestamp", "text:.", "body"),
        _place("header:webhook-signature"),
        ("text:v1,", "signature"),
        _place("header:webhook-timestamp"),
        encoding="base64",
        secret_encoding="base64",
    ),
    # developers.binance.com: "Request security", SIGNED endpoints
    "binance": Template(
        ("query", "body"),
        _place("query:signature"),
        timestamp=_place("query:timestamp"),
        key_id=_place("header:X-MBX-APIKEY"),
        clock="ms",
    ),
    # bybit-exchange.github.io: API v5, "Integration guidance"
    "bybit": Template(
        ("timestamp", "key_id", "header:X-BAPI-RECV-WINDOW", "query", "body"),
        _place("header:X-BAPI-SIGN"),
        timestamp=_place("header:X-BAPI-TIMESTAMP"),
        key_id=_place("header:X-BAPI-API-KEY"),
        clock="ms",
    ),
    # docs.cdp.coinbase.com: Exchange, "REST API authentication"
    "coinbase_exchange": _exchange("CB-ACCESS", "s", secret_encoding="base64", sign="SIGN", key="KEY"),
    # www.okx.com/docs-v5: "Signature"
    "okx": _exchange("OK-ACCESS", "iso", secret_encoding="text", sign="SIGN", key="KEY"),
}
