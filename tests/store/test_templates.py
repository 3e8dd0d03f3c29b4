"""Templates are judged when they are stored: what cannot work, or signs nothing, is refused at its place and in words."""

import json

import pytest

from store.credential import check_parts, fits, parse_credential, secrets_of
from store.errors import Invalid
from store.kinds import Credential
from store.model import Destination, Location, SecretValue, Use
from store.templates import KNOWN, Place, template_of

SECRET = "canary-k3Vq9xPw2LmN8rT5yB1"
OWN = {
    "payload": ["timestamp", "text:.", "body"],
    "signature_in": "header:X-Signature",
    "timestamp_in": "header:X-Time",
}


def faults(call, *args) -> set[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        call(*args)
    assert "canary" not in str([(each.pointer, each.detail) for each in caught.value.problems])
    return {(each.pointer, each.code) for each in caught.value.problems}


@pytest.mark.parametrize(
    ("parameters", "where", "code"),
    [
        ({}, "", "parameter_required"),
        ({"payload": ["body"]}, "", "parameter_required"),
        ({"signature_in": "header:X-A"}, "", "parameter_required"),
        ({"template": "canary"}, "/template", "parameter_invalid"),
        ({"template": "github", "encoding": "hex"}, "", "parameter_invalid"),
        ({"canary": "x"}, "", "parameter_unknown"),
        ({**OWN, "payload": "body"}, "/payload", "parameter_invalid"),
        ({**OWN, "payload": []}, "/payload", "parameter_invalid"),
        ({**OWN, "payload": ["body"] * 33}, "/payload", "parameter_invalid"),
        ({**OWN, "payload": ["body", "body"]}, "/payload", "parameter_invalid"),
        ({**OWN, "payload": ["canary"]}, "/payload", "parameter_invalid"),
        ({**OWN, "payload": ["body", "text:"]}, "/payload", "parameter_invalid"),
        ({**OWN, "payload": ["body", "text:a\nb"]}, "/payload", "parameter_invalid"),
        ({**OWN, "payload": ["text:a", "key_id"]}, "/payload", "parameter_invalid"),
        ({**OWN, "payload": ["body", "header:Cookie"]}, "/payload", "parameter_invalid"),
        ({**OWN, "payload": ["body", "header:content-length"]}, "/payload", "parameter_invalid"),
        ({**OWN, "payload": ["body", "header:Proxy-Authorization"]}, "/payload", "parameter_invalid"),
        ({**OWN, "payload": ["body", "header:x-signature"]}, "/payload", "parameter_invalid"),
        ({**OWN, "payload": ["body", "signature"]}, "/payload", "parameter_invalid"),
        ({"payload": ["timestamp"], "signature_in": "header:X-A"}, "/payload", "parameter_invalid"),
        ({**OWN, "format": ["text:a"]}, "/format", "parameter_invalid"),
        ({**OWN, "format": ["signature", "signature"]}, "/format", "parameter_invalid"),
        ({**OWN, "format": ["signature", "body"]}, "/format", "parameter_invalid"),
        ({**OWN, "signature_in": "header:X-Time"}, "/signature_in", "parameter_invalid"),
        ({**OWN, "signature_in": "header:host"}, "/signature_in", "parameter_invalid"),
        ({**OWN, "signature_in": "header:Sec-WebSocket-Protocol"}, "/signature_in", "parameter_invalid"),
        ({**OWN, "signature_in": "header:a_b"}, "/signature_in", "parameter_invalid"),
        ({**OWN, "signature_in": "header:"}, "/signature_in", "parameter_invalid"),
        ({**OWN, "signature_in": "query:a&b"}, "/signature_in", "parameter_invalid"),
        ({**OWN, "signature_in": "body:a"}, "/signature_in", "parameter_invalid"),
        ({**OWN, "signature_in": 7}, "/signature_in", "parameter_invalid"),
        ({**OWN, "algorithm": "md5"}, "/algorithm", "parameter_invalid"),
        ({**OWN, "encoding": "HEX"}, "/encoding", "parameter_invalid"),
        ({**OWN, "secret_encoding": "utf-8"}, "/secret_encoding", "parameter_invalid"),
        ({"payload": ["body"], "signature_in": "header:X-A", "timestamp": "ms"}, "/timestamp", "parameter_invalid"),
        ({**OWN, "timestamp": "minutes"}, "/timestamp", "parameter_invalid"),
    ],
)  # fmt: skip
def test_what_is_no_template(parameters, where, code):
    """Each with the place of its fault, and nothing of what was given."""
    assert faults(parse_credential, "hmac", parameters, "/secrets/0") == {(f"/secrets/0/parameters{where}", code)}


def test_templates_are_read_back_as_they_were_given():
    """From a version's line, too; the order of parts counts."""
    given = {
        **OWN,
        "format": ["text:t=", "timestamp", "text:,v1=", "signature"],
        "algorithm": "sha1",
        "timestamp": "iso",
    }
    credential = parse_credential("hmac", given)
    again = Credential.of(json.loads(json.dumps(credential.fields())))
    assert again == credential and again.info() == credential.info()
    made = template_of(again.parameters)
    assert made.payload == ("timestamp", "text:.", "body") and made.format == tuple(given["format"])
    assert (made.signature, made.timestamp, made.key_id) == (Place(Location.HEADER, "X-Signature"), Place(Location.HEADER, "X-Time"), None)  # fmt: skip
    assert (made.algorithm, made.clock, made.encoding, made.keeps_body, made.names_key) == ("sha1", "iso", "hex", True, False)  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_template_obeys_the_rules(name):
    """It could have been written out, so it says nothing that nobody else may."""
    made = KNOWN[name]
    spelt = {"payload": [*made.payload], "format": [*made.format], "algorithm": made.algorithm, "encoding": made.encoding, "secret_encoding": made.secret_encoding}  # fmt: skip
    for parameter, place in (("signature_in", made.signature), ("timestamp_in", made.timestamp), ("key_id_in", made.key_id)):  # fmt: skip
        if place is not None:
            spelt[parameter] = f"{'header' if place.location is Location.HEADER else 'query'}:{place.name}"
    if "timestamp" in made.payload or made.timestamp is not None:
        spelt["timestamp"] = made.clock
    assert template_of(parse_credential("hmac", spelt).parameters) == made
    assert template_of(parse_credential("hmac", {"template": name}).parameters) is made


def value(**parts) -> bytes:
    return json.dumps({"secret": SECRET, **parts}).encode()


@pytest.mark.parametrize(
    ("raw", "template", "code"),
    [
        (SECRET.encode(), "github", "value_not_hmac"),
        (value(canary="x"), "github", "value_not_hmac"),
        (value(secret="canary"), "github", "secret_invalid"),
        (value(secret="canary\n" * 9), "github", "secret_invalid"),
        (value(key_id=""), "github", "key_id_invalid"),
        (value(key_id="canary key"), "github", "key_id_invalid"),
        (value(), "okx", "key_id_required"),
        (value(), "binance", "key_id_required"),
        (value(secret="canary: canary"), "standard_webhooks", "secret_invalid"),
        (value(key_id="canary", secret="canary!!"), "coinbase_exchange", "secret_invalid"),
    ],
)
def test_what_is_no_value(raw, template, code):
    """Held against its template when it is stored: nobody looks at it again before it is used."""
    assert faults(check_parts, "hmac", raw, "/value", {"template": template}) == {("/value", code)}


def test_parts_of_a_value():
    """Both are searched for: of some APIs the id alone lets read."""
    check_parts("hmac", value(), "/value", {"template": "github"})
    check_parts("hmac", value(key_id="kid-7"), "/value", {"template": "okx"})
    check_parts("hmac", value(secret="00ff" * 8), "/value", {**OWN, "secret_encoding": "hex"})
    assert faults(check_parts, "hmac", value(), "/value", {**OWN, "secret_encoding": "hex"}) == {("/value", "secret_invalid")}  # fmt: skip
    found = secrets_of("hmac", SecretValue(value(key_id="kid-7")))
    assert [each.reveal().decode() for each in found] == [SECRET, "kid-7"]


def test_where_a_placeholder_stands():
    """What is asked before a request is made: by field, by the query, nowhere else."""
    there = Destination(True, "api.example.com", 443)
    uses = {"header": Location.HEADER, "url": Location.URL, "body": Location.BODY, "message": Location.MESSAGE}

    def at(template, header=""):
        credential = parse_credential("hmac", {"template": template})
        return {name for name, each in uses.items() if fits(credential, Use(there, each, "GET", "/", header, "", frozenset()))}  # fmt: skip

    assert at("github", "x-hub-signature-256") == {"header"} and at("github", "authorization") == set()
    assert at("binance", "x-mbx-apikey") == {"header", "url"} and at("binance", "x-other") == {"url"}
