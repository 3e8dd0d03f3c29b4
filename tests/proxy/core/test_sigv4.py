"""A client's AWS signature, read strictly: what is not signed anew is refused in words, and never passes as it is."""

import pytest
from names import Known, Names

from proxy.core import inject
from proxy.core.message import Head
from proxy.core.refusal import Refused
from store.kinds import Credential
from store.model import Destination, Kind

HOST = Destination(True, "s3.us-east-1.amazonaws.com", 443)
NAMES = Names(
    [
        Known("KEY", b"canary", (HOST,), credential=Credential("aws")),
        Known("TEXT", b"text", (HOST,)),
        Known("ID", b"AKIAIOSFODNN7EXAMPLE", (HOST,), Kind.VARIABLE),
    ]
)
SCOPE = b"/20261122/us-east-1/s3/aws4_request"
SIGNED = b", SignedHeaders=host;x-amz-date, Signature=" + b"0" * 64
GOOD = b"AWS4-HMAC-SHA256 Credential=#{SECRETS.KEY}" + SCOPE + SIGNED
QUERY = {
    b"X-Amz-Algorithm": b"AWS4-HMAC-SHA256",
    b"X-Amz-Credential": b"%23%7BSECRETS.KEY%7D" + SCOPE.replace(b"/", b"%2F"),
    b"X-Amz-Date": b"20261122T063000Z",
    b"X-Amz-Expires": b"300",
    b"X-Amz-SignedHeaders": b"host%3Bx-amz-meta-a",
    b"X-Amz-Signature": b"0" * 64,
}


def planned(*fields, target=b"/k", websocket=False):
    return inject.plan(Head("GET", target, fields, HOST, websocket), NAMES)


def refused(*fields, **options):
    with pytest.raises(Refused) as caught:
        planned(*fields, **options)
    assert caught.value.refusal.secret in {"KEY", "TEXT"}
    return caught.value.refusal.code


def url(**changes):
    query = {**QUERY, **{b"X-Amz-" + name.encode(): value for name, value in changes.items()}}
    return b"/k?a=b&" + b"&".join(name + b"=" + value for name, value in query.items() if value is not None)


