"""Signs a request anew with a real key, over exactly what its client signed: AWS's Signature Version 4, by botocore.

Of a request that is signed by a template (`proxy.border.mac`), it says whether the body is needed for that.

What is signed is what leaves: path and query as they are on the wire, the client's list of fields as they are sent, the
hash that the client declared, or that of the body as it came. The date is ours, and so is the security token.
"""

import asyncio
import functools
import hashlib
import time
from typing import Any, Final
from urllib.parse import quote, urlencode

from proxy.admission.admitted import Admitted
from proxy.border.endpoints import Entry, entry
from proxy.core import aws_calls
from proxy.core.inject import Signing
from proxy.core.message import Fields, Head
from proxy.core.refusal import Refusal, Refused
from proxy.core.sigv4 import ALGORITHM, DATE, SIGNS, Claim
from store.credential import AwsKey, parse_aws
from store.errors import Invalid
from store.model import Location
from store.reader import captures_keys

EMPTY: Final = hashlib.sha256(b"").hexdigest()
_OURS: Final = frozenset({b"authorization", b"x-amz-date", b"x-amz-security-token"})
_ALWAYS: Final = frozenset({"host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"})


async def ready(admitted: Admitted, signing: Signing) -> None:
    """Make sure that a request can be signed, before its body is asked for; raises `Refused`."""
    if isinstance(signing.claim, Claim):
        await asyncio.to_thread(_endpoint, admitted.head, signing)  # the first time it reads files


def holds_body(admitted: Admitted, signing: Signing) -> bool:
    """Whether all of the body is needed before the head: it is to be hashed, or says which call it is."""
    claim = signing.claim
    if not isinstance(claim, Claim):
        return admitted.length != 0 and claim.keeps_body
    return admitted.length != 0 and (not claim.payload or aws_calls.wants_body(claim.service))


def judge(admitted: Admitted, signing: Signing, body: bytes | None) -> bool:
    """Refuse a call that answers with credentials; return whether it does, and they are captured of its answer.

    `body`: all of it; None where it is not at hand.
    """
    claim, head = signing.claim, admitted.head
    if not isinstance(claim, Claim) or not aws_calls.hands_out(claim.service, head, body):
        return False
    captured = captures_keys(admitted.view.capturing(head.use(Location.BODY)))
    if not captured or not aws_calls.temporary(claim.service, head, body):
        raise Refused(Refusal("signed_action_refused", signing.grant.name))
    return True


def sign(signing: Signing, head: Head, target: bytes, fields: Fields, digest: str) -> tuple[bytes, Fields]:
    """Return target and fields as they leave, signed; raises `Refused`. `digest`: the SHA-256 of the body, in hex."""
    endpoint = _endpoint(head, signing)
    try:
        key = parse_aws(signing.grant.open().reveal())
    except Invalid:  # sealed by its client, which the store cannot look into
        raise Refused(Refusal("value_not_encodable", signing.grant.name)) from None
    return signed(signing, key, endpoint, head, target, fields, digest, time.time())


def _claim(signing: Signing) -> Claim:
    if not isinstance(signing.claim, Claim):
        raise Refused(Refusal("internal"))
    return signing.claim


def _endpoint(head: Head, signing: Signing) -> Entry:
    claim, parameters = _claim(signing), signing.grant.credential.parameters
    allowed = claim.service in parameters.get("services", (claim.service,))
    allowed = allowed and claim.region in parameters.get("regions", (claim.region,))
    try:
        found = entry(head.destination, claim.service, claim.region) if allowed else None
    except ImportError:
        raise Refused(Refusal("signing_unavailable", signing.grant.name)) from None
    if found is None:
        raise Refused(Refusal("signature_scope", signing.grant.name))
    return found


