"""Many writers at once: plans that Hypothesis draws, run by threads against a counter that only If-Match keeps right."""

import itertools
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgres import cluster
from stores import Store, secret, use

from store.errors import PreconditionFailed
from store.model import Kind, SecretValue
from store.records import Change, NewEntry
from store.vault import Vault

plans = st.lists(st.lists(st.sampled_from(["add", "put", "describe", "session"]), min_size=1, max_size=5), min_size=2, max_size=4)  # fmt: skip
names = itertools.count()


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def world(request, tmp_path_factory):
    url = cluster().url("together") if request.param == "postgresql" else None
    store = Store.make(tmp_path_factory.mktemp("together") / "data", url)
    store.dataset()
    store.reads = store.reader(max_stale=3600)
    store.probe = store.caller(store.reads)
    store.vaults = [store.vault, Vault.open(store.url, store.data)] if url else [store.vault]
    yield store
    store.reads.close()
    for vault in store.vaults:
        vault.close()
    if url:
        cluster().drop("together")


def add(store, vault, name):
    """Read, add one, write under the ETag that was read, until nobody came between."""
    place = store.owner, store.scope(), Kind.VARIABLE
    while True:
        info = vault.entries.info(*place, name)
        entry = NewEntry(name, SecretValue(b"%d" % (int(info.value) + 1)))
        try:
            return vault.entries.put(*place, entry, if_match=info.etag)
        except PreconditionFailed:
            continue


def run(store, vault, name, plan, done, errors):
    try:
        for step in plan:
            if step == "add":
                add(store, vault, name)
            elif step == "put":
                done.append(vault.entries.put(store.owner, store.scope(), Kind.SECRET, secret(name)).version)
            elif step == "describe":
                vault.entries.patch(store.owner, store.scope(), Kind.SECRET, name, Change(description="d"))
            else:
                vault.sessions.open(store.owner, "default", "ds")
    except BaseException as error:
        errors.append(error)


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(plans=plans)
def test_no_update_is_lost(world, plans):
    """The counter counts every addition, each put has a version of its own, and the log and the reader hold all."""
    name = f"N{next(names)}"
    world.put(secret(name, b"first-value-1"))
    world.put(NewEntry(name, SecretValue(b"0")), kind=Kind.VARIABLE)
    done, errors = [], []
    threads = [
        threading.Thread(target=run, args=(world, world.vaults[i % len(world.vaults)], name, plan, done, errors))
        for i, plan in enumerate(plans)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    steps = [step for plan in plans for step in plan]
    assert int(world.info(name, kind=Kind.VARIABLE).value) == steps.count("add")
    assert sorted(done) == list(range(2, 2 + steps.count("put")))
    assert all(vault.log.verify(world.owner).ok for vault in world.vaults)
    world.reads._refresh()
    view = world.reads.view(world.probe)
    assert view.resolve(Kind.VARIABLE, name, use()).open().reveal() == b"%d" % steps.count("add")
    assert view.resolve(Kind.SECRET, name, use()).version == 1 + steps.count("put")
