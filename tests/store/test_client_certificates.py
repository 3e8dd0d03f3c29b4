"""A client certificate is judged when it is stored: what no server could take is refused in words, without any of it."""

import datetime as dt
import json

import pytest
import shown
from certificates import Authority
from cryptography.hazmat.primitives.asymmetric import dsa, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from store.client_certificates import WORDS, ends, sealed
from store.credential import check_parts, fits, parse_credential, secrets_of
from store.errors import Invalid
from store.model import Destination, Location, SecretValue, Use


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def parts(authority):
    return shown.credentials(authority, "client-a")


def pem(key, passphrase: bytes | None = None) -> str:
    how = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how).decode()


def fault(value) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(Invalid) as caught:
        check_parts("client_certificate", raw, "/value")
    (problem,) = caught.value.problems
    assert problem.pointer == "/value" and "canary" not in problem.detail and "BEGIN" not in problem.detail
    return problem.code


def test_what_is_no_certificate(authority, parts):
    """One code for each, with what to do; a key of another is told before a server tells it."""
    check_parts("client_certificate", json.dumps(parts).encode(), "/value")
    chain = {**parts, "certificate": parts["certificate"] + authority.path.read_text()}
    check_parts("client_certificate", json.dumps(chain).encode(), "/value")
    other = shown.credentials(authority, "client-b")
    key = load_pem_private_key(parts["private_key"].encode(), None)
    assert fault(b"canary") == "value_not_client_certificate"
    assert fault({**parts, "canary": "x"}) == "value_not_client_certificate"
    assert fault({"certificate": parts["certificate"]}) == "value_not_client_certificate"
    assert fault({**parts, "certificate": "canary" * 40}) == "certificate_invalid"
    assert fault({**parts, "certificate": "short"}) == "certificate_invalid"
    assert fault({**parts, "certificate": parts["certificate"].replace("M", "N")}) == "certificate_invalid"
    assert fault({**parts, "certificate": parts["private_key"]}) == "certificate_invalid"
    assert fault({**parts, "certificate": authority.path.read_text() + parts["certificate"]}) == "private_key_differs"
    assert fault({**parts, "private_key": other["private_key"]}) == "private_key_differs"
    assert fault({**parts, "private_key": "canary" * 40}) == "private_key_invalid"
    assert fault({**parts, "private_key": pem(key, b"canary")}) == "private_key_encrypted"
    assert fault({**parts, "private_key": pem(rsa.generate_private_key(65537, 1024))}) == "private_key_invalid"
    assert fault({**parts, "private_key": pem(dsa.generate_private_key(1024))}) == "private_key_invalid"
    assert fault({**parts, "private_key": pem(ed25519.Ed25519PrivateKey.generate())}) == "private_key_differs"
    assert fault(shown.credentials(authority, "client-a", expired=True)) == "certificate_expired"
    with pytest.raises(Invalid) as caught:
        parse_credential("client_certificate", {"scope": "a"})
    assert caught.value.problems[0].code == "parameter_unknown"


def test_what_of_it_is_secret(parts):
    """The key; its certificate is shown to servers, and tells when it ends."""
    found = secrets_of("client_certificate", SecretValue(json.dumps(parts).encode()))
    assert [each.reveal().decode() for each in found] == [parts["private_key"]]
    assert dt.timedelta(days=29) < ends(parts["certificate"]) - dt.datetime.now(dt.UTC) <= dt.timedelta(days=30)


def test_together_in_a_file_the_key_is_encrypted(parts):
    """With a passphrase that nobody else has."""
    made = sealed(parts["certificate"], parts["private_key"], b"once")
    assert not [line for line in shown.lines(parts["private_key"]) if line in made]
    key = made[made.index(b"-----BEGIN ENCRYPTED") :]
    assert pem(load_pem_private_key(key, b"once")) == parts["private_key"]


def test_where_its_placeholder_stands():
    """In one field, over TLS."""
    credential = parse_credential("client_certificate", {})
    assert (credential.written, credential.traded, credential.misplaced) == (
        False,
        False,
        "client_certificate_misplaced",
    )
    here, clear = (Destination(secure, "api.example.com", 443) for secure in (True, False))

    def fit(header, location=Location.HEADER, where=here):
        return fits(credential, Use(where, location, "GET", "/", header, "", frozenset()))

    assert fit("egret-client-certificate") and not fit("authorization")
    assert not fit("egret-client-certificate", where=clear) and not fit("", Location.URL) and not fit("", Location.BODY)


def test_every_word_is_told_with_a_remedy():
    """Codes are words, words are sentences."""
    assert all(code.replace("_", "").isalpha() and words.endswith((".", ").")) for code, words in WORDS.items())
