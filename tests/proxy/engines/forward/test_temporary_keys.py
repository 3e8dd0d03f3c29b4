"""Keys that STS answers: boto3, unmodified, has a placeholder of them, and what it signs with that leaves signed with them."""

import gzip
import json
import re

import boto3
import http2
import pytest
import requests
from aws import Cloud
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from draw import Draw
from forward import Forward
from served import wait_for
from stores import Store, secret
from upstream import response

from store.model import Kind
from store.reader import View
from store.records import Change
from store.vault import NewSession, Upload

KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", Draw("temporary").letters(40)
VALUE = json.dumps({"access_key_id": KEY_ID, "secret_access_key": SECRET}).encode()
STS, S3, DYNAMODB = (f"{name}.us-east-1.amazonaws.com" for name in ("sts", "s3", "dynamodb"))
ROLE = {"RoleArn": "arn:aws:iam::123456789012:role/x", "RoleSessionName": "xx"}
XML = b"Content-Type: text/xml"


def secrets(port, **more):
    """A key that may be traded at STS for others, which go to S3, and one that may not."""
    hosts = [f"{host}:{port}" for host in (S3, DYNAMODB)]
    rule = {"host": f"{STS}:{port}", "capture": {"members": ["Credentials"], "hosts": [hosts[0], "evil.example.com:9"]}}
    return [
        secret("KEY", VALUE, [rule, *hosts], kind="aws", **more),
        secret("PLAIN", VALUE, [DYNAMODB], kind="aws"),
    ]


@pytest.fixture(scope="module")
def made(engine, tmp_path_factory):
    folder = tmp_path_factory.mktemp("temporary")
    store = Store.make(folder / "store")

    async def resolve(host, port):
        return ["127.0.0.1"]

    reader = store.reader()
    with Forward(folder, resolve=resolve, reader=reader) as forward:
        forward.store, forward.cloud = store, Cloud(forward.authority, KEY_ID, SECRET)
        store.dataset(*secrets(forward.cloud.port))
        yield forward
        forward.cloud.close()
    reader.close()
    store.close()


@pytest.fixture
def aws(made):
    for each in secrets(made.cloud.port):
        made.store.put(each)
    made.token = made.store.token()
    made.cloud.forget()
    made.cloud.faults.clear()
    made.cloud.instead.clear()
    return made


def client(made, service, key=None, *, token=None, **config):
    """boto3's client with a key that it was given, or the secret's placeholder."""
    id_, word, session = key or ("#{SECRETS.KEY}", "any", None)
    options = {"s3": {"addressing_style": "path"}} if service == "s3" else {}
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=f"https://{service}.us-east-1.amazonaws.com:{made.cloud.port}",
        aws_access_key_id=id_,
        aws_secret_access_key=word,
        aws_session_token=session,
        verify=str(made.ca),
        config=Config(
            proxies={"https": f"http://{token or made.token}:x@127.0.0.1:{made.port}"},
            retries={"total_max_attempts": 1},
            **options | config,
        ),
    )


def assumed(made, **options):
    """Assume a role as its documentation has it; return the parts that code is given."""
    said = client(made, "sts", **options).assume_role(**ROLE)["Credentials"]
    return said["AccessKeyId"], said["SecretAccessKey"], said["SessionToken"]


def code(call, **options):
    """The refusal that a call ends with."""
    with pytest.raises((ClientError, ResponseParserError)) as caught:
        call(**options)
    found = getattr(caught.value, "response", None)
    if found is None:
        return re.search(r'"code":"(\w+)"', str(caught.value))[1]
    return found["ResponseMetadata"]["HTTPHeaders"]["egret-error"]


def kept(made):
    """All that must not come back."""
    return [SECRET, *(part for each in made.cloud.issued.values() for part in each), *made.cloud.issued]


def clean(made, *said):
    text = b"".join(said) + b"".join(path.read_bytes() for path in made.spool.glob("*"))
    assert not [each for each in kept(made) if each.encode() in text]
    assert made.cloud.faults == []
    assert SECRET.encode() not in made.cloud.received


