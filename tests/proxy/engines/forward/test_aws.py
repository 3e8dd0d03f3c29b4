"""boto3, unmodified, with a placeholder as its key: its requests leave signed with the real one, and AWS's side verifies."""

import importlib
import json
import re
import ssl
import urllib.error
import urllib.request

import boto3
import http2
import pytest
from aws import NAMES, Cloud
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from draw import Draw
from forward import Forward
from stores import Store, secret

from egret.trial import Failed, identity
from proxy.border import endpoints
from store.kinds import Credential

KEY_ID, ID, TOKEN = "AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE", "FwoGZXIvYXdzEBYaD" + "x" * 40
SECRET = Draw("aws").letters(40)


@pytest.fixture(scope="module")
def made(engine, tmp_path_factory):
    async def resolve(host, port):
        return ["127.0.0.1"]

    with Forward(tmp_path_factory.mktemp("aws"), resolve=resolve) as forward:
        cloud = forward.cloud = Cloud(forward.authority, ID, SECRET, TOKEN)
        value = json.dumps({"access_key_id": ID, "secret_access_key": SECRET, "session_token": TOKEN}).encode()
        hosts = [f"{name}:{cloud.port}" for name in NAMES]
        forward.reader.put("KEY", value, *hosts, credential=Credential("aws"))
        forward.reader.put("NARROW", value, *hosts, credential=Credential("aws", {"services": ["s3"]}))
        forward.reader.put("TEXT", b"text-canary-1", *hosts)
        forward.token = forward.reader.open()
        yield forward
        cloud.close()


@pytest.fixture
def aws(made):
    made.cloud.forget()
    made.cloud.faults.clear()
    return made


def client(made, service, name="KEY", host=None, **config):
    port = made.cloud.port
    proxy = f"http://{made.token}:x@127.0.0.1:{made.port}"  # botocore wants a password
    more = {"s3": {"addressing_style": "virtual"}} if service == "s3" else {}
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=f"https://{host or f'{service}.us-east-1.amazonaws.com'}:{port}",
        aws_access_key_id=f"#{{SECRETS.{name}}}",
        aws_secret_access_key="any",
        verify=str(made.ca),
        config=Config(proxies={"https": proxy}, retries={"total_max_attempts": 1}, **{**more, **config}),
    )


def code(call, **options):
    """The refusal that a call ends with: SDKs of JSON read its document, those of XML show it."""
    with pytest.raises((ClientError, ResponseParserError)) as caught:
        call(**options)
    found = getattr(caught.value, "response", None)
    if found is None:
        return re.search(r'"code":"(\w+)"', str(caught.value))[1]
    return found["ResponseMetadata"]["HTTPHeaders"]["egret-error"]


def clean(made):
    """What the upstream got verifies, and has nothing of ours or of the client's key in it."""
    assert made.cloud.faults == []
    assert SECRET.encode() not in made.cloud.received
    assert b"SECRETS" not in b"".join(request.head for request in made.cloud.log)


def test_s3(aws):
    """Put and get, with boto3's checksums in a trailer and without, and by a presigned URL."""
    s3, body = client(aws, "s3"), b"hello" * 1000
    s3.put_object(Bucket="b", Key="a b/\u00fc+%/../c", Body=body, Metadata={"x": "two  blanks"})
    answer = s3.get_object(Bucket="b", Key="a b/\u00fc+%/../c")
    assert answer["Body"].read() == body and answer["ResponseMetadata"]["HTTPHeaders"]["egret-injected"] == "KEY"
    plain = client(aws, "s3", request_checksum_calculation="when_required", s3={"payload_signing_enabled": True, "addressing_style": "virtual"})  # fmt: skip
    plain.put_object(Bucket="b", Key="plain", Body=b"#{SECRETS.TEXT}")
    assert aws.cloud.objects[b"b/plain"] == b"#{SECRETS.TEXT}", "a body whose hash is signed is not touched"
    heads = [request.header("X-Amz-Content-SHA256") for request in aws.cloud.log]
    assert heads[0] == b"STREAMING-UNSIGNED-PAYLOAD-TRAILER" and len(heads[2]) == 64
    for request in aws.cloud.log:
        assert TOKEN.encode() == request.header("X-Amz-Security-Token")
    clean(aws)


