"""Sealing and opening: what was sealed opens for its binding alone, and no byte can be changed."""

import hashlib
import secrets
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import KeyMismatch, Tampered
from store.keys.envelope import Binding, Envelope, key_id, pad, unpad
from store.keys.opening import Opener, opening_keys
from store.keys.sealing import Sealer, sign_envelope
from store.kinds import Credential
from store.model import MAX_VALUE, Kind, Scope, SecretValue
from store.trust.signing import Writer

SEED = bytes(range(32))
PUBLIC = opening_keys(SEED)[1]
WRITER = Writer(bytes(32))
SEALER = Sealer(PUBLIC)
OPENER = Opener([SEED], WRITER.verifier)


def bound(**changes) -> Binding:
    base = Binding(
        bytes(16), SEALER.kid, Scope("o", "p", "d"), Kind.SECRET, "prod", "API_KEY", 1, ["api.example.com"], ["header"]
    )
    return replace(base, **changes)


def sealed(value=b"value", binding=None):
    binding = binding or bound()
    envelope = SEALER.seal(SecretValue(value), binding)
    return envelope, sign_envelope(WRITER, envelope, binding)


@settings(max_examples=40)
@given(st.one_of(st.binary(max_size=300), st.sampled_from([bytes(MAX_VALUE), b"x" * 4093, b"x" * 4092])))
def test_what_is_sealed_opens_byte_for_byte(value):
    """Any bytes, any length up to 64 KiB."""
    assert OPENER.open(*sealed(value), bound()).reveal() == value


@pytest.mark.parametrize(
    "changes",
    [
        {"store_id": b"x" * 16},
        {"kid": b"x" * 8},
        {"scope": Scope("o", "p", "e")},
        {"scope": Scope("o", "q", "d")},
        {"scope": Scope("n", "p", "d")},
        {"scope": Scope("o", "p")},
        {"kind": Kind.VARIABLE},
        {"environment": ""},
        {"name": "API_KEX"},
        {"version": 2},
        {"hosts": ["evil.example"]},
        {"hosts": ["api.example.com", "evil.example"]},
        {"hosts": []},
        {"hosts": [{"host": "api.example.com", "methods": ["GET"]}]},
        {"locations": ["header", "url"]},
        {"locations": []},
        {"suite": 2},
        {"credential": Credential("aws")},
        {"credential": Credential("aws", {"regions": ["us-east-1"]})},
    ],
)
def test_another_binding_does_not_open(changes):
    """Every field counts, even for a writer who signs the other binding: the envelope itself is bound."""
    envelope, signature = sealed()
    with pytest.raises((Tampered, KeyMismatch)):
        OPENER.open(envelope, signature, bound(**changes))
    forged = sign_envelope(WRITER, envelope, bound(**changes))
    with pytest.raises((Tampered, KeyMismatch)):
        OPENER.open(envelope, forged, bound(**changes))


def test_every_flipped_byte_is_refused():
    """Each byte of envelope and signature, and every truncation, one at a time."""
    envelope, signature = sealed()
    refused = 0
    for index in range(len(envelope)):
        changed = envelope[:index] + bytes([envelope[index] ^ 1]) + envelope[index + 1 :]
        with pytest.raises(Tampered):  # the writer's own signature over it, so that HPKE alone has to notice
            OPENER.open(changed, sign_envelope(WRITER, changed, bound()), bound())
        refused += 1
    for index in range(64):
        changed = signature[:index] + bytes([signature[index] ^ 1]) + signature[index + 1 :]
        with pytest.raises(Tampered):
            OPENER.open(envelope, changed, bound())
    for cut in (0, 1, 4, 17, 18, len(envelope) - 1):
        with pytest.raises(Tampered):
            OPENER.open(envelope[:cut], sign_envelope(WRITER, envelope[:cut], bound()), bound())
    with pytest.raises(Tampered):
        OPENER.open(envelope + b"\0", sign_envelope(WRITER, envelope + b"\0", bound()), bound())
    assert refused == len(envelope)


def test_an_envelope_of_another_writer_is_refused():
    """The public key alone mints no secrets."""
    envelope, _ = sealed()
    other = Writer(secrets.token_bytes(32))
    with pytest.raises(Tampered):
        OPENER.open(envelope, sign_envelope(other, envelope, bound()), bound())


