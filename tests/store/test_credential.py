"""Secrets of a kind: what their values must be, that kind and parameters are sealed with them, what of them is secret."""

import json

import pytest
from clouds import PEM, VALUES
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from stores import CANARY, secret, use

from store.api.secret_models import SecretOut
from store.credential import check_parts, endpoint_of, parse_aws, parse_credential, places, secrets_of, target_of
from store.errors import Invalid
from store.kinds import KINDS, TRADED, Credential
from store.model import WIDENED, Destination, Kind, Location, SecretValue
from store.operator.reseal import new_opening_key, reseal
from store.records import Change, NewEntry

ID, KEY, TOKEN = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "FwoGZXIvYXdzEBYaD" + "x" * 40


def aws(**parts) -> bytes:
    return json.dumps({"access_key_id": ID, "secret_access_key": KEY, **parts}).encode()


def faults(call, *args) -> set[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        call(*args)
    for each in caught.value.problems:
        assert KEY[:8] not in each.detail and "canary" not in each.pointer + each.detail
    return {(each.pointer, each.code) for each in caught.value.problems}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"canary", "value_not_aws"),
        (b"\xff\xfe", "value_not_aws"),
        (b"[" * 60_000, "value_not_aws"),
        (b'["canary"]', "value_not_aws"),
        (b'{"access_key_id": "%s"}' % ID.encode(), "value_not_aws"),
        (aws(canary="x"), "value_not_aws"),
        (aws(session_token=None), "value_not_aws"),
        (aws()[:-1] + b', "access_key_id": "%s"}' % ID.encode(), "value_not_aws"),
        (aws(access_key_id="AKIA"), "access_key_id_invalid"),
        (aws(access_key_id="A" * 129), "access_key_id_invalid"),
        (aws(access_key_id=ID + "\n"), "access_key_id_invalid"),
        (aws(secret_access_key=KEY[:-1]), "secret_access_key_invalid"),
        (aws(secret_access_key="канарейка" * 5), "secret_access_key_invalid"),
        (aws(session_token=""), "session_token_invalid"),
        (aws(session_token="a b" * 20), "session_token_invalid"),
        (aws(access_key_id="ASIA" + ID[4:]), "session_token_required"),
    ],
)
def test_what_is_no_aws_value_is_refused_in_words(value, code):
    """With the place and the remedy, and nothing of what was given."""
    assert faults(check_parts, "aws", value, "/value") == {("/value", code)}


def test_parts_of_an_aws_value():
    """The key and the token are secrets of their own; the id is none. A value without those parts is secret whole."""
    key = parse_aws(aws(access_key_id="ASIA" + ID[4:], session_token=TOKEN))
    assert (key.id, key.secret.reveal().decode(), key.token.reveal().decode()) == ("ASIA" + ID[4:], KEY, TOKEN)
    assert KEY not in repr(key) and TOKEN not in repr(key)
    found = secrets_of("aws", SecretValue(aws(session_token=TOKEN)))
    assert [each.reveal().decode() for each in found] == [KEY, TOKEN]
    assert [each.reveal() for each in secrets_of("aws", SecretValue(b"sealed by a client"))] == [b"sealed by a client"]
    assert [each.reveal() for each in secrets_of("static", SecretValue(aws()))] == [aws()]


def client(**parts) -> bytes:
    return json.dumps({"client_id": "client", "client_secret": KEY, **parts}).encode()


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"canary", "value_not_oauth2_client"),
        (client(canary="x"), "value_not_oauth2_client"),
        (client(client_id=7), "value_not_oauth2_client"),
        (client(client_id=""), "client_id_invalid"),
        (client(client_secret="canary"), "client_secret_invalid"),
        (client(client_secret="canary\n" * 9), "client_secret_invalid"),
    ],
)
def test_what_is_no_client_is_refused_in_words(value, code):
    """A secret that is too short to be searched for, too."""
    assert faults(check_parts, "oauth2_client", value, "/value") == {("/value", code)}


LOGIN = {"client_id": "c", "client_secret": "s" * 8, "refresh_token": "r" * 8}


def changed(kind, **parts) -> bytes:
    return json.dumps(
        {
            name: part
            for name, part in {**(LOGIN if kind == "oauth2_refresh" else VALUES[kind]), **parts}.items()
            if part is not None
        }
    ).encode()


