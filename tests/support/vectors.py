"""The vectors of `tests/vectors/*.yaml`: bytes in, secrets, destination, and what must come out on either side.

They know no transport: the pure core, HTTP/1, HTTP/2 and the gateway run the same ones. Destinations are the words
`bound` and `other`; a runner says which upstream each of them is. See docs/vectors.md for the format.
"""

import base64
import gzip
import html
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import brotli
import yaml
import zstandard

from store.model import DEFAULT_LOCATIONS, Kind, Location

FOLDER = Path(__file__).parent.parent / "vectors"
OUTCOMES = ("injected", "refused", "carried", "untouched", "scrubbed", "clean", "withheld", "documented")
SURFACES = (
    "path", "query", "header", "cookie", "basic", "protocol", "json", "form", "multipart", "markup", "raw", "message",
    "trailer", "status",
)  # fmt: skip


@dataclass(frozen=True)
class VectorSecret:
    """A secret or variable of a vector. `hosts` are `bound`, `other`."""

    name: str
    value: bytes
    kind: Kind
    hosts: tuple[str, ...]
    locations: frozenset[Location]


@dataclass(frozen=True)
class Sent:
    """A request or response. `target`, `status` where they apply; `body` before and `wire` after content coding."""

    fields: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes | None = None
    coding: tuple[str, ...] = ()
    method: str = "GET"
    target: bytes = b"/"
    status: int = 200
    reason: bytes = b"OK"
    messages: tuple[bytes, ...] = ()

    @cached_property
    def wire(self) -> bytes:
        """The body as it travels."""
        data = self.body or b""
        for name in self.coding:
            data = encode(name, data)
        return data


@dataclass(frozen=True)
class Vector:
    """One case. Of `upstream` and `client` only what is given must hold; `None` is not looked at.

    `only`: the transports that can express it (`core`, `http1`, `http2`, `gateway`); all when empty.
    """

    id: str
    surface: str
    spelling: str
    why: str
    destination: str
    secrets: tuple[VectorSecret, ...]
    request: Sent
    expect: str
    code: str
    secret: str
    upstream: Sent | None
    answer: Sent | None
    client: Sent | None
    websocket: bool = False
    strict: bool = False
    only: frozenset[str] = field(default_factory=frozenset)

    def __str__(self) -> str:
        return self.id

    def runs_on(self, transport: str) -> bool:
        """Say whether a transport can express it."""
        return not self.only or transport in self.only


def encode(name: str, data: bytes) -> bytes:
    """Apply one content coding, as a client would."""
    match name.removeprefix("x-"):
        case "gzip":
            return gzip.compress(data, mtime=0)
        case "deflate":
            return zlib.compress(data)
        case "raw-deflate":
            stream = zlib.compressobj(9, zlib.DEFLATED, -15)
            return stream.compress(data) + stream.flush()
        case "br":
            return brotli.compress(data)
        case "zstd":
            return zstandard.compress(data)
        case _:
            return data


def decode(name: str, data: bytes) -> bytes:
    """Undo one content coding, as a peer would."""
    match name.removeprefix("x-"):
        case "gzip":
            return gzip.decompress(data)
        case "deflate":
            return zlib.decompress(data)
        case "raw-deflate":
            return zlib.decompress(data, -15)
        case "br":
            return brotli.decompress(data)
        case "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(data)
        case _:
            return data


def undo(coding: tuple[str, ...], wire: bytes) -> bytes:
    """Decode a body that travelled."""
    for name in reversed(coding):
        wire = decode(name, wire)
    return wire


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "b64": base64.b64encode,
    "b64url": lambda data: base64.urlsafe_b64encode(data).rstrip(b"="),
    "hexed": lambda data: data.hex().encode(),
    "HEXED": lambda data: data.hex().upper().encode(),
    "quoted": lambda data: quote_from_bytes(data, safe="").encode(),
    "quoted-path": lambda data: quote_from_bytes(data).encode(),
    "quoted-lower": lambda data: re.sub("%..", lambda m: m[0].lower(), quote_from_bytes(data, safe="")).encode(),
    "formed": lambda data: quote_from_bytes(data, safe=" ").replace(" ", "+").encode(),
    "percents": lambda data: b"".join(b"%%%02X" % byte for byte in data),
    "percents-lower": lambda data: b"".join(b"%%%02x" % byte for byte in data),
    "json": lambda data: json.dumps(data.decode())[1:-1].encode(),
    "json-utf8": lambda data: json.dumps(data.decode(), ensure_ascii=False)[1:-1].encode(),
    "json-latin": lambda data: json.dumps(data.decode("latin-1"))[1:-1].encode(),
    "latin": lambda data: _latin(data),
    "latin-percents": lambda data: b"".join(b"%%%02X" % byte for byte in _latin(data)),
    "json-slashes": lambda data: json.dumps(data.decode())[1:-1].replace("/", "\\/").encode(),
    "units": lambda data: b"".join(b"\\u%04x" % unit for unit in _units(data)),
    "UNITS": lambda data: b"".join(b"\\u%04X" % unit for unit in _units(data)),
    "html": lambda data: html.escape(data.decode()).encode(),
    "decimals": lambda data: "".join(f"&#{ord(c)};" for c in data.decode()).encode(),
    "hexadecimals": lambda data: "".join(f"&#x{ord(c):x};" for c in data.decode()).encode(),
    "utf16": lambda data: data.decode().encode("utf-16-le"),
    "crlf": lambda data: data.replace(b"\n", b"\r\n"),
    "mime": base64.encodebytes,
}
"""How vectors spell a form of a value, by nothing but the standard library."""


