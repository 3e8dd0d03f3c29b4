"""Requests signed anew are signed as botocore signs them with the real key, over exactly what the client signed."""

import datetime as dt
import hashlib
from urllib.parse import urlsplit

import botocore.auth
import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from draw import Draw
from names import Known, Names

from proxy.border import signing
from proxy.border.endpoints import Entry, entry
from proxy.border.signing import signed
from proxy.core import inject
from proxy.core.message import Head
from proxy.core.refusal import Refused
from store.credential import AwsKey
from store.kinds import Credential
from store.model import Destination, SecretValue

NOW = dt.datetime(2026, 11, 22, 6, 30, 0, tzinfo=dt.UTC)
SECRET, TOKEN = "k3Vq9xPw2LmN8rT5yB1/" * 2, "FwoGZXIvYXdzEBYaD" + "x" * 40
HOSTS = {
    "s3": ("b.s3.us-east-1.amazonaws.com", "s3.us-east-1.amazonaws.com", "b.s3.amazonaws.com"),
    "dynamodb": ("dynamodb.us-east-1.amazonaws.com",),
    "sts": ("sts.us-east-1.amazonaws.com", "sts.amazonaws.com"),
    "bedrock": ("bedrock-runtime.us-east-1.amazonaws.com",),
    "execute-api": ("abc123.execute-api.us-east-1.amazonaws.com",),
}
PATHS = {
    "s3": ("/", "/a/../b//c", "/a%20b%2Bc%2525", "/k/%C3%A9/~x", "/.", "/a=b;c@d,e!$'()*"),
    "bedrock": ("/model/anthropic.claude-v2%3A1/invoke", "/model/a%2Fb/converse"),
    "execute-api": ("/p/a%2Fb//c/../d", "/", "/p/%E2%82%AC", "/p/a+b"),
}
QUERIES = ("", "?list-type=2&prefix=a%2Fb&x=%7E&empty&z=a+b", "?x=1&x=0&X=2", "?b=%e2&a=", "?=&&a")
FIELDS = (
    {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.GetItem"},
    {"x-amz-meta-a": "  two   spaces  ", "Content-MD5": "x"},
    {"X-Amzn-Trace-Id": "t", "User-Agent": "x", "Expect": "100-continue"},
    {"x-amz-meta-u": "caf\u00e9 \u20ac", "Range": "bytes=0-9"},
    {},
)
PAYLOADS = (None, "UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")


class Signs:
    """botocore at a moment, with a key; a hash that was declared stays, as its clients do it."""

    def __init__(self, signer, key, service, declared, **options):
        self.signer = type("Signer", (signer,), {} if declared is None else {"payload": lambda *_: declared})
        self.made = self.signer(key, service, "us-east-1", **options)

    def __call__(self, method, url, fields, body):
        request = AWSRequest(method, url, headers=fields, data=body)
        self.made.add_auth(request)
        return request.prepare()


def drawn(draw, service):
    """A request of a client of that service: method, URL, fields, body, declared hash, whether it is presigned."""
    method = draw.choice(("GET", "PUT", "POST", "DELETE", "HEAD"))
    url = f"https://{draw.choice(HOSTS[service])}{draw.choice(PATHS.get(service, ('/',)))}{draw.choice(QUERIES)}"
    body = draw.randbytes(draw.randrange(300)) if method in {"PUT", "POST"} else b""
    return (
        method,
        url,
        dict(draw.choice(FIELDS)),
        body,
        draw.choice(PAYLOADS) if service == "s3" else None,
        draw.randrange(4) == 0,
    )


def wire(prepared, more=()):
    """What of a prepared request is on the wire: its target and its fields, and those that a client's HTTP adds."""
    parts = urlsplit(prepared.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    fields = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in prepared.headers.items()]  # fmt: skip
    return target.encode(), ((b"Host", parts.netloc.encode()), *fields, *more)


def plan_of(prepared, more=(), credential=None):
    """The head that a client sends, planned."""
    target, fields = wire(prepared, more)
    destination = Destination(True, urlsplit(prepared.url).hostname, 443)
    head = Head(prepared.method, target, fields, destination)
    names = Names([Known("KEY", b"unused", (destination,), credential=credential or Credential("aws"))])
    return head, inject.plan(head, names)


@pytest.fixture
def frozen(monkeypatch):
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda **_: NOW.replace(tzinfo=None))