def test_what_a_signature_says():
    """Scope, fields, hash; of a presigned URL when it ends."""
    claim = planned((b"Authorization", GOOD), (b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD")).signing.claim
    assert (claim.region, claim.service, claim.payload, claim.ends) == ("us-east-1", "s3", "UNSIGNED-PAYLOAD", None)
    assert claim.signed == {"host", "x-amz-date"}
    close = GOOD.replace(b", ", b",")
    assert planned((b"authorization", close)).signing.claim.payload == ""
    claim = planned(target=url()).signing.claim
    assert (claim.lives, claim.ends, claim.payload) == (300, 1795329300, "UNSIGNED-PAYLOAD")
    assert claim.signed == {"host", "x-amz-meta-a"}
    plan = planned((b"Authorization", GOOD), (b"X-Other", b"#{SECRETS.TEXT}"))
    assert plan.names == ("KEY", "TEXT") and plan.signing.grant.opened == 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ([(b"Authorization", GOOD.replace(b"AWS4-HMAC-SHA256", b"AWS4-ECDSA-P256-SHA256"))], "signature_unsupported"),
        ([(b"Authorization", b"AWS #{SECRETS.KEY}:c2lnbmF0dXJl")], "signature_unsupported"),
        ([(b"Authorization", b"aws #{SECRETS.KEY}:c2lnbmF0dXJl")], "signature_unsupported"),
        ([(b"Authorization", GOOD.replace(b"/s3/", b"/s3express/"))], "signature_unsupported"),
        (
            [(b"Authorization", GOOD), (b"X-Amz-Content-SHA256", b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD")],
            "signature_unsupported",
        ),
        (
            [(b"Authorization", GOOD), (b"X-Amz-Content-SHA256", b"STREAMING-AWS4-HMAC-SHA256-EVENTS")],
            "signature_unsupported",
        ),
        ([(b"Authorization", GOOD), (b"X-Amz-Content-SHA256", b"A" * 64)], "signature_unsupported"),
        ([(b"Authorization", GOOD), *[(b"X-Amz-Content-SHA256", b"UNSIGNED-PAYLOAD")] * 2], "signature_malformed"),
        ([(b"Authorization", GOOD)] * 2, "signature_malformed"),
        ([(b"Authorization", GOOD), (b"Authorization", b"Bearer x")], "signature_malformed"),
        ([(b"Authorization", GOOD.replace(b"/20261122", b""))], "signature_malformed"),
        ([(b"Authorization", GOOD.replace(b"aws4_request", b"aws4_Request"))], "signature_malformed"),
        ([(b"Authorization", GOOD.replace(b"host;", b"host; "))], "signature_malformed"),
        ([(b"Authorization", GOOD.replace(b"host;", b"Host;"))], "signature_malformed"),
        ([(b"Authorization", GOOD[:-1])], "signature_malformed"),
        ([(b"Authorization", GOOD + b", x=y")], "signature_malformed"),
        ([(b"Authorization", GOOD.replace(b"#{", b"X#{"))], "signing_key_misplaced"),
        ([(b"Authorization", GOOD + b"#{SECRETS.KEY}")], "signature_malformed"),
        ([(b"Authorization", GOOD), (b"X-Amz-Security-Token", b"#{SECRETS.KEY}")], "signing_key_misplaced"),
        ([(b"X-Authorization", GOOD)], "signing_key_misplaced"),
        ([(b"Authorization", GOOD.replace(b"KEY", b"TEXT"))], "signing_key_needed"),
        ([(b"Authorization", b"AWS #{SECRETS.TEXT}:c2lnbmF0dXJl")], "signing_key_needed"),
    ],
)
def test_headers_that_are_refused(fields, code):
    """Each with its word."""
    assert refused(*fields) == code


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (b"/k?AWSAccessKeyId=%23%7BSECRETS.KEY%7D&Signature=x&Expires=1", "signature_unsupported"),
        (url(Algorithm=b"AWS4-ECDSA-P256-SHA256"), "signature_unsupported"),
        (url() + b"&AWSAccessKeyId=x", "signature_unsupported"),
        (url() + b"#", "signature_unsupported"),
        (url() + b"\xc3\xa9", "signature_unsupported"),
        (url(Algorithm=None), "signature_malformed"),
        (url(Expires=b"0"), "signature_malformed"),
        (url(Expires=b"604801"), "signature_malformed"),
        (url(Expires=b"-1"), "signature_malformed"),
        (url(Expires=b"9" * 5000), "signature_malformed"),
        (url(Date=b"2026-11-22"), "signature_malformed"),
        (url() + b"&x-amz-date=20261122T063000Z", "signature_malformed"),
        (url() + b"&X-Amz-Content-Sha256=" + b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "signature_unsupported"),
        (url(Credential=b"%23%7BSECRETS.KEY%7D"), "signature_malformed"),
        (url(Credential=b"x%23%7BSECRETS.KEY%7D"), "signing_key_misplaced"),
        (url() + b"&x=%23%7BSECRETS.KEY%7D", "signing_key_misplaced"),
        (url().replace(b"KEY", b"TEXT"), "signing_key_needed"),
    ],
)
def test_targets_that_are_refused(target, code):
    """The same for presigned URLs."""
    assert refused(target=target) == code


def test_two_signatures_and_handshakes():
    """One request, one signature; none of a WebSocket."""
    assert refused((b"Authorization", GOOD), target=url()) == "signature_malformed"
    assert refused((b"Authorization", b"Bearer x"), target=url()) == "signature_malformed"
    assert refused(target=url(), websocket=True) == "signature_unsupported"


def test_a_variable_may_be_an_id():
    """Who has the real key signs for itself; the id is public, and stands outside of what is signed."""
    plan = planned((b"Authorization", GOOD.replace(b"SECRETS.KEY", b"VARS.ID")))
    assert plan.signing is None and b"AKIAIOSFODNN7EXAMPLE/" in plan.write(plan.found.head)[1][0][1]