SMALL = generate_private_key(65537, 1024).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("kind", "parts", "code"),
    [
        ("azure_client", {"tenant_id": "a/b"}, "tenant_id_invalid"),
        ("oauth2_refresh", {"refresh_token": "short"}, "refresh_token_invalid"),
        ("oauth2_refresh", {"refresh_token": "x" * 8193}, "refresh_token_invalid"),
        ("oauth2_refresh", {"client_secret": 7}, "value_not_oauth2_refresh"),
        ("azure_client", {"tenant_id": None}, "value_not_azure_client"),
        ("github_app", {"app_id": 7}, "value_not_github_app"),
        ("github_app", {"private_key": PEM[:-200]}, "private_key_invalid"),
        ("github_app", {"private_key": PEM.replace("M", "N")}, "private_key_invalid"),
        ("github_app", {"private_key": SMALL}, "private_key_invalid"),
        ("gcp_service_account", {"type": "authorized_user"}, "type_invalid"),
        ("gcp_service_account", {"token_uri": "https://evil.example/token"}, "token_uri_invalid"),
        ("gcp_service_account", {"universe_domain": "evil.example"}, "universe_domain_invalid"),
        ("gcp_service_account", {"canary": "x"}, "value_not_gcp_service_account"),
    ],
)
def test_what_is_no_credential_of_a_cloud(kind, parts, code):
    """A key is tried when it is stored: nobody looks at it again before it is used."""
    check_parts(kind, changed(kind), "/value")
    assert faults(check_parts, kind, changed(kind, **parts), "/value") == {("/value", code)}


def test_where_those_of_clouds_are_traded():
    """At the genuine hosts, whatever a key file says."""
    for kind, parameters, where in (
        ("azure_client", {"scope": "a"}, "login.microsoftonline.com"),
        ("azure_client", {"scope": "a", "cloud": "china"}, "login.partner.microsoftonline.cn"),
        ("github_app", {"installation_id": "4"}, "api.github.com"),
        (
            "github_app",
            {"installation_id": "4", "api_url": "https://ghe.example.com:8443/api/v3"},
            "ghe.example.com:8443",
        ),
        ("gcp_service_account", {"scope": "a"}, "oauth2.googleapis.com"),
    ):
        assert str(endpoint_of(parse_credential(kind, parameters))) == where
    key = changed("gcp_service_account", token_uri="https://accounts.google.com/o/oauth2/token")
    check_parts("gcp_service_account", key, "/value")
    assert [each.reveal().decode() for each in secrets_of("gcp_service_account", SecretValue(key))] == [PEM]


URL = "https://auth.example.com:8443/oauth/token?tenant=t"


def test_where_a_client_is_traded():
    """Where, and with what: its id is no secret, and what is to be narrowed is said once."""
    credential = parse_credential("oauth2_client", {"token_url": URL, "scope": "a b", "client_auth": "post"})
    assert (str(endpoint_of(credential)), target_of(credential)) == ("auth.example.com:8443", "/oauth/token?tenant=t")
    assert target_of(parse_credential("oauth2_client", {"token_url": "https://[::1]"})) == "/"
    assert [each.reveal().decode() for each in secrets_of("oauth2_client", SecretValue(client()))] == [KEY]
    assert [endpoint_of(parse_credential(kind, {})) for kind in ("aws", "static")] == [None, None]


@pytest.mark.parametrize(
    "url",
    [
        "http://auth.example.com/", "https://", "https://a@b/", "https://a.example/#f", "https://a.example\\@b/", 7, [URL],
        "https://a.example:0/", "https://0x7f.1/", "https://egret.internal/", "https://x.egret.internal/", "https://a b/",
        "https://a.example/\r\nX: y", "https://a.example/ü", "https://a.example/" + "x" * 2000, "//a.example/", "",
    ],
)  # fmt: skip
def test_what_is_no_token_url(url):
    """One that could be read in two ways, or is Egret's own."""
    assert faults(parse_credential, "oauth2_client", {"token_url": url}) == {
        ("/parameters/token_url", "parameter_invalid")
    }


