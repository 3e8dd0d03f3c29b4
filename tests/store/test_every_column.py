"""Who edits any column of any table gains nothing: made from the schema, so that a new table or column joins by itself.

`test_rows.py` does this for the rows of scopes, secrets and versions; here are all other tables: those that are verified
themselves, the lists of what has a document of its own, and the log.
"""

import itertools

import pysqlite3
import pytest
from postgres import cluster
from sqlalchemy import BigInteger, Integer, LargeBinary, create_engine, delete, insert, select, update
from stores import CANARY, Store, secret, use
from tables import BELIEVED, LISTS, LOG, WORKING

from store.database.marks import Mark
from store.database.schema import audit, metadata
from store.errors import Conflict, NotAuthenticated, StoreError
from store.model import Denial, Kind
from store.people import GroupGrant
from store.reader import Reader
from store.vault import Answer, Declaration, KeyChange, NewKey, NewMember, NewSession, Vault
from store.vault.once import Reused

pytestmark = pytest.mark.long

OF = {"believed": BELIEVED, "listed": LISTS, "working": WORKING}
CASES = {kind: [(name, column.name) for name in sorted(tables) for column in metadata.tables[name].columns] for kind, tables in OF.items()}  # fmt: skip
numbers = itertools.count()


def test_every_table_is_there():
    assert set().union(*OF.values(), LOG) < set(metadata.tables)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def world(request, tmp_path_factory):
    url = cluster().url("columns") if request.param == "postgresql" else None
    store = Store.make(tmp_path_factory.mktemp("columns") / "data", url)
    store.engine = create_engine(store.url, **({"module": pysqlite3} if not url else {}))
    fill(store)
    store.said = decided(store)
    yield store
    store.engine.dispose()
    store.close()
    if url:
        cluster().drop("columns")


def fill(store):
    """One of everything that a list could undo or widen."""
    vault, owner = store.vault, store.owner
    store.dataset(secret(), secret("OTHER", b"other-value-123"))
    vault.members.create(owner, NewMember("Mia", role="viewer", id="mia"))
    vault.members.create(owner, NewMember("Eve", role="viewer", id="eve"))
    vault.members.set_role(owner, "default", "mia", "developer")
    vault.groups.create(owner, "Ops", "ops")
    vault.members.join(owner, "ops", "mia")
    vault.groups.grant(owner, store.scope(), GroupGrant("ops", ("metadata", "use")))
    vault.consumers.declare(owner, "default", "plugin", Declaration("Plugin", ["API_KEY"]))

    def key(**fields):
        info, made = vault.keys.create(owner, NewKey("k", **fields))
        return info.id, made.reveal().decode()

    def session(key, **options):
        _, token = vault.sessions.open(vault.keys.authenticate(key), "default", "ds", NewSession(**options))
        return token.reveal().decode()

    store.keys = {
        "owner": store.key,
        "limited": key(permission="restricted", actions=["sessions:open"], datasets=["default/ds"])[1],
        "mia": key(permission="full", member="mia")[1],
        "eve": key(permission="full", member="eve")[1],
    }
    store.tokens = {
        "owner": session(store.key),
        "mia": session(store.keys["mia"]),
        "plugin": session(store.key, consumer="plugin"),
    }
    gone, revoked = key(permission="full")
    store.keys["revoked"], store.tokens["of a revoked key"] = revoked, session(revoked)
    vault.keys.revoke(owner, gone)
    info, token = vault.sessions.open(owner, "default", "ds")
    vault.sessions.revoke(owner, "default", "ds", info.id)
    store.tokens["revoked"] = token.reveal().decode()


def decided(store, *, keys=True):
    """What every key may do, and what every session gets from a data plane that starts now."""
    found = {}
    for name, key in store.keys.items() if keys else ():
        try:
            who = store.vault.keys.authenticate(key)
        except NotAuthenticated:
            found["key", name] = None
        else:
            found["key", name] = dict(who.limits), who.member, who.organisation
    reader = Reader(store.url, store.data, max_stale=3600)
    try:
        reader.start()
        for token, secret_ in itertools.product(store.tokens, ("API_KEY", "OTHER")):
            found["session", token, secret_] = given(reader, store.tokens[token], secret_)
    finally:
        reader.close()
    return found


def given(reader, token, name):
    try:
        grant = reader.view(reader.caller(token)).resolve(Kind.SECRET, name, use())
    except NotAuthenticated:
        return "no session"
    return grant.open().reveal() if hasattr(grant, "open") else grant


def rows_of(store, name):
    table = metadata.tables[name]
    with store.engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]


def put_back(store, name, kept):
    table = metadata.tables[name]
    with store.engine.begin() as connection:
        connection.execute(delete(table))
        if kept:
            connection.execute(insert(table), kept)


def edits(name, column, kept):
    """Ways to edit a column: all of it to one thing, one row to another, two rows exchanged."""
    table = metadata.tables[name]
    target, key = table.c[column], [each for each in table.columns if each.primary_key]
    kind = target.type
    numeric, binary = isinstance(kind, Integer | BigInteger), isinstance(kind, LargeBinary)
    values = [7, 2**30] if numeric else [b"\0" * 64, b"{}"] if binary else ["mia", "{}"]

    def row(which, value):
        where = [each == which[each.name] for each in key]
        return update(table).where(*where).values({column: value})

    if not target.primary_key:
        yield from ([update(table).values({column: value})] for value in values)
    yield from ([row(kept[0], value)] for value in values if kept)
    if len(kept) > 1 and not target.primary_key:
        yield [row(kept[0], kept[-1][column]), row(kept[-1], kept[0][column])]


