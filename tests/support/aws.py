"""AWS on loopback, as far as boto3 asks: S3, DynamoDB, STS and SQS, which verify every signature.

The verifier follows AWS's description of Signature Version 4 with `hmac` alone, so that it shares nothing with what it
judges. What does not verify is answered with 403 and the reason, and `faults` has it.
"""

import calendar
import hashlib
import hmac
import json
import posixpath
import re
import time
from urllib.parse import parse_qsl, quote

from certificates import Authority
from draw import Draw
from upstream import Request, Upstream, response

REGION = "us-east-1"
NAMES = (f"s3.{REGION}.amazonaws.com", f"*.s3.{REGION}.amazonaws.com", f"dynamodb.{REGION}.amazonaws.com",
         f"sts.{REGION}.amazonaws.com", f"sqs.{REGION}.amazonaws.com", f"api.ecr.{REGION}.amazonaws.com",
         "evil.example.com", f"x.{REGION}.compute.amazonaws.com")  # fmt: skip


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Cloud(Upstream):
    """Serves until `close()`; knows one key."""

    def __init__(self, authority: Authority, id_: str, secret: str, token: str | None = None):
        self.id, self.secret, self.token = id_, secret, token
        self.faults: list[str] = []
        self.issued: dict[str, tuple[str, str]] = {}
        """Temporary keys: secret and token of each id."""
        self.instead: list = []
        """Answers of STS to give first: functions of what it would have said."""
        self._draw = Draw("aws: temporary keys")
        self.objects: dict[bytes, bytes] = {}
        super().__init__(authority.leaf(*NAMES), {b"/": self._answer})

    def _answer(self, request: Request, conn) -> bytes:
        fault = self.verify(request)
        if fault is not None:
            self.faults.append(fault)
            return response(f"<Error><Code>SignatureDoesNotMatch</Code><Message>{fault}</Message></Error>".encode(), b"Content-Type: text/xml", status=b"403 Forbidden")  # fmt: skip
        host = request.header("Host").decode().split(":")[0]
        return getattr(self, "_" + ("s3" if ".s3." in f".{host}" else host.split(".")[0]))(request)

    def _s3(self, request: Request) -> bytes:
        bucket = request.header("Host").split(b".")[0]  # in the host or the path
        key = request.path.lstrip(b"/") if bucket == b"s3" else bucket + request.path
        if request.head.startswith(b"PUT"):
            self.objects[key] = _plain(request)
            return response(b"", b'ETag: "x"')
        if b"list-type=2" in request.target:
            return self._listed(bucket)
        found = self.objects.get(key)
        if found is None:
            return response(b"", status=b"404 Not Found")
        return response(found, b"Content-Type: text/plain", b'ETag: "x"', b"Last-Modified: Sun, 01 Nov 2026 00:00:00 GMT")  # fmt: skip

    def _listed(self, bucket: bytes) -> bytes:
        names = sorted(name for name in self.objects if name.startswith(bucket + b"/"))
        rows = b"".join(
            b'<Contents><Key>%s</Key><LastModified>2026-11-01T00:00:00Z</LastModified><ETag>"x"</ETag><Size>%d</Size></Contents>'
            % (name.partition(b"/")[2], len(self.objects[name])) for name in names
        )  # fmt: skip
        return response(b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>%s</Name><IsTruncated>false</IsTruncated>%s</ListBucketResult>' % (bucket, rows), b"Content-Type: application/xml")  # fmt: skip

    def _sts(self, request: Request) -> bytes:
        call = dict(parse_qsl(request.body.decode() or request.target.decode().partition("?")[2]))["Action"]
        if call != "GetCallerIdentity":
            said = self.temporary(call)
            return self.instead.pop(0)(said) if self.instead else response(said, b"Content-Type: text/xml")
        identity = b"<Arn>arn:aws:iam::123456789012:user/x</Arn><UserId>said by the API</UserId><Account>123456789012</Account>"
        return response(b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>' + identity + b"</GetCallerIdentityResult></GetCallerIdentityResponse>", b"Content-Type: text/xml")  # fmt: skip

    def temporary(self, call: str) -> bytes:
        """What STS says that it makes a key for, as it does."""
        id_, secret, token = "ASIA" + self._draw.letters(16).upper(), self._draw.letters(40), self._draw.base64(600)
        self.issued[id_] = secret, token
        return f"""<{call}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <{call}Result>
    <AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/x/a&amp;b</Arn><AssumedRoleId>AROA:x</AssumedRoleId></AssumedRoleUser>
    <Credentials>
      <AccessKeyId>{id_}</AccessKeyId>
      <SecretAccessKey>{secret}</SecretAccessKey>
      <SessionToken>{token}</SessionToken>
      <Expiration>2099-01-01T00:00:00Z</Expiration>
    </Credentials>
  </{call}Result>
  <ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata>
</{call}Response>
""".encode()

    def _dynamodb(self, request: Request) -> bytes:
        return response(json.dumps({"Item": {"said": {"S": request.body.decode()}}}).encode(), b"Content-Type: application/x-amz-json-1.0")  # fmt: skip

    def _sqs(self, request: Request) -> bytes:
        said = json.loads(request.body)["MessageBody"]
        return response(json.dumps({"MessageId": "1", "MD5OfMessageBody": hashlib.md5(said.encode()).hexdigest()}).encode(), b"Content-Type: application/x-amz-json-1.0")  # fmt: skip

    def verify(self, request: Request) -> str | None:
        """Return what is wrong with a request's signature."""
        method, target, _ = request.head.split(b"\r\n")[0].decode("latin-1").split(" ")
        path, _, query = target.partition("?")
        given = dict(parse_qsl(query, keep_blank_values=True))
        if "X-Amz-Signature" in given:
            credential, names, signature = (
                given["X-Amz-Credential"],
                given["X-Amz-SignedHeaders"],
                given["X-Amz-Signature"],
            )
            date, token = given["X-Amz-Date"], given.get("X-Amz-Security-Token")
            query = "&".join(pair for pair in query.split("&") if not pair.startswith("X-Amz-Signature="))
            lives = int(given["X-Amz-Expires"])
        else:
            found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})", request.header("Authorization").decode())  # fmt: skip
            if found is None or len(request.all("Authorization")) != 1:
                return "no signature"
            credential, names, signature = found.groups()
            date, lives = request.header("X-Amz-Date").decode(), 300
            token = request.header("X-Amz-Security-Token").decode() or None
        id_, day, region, service, last = credential.split("/")
        secret, wanted = {self.id: (self.secret, self.token), **self.issued}.get(id_, (None, None))
        if secret is None or last != "aws4_request" or token != wanted or not date.startswith(day):
            return "another key or token"
        if not -60 <= time.time() - calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ")) <= lives:
            return "too late"
        if "host" not in names.split(";") or len(request.all("Host")) != 1:
            return "the host is not signed"
        hashed = request.header("X-Amz-Content-SHA256").decode() or ("UNSIGNED-PAYLOAD" if given.get("X-Amz-Signature") and service == "s3" else hashlib.sha256(request.body).hexdigest())  # fmt: skip
        if len(hashed) == 64 and hashed != hashlib.sha256(request.body).hexdigest():
            return "another body"
        if service != "s3":
            normal = posixpath.normpath(path) + ("/" if path.endswith("/") and path != "/" else "")
            path = quote(re.sub("^//", "/", normal), safe="/~")
        headers = "".join(f"{name}:{','.join(' '.join(v.decode().split()) for v in request.all(name))}\n" for name in names.split(";"))  # fmt: skip
        pairs = sorted(pair.partition("=")[::2] for pair in query.split("&")) if query else []
        canonical = "\n".join([method, path, "&".join("=".join(pair) for pair in pairs), headers, names, hashed])
        scope = f"{day}/{region}/{service}/{last}"
        key = ("AWS4" + secret).encode()
        for part in (day, region, service, last):
            key = _hmac(key, part)
        text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        return None if hmac.compare_digest(_hmac(key, text).hex(), signature) else "another signature"


def _plain(request: Request) -> bytes:
    """Return a body without the framing of `aws-chunked`."""
    if b"aws-chunked" not in request.header("Content-Encoding"):
        return request.body
    body, out = request.body, b""
    while body:
        size, _, body = body.partition(b"\r\n")
        count = int(size.split(b";")[0], 16)
        if not count:
            break
        out, body = out + body[:count], body[count + 2 :]
    return out
