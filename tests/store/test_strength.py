"""What is hard to guess, and what only looks so."""

import base64
import uuid

import pytest
from draw import Draw

from store.model import SecretValue
from store.reach import STRONG_FOR, WEAK_FOR, Stored
from store.strength import bits, strong

DRAW = Draw("strength")
GENERATED = {
    "40 letters and digits": lambda: DRAW.letters(40),
    "40 hex digits": lambda: DRAW.hex(20),
    "64 hex digits": lambda: DRAW.hex(32),
    "a provider's key": lambda: "sk-proj-" + DRAW.letters(48),
    "a token of GitHub's": lambda: "ghp_" + DRAW.letters(36),
    "48 random bytes": lambda: DRAW.base64(48),
    "48 random bytes in base64": lambda: base64.b64encode(DRAW.randbytes(48)).decode(),
    "a UUID": lambda: str(uuid.UUID(int=DRAW.getrandbits(128), version=4)),
    "a signed JWT": lambda: (
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0." + base64.urlsafe_b64encode(DRAW.randbytes(48)).decode()
    ),
    "a URL with a key in it": lambda: "https://hooks.example.com/services/" + DRAW.hex(20),
}


@pytest.mark.parametrize("kind", GENERATED)
def test_what_a_generator_made_is_strong(kind):
    """Nearly always: the estimate is low on purpose."""
    assert sum(strong(GENERATED[kind]().encode()) for _ in range(200)) >= 188


@pytest.mark.parametrize(
    "value",
    [
        "hunter2", "correct-horse-battery-staple", "password1234567890abcdef", "2024-01-01T00:00:00Z", "a" * 64, "0" * 40,
        "1234567890123456789012345678901234567890", "qwertyuiopasdfghjklzxcvbnm1234567890", "canary-KEY-0123456789abcdef",
        "https://hooks.example.com/services/T024BE7LD/B0123", "arn:aws:iam::123456789012:role/ProductionDeployRole",
        "postgres://admin:hunter2@db.internal.example.com:5432/prod?sslmode=require", "-----BEGIN OPENSSH PRIVATE KEY-----",
        "thequickbrownfoxjumpsoverthelazydog", "InternationalizationOfApplicationServersConfiguration",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.",
        "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7",
        "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW",
        "some words, a date 2024-05-06, an.example.host.com and nothing else that is random at all",
    ],
)  # fmt: skip
def test_what_is_public_or_likely_is_weak(value):
    """Words, dates, hosts, sequences, the headers of files and tokens."""
    assert not strong(value.encode()), bits(value.encode())


@pytest.mark.parametrize(
    ("value", "window"),
    [(DRAW.hex(32), STRONG_FOR), ("hunter2-hunter2", WEAK_FOR)],
    ids=["strong", "weak"],
)
def test_a_strong_value_is_searched_for_longer_after_it_was_rotated_out(value, window):
    """A day; a weak one an hour."""
    assert Stored("A", SecretValue(value.encode()), age=window - 1).counts
    assert not Stored("A", SecretValue(value.encode()), age=window + 1).counts