def tried(store, name, column):
    """Edit, look, put back: yields after each edit that the database took."""
    kept, done = rows_of(store, name), 0
    for statements in edits(name, column, kept):
        try:
            with store.engine.begin() as connection:
                for statement in statements:
                    connection.execute(statement)
        except Exception:  # a column that must not be empty, two rows with one key
            continue
        if rows_of(store, name) == kept:  # two rows were exchanged that are alike
            continue
        try:
            done += 1
            yield
        finally:
            put_back(store, name, kept)
    assert done or not kept


@pytest.mark.parametrize(("name", "column"), CASES["listed"], ids=[".".join(each) for each in CASES["listed"]])
def test_an_edited_list_gives_and_takes_nothing(world, name, column):
    """The same rights, the same values, before and after genuine changes of what is listed; and all ends by its id."""
    vault, owner = world.vault, world.owner
    for turn, _ in enumerate(tried(world, name, column)):
        assert decided(world) == world.said
        if turn:
            continue
        number = next(numbers)
        info, made = vault.keys.create(owner, NewKey("late", "full", member="eve"))
        late = vault.keys.authenticate(made.reveal().decode())
        session, token = vault.sessions.open(owner, "default", "ds", NewSession(label=f"{number}"))
        vault.keys.patch(owner, info.id, KeyChange(name="later"))
        vault.consumers.declare(owner, "default", f"c{number}", Declaration("x", []))
        assert decided(world) == world.said
        vault.keys.revoke(owner, info.id)
        vault.sessions.revoke(owner, "default", "ds", session.id)
        assert late.member is not None
        with pytest.raises(NotAuthenticated):
            vault.keys.authenticate(made.reveal().decode())
        world.tokens["late"] = token.reveal().decode()
        assert decided(world)["session", "late", "API_KEY"] == "no session"
        del world.tokens["late"]


@pytest.mark.parametrize(("name", "column"), CASES["working"], ids=[".".join(each) for each in CASES["working"]])
def test_an_edited_working_row_decides_nothing(world, name, column):
    with world.engine.begin() as connection:
        table = metadata.tables[name]
        kinds = ((Integer | BigInteger, 1), (LargeBinary, b"x"), (object, "x"))
        fill_in = {e.name: next(value for kind, value in kinds if isinstance(e.type, kind)) for e in table.columns}
        connection.execute(delete(table))
        connection.execute(insert(table).values(fill_in))
    for _ in tried(world, name, column):
        assert decided(world) == world.said
    put_back(world, name, [])


@pytest.mark.parametrize("column", [column.name for column in metadata.tables["marks"].columns])
def test_an_edited_answer_to_a_repeated_request_is_not_given(world, column):
    """It is told as it was, or not at all; a mark that is named otherwise is one that was deleted."""
    once = world.vault.once
    asked = {Mark(f"id{n}", f"request{n}"): Answer(201, f'"{n}"', f'{{"upload_url":null,"id":"{n}"}}') for n in (1, 2)}
    for mark, answer in asked.items():
        once.marked(mark, lambda: world.vault.keys.create(world.owner, NewKey("once")))
        once.keep_answer(mark, answer)
    once.marked(late := Mark("id3", "request3"), lambda: world.vault.keys.create(world.owner, NewKey("once")))
    told = set()
    for _ in tried(world, "marks", column):
        for mark in (*asked, late):
            try:
                found = once.recall(mark)
            except (Conflict, Reused) as error:
                told.add(error.code)
            else:
                assert found in (asked.get(mark), None), (mark, found)
                told.add("answered" if found else "nothing")
    assert {mark: once.recall(mark) for mark in asked} == asked
    assert told >= {"fingerprint": {"answered", Reused.code}, "id": {"nothing"}}.get(column, {"idempotency_in_doubt"})
    put_back(world, "marks", [])


@pytest.mark.parametrize(("name", "column"), CASES["believed"], ids=[".".join(each) for each in CASES["believed"]])
def test_an_edit_of_what_is_believed_is_refused_or_without_effect(world, name, column):
    """By a data plane that starts; what a store does on it is in `test_tamper.py` and `test_rollback.py`."""
    for _ in tried(world, name, column):
        try:
            found = decided(world, keys=False)  # whoever fails to authenticate is written down, and that moves the head
        except StoreError:
            continue  # refused as a whole
        for asked, now in found.items():
            assert now in (world.said[asked], "no session", Denial.UNKNOWN), asked
    assert decided(world, keys=False).items() <= world.said.items()


@pytest.mark.parametrize("column", [column.name for column in audit.columns])
def test_an_edit_of_the_log_is_an_alarm(world, column):
    """A gap that waits for an owner, or a row that is put right: never nothing."""
    for _ in tried(world, "audit", column):
        assert not world.vault.log.verify(world.owner).ok


def test_the_store_starts_on_what_is_left(world):
    """Every row was put back: what was edited meanwhile left nothing behind."""
    world.vault.close()
    world.vault = Vault.open(world.url, world.data)
    assert decided(world) == world.said
    assert world.said["session", "owner", "API_KEY"] == CANARY
