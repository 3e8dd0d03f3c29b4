"""Copies of opened values: as good as the envelope, and gone with the manifest that names it."""

import pytest
from cryptography.exceptions import InvalidTag
from stores import secret

from store.errors import NotAuthenticated
from store.model import Kind, SecretValue
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
    return b"".join(copy for copies in (warm._young, warm._old) for _, copy in copies.values())


def test_a_second_use_opens_the_copy():
    """The envelope is opened once; both uses get the same bytes; the copy does not show them."""
    warm, envelope = Warm(), Envelopes()
    assert [warm.open("a", b"1", envelope).reveal() for _ in range(3)] == [VALUE] * 3
    assert envelope.opened == 1
    assert VALUE not in held(warm)


def test_another_binding_meets_the_full_check():
    """An edited rule or another version is another binding, and finds no copy."""
    warm, envelope, other = Warm(), Envelopes(), Envelopes(b"other-value-1")
    warm.open("a", b"1", envelope)
    assert warm.open("a", b"2", other).reveal() == b"other-value-1"
    assert warm.open("b", b"1", other).reveal() == b"other-value-1"
    assert other.opened == 2


def test_a_copy_under_another_name_does_not_open():
    """Copies swapped in memory fail instead of giving another secret's value."""
    warm = Warm()
    warm.open("a", b"1", Envelopes())
    warm.open("b", b"2", Envelopes())
    warm._young["b"] = (b"2", warm._young["a"][1])
    with pytest.raises(InvalidTag):
        warm.open("b", b"2", Envelopes())


@pytest.mark.parametrize("ages", [0, 1])
def test_what_is_forgotten_is_opened_anew(monkeypatch, ages):
    """Of whatever age."""
    monkeypatch.setattr("store.reader.warm.IDLE", 0.0)
    warm, envelope, other = Warm(), Envelopes(), Envelopes()
    warm.open("a", b"1", envelope)
    warm.open("b", b"2", other)
    for _ in range(ages):
        warm.age()
    warm.forget(["a", "unknown"])
    assert set(warm._young) | set(warm._old) == {"b"}
    warm.open("a", b"1", envelope)
    warm.open("b", b"2", other)
    assert (envelope.opened, other.opened) == (2, 1)


def test_copies_that_nobody_uses_go(monkeypatch):
    """One use within the time keeps a copy; without one it is gone after twice the time."""
    monkeypatch.setattr("store.reader.warm.IDLE", 0.0)
    warm, used, unused = Warm(), Envelopes(), Envelopes()
    warm.open("used", b"1", used)
    warm.open("unused", b"2", unused)
    for _ in range(2):
        warm.age()
        warm.open("used", b"1", used)
    assert used.opened == 1
    assert set(warm._young) | set(warm._old) == {"used"}


@pytest.mark.parametrize("verb", ["rotate", "destroy", "delete the dataset"])
def test_what_the_manifest_no_longer_names_is_forgotten(store, reader, verb):
    """A destroyed envelope, and all of a deleted dataset, leave no copy behind; a rotated one is scrubbed for an hour."""
    store.dataset(secret())
    token = store.token()
    view = reader.view(reader.caller(token))
    assert len(view.values()) == len(reader._values._warm._young) == 1
    if verb == "rotate":
        store.put(secret(value=b"rotated-value-1"))
    elif verb == "destroy":
        store.vault.entries.destroy(store.owner, store.scope(), Kind.SECRET, "API_KEY", 1)
    else:
        store.vault.datasets.delete(store.owner, "default", "ds")
    reader._refresh()
    try:
        reader.view(reader.caller(token)).values()
    except NotAuthenticated:
        assert verb == "delete the dataset"
        with pytest.raises(NotAuthenticated):
            reader.view(view.caller)
    assert len(reader._values._warm._young) == (2 if verb == "rotate" else 0)


def test_copies_are_bounded():
    """The oldest goes."""
    warm, first = Warm(), Envelopes()
    warm.open("first", b"1", first)
    for number in range(COPIES):
        warm.open(str(number), b"1", Envelopes(b"x"))
    warm.open("first", b"1", first)
    assert first.opened == 2
    assert len(warm._young) == COPIES


def test_what_does_not_open_leaves_nothing():
    """A failed check is asked again, and answered again."""
    warm = Warm()

    def tampered():
        raise ValueError

    for _ in range(2):
        with pytest.raises(ValueError):
            warm.open("a", b"1", tampered)
    assert not held(warm)
