"""SQLite keeps anything in any column: made from the schema, each column is given what is not of its type.

No such cell stops a list, or what takes something away; rows that decide are mended, with an alarm.
"""

import contextlib
import itertools

import pysqlite3
import pytest
from sqlalchemy import BigInteger, Integer, LargeBinary
from stores import Store, secret
from tables import BELIEVED, LISTS, LOG, WORKING

from store.database.schema import metadata
from store.errors import NotAuthenticated, NotFound
from store.model import Kind
from store.people import GroupGrant
from store.records import Change
from store.vault import Declaration, Listing, LogQuery, NewKey, NewMember, NewSession

pytestmark = pytest.mark.long

NUMBERS = ("x'ff00'", "'zz'", "1.5", "9223372036854775807", "-5")
TEXTS = ("x'ff00'", "cast(x'fffe80' AS TEXT)", "cast({0} AS BLOB)")
BYTES = ("'zz'", "cast(x'fffe80' AS TEXT)", "5")
UNMENDED = {"created_at", "created_by", "updated_at", "updated_by", "provider", "description", "rotate_after"}
UNMENDED |= {"rotated_at", "last_used_at", "use_count", "warnings"}
"""Columns that show and decide nothing."""
ROWS = sorted(set(metadata.tables) - BELIEVED)
numbers = itertools.count()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    store = Store.make(tmp_path_factory.mktemp("classes") / "data")
    vault, owner = store.vault, store.owner
    vault.members.create(owner, NewMember("Mia", role="viewer", id="mia"))
    vault.members.set_role(owner, "default", "mia", "developer")
    vault.groups.create(owner, "Ops", "ops")
    vault.members.join(owner, "ops", "mia")
    vault.consumers.declare(owner, "default", "plugin", Declaration("Plugin", ["API_KEY"]))
    store.raw = pysqlite3.connect(store.data / "egret.db", isolation_level=None)
    store.raw.text_factory = bytes
    yield store
    store.raw.close()
    store.close()


def spoil(store, table, column):
    """Give every row of a column something else of another class; returns how to put it back."""
    kind, quoted = column.type, f'"{column.name}"'
    numeric, binary = isinstance(kind, Integer | BigInteger), isinstance(kind, LargeBinary)
    wrong = [each.format(quoted) for each in (NUMBERS if numeric else BYTES if binary else TEXTS)]
    kept = store.raw.execute(f"SELECT rowid, {quoted} FROM {table.name}").fetchall()
    for at, (row, _) in enumerate(kept[::-1]):
        try:
            store.raw.execute(f"UPDATE {table.name} SET {quoted} = {wrong[at % len(wrong)]} WHERE rowid = ?", [row])
        except pysqlite3.Error:  # two rows of one key, or what its column does not take
            continue

    def put_back():
        value = "?" if numeric or binary else "cast(? AS TEXT)"
        for row, was in kept:
            try:
                store.raw.execute(f"UPDATE {table.name} SET {quoted} = {value} WHERE rowid = ?", [was, row])
            except pysqlite3.Error:  # it was written anew meanwhile
                store.raw.execute(f"DELETE FROM {table.name} WHERE rowid = ?", [row])

    return put_back


def lists(store, dataset):
    vault, owner, scope = store.vault, store.owner, store.scope(dataset)
    vault.keys.list(owner)
    vault.sessions.list(owner, "default", dataset)
    vault.projects.list(owner)
    vault.datasets.list(owner, "default")
    vault.groups.list(owner)
    vault.groups.grants(owner, scope)
    vault.members.list(owner)
    vault.consumers.list(owner, "default")
    vault.log.list(owner, LogQuery(limit=200))
    for sort in ("name", "created_at", "-updated_at", "last_used_at", "rotate_due_at"):
        vault.entries.list(owner, scope, Kind.SECRET, Listing(sort=sort))