def test_a_presigned_url(aws):
    """It works through Egret for the time that it was presigned for, and no longer."""
    s3 = client(aws, "s3", signature_version="s3v4")
    s3.put_object(Bucket="b", Key="k", Body=b"presigned")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"}, ExpiresIn=60)
    assert "%7BSECRETS.KEY%7D" in url
    status, _, body = fetch(aws, url)
    assert (status, body) == (200, b"presigned")
    lives = int(aws.cloud.log[-1].target.split(b"X-Amz-Expires=")[1].split(b"&")[0])
    assert 1 <= lives <= 60
    old = url.replace(url.split("X-Amz-Date=")[1][:8], "20200101")
    assert fetch(aws, old)[1] == "signature_expired"
    second = client(aws, "s3", signature_version="s3").generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})  # fmt: skip
    assert "AWSAccessKeyId=" in second and fetch(aws, second)[1] == "signature_unsupported"
    clean(aws)


def test_whose_a_key_is(aws, monkeypatch):
    """`egret secret test` asks STS through the proxy, as code would, where the key's hosts, services and the cloud let it."""
    proxy, ca = f"http://{aws.token}:x@127.0.0.1:{aws.port}", aws.ca.read_bytes()
    hosts = [f"{name}:{aws.cloud.port}" for name in NAMES]
    said = identity(proxy, ca, "KEY", hosts)
    assert said == {"name": "KEY", "kind": "aws", "endpoint": hosts[3], "identity": "arn:aws:iam::123456789012:user/x"}
    assert identity(proxy, ca, "KEY", [{"host": f"*.us-east-1.amazonaws.com:{aws.cloud.port}"}]) == said
    clean(aws)
    for name, wanted, rules in (
        ("NARROW", "signature_scope", hosts),
        ("TEXT", "signing_key_needed", hosts),
        ("KEY", "add the host sts.", hosts[:3]),
    ):
        with pytest.raises(Failed, match=wanted):
            identity(proxy, ca, name, rules)
    assert len(aws.cloud.log) == 2
    monkeypatch.setattr(aws.cloud, "secret", SECRET[::-1])
    with pytest.raises(Failed, match="does not take the key"):
        identity(proxy, ca, "KEY", hosts)


def fetch(made, url):
    """Ask for a URL through the proxy: status, refusal, body."""
    proxy = urllib.request.ProxyHandler({"https": f"http://{made.token}:x@127.0.0.1:{made.port}"})
    opener = urllib.request.build_opener(proxy, urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=made.ca)))  # fmt: skip
    try:
        with opener.open(url, timeout=60) as answer:
            return answer.status, answer.headers.get("Egret-Error"), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Egret-Error"), error.read()


def test_bodies_that_are_hashed(aws):
    """DynamoDB, STS and SQS declare no hash: short bodies, and those that wait in a file."""
    dynamodb = client(aws, "dynamodb")
    for size in (10, 3 << 20):
        said = dynamodb.get_item(TableName="t", Key={"k": {"S": "#{SECRETS.TEXT}" + "x" * size}})["Item"]["said"]["S"]
        assert json.loads(said)["Key"]["k"]["S"] == "#{SECRETS.TEXT}" + "x" * size
    assert client(aws, "sts").get_caller_identity()["Account"] == "123456789012"
    queue = f"https://sqs.us-east-1.amazonaws.com:{aws.cloud.port}/123456789012/q"
    assert client(aws, "sqs").send_message(QueueUrl=queue, MessageBody="m")["MessageId"] == "1"
    clean(aws)
    long = b"x" * ((64 << 20) + 1)
    fields = ("X-Amz-Date: 20260101T000000Z", f"Authorization: {HEADER}", "Content-Type: application/x-amz-json-1.0")
    with aws.tunnel(aws.token, f"dynamodb.us-east-1.amazonaws.com:{aws.cloud.port}", "dynamodb.us-east-1.amazonaws.com") as sock:  # fmt: skip
        head = ["POST / HTTP/1.1", f"Host: dynamodb.us-east-1.amazonaws.com:{aws.cloud.port}", *fields, f"Content-Length: {len(long)}"]  # fmt: skip
        sock.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + long[:100_000])
        assert b" 413 signed_body_too_large" in sock.recv(65536)


HEADER = "AWS4-HMAC-SHA256 Credential=#{SECRETS.KEY}/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + "0" * 64  # fmt: skip


