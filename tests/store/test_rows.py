"""Rows list, documents decide: whatever somebody edits, the next genuine changes sign nothing of it, and say so.

The table of edits is made from the schema: each column of each table. A column that is added joins by itself, as one that
decides, until it is named in `LISTED`; so does a table, until it is named in `tables`. `test_every_column.py` has the others.
"""

import base64
import itertools
import json

import pytest
from postgres import cluster
from sqlalchemy import BigInteger, Integer, LargeBinary
from stores import Store, secret, use
from tables import BELIEVED, LISTS, LOG, WORKING

from egret.sealed import Before, Sealing, rules_of
from store.database.schema import metadata
from store.errors import Conflict, NotFound, StoreError
from store.model import Denial, Kind, Scope, SecretValue
from store.people import GroupGrant
from store.reader import Reader
from store.records import Change, NewEntry
from store.vault import Vault

pytestmark = pytest.mark.long

LISTED = {
    ("datasets", "updated_at"), ("datasets", "updated_by"), ("entries", "provider"), ("entries", "description"),
    ("entries", "rotate_after"), ("entries", "created_at"), ("entries", "created_by"), ("entries", "updated_at"),
    ("entries", "updated_by"), ("entries", "rotated_at"), ("entries", "last_used_at"), ("entries", "use_count"),
    ("versions", "warnings"), ("versions", "created_at"), ("versions", "created_by"),
}  # fmt: skip
"""What is shown and decides nothing: its edit needs no alarm."""
HOSTILE = {
    "hosts": '["evil.example"]',
    "sealed_hosts": '["evil.example"]',
    "locations": '["body", "header", "message", "url"]',
    "sealed_locations": '["body", "header", "message", "url"]',
    "groups": '{"thieves":"muw"}',
    "egress": "{}",
    "state": "active",
    "state_before": "ready",
    "record": '{"keep":10,"revision":1,"versions":[]}',
    "kid": "00" * 8,
    "sha256": "00" * 32,
    "warnings": "[]",
    "deleted_at": None,
    "retired_at": None,
    "active_version": 1,
    "body": b"stolen-value-1",
}
DECIDED = {name: table for name, table in metadata.tables.items() if name not in BELIEVED | LISTS | WORKING | LOG}
COLUMNS = [(table, column.name) for table in DECIDED for column in metadata.tables[table].columns]
SCOPED = {"entries": "dataset", "datasets": "id", "shares": "dataset"}
numbers = itertools.count()


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def world(request, tmp_path_factory):
    url = cluster().url("rows") if request.param == "postgresql" else None
    store = Store.make(tmp_path_factory.mktemp("rows") / "data", url)
    store.vault.groups.create(store.owner, "Friends", "friends")
    yield store
    store.close()
    if url:
        cluster().drop("rows")


def build(store):
    """A dataset in which everything is that an edit could undo; returns its scope."""
    name = f"ds{next(numbers)}"
    store.dataset(
        secret(), secret("STATIC", hosts=["a.example.com", "b.example.com"]), secret("OFF"), secret("GONE"),
        dataset=name, egress={"allow": ["api.example.com"]}, hosts=["default.example.com"], strict_bodies=True,
        variables=[NewEntry("V", SecretValue(b"plain"))],
    )  # fmt: skip
    scope, verbs, owner = store.scope(name), store.vault.entries, store.owner
    verbs.patch(owner, scope, Kind.SECRET, "STATIC", Change(hosts=["a.example.com"], locations=["header"]))
    verbs.put(owner, scope, Kind.SECRET, NewEntry("STATIC", SecretValue(b"static-two-22"), hosts=["c.example.com"]))
    verbs.put(owner, scope, Kind.SECRET, NewEntry("STATIC", SecretValue(b"static-three-3")))
    verbs.destroy(owner, scope, Kind.SECRET, "STATIC", 2)
    verbs.disable(owner, scope, Kind.SECRET, "OFF")
    verbs.delete(owner, scope, Kind.SECRET, "GONE")
    store.vault.groups.grant(owner, scope, GroupGrant("friends", ("metadata",)))
    return scope


