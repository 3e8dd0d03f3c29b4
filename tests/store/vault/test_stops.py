"""Where a manifest does not verify nothing is widened, and what is to be taken away is: once it verifies, it is done."""

import pytest
from people import member
from stores import eventually, secret, use

from store.errors import NotAuthenticated, NotFound, StoreError, Tampered
from store.ledger.stops import Stop
from store.model import Denial, Kind
from store.reader import Reader
from store.records import Change
from store.vault import Vault

KEY = "manifest/default/default/ds"


@pytest.fixture
def damaged(store):
    """A dataset whose manifest was damaged, with a session of before; `store.heal` puts it right."""
    store.dataset(secret(), secret("OTHER", b"other-value-123"), secret("THIRD", b"third-value-123"))
    store.put(secret(value=b"second-value-12"))
    store.use = store.token()
    (good,) = store.sql("SELECT body FROM documents WHERE key = :key", key=KEY)[0]

    def write(body):
        store.sql("UPDATE documents SET body = :body WHERE key = :key", key=KEY, body=body)

    store.vault.close()
    write(b"{}")
    store.vault = Vault.open(store.url, store.data)
    store.heal = lambda: write(bytes(good))
    return store


def given(store, name):
    """What a data plane that starts now gives out."""
    reader = Reader(store.url, store.data, max_stale=3600)
    try:
        reader.start()
        return reader.view(reader.caller(store.use)).resolve(Kind.SECRET, name, use())
    except StoreError as error:
        return error
    finally:
        reader.close()


VERBS = {
    "delete": lambda store: store.vault.entries.delete(store.owner, store.scope(), Kind.SECRET, "API_KEY"),
    "disable": lambda store: store.vault.entries.disable(store.owner, store.scope(), Kind.SECRET, "API_KEY"),
    "destroy": lambda store: store.vault.entries.destroy(store.owner, store.scope(), Kind.SECRET, "API_KEY", 2),
}


@pytest.mark.parametrize("verb", VERBS)
def test_what_was_taken_away_meanwhile_stays_away(damaged, verb):
    """Not used in the moment in which the manifest is right again, nor after the store did it."""
    VERBS[verb](damaged)
    VERBS[verb](damaged)
    assert isinstance(given(damaged, "OTHER"), StoreError)
    damaged.heal()
    assert isinstance(given(damaged, "API_KEY"), NotAuthenticated)
    assert isinstance(given(damaged, "OTHER"), NotAuthenticated), "closed until it is done"
    damaged.vault.sweep().whole()
    assert given(damaged, "API_KEY") is Denial.UNKNOWN
    assert hasattr(given(damaged, "OTHER"), "open")
    listed = {each.name: each.state for each in damaged.vault.entries.list(damaged.owner, damaged.scope(), Kind.SECRET).items}  # fmt: skip
    assert listed.get("API_KEY") == {"delete": None, "disable": "disabled", "destroy": "active"}[verb]
    assert (listed["OTHER"], listed["THIRD"]) == ("active", "active")
    assert [row.body["action"] for row in damaged.vault.log.list(damaged.owner).items].count("store:stop") == 1
    assert damaged.sql("SELECT count(*) FROM documents WHERE key LIKE 'stop/%'") == [(0,)]


def test_the_next_change_does_it_before_its_own(damaged):
    VERBS["disable"](damaged)
    damaged.heal()
    damaged.vault.entries.patch(damaged.owner, damaged.scope(), Kind.SECRET, "OTHER", Change(description="x"))
    assert given(damaged, "API_KEY") is Denial.UNKNOWN
    assert damaged.info().state == "disabled"


def test_a_dataset_is_disabled_and_deleted(damaged):
    damaged.vault.datasets.disable(damaged.owner, "default", "ds")
    with pytest.raises(Tampered):
        damaged.vault.datasets.disable(damaged.owner, "default", "ds", disabled=False)
    damaged.heal()
    damaged.vault.sweep().whole()
    assert damaged.vault.datasets.get(damaged.owner, "default", "ds").state == "disabled"
    assert isinstance(given(damaged, "OTHER"), NotAuthenticated)


def test_a_damaged_dataset_is_deleted_at_once(damaged):
    VERBS["disable"](damaged)
    damaged.vault.datasets.delete(damaged.owner, "default", "ds")
    damaged.heal()
    damaged.vault.sweep().whole()
    with pytest.raises(NotFound):
        damaged.vault.datasets.get(damaged.owner, "default", "ds")
    damaged.dataset(secret())
    assert damaged.sql("SELECT count(*) FROM documents WHERE key LIKE 'stop/%'") == [(0,)]


def test_nothing_is_widened(damaged):
    verbs, owner, scope = damaged.vault.entries, damaged.owner, damaged.scope()
    for attempt in (
        lambda: verbs.put(owner, scope, Kind.SECRET, secret()),
        lambda: verbs.enable(owner, scope, Kind.SECRET, "API_KEY"),
        lambda: verbs.activate(owner, scope, Kind.SECRET, "API_KEY", 1),
        lambda: verbs.patch(owner, scope, Kind.SECRET, "API_KEY", Change(description="x")),
    ):
        with pytest.raises(Tampered):
            attempt()


def test_whom_groups_bind_takes_nothing_away_unseen(damaged):
    """What a developer may do with a secret is in the manifest too."""
    who = damaged.vault.keys.authenticate(member(damaged, "developer"))
    for attempt in (
        lambda: damaged.vault.entries.delete(who, damaged.scope(), Kind.VARIABLE, "V"),
        lambda: damaged.vault.datasets.disable(who, "default", "ds"),
        lambda: damaged.vault.datasets.delete(who, "default", "ds"),
    ):
        with pytest.raises(StoreError):
            attempt()
    damaged.heal()
    assert hasattr(given(damaged, "API_KEY"), "open")


@pytest.mark.parametrize("how", ["DELETE FROM documents WHERE key LIKE 'stop/%'", "UPDATE documents SET signature = body WHERE key LIKE 'stop/%'"])  # fmt: skip
def test_who_writes_the_database_takes_no_stop_back(damaged, how):
    """Without it, or with another one, the scope stays closed."""
    VERBS["disable"](damaged)
    damaged.sql(how)
    damaged.heal()
    damaged.vault.sweep().whole()
    assert isinstance(given(damaged, "API_KEY"), StoreError)
    with pytest.raises(Tampered):
        damaged.vault.entries.put(damaged.owner, damaged.scope(), Kind.SECRET, secret())


def test_a_reader_that_runs_closes_and_opens(damaged):
    reader = Reader(damaged.url, damaged.data, max_stale=3600)
    damaged.heal()
    reader.start()
    resolve = lambda name: reader.view(reader.caller(damaged.use)).resolve(Kind.SECRET, name, use())  # noqa: E731
    assert hasattr(resolve("OTHER"), "open")
    with damaged.vault._gate.ledger.change() as transaction:
        transaction.stop(damaged.scope(), Stop("disable", "secret", "API_KEY"))

    def closed():
        with pytest.raises(NotAuthenticated):
            resolve("OTHER")

    eventually(closed)
    damaged.vault.sweep().whole()
    eventually(lambda: hasattr(resolve("OTHER"), "open"))
    assert resolve("API_KEY") is Denial.UNKNOWN
    reader.close()


def test_a_whole_store_has_none(store):
    store.dataset(secret())
    store.put(secret())
    for verb in ("disable", "destroy", "delete"):
        VERBS[verb](store)
    assert store.sql("SELECT count(*) FROM documents WHERE key LIKE 'stop/%'") == [(0,)]
