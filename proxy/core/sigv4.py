"""What a client's AWS signature says: read strictly, from the Authorization header or a presigned URL; pure.

The client signs with a placeholder as access key id and any key, so its signature is worth nothing: what counts is what
it signed, which the border signs anew (`proxy.border.signing`). A form that is not signed anew is refused here, in
words, so that none goes out with the client's signature.
"""

import calendar
import re
import time
from dataclasses import dataclass
from typing import ClassVar, Final

from proxy.core.message import Head
from proxy.core.placeholder import Occurrence
from proxy.core.refusal import Refusal, Refused
from store.model import Location

ALGORITHM: Final = b"AWS4-HMAC-SHA256"
WEEK: Final = 604_800
"""Seconds that a presigned URL may live."""

DATE: Final = "%Y%m%dT%H%M%SZ"

_SCOPE: Final = re.compile(rb"/([0-9]{8})/([a-z0-9-]{1,64})/([A-Za-z0-9._-]{1,64})/aws4_request")
_NAMES: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+(?:;[!#$%&'*+.^_`|~0-9a-z-]+)*")
_REST: Final = re.compile(rb"\s*,\s*SignedHeaders=([^,\s]+)\s*,\s*Signature=([0-9a-f]{64})\s*")
_OPENING: Final = re.compile(rb"\s*" + ALGORITHM + rb"\s+Credential=")
_IN_HEADER: Final = re.compile(rb"(?i)\s*(?:AWS4-[A-Z0-9-]+\s.*?\bCredential\s*=\s*|AWS\s+)", re.DOTALL)
_IN_QUERY: Final = (b"x-amz-credential=", b"awsaccesskeyid=")
_NEAR: Final = 512
"""Bytes before an access key id in a header: no more, as each occurrence is looked at, and a value may be long."""
_ODD: Final = re.compile(rb"[^!-~]|#")
"""What no library writes into a target, and each reads in a way of its own."""
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_UNSIGNED: Final = frozenset({"UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"})
_OF_URL: Final = (
    b"x-amz-algorithm",
    b"x-amz-credential",
    b"x-amz-date",
    b"x-amz-expires",
    b"x-amz-signedheaders",
    b"x-amz-signature",
)
SIGNS: Final = frozenset((*_OF_URL, b"x-amz-security-token"))
"""Parameters of a presigned URL, in lower case, that are written anew."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What was signed. `signed` are the names of fields, in lower case.

    `payload` is the declared hash of the body, or the word that stands for it; "" where none was declared, and the body
    is to be hashed. `ends`: when (Unix seconds) a presigned URL ends, None in the header form; `lives`: its seconds.
    """

    region: str
    service: str
    signed: frozenset[str]
    payload: str = ""
    ends: int | None = None
    lives: int = 0

    keeps_body: ClassVar = True
    """Whether the body leaves as it came: its hash is signed."""


def is_scope(text: bytes, occurrence: Occurrence, location: Location, header: str) -> bool:
    """Whether an occurrence stands where an AWS signature, of whatever version, names its access key id."""
    start = occurrence.start
    if location is Location.HEADER:
        near = header == "authorization" and start <= _NEAR
        return near and _IN_HEADER.fullmatch(text, 0, start) is not None
    begins = [start - len(name) for name in _IN_QUERY if text[max(0, start - len(name)) : start].lower() == name]
    return bool(begins) and text[max(0, begins[0] - 1) : begins[0]] in {b"", b"&"}


def read(head: Head, text: bytes, occurrence: Occurrence, location: Location) -> Claim:
    """Return what the signature says whose access key id is the occurrence; raises `Refused`."""
    if head.websocket or _ODD.search(head.target):
        raise Refused(Refusal("signature_unsupported", occurrence.name))
    claim = _of_header(head, text, occurrence) if location is Location.HEADER else _of_url(head, text, occurrence)
    if claim.service == "s3express" or not (claim.payload in {"", *_UNSIGNED} or _HASH.fullmatch(claim.payload)):
        raise Refused(Refusal("signature_unsupported", occurrence.name))
    return claim


def _of_header(head: Head, text: bytes, occurrence: Occurrence) -> Claim:
    if _OPENING.fullmatch(text[: occurrence.start]) is None:
        raise Refused(Refusal("signature_unsupported", occurrence.name))  # version 2, and 4A
    scope = _SCOPE.match(text, occurrence.end)
    rest = None if scope is None else _REST.fullmatch(text, scope.end())
    if scope is None or rest is None or len(head.values(b"authorization")) > 1:
        raise Refused(Refusal("signature_malformed", occurrence.name))
    declared = [value.strip().decode("latin-1") for value in head.values(b"x-amz-content-sha256")]
    signed = _signed(rest[1], occurrence)
    if len(declared) > 1:
        raise Refused(Refusal("signature_malformed", occurrence.name))
    return Claim(scope[2].decode(), scope[3].decode(), signed, "".join(declared))


def _of_url(head: Head, query: bytes, occurrence: Occurrence) -> Claim:
    pairs = [pair.partition(b"=")[::2] for pair in query.split(b"&")]
    found = {name.lower(): value for name, value in pairs if name.lower() in SIGNS}
    second = b"awsaccesskeyid" in {name.lower() for name, _ in pairs}
    if second or found.get(b"x-amz-algorithm") not in {None, ALGORITHM}:
        raise Refused(Refusal("signature_unsupported", occurrence.name))
    malformed = Refused(Refusal("signature_malformed", occurrence.name))
    if sum(name.lower() in SIGNS for name, _ in pairs) != len(found) or not {*_OF_URL} <= found.keys():
        raise malformed
    scope = _SCOPE.fullmatch(re.sub(rb"%2[Ff]", b"/", query[occurrence.end :].partition(b"&")[0]))
    expires, date = found[b"x-amz-expires"], found[b"x-amz-date"].decode("latin-1")
    names = re.sub(rb"%3[Bb]", b";", found[b"x-amz-signedheaders"])
    if scope is None or not expires.isdigit() or not 1 <= int(expires[:7]) <= WEEK or head.values(b"authorization"):
        raise malformed
    try:
        begun = calendar.timegm(time.strptime(date, DATE))
    except ValueError:
        raise malformed from None
    declared = {value for name, value in pairs if name.lower() == b"x-amz-content-sha256"}
    declared |= {value.strip() for value in head.values(b"x-amz-content-sha256")}
    if len(declared) > 1:
        raise malformed
    service = scope[3].decode()
    payload = declared.pop().decode("latin-1") if declared else "UNSIGNED-PAYLOAD" if service == "s3" else ""
    lives = int(expires[:7])
    return Claim(scope[2].decode(), service, _signed(names, occurrence), payload, begun + lives, lives)


def _signed(names: bytes, occurrence: Occurrence) -> frozenset[str]:
    if _NAMES.fullmatch(names) is None:
        raise Refused(Refusal("signature_malformed", occurrence.name))
    return frozenset(names.decode().split(";"))