def test_a_role_is_assumed_and_used(aws):
    """The code has a placeholder and two fillers; S3 verifies the temporary key's signature, and has its token."""
    key = assumed(aws)
    assert key[0].startswith("#{SECRETS.KEY.") and key[1:] == ("egret", "egret")
    s3 = client(aws, "s3", key)
    s3.put_object(Bucket="b", Key="k", Body=b"hello" * 100)
    assert s3.get_object(Bucket="b", Key="k")["Body"].read() == b"hello" * 100
    sent = aws.cloud.log[-1]
    id_ = next(reversed(aws.cloud.issued))
    assert f"Credential={id_}/".encode() in sent.header("Authorization")
    assert sent.header("X-Amz-Security-Token").decode() == aws.cloud.issued[id_][1]
    lines = [(line["event"], line["secrets"], line["code"]) for line in aws.audit()]
    assert ("capture", ["KEY"], "") in lines and ("inject", ["KEY"], "captured") in lines
    clean(aws, repr(key).encode())


@pytest.mark.parametrize(
    ("call", "options"),
    [("get_session_token", {}), ("get_federation_token", {"Name": "xx"}), ("assume_role_with_web_identity", {**ROLE, "WebIdentityToken": "eyJ.x.y"}), ("get_caller_identity", {})],
)  # fmt: skip
def test_each_call(aws, monkeypatch, call, options):
    """Of those that give a temporary key, and one that gives none; with a signature or without."""
    if "identity" in call and "web" in call:
        monkeypatch.setattr(aws.cloud, "verify", lambda _: None)  # it is not signed
    said = getattr(client(aws, "sts"), call)(**options)
    if call == "get_caller_identity":
        assert said["Account"] == "123456789012"
    else:
        assert said["Credentials"]["AccessKeyId"].startswith("#{SECRETS.KEY.")
        assert said["Credentials"]["Expiration"].year == 2099
    clean(aws, repr(said).encode())


def test_what_comes_back_is_searched_for_its_parts(aws):
    """Secret and token of a temporary key, at the hosts where it goes."""
    key = assumed(aws)
    id_, (word, token) = next(reversed(aws.cloud.issued.items()))
    aws.cloud.objects[b"b/leak"] = f"{word} and {token} and {id_}".encode()
    body = client(aws, "s3", key).get_object(Bucket="b", Key="leak")["Body"].read()
    assert body == f"#{{SECRETS.*}} and #{{SECRETS.*}} and {id_}".encode()


def test_it_goes_where_the_rule_says(aws):
    """To S3 by a signature in the header; not elsewhere, not in a URL, not as a text, to no host that is none of AWS's."""
    key = assumed(aws)
    assert code(client(aws, "dynamodb", key).get_item, TableName="t", Key={}) == "destination_not_allowed"
    assert code(client(aws, "sts", key).get_caller_identity) == "location_not_allowed"
    ask = requests.Session()
    ask.trust_env, ask.verify = False, str(aws.ca)
    ask.proxies = {"https": f"http://{aws.token}:x@127.0.0.1:{aws.port}"}
    url = client(aws, "s3", key, signature_version="s3v4").generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})  # fmt: skip
    at = f"https://{S3}:{aws.cloud.port}/b/k"
    found = [
        ask.get(url),
        ask.get(at, headers={"Authorization": f"Bearer {key[0]}"}),
        ask.get(at, auth=("x", key[0])),
        ask.get(at, headers={"X-Token": key[0]}),
    ]
    assert [each.headers.get("Egret-Error") for each in found] == [
        "location_not_allowed", "signing_key_misplaced", "signing_key_misplaced", "location_not_allowed",
    ]  # fmt: skip
    form = {"Action": "AssumeRoleWithWebIdentity", "WebIdentityToken": key[0]}
    back = ask.post(f"https://{STS}:{aws.cloud.port}/", form)
    assert "SECRETS.KEY" in requests.utils.unquote(aws.cloud.log[-1].body.decode()), "carried: a key is never written"
    assert aws.cloud.faults.pop() == "no signature"
    clean(aws, back.content, *(each.content for each in found))


def namesake(store, listed):
    """A session of another organisation, whose dataset has the same name, secrets and rules."""
    key = store.vault.organisations.create(store.owner, "acme", "Acme").reveal().decode()
    who = store.vault.keys.authenticate(key)
    store.vault.datasets.create(who, "default", Upload("set", secrets=listed), "ds")
    return store.vault.sessions.open(who, "default", "ds", NewSession())[1].reveal().decode()


def test_another_session_cannot_sign_with_it(aws):
    """Nor can a name cut, changed or beside another."""
    key = assumed(aws)
    other = assumed(aws)
    body = key[0].removeprefix("#{SECRETS.KEY.").removesuffix("}")
    names = [f"#{{SECRETS.KEY.{text}}}" for text in (body[:-1], body[1:], body[:200], body[:100] + other[0][114:-1])]
    others = [aws.store.token(), namesake(aws.store, secrets(aws.cloud.port))]
    codes = [code(client(aws, "s3", key, token=token).list_objects_v2, Bucket="b") for token in others]
    codes += [code(client(aws, "s3", (name, *key[1:])).list_objects_v2, Bucket="b") for name in names]
    codes.append(code(client(aws, "s3", (key[0].replace("KEY", "PLAIN"), *key[1:])).list_objects_v2, Bucket="b"))
    assert codes == ["unknown_secret"] * len(codes)
    clean(aws)