@pytest.mark.parametrize("service", HOSTS)
def test_signatures_are_the_genuine_ones(frozen, service):
    """A hundred drawn requests of a service: what leaves is, byte for byte, what a client with the real key would send."""

    draw = Draw(f"signing {service}")
    for number in range(100):
        method, url, fields, body, declared, presigned = drawn(draw, service)
        token = TOKEN if number % 3 == 0 else None
        if service == "s3":
            signer, options = (S3SigV4QueryAuth, {"expires": 300}) if presigned else (S3SigV4Auth, {})
        else:
            signer, options = (SigV4QueryAuth, {"expires": 300}) if presigned else (SigV4Auth, {})
        declared = None if presigned else declared
        body = b"" if presigned else body
        genuine = Signs(signer, Credentials("AKIAIOSFODNN7EXAMPLE", SECRET, token), service, declared, **options)
        client = Signs(signer, Credentials("#{SECRETS.KEY}", "any"), service, declared, **options)
        expected = wire(genuine(method, url, fields, body))
        head, plan = plan_of(client(method, url, fields, body), [(b"Accept-Encoding", b"identity"), (b"Via", b"1.1 x")])
        target, written = plan.write(head)
        key = AwsKey("AKIAIOSFODNN7EXAMPLE", SecretValue(SECRET.encode()), token and SecretValue(token.encode()))
        found = entry(head.destination, plan.signing.claim.service, plan.signing.claim.region)
        digest = hashlib.sha256(body).hexdigest()
        target, written = signed(plan.signing, key, found, head, target, written, digest, NOW.timestamp())
        assert target == expected[0], (method, url)
        kept = {name.lower(): value for name, value in written}
        assert {**kept, **{name.lower(): value for name, value in expected[1]}} == kept, (method, url, fields)
        assert b"SECRETS" not in target + b"".join(value for _, value in written)


def refusal(call, *args):
    with pytest.raises(Refused) as caught:
        call(*args)
    assert caught.value.refusal.secret == "KEY"
    return caught.value.refusal.code


def test_what_cannot_be_signed(frozen, monkeypatch):
    """A value that is no key, parameters that leave the scope out, a URL that ended, no library: each in its word."""
    client = Signs(SigV4Auth, Credentials("#{SECRETS.KEY}", "any"), "sts", None)
    asked = client("GET", "https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity", {}, b"")
    head, plan = plan_of(asked)
    assert refusal(signing.sign, plan.signing, head, head.target, head.fields, signing.EMPTY) == "value_not_encodable"
    for parameters in ({"services": ["s3"]}, {"regions": ["eu-west-1"], "services": ["sts"]}):
        head, plan = plan_of(asked, credential=Credential("aws", parameters))
        assert refusal(signing.sign, plan.signing, head, head.target, head.fields, signing.EMPTY) == "signature_scope"
    presigned = Signs(SigV4QueryAuth, Credentials("#{SECRETS.KEY}", "any"), "sts", None, expires=300)
    head, plan = plan_of(presigned("GET", "https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity", {}, b""))
    key = AwsKey("AKIAIOSFODNN7EXAMPLE", SecretValue(SECRET.encode()), None)
    for later, left in ((0, b"300"), (1, b"299"), (299, b"1"), (-60, b"300")):
        target, _ = signed(plan.signing, key, Entry(plain=False), head, head.target, head.fields, "", NOW.timestamp() + later)  # fmt: skip
        assert target.split(b"X-Amz-Expires=")[1].split(b"&")[0] == left
    args = plan.signing, key, Entry(plain=False), head, head.target, head.fields, "", NOW.timestamp() + 300
    assert refusal(signed, *args) == "signature_expired"

    def missing(*_):
        raise ImportError("botocore")

    monkeypatch.setattr(signing, "entry", missing)
    assert refusal(signing.sign, plan.signing, head, head.target, head.fields, signing.EMPTY) == "signing_unavailable"


def test_other_secrets_of_the_head_are_written_and_then_signed(frozen):
    """What is signed is what leaves: a value in a field and in the path, as a client with both would have signed it."""
    url = "https://abc123.execute-api.us-east-1.amazonaws.com/p/{}?q=1"
    text = "va lue/1"
    genuine = Signs(SigV4Auth, Credentials("AKIAIOSFODNN7EXAMPLE", SECRET), "execute-api", None)
    expected = wire(genuine("GET", url.format("va%20lue%2F1"), {"X-Api-Key": text}, b""))
    client = Signs(SigV4Auth, Credentials("#{SECRETS.KEY}", "any"), "execute-api", None)
    sent = {"X-Api-Key": "#{SECRETS.TEXT}"}
    target, written = wire(client("GET", url.format("%23%7BSECRETS.TEXT%7D"), sent, b""))
    here = Destination(True, "abc123.execute-api.us-east-1.amazonaws.com", 443)
    head = Head("GET", target, written, here)
    known = [Known("KEY", b"", (here,), credential=Credential("aws")), Known("TEXT", text.encode(), (here,))]
    plan = inject.plan(head, Names(known))
    key = AwsKey("AKIAIOSFODNN7EXAMPLE", SecretValue(SECRET.encode()), None)
    target, written = signed(
        plan.signing, key, Entry(plain=False), head, *plan.write(head), signing.EMPTY, NOW.timestamp()
    )
    assert target == expected[0] and dict(written)[b"Authorization"] == dict(expected[1])[b"Authorization"]