def signed(  # noqa: PLR0917
    signing: Signing, key: AwsKey, endpoint: Entry, head: Head, target: bytes, fields: Fields, digest: str, now: float
) -> tuple[bytes, Fields]:
    """Sign; pure. `now`: Unix seconds."""
    claim, name = _claim(signing), signing.grant.name
    token = b"" if key.token is None else key.token.reveal()
    signer = _signers()[endpoint.plain](key, claim, time.strftime(DATE, time.gmtime(now)))
    fields = tuple([pair for pair in fields if pair[0].lower() not in _OURS])
    if claim.ends is not None:
        left = min(int(claim.ends - now), claim.lives)
        if left < 1:
            raise Refused(Refusal("signature_expired", name))
        target = _presigned(signer, target, fields, left, token.decode())
        _, signature = signer.made(head, target, fields, claim.payload or digest, name)
        return target + b"&X-Amz-Signature=" + signature.encode(), fields
    fields = (*fields, (b"X-Amz-Date", signer.date.encode()))
    if token:
        fields = (*fields, (b"X-Amz-Security-Token", token))
    if endpoint.plain and not claim.payload:
        fields = (*fields, (b"X-Amz-Content-SHA256", digest.encode()))
    names, signature = signer.made(head, target, fields, claim.payload or digest, name)
    said = f"{ALGORITHM.decode()} Credential={signer.where()}, SignedHeaders={names}, Signature={signature}"
    return target, (*fields, (b"Authorization", said.encode()))


def _presigned(signer: Any, target: bytes, fields: Fields, left: int, token: str) -> bytes:  # noqa: ANN401
    """Return a target that lives for so many seconds; other parameters stay, in their order and spelling."""
    path, _, query = target.partition(b"?")
    kept = [pair for pair in query.split(b"&") if pair and pair.partition(b"=")[0].lower() not in SIGNS]
    ours = {
        "X-Amz-Algorithm": ALGORITHM.decode(),
        "X-Amz-Credential": signer.where(),
        "X-Amz-Date": signer.date,
        "X-Amz-Expires": str(left),
        "X-Amz-SignedHeaders": signer.names(fields),
        **({"X-Amz-Security-Token": token} if token else {}),
    }
    return path + b"?" + b"&".join([*kept, urlencode(ours, safe="-._~", quote_via=quote).encode()])


@functools.cache
def _signers() -> dict[bool, type]:  # noqa: C901  # two classes, which need their bases
    """Return botocore's signers, by whether paths are signed as they are, made to sign what they are told."""
    from botocore.auth import S3SigV4Auth, SigV4Auth  # noqa: PLC0415
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.compat import HTTPHeaders  # noqa: PLC0415
    from botocore.credentials import Credentials  # noqa: PLC0415

    class Exact:
        """Mixed into a signer of botocore's: the fields and the hash are given, and nothing is put into the request."""

        def __init__(self, key: AwsKey, claim: Claim, date: str) -> None:
            credentials = Credentials(key.id, key.secret.reveal().decode())
            super().__init__(credentials, claim.service, claim.region)  # type: ignore[call-arg]
            self.date = date
            self._wanted = claim.signed | ({"host"} if claim.ends is not None else _ALWAYS)

        def headers_to_sign(self, request: Any) -> Any:  # noqa: ANN401
            chosen = HTTPHeaders()
            for name, value in request.headers.items():
                if name.lower() in self._wanted:
                    chosen.add_header(name.lower(), value)
            return chosen

        def payload(self, request: Any) -> str:  # noqa: ANN401
            return str(request.context["digest"])

        def where(self) -> str:
            """Return the credential as it is written."""
            return str(self.scope(_Stamp(self.date)))  # type: ignore[attr-defined]

        def names(self, fields: Fields) -> str:
            """Return those of the fields to be signed that are there."""
            return ";".join(sorted({name.lower().decode("latin-1") for name, _ in fields} & self._wanted))

        def made(self, head: Head, target: bytes, fields: Fields, digest: str, name: str) -> tuple[str, str]:
            """Return the names of the signed fields and the signature."""
            names = self.names(fields)
            try:
                url = f"https://{head.destination.host}{target.decode('ascii')}"
                texts = [
                    (each.decode("ascii"), said.decode())
                    for each, said in fields
                    if each.lower().decode("latin-1") in self._wanted
                ]
            except UnicodeDecodeError:
                raise Refused(Refusal("signature_malformed", name)) from None
            request = AWSRequest(head.method, url)
            for each, said in texts:
                request.headers.add_header(each, said)
            request.context |= {"timestamp": self.date, "digest": digest}
            text = self.string_to_sign(request, self.canonical_request(request))  # type: ignore[attr-defined]
            return names, str(self.signature(text, request))  # type: ignore[attr-defined]

    return {
        True: type("PlainPaths", (Exact, S3SigV4Auth), {}),
        False: type("EncodedPaths", (Exact, SigV4Auth), {}),
    }


class _Stamp:
    """What botocore asks a request for to write its scope."""

    def __init__(self, date: str) -> None:
        self.context = {"timestamp": date}
