"""Who writes the database neither blocks nor hides an end: all that can be ended, by whatever was damaged before.

Each is ended by its id, and stays so when what was there is put back, byte for byte.
"""

import contextlib
import itertools
import json

import pysqlite3
import pytest
from postgres import cluster
from sqlalchemy import delete, insert, select
from stores import Store, _engine, secret

from store.access import local_operator
from store.database.schema import metadata
from store.errors import StoreError, Tampered
from store.operator.acceptance import accept_epoch
from store.operator.repair import repair
from store.operator.restore import restore
from store.people import GroupGrant
from store.reader import Reader
from store.trust.manifest import stop_key
from store.trust.tree import bucket_of
from store.vault import Declaration, NewKey, NewMember, NewSession, Vault

pytestmark = pytest.mark.long

LISTS = ("sessions", "api_keys", "members", "member_projects", "groups", "group_members", "shares", "consumers", "documents", "nodes")  # fmt: skip


@contextlib.contextmanager
def watching(store):
    """A data plane that starts now."""
    reader = Reader(store.url, store.data, max_stale=3600)
    try:
        with contextlib.suppress(StoreError):
            reader.start()
        store.eyes = reader
        yield
    finally:
        reader.close()


def serves(store, token):
    try:
        return bool(store.eyes.view(store.eyes.caller(token)))
    except StoreError:
        return False


def enters(store, key, group=""):
    try:
        member = store.vault.keys.authenticate(key).member
    except StoreError:
        return False
    return not group or group in member.groups


def a_key(store, **fields):
    info, key = store.vault.keys.create(store.owner, NewKey("k", "full", **fields))
    return info.id, key.reveal().decode()


def a_session(store, **options):
    info, token = store.vault.sessions.open(store.owner, "default", "ds", NewSession(**options))
    return info.id, token.reveal().decode()


def session(store):
    id_, token = a_session(store)
    end = lambda: store.vault.sessions.revoke(store.owner, "default", "ds", id_)  # noqa: E731
    return f"session/{id_}", f"sessions WHERE id = '{id_}'", end, lambda: serves(store, token)


def sessions_of_a_dataset(store):
    store.dataset(secret(), dataset="own")
    info, token = store.vault.sessions.open(store.owner, "default", "own", NewSession())
    end = lambda: store.vault.sessions.revoke_all(store.owner, "default", "own")  # noqa: E731
    return f"session/{info.id}", f"sessions WHERE id = '{info.id}'", end, lambda: serves(store, token.reveal().decode())


def session_that_a_proxy_ended(store):
    id_, token = a_session(store)

    def end():
        line = {
            "spool": f"s-{id_}",
            "seq": 0,
            "time": 1,
            "event": "end",
            "session": id_,
            "secrets": [],
            "request_id": "r",
        }
        (store.data / "spool").mkdir(exist_ok=True)
        (store.data / "spool" / f"s-{id_}.jsonl").write_text(json.dumps(line) + "\n")
        assert store.vault.intake(store.data).take() == 1

    return f"session/{id_}", f"sessions WHERE id = '{id_}'", end, lambda: serves(store, token)


def key(store):
    id_, made = a_key(store)
    row = f"api_keys WHERE id = '{id_}'"
    return f"apikey/{id_}", row, lambda: store.vault.keys.revoke(store.owner, id_), lambda: enters(store, made)


def key_that_may_be_compromised(store):
    document, row, _, alive = key(store)
    return document, row, lambda: store.vault.keys.compromised(store.owner, document[7:]), alive


def key_that_is_reported(store):
    id_, made = a_key(store)
    row = f"api_keys WHERE id = '{id_}'"
    return f"apikey/{id_}", row, lambda: store.vault.keys.report_leaked(made), lambda: enters(store, made)


def owner_key(store):
    """The rows of all others are gone with its own: it must not look like the last one."""
    info, made = store.vault.keys.create(store.owner, NewKey("o", "owner"))
    end = lambda: store.vault.keys.revoke(store.owner, info.id)  # noqa: E731
    return f"apikey/{info.id}", "api_keys WHERE true", end, lambda: enters(store, made.reveal().decode())


def successor(store):
    """A rotated key is reported; the first of its run is what was damaged."""
    first, old = a_key(store)
    _, new = store.vault.keys.rotate(store.vault.keys.authenticate(old), first)
    new = new.reveal().decode()
    row = f"api_keys WHERE id = '{first}'"
    return f"apikey/{first}", row, lambda: store.vault.keys.report_leaked(new), lambda: enters(store, new)


def a_member(store):
    info = store.vault.members.create(store.owner, NewMember("Mia", role="developer"))
    return info.id, a_key(store, member=info.id)[1]


def member(store):
    id_, made = a_member(store)
    row = f"members WHERE id = '{id_}'"
    end = lambda: store.vault.members.remove(store.owner, id_)  # noqa: E731
    return f"member/default/{id_}", row, end, lambda: enters(store, made)


def key_of_a_member(store):
    """What is damaged is its member."""
    id_, _ = a_member(store)
    key, made = a_key(store, member=id_)
    row = f"members WHERE id = '{id_}'"
    end = lambda: store.vault.keys.revoke(store.owner, key)  # noqa: E731
    return f"member/default/{id_}", row, end, lambda: enters(store, made)


