"""What an upload may not contain: each fault has a pointer and a code, no echo of the input, and nothing is stored."""

import json

import pytest

CANARY = "canary-upload-6Tz3"
CASES = {
    "CR LF in a name": ([{"name": "A\r\nB", "value": CANARY}], "/secrets/0/name"),
    "lower-case name": ([{"name": "lower", "value": CANARY}], "/secrets/0/name"),
    "name of 129": ([{"name": "A" * 129, "value": CANARY}], "/secrets/0/name"),
    "empty name": ([{"name": "", "value": CANARY}], "/secrets/0/name"),
    "name with a digit first": ([{"name": "1A", "value": CANARY}], "/secrets/0/name"),
    "no name": ([{"value": CANARY}], "/secrets/0/name"),
    "empty value": ([{"name": "A", "value": ""}], "/secrets/0/value"),
    "64 KiB + 1": ([{"name": "A", "value": CANARY + "x" * (65536 + 1 - len(CANARY))}], "/secrets/0/value"),
    "64 KiB + 1 in UTF-8": ([{"name": "A", "value": "é" * 32768 + "x"}], "/secrets/0/value"),
    "CR LF in a value": ([{"name": "A", "value": f"{CANARY}\r\nX: y"}], "/secrets/0/value"),
    "NUL": ([{"name": "A", "value": f"{CANARY}\0"}], "/secrets/0/value"),
    "value that is no text": ([{"name": "A", "value": 7}], "/secrets/0/value"),
    "no value": ([{"name": "A"}], "/secrets/0"),
    "duplicate name": ([{"name": "A", "value": "1"}, {"name": "A", "value": CANARY}], "/secrets/1/name"),
    "unknown field": ([{"name": "A", "value": "1", CANARY: CANARY}], "/secrets/0"),
    "bad host": ([{"name": "A", "value": CANARY, "hosts": ["http://"]}], "/secrets/0/hosts"),
    "host with a path": ([{"name": "A", "value": CANARY, "hosts": ["api.example.com/x"]}], "/secrets/0/hosts"),
    "bad location": ([{"name": "A", "value": CANARY, "locations": ["host"]}], "/secrets/0/locations"),
    "not a list": (CANARY, "/secrets"),
    "second of two is bad": ([{"name": "GOOD", "value": CANARY}, {"name": "bad", "value": "x"}], "/secrets/1/name"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_upload(egret, case):
    """422 with pointer and code; the dataset is not there afterwards."""
    secrets, pointer = CASES[case]
    status, document, raw, headers = egret.api(
        "POST", "/projects/default/datasets/", {"name": "bad-upload", "filename": "data.zip", "secrets": secrets}
    )
    assert (status, headers["Content-Type"].split(";")[0]) == (422, "application/problem+json"), raw
    assert {"code", "request_id", "errors"} <= document.keys()
    assert any(error["pointer"].startswith(pointer) and error["code"] for error in document["errors"]), document
    assert CANARY.encode() not in raw
    assert not {"input", "ctx", "url"} & set(json.dumps(document["errors"]).split('"'))
    datasets = egret.api("GET", "/projects/default/datasets/")[1]["items"]
    assert [item for item in datasets if item["name"] == "bad-upload"] == []
    assert not in_files(egret, CANARY.encode())


def test_line_feeds_in_a_value_are_kept(egret):
    """A private key has lines: it is a legal value, and only refused where it would break a header."""
    egret.dataset({"name": "PEM", "value": "-----BEGIN X-----\nabc\n-----END X-----\n"}, name="pem")


@pytest.mark.parametrize("body", [b"", b"{", b'{"name": "' + CANARY.encode(), b"\xff", b"[]", b'"x"', b"null", b"{}"])
def test_a_body_that_is_no_document(egret, body):
    """4xx, and not a word of it comes back."""
    status, document, raw, headers = egret.api(
        "POST", "/projects/default/datasets/", body, headers={"Content-Type": "application/json"}
    )
    assert status in {400, 422}, raw
    assert headers["Content-Type"].startswith("application/problem+json")
    assert CANARY.encode() not in raw
    assert document["request_id"]


def in_files(egret, needle: bytes) -> list[str]:
    return [str(path) for path in egret.data.rglob("*") if path.is_file() and needle in path.read_bytes()]
