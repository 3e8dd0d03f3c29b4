"""Who writes the database neither blocks nor hides an end: all that can be ended, by whatever was damaged before.

Each is ended by its id, and stays so when what was there is put back, byte for byte.
"""

import contextlib
import json

import pysqlite3
import pytest
from sqlalchemy import delete, insert, select
from stores import Store, _engine, secret

from store.database.schema import metadata
from store.errors import StoreError, Unavailable
from store.operator.acceptance import accept_epoch
from store.operator.restore import restore
from store.reader import Reader
from store.records import GroupGrant
from store.trust.tree import bucket_of
from store.vault import Declaration, NewKey, NewMember, NewSession, Vault

LISTS = ("sessions", "api_keys", "members", "member_projects", "groups", "group_members", "shares", "consumers", "documents")  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = Store.make(tmp_path_factory.mktemp("revocations") / "data")
    made.dataset(secret())
    made.vault.keys.create(made.owner, NewKey("another way in", "owner"))
    yield made
    made.close()


def serves(store, token):
    reader = Reader(store.url, store.data, max_stale=3600)
    try:
        reader.start()
        return bool(reader.view(reader.caller(token)))
    except StoreError:
        return False
    finally:
        reader.close()


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
    key, row, _, alive = session(store)
    return key, row, lambda: store.vault.sessions.revoke_all(store.owner, "default", "ds"), alive


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
    number = store.sql("SELECT count(*) FROM datasets")[0][0]
    name, group = f"shared{number}", store.vault.groups.create(store.owner, "Ops").id
    store.dataset(secret(), dataset=name)
    scope = store.scope(name)
    store.vault.groups.grant(store.owner, scope, GroupGrant(group, ("metadata", "use")))

    def granted():
        store.vault.sweep().whole()
        try:
            return bool(store.vault.groups.grants(store.owner, scope))
        except StoreError:
            return False

    end = lambda: store.vault.groups.ungrant(store.owner, scope, group)  # noqa: E731
    return f"manifest/{scope}", f"shares WHERE dataset = '{name}'", end, granted


def consumer(store):
    number = store.sql("SELECT count(*) FROM audit")[0][0]
    name = f"plugin{number}"
    store.vault.consumers.declare(store.owner, "default", name, Declaration("Plugin", ["API_KEY"]))
    _, token = a_session(store, consumer=name)
    row = f"consumers WHERE id = '{name}'"
    end = lambda: store.vault.consumers.delete(store.owner, "default", name)  # noqa: E731
    return f"consumer/default/default/{name}", row, end, lambda: serves(store, token)


def dataset(store):
    number = store.sql("SELECT count(*) FROM audit")[0][0]
    name = f"gone{number}"
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


def node(store, document):
    a, b = bucket_of(document)
    store.sql("UPDATE nodes SET body = :body WHERE path = :path", body=b"", path=f"{a}/{b}")


DAMAGE = {
    "nothing": (),
    "row gone": ((gone, 1),),
    "row moved": ((moved, 1),),
    "document edited": ((edited, 0),),
    "document gone": ((unlisted, 0),),
    "both edited": ((edited, 0), (moved, 1)),
    "both gone": ((unlisted, 0), (gone, 1)),
    "node": ((node, 0),),
}


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


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("thing", ENDED, ids=[each.__name__ for each in ENDED])
def test_an_end_is_neither_blocked_nor_hidden(store, thing, damage):
    """By a store that starts on it, which has nothing in memory; an alarm says that something was damaged."""
    document, row, end, alive = thing(store)
    assert alive()
    before = kept(store)
    store.vault.close()
    for how, what in DAMAGE[damage]:
        how(store, (document, row)[what])
    store.vault = Vault.open(store.url, store.data)
    end()
    whole = {name: rows for name, rows in before.items() if name != "documents"}
    of_it = [each for each in before["documents"] if each["key"] == document]
    put_back(store, {**whole, "documents": of_it})
    assert not alive()
    store.vault.close()
    if document.startswith("manifest/"):  # a manifest that comes back is the one that the head vouches for, or nothing
        store.vault = Vault.open(store.url, store.data)
        return
    after = kept(store)["documents"]
    names = {each["key"]: each for each in after} | {document: of_it[0]}
    put_back(store, {"documents": [names[document]]})
    store.vault = Vault.open(store.url, store.data)
    assert not alive()
    repair_documents(store, after)


def repair_documents(store, after):
    """Leave the store whole for the next one."""
    with _engine(store.url).begin() as connection:
        table = metadata.tables["documents"]
        connection.execute(delete(table))
        connection.execute(insert(table), after)


def test_what_no_copy_has_is_refused_in_words(store):
    """A node whose documents are gone too: nothing below is used, and its end waits for the repair, as it says."""
    document, _, end, alive = session(store)
    before = kept(store)["documents"]
    store.vault.close()
    node(store, document)
    unlisted(store, document)
    store.vault = Vault.open(store.url, store.data)
    with pytest.raises(Unavailable, match="egret store repair"):
        end()
    assert not alive()
    put_back(store, {"documents": before})
    store.vault.close()
    store.vault = Vault.open(store.url, store.data)
    end()
    assert not alive()


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
    assert not serves(store, token)
    assert not enters(store, made)
    assert enters(store, store.key)
    store.close()
