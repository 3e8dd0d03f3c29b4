"""Rotating the opening key: new values at once, old ones re-sealed, nothing lost, the API never holds a value."""

import pytest
from stores import CANARY, eventually, secret, use

from store.errors import Conflict, Forbidden, Invalid, KeyMismatch, NotFound
from store.keys.envelope import Envelope
from store.keys.keyring import PublicKeys
from store.keys.opening import opening_keys
from store.keys.sealing import Sealer
from store.model import Kind
from store.operator.reseal import BATCH, new_opening_key, reseal
from store.vault import NewKey, Resealed, Upload, Vault


def rotate(store):
    public = new_opening_key(store.data)
    info = store.vault.sealing_keys.register(store.owner, public)
    for batch in reseal(store.url, store.data):
        store.vault.sealing_keys.take_resealed(store.owner, batch)
    return info


def kids(store):
    return {kid for (kid,) in store.sql("SELECT DISTINCT kid FROM versions WHERE signature IS NOT NULL")}


def test_a_running_data_plane_goes_through_a_rotation(store, reader):
    """Old and new values before, in the middle and after; no restart, no refusal."""
    store.dataset(secret(), secret("OLD", b"old-value-123"))
    caller = store.caller(reader)

    def opened(name):
        return reader.view(caller).resolve(Kind.SECRET, name, use()).open().reveal()

    assert opened("API_KEY") == CANARY
    public = new_opening_key(store.data)
    info = store.vault.sealing_keys.register(store.owner, public)
    store.put(secret("NEW", b"new-value-123"))
    eventually(lambda: opened("NEW") == b"new-value-123")
    assert opened("OLD") == b"old-value-123"
    assert len(kids(store)) == 2
    for batch in reseal(store.url, store.data):
        assert store.vault.sealing_keys.take_resealed(store.owner, batch) == len(batch)
    reader._refresh()
    assert kids(store) == {info.kid}
    assert (opened("API_KEY"), opened("OLD"), opened("NEW")) == (CANARY, b"old-value-123", b"new-value-123")
    assert store.info().version == 1
    assert store.vault.log.verify(store.owner).ok
    assert reader.alarms == 0


def test_the_old_key_can_go_when_nothing_is_under_it(store):
    """Retired only when no envelope is left; then the data plane starts without it, and opens everything."""
    store.dataset(secret())
    store.put(secret(value=b"second-value-1"))
    (old,) = store.vault.sealing_keys.list(store.owner)
    public = new_opening_key(store.data)
    store.vault.sealing_keys.register(store.owner, public)
    with pytest.raises(Conflict):
        store.vault.sealing_keys.retire(store.owner, old.kid)
    for batch in reseal(store.url, store.data):
        store.vault.sealing_keys.take_resealed(store.owner, batch)
    store.vault.sealing_keys.retire(store.owner, old.kid)
    assert [(key.state, key.envelopes) for key in store.vault.sealing_keys.list(store.owner)] == [
        ("retired", 0),
        ("active", 2),
    ]
    (store.data / "keys/data/opening.key").unlink()
    reader = store.reader()
    assert {each.value.reveal() for each in reader.view(store.caller(reader)).values()} == {CANARY, b"second-value-1"}
    reader.close()
    store.vault.entries.activate(store.owner, store.scope(), Kind.SECRET, "API_KEY", 1)
    with pytest.raises(Conflict):
        store.vault.sealing_keys.retire(store.owner, Sealer(public).kid.hex())
    with pytest.raises(NotFound):
        store.vault.sealing_keys.retire(store.owner, "nonsense")


def test_a_stopped_run_goes_on(store):
    """Half of the batches, then again: the rest is done, nothing twice."""
    store.dataset(*(secret(f"S{number:03}", b"value-number-%03d" % number) for number in range(BATCH + 20)))
    store.vault.sealing_keys.register(store.owner, new_opening_key(store.data))
    first = next(iter(reseal(store.url, store.data)))
    store.vault.sealing_keys.take_resealed(store.owner, first)
    rest = list(reseal(store.url, store.data))
    assert sum(map(len, rest)) == 20
    for batch in rest:
        store.vault.sealing_keys.take_resealed(store.owner, batch)
    assert list(reseal(store.url, store.data)) == []
    assert store.vault.sealing_keys.take_resealed(store.owner, first) == 0
    reader = store.reader()
    assert len(reader.view(store.caller(reader)).values()) == BATCH + 20
    reader.close()


