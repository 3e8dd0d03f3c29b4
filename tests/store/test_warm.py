"""Copies of opened values: as good as the envelope, and gone with the revision."""

import pytest
from cryptography.exceptions import InvalidTag

from store.model import SecretValue
from store.reader.warm import COPIES, Warm

VALUE = b"canary-warm-4Xq9"


class Envelopes:
    """Counts how often the real thing had to be opened."""

    def __init__(self, value: bytes = VALUE):
        self.value, self.opened = value, 0

    def __call__(self) -> SecretValue:
        self.opened += 1
        return SecretValue(self.value)


def held(warm: Warm) -> bytes:
    return b"".join(warm._copies.values())


def test_a_second_use_opens_the_copy():
    """The envelope is opened once; both uses get the same bytes; the copy does not show them."""
    warm, envelope = Warm(), Envelopes()
    assert [warm.open(b"a", 1, envelope).reveal() for _ in range(3)] == [VALUE] * 3
    assert envelope.opened == 1
    assert VALUE not in held(warm)


def test_another_binding_meets_the_full_check():
    """An edited rule or another version is another binding, and finds no copy."""
    warm, envelope, other = Warm(), Envelopes(), Envelopes(b"other-value-1")
    warm.open(b"a", 1, envelope)
    assert warm.open(b"b", 1, other).reveal() == b"other-value-1"
    assert other.opened == 1


def test_a_copy_under_another_name_does_not_open():
    """Copies swapped in memory fail instead of giving another secret's value."""
    warm = Warm()
    warm.open(b"a", 1, Envelopes())
    warm._copies[b"b"] = warm._copies[b"a"]
    with pytest.raises(InvalidTag):
        warm.open(b"b", 1, Envelopes())


def test_a_new_revision_forgets_everything():
    """Nothing outlives a rotation, a revocation or a destruction."""
    warm, envelope = Warm(), Envelopes()
    warm.open(b"a", 1, envelope)
    warm.open(b"a", 2, envelope)
    assert envelope.opened == 2


def test_copies_are_bounded():
    """The oldest goes."""
    warm, first = Warm(), Envelopes()
    warm.open(b"first", 1, first)
    for number in range(COPIES):
        warm.open(b"%d" % number, 1, Envelopes(b"x"))
    warm.open(b"first", 1, first)
    assert first.opened == 2
    assert len(warm._copies) == COPIES


def test_what_does_not_open_leaves_nothing():
    """A failed check is asked again, and answered again."""
    warm = Warm()

    def tampered():
        raise ValueError

    for _ in range(2):
        with pytest.raises(ValueError):
            warm.open(b"a", 1, tampered)
    assert not held(warm)