def test_a_role_is_assumed_with_a_role(aws):
    """Where the rule names STS as well: each key is captured anew, for no more than the first."""
    sts = f"{STS}:{aws.cloud.port}"
    rule = {"host": sts, "capture": {"members": ["Credentials"], "hosts": [sts]}}
    aws.store.put(secret("KEY", VALUE, [rule], kind="aws", parameters={"services": ["sts"]}))
    key = assumed(aws)
    again = assumed(aws, key=key)
    assert again[0].startswith("#{SECRETS.KEY.") and again[0] != key[0]
    assert client(aws, "sts", again).get_caller_identity()["Account"] == "123456789012"
    assert code(client(aws, "s3", again).list_objects_v2, Bucket="b") == "destination_not_allowed"
    clean(aws, repr(again).encode())


def test_parameters_of_the_key_hold(aws):
    """A temporary key signs for what the key that it was had with does."""
    hosts = [f"{DYNAMODB}:{aws.cloud.port}"]
    rule = {"host": f"{STS}:{aws.cloud.port}", "capture": {"members": ["Credentials"], "hosts": hosts}}
    aws.store.put(secret("KEY", VALUE, [rule], kind="aws", parameters={"services": ["sts"]}))
    assert code(client(aws, "dynamodb", assumed(aws)).get_item, TableName="t", Key={}) == "signature_scope"
    assert not [each for each in aws.cloud.log if each.header("Host").startswith(b"dynamodb")]


def test_it_ends_with_its_version(aws):
    """A narrower rule counts at once; a value that was replaced ends it, a session as well."""
    key = assumed(aws)
    store, narrow = aws.store, secrets(aws.cloud.port)[0].hosts
    narrow = [{**narrow[0], "capture": {"members": ["Credentials"], "hosts": []}}, *narrow[1:]]
    store.vault.entries.patch(store.owner, store.scope(), Kind.SECRET, "KEY", Change(hosts=narrow))

    def ask():
        try:
            return client(aws, "s3", key).list_objects_v2(Bucket="b")["Name"]
        except ClientError as error:
            return error.response["ResponseMetadata"]["HTTPHeaders"]["egret-error"]

    wait_for(lambda: ask() == "destination_not_allowed", seconds=20)
    for each in secrets(aws.cloud.port):
        store.put(each)
    wait_for(lambda: ask() == "unknown_secret", seconds=20)


def test_calls_that_are_not_captured_are_refused(aws):
    """Without a rule that captures, by another service, or where two names are said: nothing is sent, and it says why."""
    assert code(client(aws, "sts").get_web_identity_token, Audience=["x"], SigningAlgorithm="RS256") == "signed_action_refused"  # fmt: skip
    sts = f"{STS}:{aws.cloud.port}"
    for body in (
        "Action=AssumeRole&Action=GetCallerIdentity",
        "Action=GetCallerIdentity&Action=AssumeRole",
        "Version=1",
    ):
        assert signed(aws, sts, body).headers["Egret-Error"] == "signed_action_refused"
    assert signed(aws, sts, "Action=AssumeRole", "/?Action=GetSessionToken").headers["Egret-Error"] == "signed_action_refused"  # fmt: skip
    for rule in ({"host": sts, "capture": {"members": ["access_token"], "hosts": []}}, sts):
        aws.store.put(secret("KEY", VALUE, [rule], kind="aws"))
        aws.token = aws.store.token()  # which the proxy does not know, so that it looks
        refused = signed(aws, sts, "Action=AssumeRole")
        assert refused.headers["Egret-Error"] == "signed_action_refused" and "capture" in refused.json()["hint"]
    assert aws.cloud.received == b""


def signed(made, host, body, target="/"):
    """A request to STS that is signed with the placeholder."""
    fields = {"Content-Type": "application/x-www-form-urlencoded"}
    request = AWSRequest("POST", f"https://{host}{target}", headers=fields, data=body)
    SigV4Auth(Credentials("#{SECRETS.KEY}", "any"), "sts", "us-east-1").add_auth(request)
    session = requests.Session()
    session.trust_env, session.verify = False, str(made.ca)
    session.proxies = {"https": f"http://{made.token}:x@127.0.0.1:{made.port}"}
    return session.post(request.url, data=body, headers=dict(request.headers), timeout=60, allow_redirects=False)