def test_what_changed_meanwhile_is_left_alone(store):
    """A version put, destroyed or deleted between opening and storing: the re-sealed envelope is dropped."""
    store.dataset(secret(), secret("GONE", b"gone-value-123"))
    store.vault.sealing_keys.register(store.owner, new_opening_key(store.data))
    (batch,) = list(reseal(store.url, store.data))
    store.vault.entries.destroy(store.owner, store.scope(), Kind.SECRET, "API_KEY", 1)
    store.vault.datasets.delete(store.owner, "default", "ds")
    assert store.vault.sealing_keys.take_resealed(store.owner, batch) == 0


def test_clients_are_given_the_new_key(store, tmp_path):
    """`GET /sealing-key` follows at once, in a running store and in another replica; the old one is refused."""
    before = store.vault.sealing_keys.active()
    assert before == PublicKeys.load(store.data).document()
    replica = Vault.open(store.url, store.data)
    public = new_opening_key(store.data)
    info = store.vault.sealing_keys.register(store.owner, public)
    assert store.vault.sealing_keys.active()["kid"] == replica.sealing_keys.active()["kid"] == info.kid
    replica.datasets.create(store.owner, "default", Upload("x", secrets=[secret()]), "replica")
    assert kids(store) == {info.kid}
    stale = Envelope(1, bytes.fromhex(str(before["kid"])), b"x" * 1200).pack()
    with pytest.raises(Invalid) as caught:
        store.dataset(secret(value=None, sealed=stale))
    assert caught.value.problems[0].code == "sealed_key"
    replica.close()


def test_only_the_operator_rotates(store):
    """Not a full key, not another organisation's owner."""
    _, key = store.vault.keys.create(store.owner, NewKey("f", "full"))
    full = store.vault.keys.authenticate(key.reveal().decode())
    acme = store.vault.keys.authenticate(store.vault.organisations.create(store.owner, "acme", "A").reveal().decode())
    public = opening_keys(bytes(32))[1]
    for actor in (full, acme):
        for attempt in (
            lambda actor=actor: store.vault.sealing_keys.register(actor, public),
            lambda actor=actor: store.vault.sealing_keys.list(actor),
            lambda actor=actor: store.vault.sealing_keys.take_resealed(actor, []),
            lambda actor=actor: store.vault.sealing_keys.retire(actor, "00" * 8),
        ):
            with pytest.raises(Forbidden):
                attempt()
    with pytest.raises(Invalid):
        store.vault.sealing_keys.register(store.owner, b"short")
    with pytest.raises(Conflict):
        store.vault.sealing_keys.register(store.owner, PublicKeys.load(store.data).sealing)


def test_an_envelope_re_sealed_elsewhere_is_refused(store):
    """Only the active key is taken."""
    made = store.dataset(secret())
    store.vault.sealing_keys.register(store.owner, new_opening_key(store.data))
    (batch,) = list(reseal(store.url, store.data))
    foreign = Envelope(1, b"otherkid", b"x" * 1200).pack()
    with pytest.raises(Conflict):
        store.vault.sealing_keys.take_resealed(store.owner, [Resealed(made.secrets[0].id, 1, batch[0].before, foreign)])


def test_a_registered_key_without_its_private_half_alarms(store, reader):
    """Values sealed to a key that no data plane has are refused with an alarm; the others go on."""
    store.dataset(secret())
    store.vault.sealing_keys.register(store.owner, opening_keys(b"x" * 32)[1])
    store.put(secret("NEW", b"new-value-123"))
    view = reader.view(store.caller(reader))
    assert view.resolve(Kind.SECRET, "API_KEY", use()).open().reveal() == CANARY
    with pytest.raises(KeyMismatch):
        view.resolve(Kind.SECRET, "NEW", use()).open()
    assert reader.alarms