@pytest.mark.parametrize("name", ROWS)
def test_a_cell_of_another_class_stops_nothing(world, name):
    vault, owner, scope, table = world.vault, world.owner, world.scope(name), metadata.tables[name]
    world.dataset(secret(), dataset=name)
    vault.groups.grant(owner, scope, GroupGrant("ops", ("metadata", "use")))
    both = ["a.example.com", "b.example.com"]
    duties = vault.sweep(), vault.log_watch(), vault.intake(world.data)
    for column in table.columns:
        entry = f"S{next(numbers)}"
        for value in (b"first-value-1", b"second-value-2"):
            world.put(secret(entry, value, hosts=both), name)
        key, _ = vault.keys.create(owner, NewKey("k", "full"))
        session, _ = vault.sessions.open(owner, "default", name, NewSession())
        if name in WORKING:
            columns = [each.name for each in table.columns]
            marks = ", ".join("x'00'" if isinstance(each.type, LargeBinary) else "1" for each in table.columns)
            world.raw.execute(f"INSERT OR REPLACE INTO {name} ({', '.join(columns)}) VALUES ({marks})")
        put_back = spoil(world, table, column)
        alarms = vault.alarms.count
        with contextlib.suppress(NotFound):  # a project without its row, until it is mended
            lists(world, name)
        vault.entries.patch(owner, scope, Kind.SECRET, entry, Change(hosts=both[:1]))
        assert world.info(entry, name).hosts == both[:1]
        vault.entries.destroy(owner, scope, Kind.SECRET, entry, 1)
        states = {each.number: each.state for each in vault.entries.versions(owner, scope, Kind.SECRET, entry)}
        assert states.get(1, "destroyed") == "destroyed"  # a row whose key was spoiled is gone
        vault.entries.disable(owner, scope, Kind.SECRET, entry)
        vault.entries.delete(owner, scope, Kind.SECRET, entry)
        vault.sessions.revoke(owner, "default", name, session.id)
        vault.keys.revoke(owner, key.id)
        vault.keys.authenticate(world.key)
        for duty in (duties[1].turn, duties[2].take, duties[2].take_table, vault.tend):
            duty()
        if name not in LISTS | WORKING and column.name not in UNMENDED:
            duties[0].whole()
            assert vault.alarms.count > alarms, column
            lists(world, name)
        if name in LOG:
            assert not vault.log.verify(owner).ok
        put_back()
        if name in WORKING:
            world.raw.execute(f"DELETE FROM {name}")
    for gap in vault.log.gaps(owner):
        if gap.acknowledged_at is None:
            vault.log.acknowledge(owner, gap.id, "edited by a test")
    vault.datasets.delete(owner, "default", name)
    vault.sweep().whole()


@pytest.mark.parametrize("wrong", [*BYTES, "cast({0} AS TEXT)"])
@pytest.mark.parametrize("column", ["body", "signature"])
def test_a_document_of_another_class_is_a_damaged_one_or_the_same(world, column, wrong):
    """Its key and its session are revoked all the same, its dataset is disabled, and lists are told."""
    vault, owner, dataset = world.vault, world.owner, f"ds{next(numbers)}"
    world.dataset(secret(), dataset=dataset)
    info, key = vault.keys.create(owner, NewKey("k", "full"))
    session, token = vault.sessions.open(vault.keys.authenticate(key.reveal().decode()), "default", dataset)
    for part in (info.id, session.id, f"manifest/default/default/{dataset}"):
        edit = f"UPDATE documents SET {column} = {wrong.format(column)} WHERE key LIKE ?"
        assert world.raw.execute(edit, [f"%{part}"]).rowcount == 1
    lists(world, dataset)
    vault.sweep().whole()
    vault.sessions.revoke(owner, "default", dataset, session.id)
    vault.keys.revoke(owner, info.id)
    with pytest.raises(NotAuthenticated):
        vault.keys.authenticate(key.reveal().decode())
    reader = world.reader()
    with pytest.raises(NotAuthenticated):
        reader.caller(token.reveal().decode())
    reader.close()
    vault.datasets.delete(owner, "default", dataset)


def test_a_head_of_another_class_is_written_anew(world):
    vault, head = world.vault, metadata.tables["head"]
    for number in range(2):
        spoil(world, head, head.c.body)
        vault.alarms.clear()
        assert vault.keys.authenticate(world.key)
        vault.keys.create(world.owner, NewKey(f"k{number}", "full"))
        assert any("head" in each for each in vault.alarms.present())
    reader = world.reader()
    assert reader.fresh
    reader.close()


def test_a_tree_of_another_class_is_made_anew(world):
    vault, nodes = world.vault, metadata.tables["nodes"]
    spoil(world, nodes, nodes.c.body)
    vault._gate.ledger._recent._nodes.clear()
    vault.alarms.clear()
    assert vault.keys.authenticate(world.key)
    assert [each for each in vault.alarms.present() if "nodes" in each]
    vault.keys.create(world.owner, NewKey("k", "full"))
    vault.sweep().whole()
    vault._gate.ledger._recent._nodes.clear()
    vault.alarms.clear()
    vault.sweep().whole()
    assert vault.alarms.present() == []