def group(store):
    id_, made = a_member(store)
    group = store.vault.groups.create(store.owner, "Ops").id
    store.vault.members.join(store.owner, group, id_)
    row = f"groups WHERE id = '{group}'"
    end = lambda: store.vault.groups.delete(store.owner, group)  # noqa: E731
    return f"group/default/{group}", row, end, lambda: enters(store, made, group)


def share(store):
    """Of a dataset of its own: its manifest is what is damaged."""
    name, group = "shared", store.vault.groups.create(store.owner, "Ops").id
    store.dataset(secret(), dataset=name)
    scope = store.scope(name)
    store.vault.groups.grant(store.owner, scope, GroupGrant(group, ("metadata", "use")))

    def granted():
        gate = store.vault._gate
        try:
            with gate.database.read() as connection:
                if gate.ledger.document(connection, stop_key(scope)) is not None:
                    return False  # nothing of it is used until what was stopped is done
            return bool(store.vault.groups.grants(store.owner, scope))
        except StoreError:
            return False

    end = lambda: store.vault.groups.ungrant(store.owner, scope, group)  # noqa: E731
    return f"manifest/{scope}", f"shares WHERE dataset = '{name}'", end, granted


def consumer(store):
    name = "plugin"
    store.vault.consumers.declare(store.owner, "default", name, Declaration("Plugin", ["API_KEY"]))
    _, token = a_session(store, consumer=name)
    row = f"consumers WHERE id = '{name}'"
    end = lambda: store.vault.consumers.delete(store.owner, "default", name)  # noqa: E731
    return f"consumer/default/default/{name}", row, end, lambda: serves(store, token)


def dataset(store):
    name = "gone"
    store.dataset(secret(), dataset=name)
    token = store.token(name)
    row = f"datasets WHERE id = '{name}'"
    end = lambda: store.vault.datasets.delete(store.owner, "default", name)  # noqa: E731
    return f"manifest/default/default/{name}", row, end, lambda: serves(store, token)


ENDED = (session, sessions_of_a_dataset, session_that_a_proxy_ended, key, key_that_may_be_compromised, key_that_is_reported, owner_key, successor, member, key_of_a_member, group, share, consumer, dataset)  # fmt: skip


def gone(store, row):
    store.sql(f"DELETE FROM {row}")


def moved(store, row):
    table, where = row.split(" WHERE ")
    store.sql(f"UPDATE {table} SET organisation = 'elsewhere' WHERE {where}")


def edited(store, document):
    store.sql("UPDATE documents SET body = :body WHERE key = :key", body=b'{"id":1}', key=document)


def unlisted(store, document):
    store.sql("DELETE FROM documents WHERE key = :key", key=document)


def bucket(store, document, above=()):
    a, b = bucket_of(document)
    for path in (*above, f"{a}/{b}"):
        store.sql("UPDATE nodes SET body = :body WHERE path = :path", body=b"", path=path)


def branch(store, document):
    bucket(store, document, [f"{bucket_of(document)[0]}"])


def root(store, document):
    bucket(store, document, ["", f"{bucket_of(document)[0]}"])


def headless(store, document):
    store.sql("DELETE FROM head")


def forged(store, document):
    store.sql("UPDATE head SET body = replace(body, :one, :two)", one='"beat":', two='"beat":9')


def foreign(store, document):
    store.sql("UPDATE head SET body = replace(body, :one, :two)", one='"store_id":"', two='"store_id":"0')


HEADS = (headless, forged, foreign)
"""Done again before each end: the next commit writes a whole head."""


def neighbour(store, document):
    """Edit another document of the same bucket: this one is whole, but the bucket cannot be made anew."""
    edited(store, neighbour_of(document))


def neighbour_of(document):
    return next(key for n in itertools.count() if bucket_of(key := f"next/{n}") == bucket_of(document))


DAMAGE = {
    "nothing": (),
    "row gone": ((gone, 1),),
    "row moved": ((moved, 1),),
    "document edited": ((edited, 0),),
    "document gone": ((unlisted, 0),),
    "both edited": ((edited, 0), (moved, 1)),
    "both gone": ((unlisted, 0), (gone, 1)),
    "node": ((bucket, 0),),
    **{head.__name__: ((head, 0),) for head in HEADS},
}
DAMAGE |= {
    f"{node.__name__} and {document.__name__}": ((node, 0), (document, 0))
    for node in (bucket, branch, root)
    for document in (edited, unlisted, neighbour)
}
"""Of the last nine nothing in the database says what was there: only a backup has it."""


def kept(store):
    with _engine(store.url).connect() as connection:
        return {name: [dict(row) for row in connection.execute(select(metadata.tables[name])).mappings()] for name in LISTS}  # fmt: skip


def put_back(store, before):
    """What was there, beside what came since."""
    with _engine(store.url).begin() as connection:
        for name, rows in before.items():
            table = metadata.tables[name]
            for row in rows:
                where = [each == row[each.name] for each in table.primary_key]
                connection.execute(delete(table).where(*where))
                connection.execute(insert(table), [row])