def _latin(data: bytes) -> bytes:
    text = data.decode()
    return text.encode("latin-1") if all(ord(c) < 0x100 for c in text) else data


def _units(data: bytes) -> list[int]:
    wide = data.decode().encode("utf-16-be")
    return [int.from_bytes(wide[at : at + 2]) for at in range(0, len(wide), 2)]


def octets(node: Any) -> bytes:
    """Read bytes: text (UTF-8), `{hex}`, `{base64}`, `{latin1}`, `{repeat: [node, n]}`, `{counted: n}`, `{form: node}`."""
    match node:
        case None:
            return b""
        case bytes():
            return node
        case str():
            return node.encode()
        case list():
            return b"".join(octets(item) for item in node)
        case {"hex": text}:
            return bytes.fromhex(text)
        case {"base64": text}:
            return base64.b64decode(text, validate=True)
        case {"latin1": text}:
            return text.encode("latin-1")
        case {"repeat": [inner, count]}:
            return octets(inner) * count
        case {"counted": count}:
            return b"".join(b"canary-%d." % number for number in range(count))
        case dict() if len(node) == 1 and next(iter(node)) in FORMS:
            return FORMS[next(iter(node))](octets(next(iter(node.values()))))
        case _:
            raise ValueError(f"not bytes: {node!r}")


def _sent(node: dict[str, Any] | None) -> Sent | None:
    if node is None:
        return None
    known = {"method", "target", "fields", "body", "coding", "status", "reason", "messages"}
    if unknown := set(node) - known:
        raise ValueError(f"unknown keys {unknown}")
    return Sent(
        fields=tuple((octets(name), octets(value)) for name, value in node.get("fields", ())),
        body=octets(node["body"]) if "body" in node else None,
        coding=tuple(node.get("coding", ())),
        method=node.get("method", "POST" if "body" in node else "GET"),
        target=octets(node.get("target", "/")),
        status=node.get("status", 200),
        reason=octets(node.get("reason", "OK")),
        messages=tuple(octets(message) for message in node.get("messages", ())),
    )


def _secret(name: str, node: Any) -> VectorSecret:
    node = node if isinstance(node, dict) and "value" in node else {"value": node}
    return VectorSecret(
        name,
        octets(node["value"]),
        Kind(node.get("kind", "secret")),
        tuple(node.get("hosts", ("bound",))),
        frozenset(Location(location) for location in node.get("locations", DEFAULT_LOCATIONS)),
    )


def _vector(node: dict[str, Any], shared: dict[str, VectorSecret], base: dict[str, Any]) -> Vector:
    node = base | node
    secrets = tuple(
        shared[item] if isinstance(item, str) else _secret(*item) for item in _listed(node.pop("secrets", ()))
    )
    vector = Vector(
        id=node.pop("id"),
        surface=node.pop("surface"),
        spelling=node.pop("spelling", "raw"),
        why=node.pop("why", ""),
        destination=node.pop("to", "bound"),
        secrets=secrets,
        request=_sent(node.pop("request", {})) or Sent(),
        expect=node.pop("expect"),
        code=node.pop("code", ""),
        secret=node.pop("secret", ""),
        upstream=_sent(node.pop("upstream", None)),
        answer=_sent(node.pop("answer", None)),
        client=_sent(node.pop("client", None)),
        websocket=node.pop("websocket", False),
        strict=node.pop("strict", False),
        only=frozenset(node.pop("only", ())),
    )
    if node or vector.expect not in OUTCOMES or vector.surface not in SURFACES:
        raise ValueError(f"{vector.id}: unknown keys {set(node)}, outcome or surface")
    return vector


def _listed(secrets: Any) -> list[Any]:
    """Read `[KEY, DOT]`, `{NAME: value}`, or a list that mixes both."""
    if isinstance(secrets, dict):
        return list(secrets.items())
    return [pair for item in secrets for pair in ([item] if isinstance(item, str) else item.items())]


def _read(path: Path) -> Any:
    """Read YAML with libyaml where it is there: each worker reads all of it to collect, and Python takes seconds."""
    return yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@cache
def load() -> tuple[Vector, ...]:
    """Read all vectors; raises when there are none, when one is malformed, or when two share an id."""
    shared = {name: _secret(name, node) for name, node in _read(FOLDER / "secrets.yaml").items()}
    vectors = []
    for path in sorted(FOLDER.glob("*.yaml")):
        if path.name != "secrets.yaml":
            document = _read(path)
            vectors += [_vector(dict(node), shared, document.get("each", {})) for node in document["vectors"]]
    ids = [vector.id for vector in vectors]
    if not ids or len(ids) != len(set(ids)):
        raise ValueError(f"no vectors, or doubled: {sorted({i for i in ids if ids.count(i) > 1})}")
    return tuple(vectors)