def edit(store, table, column, scope):
    """Edit one column behind the store's back, in the rows of this scope."""
    kind = metadata.tables[table].c[column].type
    numeric = isinstance(kind, Integer | BigInteger)
    default = 7 if numeric else b"\0" * 64 if isinstance(kind, LargeBinary) else f"evil{next(numbers)}"
    value = HOSTILE.get(column, default)
    mine = f"(SELECT id FROM entries WHERE dataset = '{scope.dataset}')"
    where = "1 = 1"
    if table in SCOPED:
        where = f"{SCOPED[table]} = '{scope.dataset}'"
    elif table == "versions":
        where = f"entry IN {mine}"
    unique = metadata.tables[table].c[column].primary_key or (table, column) in {
        ("entries", "name"), ("entries", "environment"), ("entries", "kind"), ("entries", "deleted_at"),
    }  # fmt: skip
    if unique and table in {"entries", "versions"}:
        key = "id" if table == "entries" else "number = 1 AND entry"
        which = "GONE" if column == "deleted_at" else "API_KEY"
        where = f"{key} = (SELECT id FROM entries WHERE dataset = '{scope.dataset}' AND name = '{which}')"
    if table in {"projects", "organisations"}:
        where = "id = 'default'" + (" AND organisation = 'default'" if table == "projects" else "")
    store.sql(f"UPDATE {table} SET {column} = :value WHERE {where}", value=value)


def believed(store, scope):
    """What the data plane, and the next change, believe of a scope: settings, and every entry's standing and rules."""
    ledger = store.vault._gate.ledger
    with ledger.database.read() as connection:
        kept = ledger.manifest(connection, scope)
        said = {name: value for name, value in kept.settings.items() if name != "revision"}
        records = {id_: store.sql("SELECT record FROM entries WHERE id = :id", id=id_) for id_ in kept.lines}
        states = [kept.entry(id_, row[0][0].encode() if row and row[0][0] else None) for id_, row in records.items()]
    found = {}
    for state in states:
        active = state.version(state.active)
        kept_too = [] if state.name != "STATIC" else [(v.number, v.sealed, v.rules, v.sha256) for v in state.versions]
        rules = None if active is None else (active.sealed, active.rules)
        found[state.key] = (state.state, rules, dict(state.groups), kept_too, state.scope)
    return json.loads(json.dumps({str(key): value for key, value in {**found, "": said}.items()}, default=str))


def sealed(store, scope, name, value):
    """Rotate as a client that seals does: under the rules that the store tells."""
    info = store.vault.entries.info(store.owner, scope, Kind.SECRET, name)
    sealing = Sealing({**store.vault.sealing_keys.active(), "organisation": "default"})
    entry = {"name": name, "value": value.decode()}
    rules = rules_of(entry, Before(info.last_version, info.hosts, info.locations), [])
    sent = sealing.seal(scope, entry, rules, info.last_version + 1)
    envelope = base64.b64decode(sent["sealed"])
    return store.vault.entries.put(
        store.owner, scope, Kind.SECRET, NewEntry(name, sealed=envelope, binding=sent["binding"])
    )


def genuine(store, scope):
    """A change of an entry, of the dataset, of another entry, a rotation by API and one sealed by the client."""
    verbs, owner, project, dataset = store.vault.entries, store.owner, scope.project, scope.dataset
    verbs.patch(owner, scope, Kind.SECRET, "API_KEY", Change(description="now"))
    verbs.patch(owner, scope, Kind.SECRET, "STATIC", Change(description="now"))
    verbs.patch(owner, scope, Kind.VARIABLE, "V", Change(description="now"))
    store.vault.datasets.disable(owner, project, dataset)
    store.vault.datasets.disable(owner, project, dataset, disabled=False)
    verbs.disable(owner, scope, Kind.SECRET, "OFF")
    sealed(store, scope, "API_KEY", b"sealed-by-the-client")
    verbs.put(owner, scope, Kind.SECRET, NewEntry("API_KEY", SecretValue(b"rotated-by-api-1")))