@pytest.mark.parametrize(
    ("kind", "parameters", "fault"),
    [
        ("oauth2_client", {}, ("/parameters", "parameter_required")),
        ("oauth2_client", {"token_url": URL, "scope": "a\nb"}, ("/parameters/scope", "parameter_invalid")),
        ("oauth2_client", {"token_url": URL, "audience": ["x"]}, ("/parameters/audience", "parameter_invalid")),
        ("oauth2_client", {"token_url": URL, "client_auth": "jwt"}, ("/parameters/client_auth", "parameter_invalid")),
        ("azure_client", {}, ("/parameters", "parameter_required")),
        ("oauth2_refresh", {}, ("/parameters", "parameter_required")),
        ("oauth2_refresh", {"token_url": URL, "reuse": "yes"}, ("/parameters/reuse", "parameter_invalid")),
        ("oauth2_refresh", {"token_url": URL, "audience": "x"}, ("/parameters", "parameter_unknown")),
        ("azure_client", {"scope": "a", "cloud": "mine"}, ("/parameters/cloud", "parameter_invalid")),
        ("github_app", {"installation_id": "4x"}, ("/parameters/installation_id", "parameter_invalid")),
        (
            "github_app",
            {"installation_id": "4", "repositories": ["a/b"]},
            ("/parameters/repositories", "parameter_invalid"),
        ),
        (
            "github_app",
            {"installation_id": "4", "permissions": ["contents"]},
            ("/parameters/permissions", "parameter_invalid"),
        ),
        ("github_app", {"installation_id": "4", "api_url": "http://x"}, ("/parameters/api_url", "parameter_invalid")),
        ("gcp_service_account", {}, ("/parameters", "parameter_required")),
        ("gcp_service_account", {"scope": "a", "audience": "b"}, ("/parameters", "parameter_required")),
        ("oauth2_client", {"token_url": URL, "regions": ["x"]}, ("/parameters", "parameter_unknown")),
        ("canary", {}, ("/kind", "kind_unknown")),
        ("static", {"regions": ["us-east-1"]}, ("/parameters", "parameter_unknown")),
        ("aws", {"canary": ["x"]}, ("/parameters", "parameter_unknown")),
        ("aws", {"regions": []}, ("/parameters/regions", "parameter_invalid")),
        ("aws", {"regions": "us-east-1"}, ("/parameters/regions", "parameter_invalid")),
        ("aws", {"services": ["S3/canary"]}, ("/parameters/services", "parameter_invalid")),
        ("aws", {"services": ["s3"] * 65}, ("/parameters/services", "parameter_invalid")),
    ],
)
def test_parameters_of_another_form_are_refused(kind, parameters, fault):
    """At their place."""
    assert faults(parse_credential, kind, parameters) == {fault}


def test_equal_parameters_are_one():
    """Order and repetition say nothing, or an envelope would not open for the same words."""
    one = parse_credential("aws", {"services": ["s3", "sts"], "regions": ["us-east-1"]})
    other = parse_credential("aws", {"regions": ["us-east-1"], "services": ["sts", "s3", "sts"]})
    assert one == other and one.info() == other.info() != parse_credential("aws", {}).info()


def test_a_kind_is_kept_with_its_version(store, reader):
    """What is listed, used and scrubbed follows the version in use; a rename, another key and a narrowing leave it."""
    entry = secret(value=aws(session_token=TOKEN), kind="aws", parameters={"regions": ["us-east-1"]})
    made = store.dataset(entry).secrets[0]
    assert (made.credential.kind, made.credential.parameters) == ("aws", {"regions": ["us-east-1"]})
    assert {each.code for each in made.warnings} == {"weak_value"}, "AWS's example key is words"
    where = store.owner, store.scope(), Kind.SECRET
    with pytest.raises(Invalid) as caught:
        store.put(secret(value=CANARY))
    assert [each.code for each in caught.value.problems] == ["kind_required"]
    store.put(secret(value=CANARY, kind="static"))
    view = reader.view(store.caller(reader))
    assert view.resolve(Kind.SECRET, "API_KEY", use()).credential.written
    assert {each.value.reveal() for each in view.values()} >= {CANARY}
    store.vault.entries.activate(*where, "API_KEY", 1)
    store.vault.entries.patch(*where, "API_KEY", Change(name="CLOUD", hosts=["api.example.com"]))
    store.vault.sealing_keys.register(store.owner, new_opening_key(store.data))
    for batch in reseal(store.url, store.data):
        assert store.vault.sealing_keys.take_resealed(store.owner, batch) == len(batch)
    view = reader.view(store.caller(reader))
    grant = view.resolve(Kind.SECRET, "CLOUD", use())
    assert (grant.credential.kind, grant.open().reveal()) == ("aws", aws(session_token=TOKEN))
    assert {each.value.reveal().decode() for each in view.values()} >= {KEY, TOKEN}
    assert aws(session_token=TOKEN) not in {each.value.reveal() for each in view.values()}