def xml(body, *fields, status=b"200 OK"):
    return response(body, XML, *fields, status=status)


def doubled(said):
    """Two keys, one within the other's element."""
    key = said[said.index(b"<Credentials>") : said.index(b"</Credentials>") + 14]
    return said.replace(key, key + key)


WITHHELD = {
    "cut": lambda said: xml(said[: len(said) // 2]),
    "broken chunks": lambda said: b"HTTP/1.1 200 OK\r\n" + XML + b"\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\nzz\r\n" % (len(said), said),
    "two keys": lambda said: xml(doubled(said)),
    "a part twice": lambda said: xml(said.replace(b"<SessionToken>", b"<SessionToken>x</SessionToken><SessionToken>")),
    "a part elsewhere": lambda said: xml(said.replace(b"<AssumedRoleId>", b"<SessionToken>x</SessionToken><AssumedRoleId>")),
    "a part in other letters": lambda said: xml(said.replace(b"<AssumedRoleId>", b"<secretaccesskey>x</secretaccesskey><AssumedRoleId>")),
    "no token": lambda said: xml(said.replace(b"SessionToken>", b"Session>")),
    "another call's": lambda said: xml(said.replace(b"AssumeRoleRe", b"CreateAccessKeyRe")),
    "one that gives none": lambda said: xml(said.replace(b"AssumeRoleRe", b"GetCallerIdentityRe")),
    "an error with a key": lambda said: xml(said, status=b"400 No"),
    "a document type": lambda said: xml(b'<!DOCTYPE x [<!ENTITY a "b">]>' + said),
    "an entity": lambda said: xml(said.replace(b"AROA:x", b"&a;")),
    "a comment": lambda said: xml(said.replace(b"AROA:x", b"<!-- x -->")),
    "CDATA": lambda said: xml(said.replace(b"AROA:x", b"<![CDATA[x]]>")),
    "an instruction": lambda said: xml(b"<?xml-stylesheet href='x'?>" + said),
    "an attribute": lambda said: xml(said.replace(b"<Credentials>", b"<Credentials a='b'>")),
    "a prefix": lambda said: xml(said.replace(b"SessionToken>", b"a:SessionToken>")),
    "more behind": lambda said: xml(said + said),
    "no UTF-8": lambda said: xml(said.replace(b"AROA:x", b"\xff")),
    "UTF-16": lambda said: xml(said.decode().encode("utf-16")),
    "a NUL": lambda said: xml(said.replace(b"AROA:x", b"\0")),
    "deep": lambda said: xml(said.replace(b"AROA:x", b"<a>" * 9000 + b"</a>" * 9000)),
    "huge": lambda said: xml(said + b" " * (64 << 10)),
    "a bomb": lambda said: xml(gzip.compress(said + b" " * (64 << 20)), b"Content-Encoding: gzip"),
    "cut gzip": lambda said: xml(gzip.compress(said)[:-6], b"Content-Encoding: gzip"),
    "another type": lambda said: response(said, b"Content-Type: text/html"),
    "two types": lambda said: xml(said, b"Content-Type: application/xml"),
    "JSON": lambda said: response(json.dumps({"AssumeRoleResponse": {"AssumeRoleResult": {"Credentials": {"SessionToken": said.decode()}}}}).encode(), b"Content-Type: application/json"),
    "JSON of the member": lambda said: response(json.dumps({"Credentials": {"SessionToken": said.decode()}}).encode(), b"Content-Type: application/json"),
    "a redirect": lambda said: xml(said, b"Location: https://x/", status=b"302 Found"),
    "a part of it": lambda said: xml(said, b"Content-Range: bytes 0-9/99", status=b"206 Partial Content"),
}  # fmt: skip


@pytest.mark.parametrize("why", WITHHELD)
def test_what_cannot_be_looked_into_is_withheld(aws, why):
    """In words; nothing of it is shown."""
    aws.cloud.instead.append(WITHHELD[why])
    got = signed(aws, f"{STS}:{aws.cloud.port}", "Action=AssumeRole")
    wanted = "upstream_unreachable" if why == "broken chunks" else "answer_withheld"
    assert (got.status_code, got.headers.get("Egret-Error")) == (502, wanted), got.content
    clean(aws, got.content, repr(got.headers).encode())


def test_however_it_is_written(aws):
    """Encoded, with a prologue, references and blanks, and the token in a field: it is written anew, with its length."""
    aws.cloud.instead += [
        lambda said: xml(gzip.compress(b'<?xml version="1.0" encoding="UTF-8"?>\n' + said), b"Content-Encoding: gzip"),
        lambda said: xml(said.replace(b"Token>", b"Token\n>"), b'ETag: "x"', b"X-Token: " + said.split(b"SessionToken>")[1][:-2]),
    ]  # fmt: skip
    for _ in range(2):
        got = signed(aws, f"{STS}:{aws.cloud.port}", "Action=AssumeRole")
        assert got.status_code == 200 and "#{SECRETS.KEY." in got.text and "a&amp;b" in got.text
        assert int(got.headers["Content-Length"]) == len(got.content) and "ETag" not in got.headers
        clean(aws, got.content, repr(got.headers).encode())
    assert got.headers["X-Token"] == "#{SECRETS.*}"


def test_an_answer_that_is_announced(aws):
    """Interim answers go before it."""
    aws.cloud.instead.append(lambda said: b"HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\n" + xml(said))
    assert "#{SECRETS.KEY." in signed(aws, f"{STS}:{aws.cloud.port}", "Action=AssumeRole").text


def test_an_error_says_why(aws):
    """It holds no key."""
    body = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you &lt;3</Message></Error></ErrorResponse>"
    aws.cloud.instead.append(lambda said: xml(body, status=b"403 Forbidden"))
    with pytest.raises(ClientError, match=r"AccessDenied.*not you <3"):
        client(aws, "sts").assume_role(**ROLE)


def test_a_rule_that_changes_meanwhile_shows_nothing(aws):
    """The secret is gone before STS answers: what was asked as captured is captured, or is not shown."""

    def gone(said):
        aws.store.vault.entries.delete(aws.store.owner, aws.store.scope(), Kind.SECRET, "KEY")
        return xml(said)

    aws.cloud.instead.append(gone)
    got = signed(aws, f"{STS}:{aws.cloud.port}", "Action=AssumeRole")
    clean(aws, got.content, repr(got.headers).encode())


def test_what_captures_no_more_shows_nothing(aws, monkeypatch):
    """Where the answer meets another view of the store than the request did: it is withheld."""
    plain, sent = vars(View)["captures"].func, []
    monkeypatch.setattr(View, "captures", property(lambda self: () if sent else plain(self)))
    aws.cloud.instead.append(lambda said: sent.append(1) or xml(said))
    got = signed(aws, f"{STS}:{aws.cloud.port}", "Action=AssumeRole")
    assert got.headers["Egret-Error"] == "answer_withheld"
    clean(aws, got.content)


def test_http2(aws):
    """Of the client: the same border."""
    host = f"{STS}:{aws.cloud.port}"
    request = AWSRequest("POST", f"https://{host}/", headers={}, data="Action=AssumeRole")
    SigV4Auth(Credentials("#{SECRETS.KEY}", "any"), "sts", "us-east-1").add_auth(request)
    fields = [(name.lower(), value) for name, value in request.headers.items()]
    with aws.tunnel(aws.token, host, STS, alpn=["h2"]) as sock:
        got = http2.Client(sock, host).ask(
            "/", *fields, ("content-length", "17"), method="POST", body=b"Action=AssumeRole"
        )
    assert got.status == 200 and b"#{SECRETS.KEY." in got.body
    clean(aws, got.body)


@pytest.mark.parametrize(
    "where",
    [
        "proxy.core.sts.replaced", "proxy.core.sts._read", "proxy.border.signing.captures_keys", "proxy.border.login.captures_keys",
        "store.reader.captured.Capturing.seal_key", "store.reader.captured.CapturedGrant.open",
    ],
)  # fmt: skip
def test_a_fault_shows_nothing(aws, monkeypatch, where):
    """In any step: a refusal without a word of the fault, no key at the client, and the next one works."""

    def fails(*_, **__):
        raise RuntimeError("fault-canary-text")

    key = assumed(aws)
    with monkeypatch.context() as patch:
        patch.setattr(where, fails)
        got = signed(aws, f"{STS}:{aws.cloud.port}", "Action=AssumeRole")
        used = code(client(aws, "s3", key).list_objects_v2, Bucket="b") if where.endswith("open") else "internal"
    assert used == "internal" and (where.endswith("open") or got.headers.get("Egret-Error") == "internal")
    assert b"fault-canary-text" not in got.content
    clean(aws, got.content)
    assert assumed(aws)
