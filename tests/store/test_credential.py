"""Secrets of a kind: what their values must be, that kind and parameters are sealed with them, what of them is secret."""

import json

import pytest
from stores import CANARY, secret, use

from store.credential import check_parts, parse_aws, parse_credential, secrets_of
from store.errors import Invalid
from store.model import Kind, SecretValue
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


@pytest.mark.parametrize(
    ("kind", "parameters", "fault"),
    [
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


def test_a_variable_has_no_kind(store):
    """It is no secret; and a description is no place for a part of one."""
    store.dataset()
    with pytest.raises(Invalid):
        store.put(NewEntry("REGION", SecretValue(aws()), kind="aws"), kind=Kind.VARIABLE)
    with pytest.raises(Invalid) as caught:
        store.put(secret(value=aws(), kind="aws", description=f"it is {KEY}"))
    assert [each.code for each in caught.value.problems] == ["holds_value"]