def test_another_opening_key_opens_nothing():
    """A key that is not at hand is named by its id."""
    other = Opener([secrets.token_bytes(32)], WRITER.verifier)
    with pytest.raises(KeyMismatch):
        other.open(*sealed(), bound())


def test_two_seals_of_one_value_share_nothing():
    """Equal values cannot be told from their envelopes."""
    one, two = sealed()[0], sealed()[0]
    assert one[18:] != two[18:]
    assert b"value" not in one


def test_lengths_fall_into_classes():
    """Values of 1 to 60 bytes look alike; large ones differ by at most 12 %."""
    assert len({len(pad(b"x" * size)) for size in range(1, 61)}) == 1
    for size in (5000, 20_000, MAX_VALUE):
        assert len(pad(b"x" * size)) <= (size + 4) * 1.12
    assert len({len(pad(b"x" * size)) for size in range(1, MAX_VALUE, 97)}) < 120


@given(st.binary(max_size=5000))
def test_padding_is_undone(value):
    """And only in its one spelling."""
    padded = pad(value)
    assert unpad(padded) == value
    with pytest.raises(Tampered):
        unpad(padded + bytes(64))
    if any(padded[4 + len(value) :]) is False and len(padded) > 4 + len(value):
        with pytest.raises(Tampered):
            unpad(padded[:-1] + b"\1")


contexts = st.builds(
    bound,
    scope=st.builds(Scope, st.text(max_size=3), st.text(max_size=3), st.text(max_size=3)),
    environment=st.text(max_size=3),
    name=st.text(max_size=3),
    version=st.integers(0, 3),
    hosts=st.lists(st.text(max_size=2), max_size=2),
    locations=st.lists(st.sampled_from(["header", "url"]), max_size=2, unique=True).map(sorted),
)


@given(contexts, contexts)
def test_info_is_injective(one, two):
    """Two bindings with the same bytes are the same binding."""
    assert (one.info() == two.info()) == (one == two)


def test_seeds_expand_as_x_wing_says():
    """SHAKE256(seed, 96) is ML-KEM's d‖z and the X25519 key; the public key is theirs, joined."""
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    expanded = hashlib.shake_256(SEED).digest(96)
    mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64]).public_key().public_bytes_raw()
    x25519 = X25519PrivateKey.from_private_bytes(expanded[64:]).public_key().public_bytes_raw()
    assert mlkem + x25519 == PUBLIC
    assert len(PUBLIC) == 1216
    assert len(key_id(PUBLIC)) == 8


def test_a_damaged_seed_is_told_plainly():
    """The sentence says what to do."""
    with pytest.raises(KeyMismatch, match="backup"):
        opening_keys(b"short")


def test_the_format_on_disk_is_fixed():
    """Magic, suite, key id, length: an envelope written today is read by every later release."""
    envelope, _ = sealed()
    assert envelope[:4] == b"HSE1"
    assert envelope[4:6] == b"\0\1"
    assert envelope[6:14] == SEALER.kid
    assert int.from_bytes(envelope[14:18], "big") == len(envelope) - 18
    assert Envelope.unpack(envelope).pack() == envelope


def test_values_do_not_show_themselves():
    """No repr, str, format, pickle or copy of a value shows it."""
    import copy
    import pickle

    value = SecretValue(b"canary-9f3Kq7Zp2Wx8")
    for text in (repr(value), str(value), f"{value}", f"{value:>40}", repr([value]), repr({"a": value})):
        assert "canary" not in text
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            leak(value)
    assert not hasattr(value, "__dict__")


def test_the_writer_signs_for_one_purpose():
    """A signature over a head is none over an envelope."""
    key = Ed25519PrivateKey.generate()
    writer = Writer(key.private_bytes_raw())
    with pytest.raises(Tampered):
        writer.verifier.check(writer.sign(b"one", b"x"), b"two", b"x")
    with pytest.raises(Tampered):
        writer.verifier.check(writer.sign(b"one", b"a", b"b"), b"one", b"ab")
    writer.verifier.check(writer.sign(b"one", b"x"), b"one", b"x")
