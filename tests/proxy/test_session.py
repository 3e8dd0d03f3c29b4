"""Credentials."""

import base64

import pytest

from proxy.refusal import Refusal
from proxy.session import authenticate, credential, is_session
from store.errors import NotAuthenticated, Tampered, Unavailable
from store.model import Caller, Scope

TOKEN = "egs_abc_secretsecret"


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
    assert credential([value]) == Refusal("session_invalid")
    assert not is_session(value)


def test_none_and_two():
    """No credential is another thing than a wrong one, and two are ambiguous."""
    assert credential([]) == Refusal("session_required")
    assert credential([b"Bearer " + TOKEN.encode()] * 2) == Refusal("bad_request")


class Store:
    def __init__(self, answer):
        self.answer = answer

    def caller(self, token):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_store_decides():
    """A caller, or the refusal for each way in which there is none."""
    caller = Caller("s", Scope("o", "p", "d"), "prod", 4e9)
    assert authenticate(Store(caller), TOKEN) is caller
    assert authenticate(Store(NotAuthenticated("x")), TOKEN) == Refusal("session_invalid")
    assert authenticate(Store(Unavailable("x")), TOKEN) == Refusal("store_unavailable")
    assert authenticate(Store(Tampered("x")), TOKEN) == Refusal("store_unavailable")