URL_TOO = {"payload": ["body"], "signature_in": "query:sig", "key_id_in": "header:X-Key"}
STANDS = [
    ("static", {}, {*Location}),
    ("aws", {}, {"header", "url"}),
    ("hmac", {"template": "github"}, {"header"}),
    ("hmac", {"template": "binance"}, {"header", "url"}),
    ("hmac", URL_TOO, {"header", "url"}),
    ("hmac", {"payload": ["query"], "signature_in": "query:sig"}, {"url"}),
    ("client_certificate", {}, {"header"}),
    *((kind, None, {"header", "url"}) for kind in TRADED),
]


@pytest.mark.parametrize(("kind", "parameters", "expected"), STANDS)
def test_where_a_placeholder_may_stand(kind, parameters, expected):
    """Of the locations that were sealed, those that the kind has; nothing is added to what was named or narrowed."""
    credential = Credential(kind) if parameters is None else parse_credential(kind, parameters)
    assert places(credential, [*Location, WIDENED]) == sorted(expected)
    for one in Location:
        assert places(credential, [one]) == sorted({one} & expected)
    assert {kind for kind, *_ in STANDS} == {*KINDS}, "each kind says where"


def test_lists_tell_where_a_placeholder_may_stand(store, reader):
    """What is sealed stays what it was, for clients that seal; what people and code are told is true."""
    value = json.dumps({"secret": "s" * 40}).encode()
    made = store.dataset(secret(value=value, kind="hmac", parameters={"template": "github"})).secrets[0]
    assert {*made.locations} == {*Location}
    told = SecretOut.of(made).model_dump()
    assert (told["places"], {*told["locations"]}) == (["header"], {*Location})
    assert reader.view(store.caller(reader)).about()["secrets"][0]["locations"] == ["header"]


def test_a_client_reaches_its_endpoint(store, reader):
    """Whose answers are searched for its secret; tokens go where the value does, of versions that are searched for."""
    where = {"token_url": URL}
    store.dataset(secret(value=client(), kind="oauth2_client", parameters=where), dataset="ds")
    view = reader.view(store.caller(reader))
    (stored,) = view.values()
    assert (stored.value.reveal().decode(), [each.host for each in stored.rules]) == (
        KEY,
        ["api.example.com", "auth.example.com"],
    )
    grant = view.resolve(Kind.SECRET, "API_KEY", use())
    assert grant.credential.parameters == where and grant.credential.traded and not grant.credential.written
    assert [(each.identity, each.active, each.free) for each in view.traded] == [(grant.identity, True, False)]
    assert view.binds(Destination(True, "auth.example.com", 8443)) and not view.binds(Destination(True, "x.test", 443))
    kid, other = view.traded[0].kid, store.reader()
    locked = reader.locker(kid).lock(SecretValue(b"x"), b"b")
    assert other.locker(kid).open(locked, b"b").reveal() == b"x" and reader.locker(b"?") is None, (
        "processes share a key"
    )
    other.close()
    store.put(secret(value=client(client_secret=KEY[::-1]), kind="oauth2_client", parameters=where))
    view = reader.view(store.caller(reader))
    assert sorted(each.active for each in view.traded) == [False, True]
    assert len({each.identity for each in view.traded} | {grant.identity}) == 2


def test_a_variable_has_no_kind(store):
    """It is no secret; and a description is no place for a part of one."""
    store.dataset()
    with pytest.raises(Invalid):
        store.put(NewEntry("REGION", SecretValue(aws()), kind="aws"), kind=Kind.VARIABLE)
    with pytest.raises(Invalid) as caught:
        store.put(secret(value=aws(), kind="aws", description=f"it is {KEY}"))
    assert [each.code for each in caught.value.problems] == ["holds_value"]