def test_misuse_is_told(aws):
    """A text where a key belongs, a key where a text does; calls that hand out keys; scopes that are not the host's."""
    assert code(client(aws, "dynamodb", "TEXT").get_item, TableName="t", Key={}) == "signing_key_needed"
    assert code(client(aws, "dynamodb", "NARROW").get_item, TableName="t", Key={}) == "signature_scope"
    assert code(client(aws, "sts").get_session_token) == "signed_action_refused"
    assert code(client(aws, "sts").assume_role, RoleArn="arn:aws:iam::123456789012:role/x", RoleSessionName="xx") == "signed_action_refused"  # fmt: skip
    assert (
        code(client(aws, "ecr", host="api.ecr.us-east-1.amazonaws.com").get_authorization_token)
        == "signed_action_refused"
    )
    assert code(client(aws, "dynamodb", host="evil.example.com").get_item, TableName="t", Key={}) == "signature_scope"
    elsewhere = client(aws, "dynamodb", host="x.us-east-1.compute.amazonaws.com")
    assert code(elsewhere.get_item, TableName="t", Key={}) == "signature_scope"
    host = f"s3.us-east-1.amazonaws.com:{aws.cloud.port}"
    assert fetch(aws, f"https://{host}/b?key=%23%7BSECRETS.KEY%7D")[1] == "signing_key_misplaced"
    assert aws.cloud.received == b""
    said = [line for line in aws.audit() if line["event"] == "refuse"]
    assert {line["code"] for line in said} >= {"signing_key_needed", "signature_scope", "signed_action_refused"}


def test_what_comes_back_is_searched_for_each_part(aws):
    """Key and token, wherever an answer has them; whether they are there or not is all that an answer tells."""
    aws.cloud.objects[b"b/leak"] = f"{SECRET} and {TOKEN} and {ID}".encode()
    body = client(aws, "s3").get_object(Bucket="b", Key="leak")["Body"].read()
    assert body == f"#{{SECRETS.KEY}} and #{{SECRETS.KEY}} and {ID}".encode()


def test_a_key_of_the_real_store(engine, tmp_path):
    """From the vault to the wire: what was sealed with the value decides, under the kind that was sealed."""
    store = Store.make(tmp_path / "store")
    reader = store.reader()

    async def resolve(host, port):
        return ["127.0.0.1"]

    with Forward(tmp_path, resolve=resolve, reader=reader) as made:
        made.cloud = Cloud(made.authority, KEY_ID, SECRET)
        value = json.dumps({"access_key_id": KEY_ID, "secret_access_key": SECRET}).encode()
        host = f"dynamodb.us-east-1.amazonaws.com:{made.cloud.port}"
        for name, parameters in (("KEY", {}), ("FAR", {"regions": ["eu-west-1"]})):
            entry = secret(name, value, [host], kind="aws", parameters=parameters)
            store.put(entry) if name == "FAR" else store.dataset(entry)
        made.token = store.token()
        assert client(made, "dynamodb").get_item(TableName="t", Key={})["Item"]
        assert code(client(made, "dynamodb", "FAR").get_item, TableName="t", Key={}) == "signature_scope"
        clean(made)
        made.cloud.close()
    reader.close()


def test_a_client_of_http2(aws):
    """Its fields are signed by their names, which are in lower case there."""
    host = f"dynamodb.us-east-1.amazonaws.com:{aws.cloud.port}"
    request = AWSRequest("POST", f"https://{host}/", headers={"X-Amz-Target": "DynamoDB_20120810.GetItem"}, data="{}")
    SigV4Auth(Credentials("#{SECRETS.KEY}", "any", "any"), "dynamodb", "us-east-1").add_auth(request)
    sock = aws.tunnel(aws.token, host, "dynamodb.us-east-1.amazonaws.com", alpn=["h2"])
    fields = [(name.lower(), value) for name, value in request.headers.items()]
    answer = http2.Client(sock, host).ask("/", *fields, ("content-length", "2"), method="POST", body=b"{}")
    sock.close()
    assert (answer.status, answer.get(b"egret-injected")) == (200, b"KEY"), answer.body
    clean(aws)


@pytest.mark.parametrize(
    "where",
    [
        "signing.ready", "signing.holds_body", "signing.judge", "signing._endpoint", "signing.entry", "signing.parse_aws",
        "signing.signed", "signing._signers", "outgoing.sign", "upload.Upload.hold", "held.Held.write",
        "held.Held.beginning", "endpoints._bases",
    ],
)  # fmt: skip
def test_a_fault_sends_nothing(aws, monkeypatch, where):
    """In any step of signing: a refusal without a word of the fault, nothing at AWS's side, and the next one works."""

    def fails(*_, **__):
        raise RuntimeError("fault-canary-text")

    endpoints.entry.cache_clear()
    module, _, name = where.partition(".")
    owner = importlib.import_module(f"proxy.border.{module}")
    holder, _, last = name.rpartition(".")
    ask = client(aws, "dynamodb").get_item
    with monkeypatch.context() as patch:
        patch.setattr(getattr(owner, holder) if holder else owner, last, fails)
        assert code(ask, TableName="t", Key={}) == "internal"
    assert aws.cloud.received == b""
    assert ask(TableName="t", Key={})["Item"]
    clean(aws)
