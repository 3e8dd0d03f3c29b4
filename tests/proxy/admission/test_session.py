"""Credentials."""

import base64

import pytest

from proxy.admission.session import credential, is_session
from proxy.core.refusal import Refused

TOKEN = "egs_abc_secretsecret"


def refused(values: list[bytes]) -> str:
    with pytest.raises(Refused) as caught:
        credential(values)
    return caught.value.refusal.code


def basic(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


@pytest.mark.parametrize(
    "value",
    [
        f"Bearer {TOKEN}".encode(), f"bearer  {TOKEN} ".encode(), basic(f"{TOKEN}:"), basic(f"{TOKEN}:ignored"),
        basic(TOKEN), basic(f"{TOKEN}:").rstrip(b"="), basic(f"{TOKEN}:").replace(b"Basic", b"bAsIc"),
    ],
)  # fmt: skip
def test_token_is_found(value):
    """Bearer, or Basic with the token as user name, in any case, padded or not."""
    assert credential([value]) == TOKEN
    assert is_session(value)


@pytest.mark.parametrize(
    "value",
    [
        b"", b"Bearer", b"Bearer ", b"Bearer abc", b"Basic", b"Basic !", basic("user:" + TOKEN), b"Digest " + TOKEN.encode(),
        b"Bearer egs_", b"Bearer egs_" + b"x" * 300, "Bearer egs_ä".encode(), b"Bearer egs_a b", TOKEN.encode(),
        b"Basic " + base64.b64encode(b"\xff\xfe:x"),
    ],
)  # fmt: skip
def test_what_is_no_token(value):
    """Everything else is an invalid session, without an exception."""
    assert refused([value]) == "session_invalid"
    assert not is_session(value)


def test_none_and_two():
    """No credential is another thing than a wrong one, and two are ambiguous."""
    assert refused([]) == "session_required"
    assert refused([b"Bearer " + TOKEN.encode()] * 2) == "bad_request"