def alive(store, things):
    """Return which of the things are, to a store that starts and a data plane that starts."""
    store.vault.close()
    store.vault = Vault.open(store.url, store.data)
    with watching(store):
        return [name for name, (*_, alive) in things.items() if alive()]


def all_ended(store, damage, *, started):
    """Damage and then end everything, each by a store that has nothing in memory (`started`) or by one that runs."""
    store.dataset(secret())
    store.vault.keys.create(store.owner, NewKey("another way in", "owner"))
    things = {thing.__name__: thing(store) for thing in ENDED}
    with store.vault._gate.ledger.change() as transaction:
        for document, *_ in things.values() if "neighbour" in damage else ():
            transaction.put_document(neighbour_of(document), {})
    assert alive(store, things) == list(things)
    yield
    before = kept(store)
    for document, row, *_ in things.values():
        for how, what in DAMAGE[damage]:
            how(store, (document, row)[what])
    owner = store.owner
    if started:
        store.vault.close()
        store.vault = Vault.open(store.url, store.data)
        try:
            store.vault.keys.authenticate(store.key)
        except Tampered:  # it is below a node that is lost: the operator makes another
            key = store.vault.keys.recover_owner(local_operator()).reveal().decode()
            store.owner = store.vault.keys.authenticate(key)
    loud = False
    for *_, end, _ in things.values():
        if started:
            store.vault.close()
            store.vault = Vault.open(store.url, store.data)
        for how, _ in DAMAGE[damage]:
            if how in HEADS:
                how(store, None)
        end()
        loud = loud or bool(store.vault.alarms.present())
    assert loud or damage.startswith(("nothing", "row", "document", "both"))
    store.owner = owner
    assert alive(store, things) == []
    after = kept(store)
    for back in (LISTS[:-2], LISTS[:-1], LISTS):  # what lists, what was signed, then the tree as well
        put_back(store, {name: before[name] for name in back})
        assert alive(store, things) == []
    put_back(store, {name: after[name] for name in ("documents", "nodes")})
    yield
    assert alive(store, things) == []


@pytest.mark.parametrize("damage", list(DAMAGE))
def test_an_end_is_neither_blocked_nor_hidden(tmp_path, damage):
    """Nor does a repair undo it, which brings all else back from a backup."""
    store = Store.make(tmp_path / "data")
    steps = all_ended(store, damage, started=True)
    next(steps)
    token = store.token()
    store.vault.backup(tmp_path / "backup.db")
    next(steps)
    store.vault.close()
    assert repair(store.data, store.url, tmp_path / "backup.db").left == []
    assert alive(store, {"a bystander": (lambda: serves(store, token),)})
    assert list(steps) == []
    store.close()


PAIRS = list(DAMAGE)[-9::4]
DAMAGE |= {
    "head and root": ((headless, 0), (root, 0)),
    "head, root and documents": ((forged, 0), (root, 0), (edited, 0)),
}
"""For a store that runs: one that starts has nothing that says which head it was."""
RUNNING = (*PAIRS, *(head.__name__ for head in HEADS), *list(DAMAGE)[-2:])


@pytest.mark.parametrize("damage", RUNNING)
def test_nor_while_the_store_runs(tmp_path, damage):
    """It has some of the tree in memory, which proxies have not."""
    store = Store.make(tmp_path / "data")
    for _ in all_ended(store, damage, started=False):
        pass
    store.close()


@pytest.mark.needs("postgresql")
@pytest.mark.parametrize(
    ("damage", "started"),
    [*zip(PAIRS, (False, False, True), strict=True), ("headless", False), ("headless", True), ("foreign", False)],
)
def test_nor_on_postgresql(tmp_path, damage, started):
    """The same there."""
    name = f"ends_{list(DAMAGE).index(damage)}_{started}".lower()
    store = Store.make(tmp_path / "data", cluster().url(name))
    for _ in all_ended(store, damage, started=started):
        pass
    store.close()
    cluster().drop(name)


def test_a_backup_that_hides_documents_brings_no_session_back(tmp_path):
    """Their rows are gone from the backup when it is restored, and put back afterwards."""
    store = Store.make(tmp_path / "data")
    store.dataset(secret())
    (id_, token), (gone, made) = a_session(store), a_key(store)
    store.vault.backup(tmp_path / "backup.db")
    hidden = [each for each in kept(store)["documents"] if each["key"] in {f"session/{id_}", f"apikey/{gone}"}]
    store.vault.keys.revoke(store.owner, gone)
    store.vault.close()
    with contextlib.closing(pysqlite3.connect(tmp_path / "backup.db")) as backup:
        backup.execute("DELETE FROM documents WHERE key LIKE 'session/%' OR key = ?", [f"apikey/{gone}"])
        backup.commit()
    restore(store.data, tmp_path / "backup.db", store.data / "egret.db")
    accept_epoch(store.url, store.data)
    put_back(store, {"documents": hidden})
    store.vault = Vault.open(store.url, store.data)
    with watching(store):
        assert not serves(store, token)
    assert not enters(store, made)
    assert enters(store, store.key)
    store.close()