def served(store, scope, token):
    """What a data plane gives out: the value at its own host, a denial elsewhere."""
    reader = Reader(store.url, store.data, max_stale=3600)
    try:
        reader.start()
        view = reader.view(reader.caller(token))
        right, wrong = (view.resolve(Kind.SECRET, "API_KEY", use(host)) for host in ("api.example.com", "evil.example"))
        assert isinstance(wrong, Denial)
        assert view.resolve(Kind.SECRET, "OFF", use()) is Denial.UNKNOWN
        assert view.resolve(Kind.SECRET, "GONE", use()) is Denial.UNKNOWN
        assert right.open().reveal() == b"rotated-by-api-1"
        assert view.caller.egress == {"allow": ["api.example.com"], "default": "deny"}
    finally:
        reader.close()


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=[".".join(each) for each in COLUMNS])
def test_an_edited_column_is_signed_by_no_change_and_raises_the_alarm(world, table, column, stopped):
    scope = build(world)
    token = world.token(scope.dataset)
    before, alarms = believed(world, scope), world.vault.alarms.count
    if stopped:
        world.vault.close()
    edit(world, table, column, scope)
    if stopped:
        world.vault, alarms = Vault.open(world.url, world.data), 0
    genuine(world, scope)
    served(world, scope, token)
    world.vault.sweep().whole()
    after = believed(world, scope)
    if column != "record":  # older versions went with it: that is damage, and widens nothing
        assert after == before
    if (table, column) not in LISTED:
        assert world.vault.alarms.count > alarms, "no alarm"
    with pytest.raises((Conflict, NotFound)):
        world.vault.entries.activate(world.owner, scope, Kind.SECRET, "STATIC", 2)  # destroyed stays destroyed
    world.vault.datasets.delete(world.owner, scope.project, scope.dataset)
    world.vault.sweep().whole()


def test_whatever_is_listed_is_there(world):
    """The list of what decides nothing names columns that exist."""
    assert {column for table, column in LISTED if column not in metadata.tables[table].c} == set()


@pytest.mark.parametrize("table", ["datasets", "entries", "versions", "shares", "projects", "organisations"])
def test_deleted_rows_hold_nothing_up(world, table):
    """Rows that are gone are written anew; what only they had is an alarm. A secret can be disabled all the same."""
    scope, alarms = build(world), world.vault.alarms.count
    before = believed(world, scope)
    where = f" WHERE {SCOPED[table]} = '{scope.dataset}'" if table in SCOPED else ""
    if table == "versions":
        where = f" WHERE entry IN (SELECT id FROM entries WHERE dataset = '{scope.dataset}')"
    world.sql(f"DELETE FROM {table}{where}")
    world.vault.entries.disable(world.owner, scope, Kind.SECRET, "API_KEY")
    world.vault.entries.enable(world.owner, scope, Kind.SECRET, "API_KEY")
    world.vault.sweep().whole()
    assert world.vault.alarms.count > alarms
    after = believed(world, scope)
    for found in (before, after):  # the records of older versions went with their rows
        for entry in (each for each in found.values() if isinstance(each, list)):
            del entry[3]
    assert after == before
    world.vault.datasets.delete(world.owner, scope.project, scope.dataset)


def test_a_forged_row_takes_no_name(world):
    """A row put under a name that is free, or under one that is taken, neither serves nor stands in the way."""
    scope = build(world)
    columns = ", ".join(
        column.name for column in metadata.tables["entries"].columns if column.name not in {"id", "name"}
    )
    world.sql(f"INSERT INTO entries (id, name, {columns}) SELECT 'forged', 'NEW', {columns} FROM entries WHERE dataset = :d AND name = 'API_KEY'", d=scope.dataset)  # fmt: skip
    with pytest.raises(NotFound):
        world.vault.entries.info(world.owner, scope, Kind.SECRET, "NEW")
    listed = world.vault.entries.list(world.owner, scope, Kind.SECRET)
    assert "NEW" not in {info.name for info in listed.items}
    made = world.vault.entries.put(world.owner, scope, Kind.SECRET, secret("NEW", b"genuine-value"))
    assert made.id != "forged"
    world.vault.datasets.delete(world.owner, scope.project, scope.dataset)


def test_a_document_that_does_not_verify_stops_the_scope_alone(world):
    """What is next door goes on."""
    scope, other = build(world), build(world)
    key = f"manifest/{scope}"
    (body,) = world.sql("SELECT body FROM documents WHERE key = :key", key=key)[0]
    world.sql("UPDATE documents SET body = :body WHERE key = :key", body=b"{}", key=key)
    ledger = world.vault._gate.ledger
    ledger._recent.manifests._drop(scope)
    with pytest.raises(StoreError):
        world.vault.entries.put(world.owner, scope, Kind.SECRET, secret())
    world.vault.entries.put(world.owner, other, Kind.SECRET, secret())
    world.sql("UPDATE documents SET body = :body WHERE key = :key", body=bytes(body), key=key)
    world.vault.entries.put(world.owner, scope, Kind.SECRET, secret())
    assert Scope("default") in scope.parents
