"""A store of an earlier release: what was signed stays, rows add only what fits it."""

import pytest
from early import age
from stores import CANARY, secret, use

from store.errors import Conflict
from store.model import Kind, SecretValue
from store.people import GroupGrant
from store.records import Change, NewEntry
from store.vault import Vault

DAY = 86_400


@pytest.fixture
def old(store):
    store.vault.groups.create(store.owner, "Friends", "friends")
    store.dataset(
        secret(hosts=["a.example.com", "b.example.com"]), egress={"allow": ["a.example.com"]}, immutable=False
    )
    store.vault.entries.patch(store.owner, store.scope(), Kind.SECRET, "API_KEY", Change(hosts=["a.example.com"]))
    store.put(
        NewEntry("V", SecretValue(b"plain"), groups=[GroupGrant("friends", ("use", "write"))]), kind=Kind.VARIABLE
    )
    store.later(-2 * DAY)
    for number in range(3):
        store.put(NewEntry("API_KEY", SecretValue(b"value-number-%d" % number)))
    store.later(2 * DAY)
    store.put(secret("NEXT"))  # versions of two days ago leave the manifest
    return store


def test_what_was_there_is_there(old, reader):
    before = old.vault.datasets.get(old.owner, "default", "ds")
    age(old)
    old.vault = Vault.open(old.url, old.data)
    after = old.vault.datasets.get(old.owner, "default", "ds")
    assert after.egress == before.egress
    assert [(e.name, e.hosts, e.version, e.last_version) for e in after.secrets] == [
        (e.name, e.hosts, e.version, e.last_version) for e in before.secrets
    ]
    assert after.variables[0].groups == before.variables[0].groups
    old.vault.entries.activate(old.owner, old.scope(), Kind.SECRET, "API_KEY", 1)
    assert old.info().hosts == ["a.example.com"]
    grant = reader.view(old.caller(reader)).resolve(Kind.SECRET, "API_KEY", use("a.example.com"))
    assert grant.open().reveal() == CANARY
    assert not old.vault.alarms.present()


def test_rows_that_do_not_fit_what_was_signed_add_nothing(old):
    """Rules of an older version that its signature does not bear, groups that were never signed, other hosts."""
    age(old)
    old.sql("UPDATE versions SET hosts = '[\"evil.example\"]', sealed_hosts = '[\"evil.example\"]'")
    old.sql('UPDATE entries SET groups = \'{"thieves":"u"}\'')
    old.sql("UPDATE datasets SET hosts = '[\"evil.example\"]', egress = '{}'")
    old.vault = Vault.open(old.url, old.data)
    found = old.vault.datasets.get(old.owner, "default", "ds")
    assert (found.hosts, found.egress["allow"]) == ([], ["a.example.com"])
    assert found.variables[0].groups == (GroupGrant("friends", ("use",)),)
    assert old.info().hosts == ["a.example.com"]
    with pytest.raises(Conflict):
        old.vault.entries.activate(old.owner, old.scope(), Kind.SECRET, "API_KEY", 1)


def test_it_is_done_once(old):
    from store.ledger.upgrade import upgrade

    assert upgrade(old.vault._gate.ledger) == 0
