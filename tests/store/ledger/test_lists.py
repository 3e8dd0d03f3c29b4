"""Rows that only list: one that is missing, edited, copied or invented is an alarm, and is put right. From the schema."""

import pytest
from postgres import cluster
from sqlalchemy import BigInteger, Integer, delete, insert, select, update
from stores import Store, _engine, secret
from tables import LISTS

from store.database.schema import metadata
from store.ledger.lists import TABLES
from store.model import Kind
from store.vault import Declaration, Listing, NewKey, NewMember, NewSession, Vault

pytestmark = pytest.mark.long

COUNTS = {("sessions", "last_used_at"), ("sessions", "use_count"), ("api_keys", "last_used_at"), ("api_keys", "last_used_from")}  # fmt: skip
"""What is nobody's word."""
COLUMNS = [(name, column.name) for name in sorted(LISTS) for column in metadata.tables[name].columns]
BIGGEST = 2**63 - 1
NUMBERS = [(table.name, column.name) for table in metadata.sorted_tables for column in table.columns if isinstance(column.type, BigInteger)]  # fmt: skip


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def store(request, tmp_path_factory):
    url = cluster().url("lists") if request.param == "postgresql" else None
    made = Store.make(tmp_path_factory.mktemp("lists") / "data", url)
    vault, owner = made.vault, made.owner
    made.dataset(secret())
    for id_ in ("mia", "eve"):
        vault.members.create(owner, NewMember(id_, role="viewer", id=id_))
        vault.members.set_role(owner, "default", id_, "developer")
        vault.groups.create(owner, id_, f"of-{id_}")
        vault.members.join(owner, f"of-{id_}", id_)
        vault.consumers.declare(owner, "default", f"for-{id_}", Declaration("Plugin", ["API_KEY"]))
        _, key = vault.keys.create(owner, NewKey(id_, "full", member=id_))
        vault.sessions.open(vault.keys.authenticate(key.reveal().decode()), "default", "ds", NewSession(consumer=f"for-{id_}"))  # fmt: skip
    leave(made)
    vault.sweep().whole()
    assert vault.alarms.count == 0, vault.alarms.present()
    yield made
    made.close()
    if url:
        cluster().drop("lists")


def leave(store):
    """What ended in every way leaves nothing that would look like damage."""
    vault, owner = store.vault, store.owner
    info, key = vault.keys.create(owner, NewKey("k", "full"))
    who = vault.keys.authenticate(key.reveal().decode())
    vault.sessions.open(who, "default", "ds")
    vault.keys.end_sessions(owner, info.id)
    vault.sessions.open(who, "default", "ds")
    fresh, _ = vault.keys.rotate(owner, info.id, 60)
    vault.keys.rotate(owner, fresh.id)
    vault.keys.revoke(owner, info.id)
    vault.members.create(owner, NewMember("Gone", role="viewer", id="gone"))
    vault.members.join(owner, "of-mia", "gone")
    vault.keys.create(owner, NewKey("k", "full", member="gone"))
    vault.members.remove(owner, "gone")
    vault.groups.create(owner, "Gone", "gone")
    vault.members.join(owner, "gone", "mia")
    vault.groups.delete(owner, "gone")
    store.dataset(secret(), dataset="gone")
    store.token("gone")
    vault.sessions.revoke_all(owner, "default", "gone")
    vault.datasets.delete(owner, "default", "gone")
    vault.sweep().whole()
    assert vault.alarms.count == 0, vault.alarms.present()
    store.later(120)  # by then what ended is forgotten
    vault.tend()
    store.later(-120)


def rows_of(store, name):
    table = metadata.tables[name]
    with _engine(store.url).connect() as connection:
        return [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]


def run(store, *statements):
    with _engine(store.url).begin() as connection:
        for statement in statements:
            connection.execute(statement)


def at(table, row):
    return [each == row[each.name] for each in table.primary_key]


def found(store, name, before):
    """Whether a round raises an alarm, and leaves the rows as they were."""
    counted = {column for table, column in COUNTS if table == name}
    alarms = store.vault.alarms.count
    store.vault.sweep().whole()
    there = [{key: value for key, value in row.items() if key not in counted} for row in rows_of(store, name)]
    assert there == [{key: value for key, value in row.items() if key not in counted} for row in before]
    return store.vault.alarms.count > alarms


def test_every_list_is_held_against_its_documents():
    """A new one joins here, and in `store.ledger.lists`."""
    assert {table.name for table in TABLES} == LISTS
    assert {column for table, column in COUNTS if column not in metadata.tables[table].c} == set()


@pytest.mark.parametrize(("name", "column"), COLUMNS, ids=[".".join(each) for each in COLUMNS])
def test_an_edited_row_is_an_alarm_and_is_written_again(store, name, column):
    """To another number or word, to what is beyond every number of ours, and to what another row has."""
    table, before = metadata.tables[name], rows_of(store, name)
    target = table.c[column]
    values = [7, BIGGEST] if isinstance(target.type, Integer | BigInteger) else ["elsewhere", "a\nb"]
    edits = [[update(table).where(*at(table, before[0])).values({column: value})] for value in values]
    if not target.primary_key and before[0][column] != before[-1][column]:
        edits.append([update(table).where(*at(table, before[n])).values({column: before[~n][column]}) for n in (0, -1)])
    for edit in edits:
        run(store, *edit)
        assert found(store, name, before) == ((name, column) not in COUNTS)


@pytest.mark.parametrize("name", sorted(LISTS))
def test_a_row_that_is_missing_or_invented_is_an_alarm(store, name):
    """One and all of them gone; one more than documents explain, also where another is in its place."""
    table, before = metadata.tables[name], rows_of(store, name)
    column = next(each.name for each in table.primary_key if each.name != "organisation")
    forged = {**before[0], column: "forged"}
    for edit in (
        [delete(table).where(*at(table, before[0]))],
        [delete(table)],
        [insert(table).values(forged)],
        [delete(table).where(*at(table, before[-1])), insert(table).values(forged)],
        [insert(table).values({**forged, column: f"forged-{number}"}) for number in range(120)],
    ):
        run(store, *edit)
        assert found(store, name, before)
        assert not found(store, name, before)


def test_what_is_damaged_keeps_nothing_beside_it_from_being_put_right(store):
    """A member's document on whom keys and sessions hang, and a bucket of the tree with its document."""
    table, documents = metadata.tables["documents"], rows_of(store, "documents")
    before = rows_of(store, "api_keys")
    run(store, update(table).where(table.c.key == "member/default/mia").values(body=b"{}"))
    run(store, delete(metadata.tables["api_keys"]))
    store.vault.sweep().whole()
    there = rows_of(store, "api_keys")
    assert 0 < len(there) < len(before)
    run(store, *(update(table).where(table.c.key == row["key"]).values(body=row["body"]) for row in documents))
    assert found(store, "api_keys", before)


def test_a_node_that_the_store_remembers_is_written_again(store):
    """Proxies read the rows."""
    table, before = metadata.tables["nodes"], rows_of(store, "nodes")
    run(store, update(table).where(table.c.body != b"").values(body=b"x"))
    assert found(store, "nodes", before)


def test_a_session_whose_row_says_that_it_ended_goes_on(store):
    """Rows end nothing; what ended by its own time is forgotten."""
    before = rows_of(store, "sessions")
    run(store, update(metadata.tables["sessions"]).values(expires_at=1))
    alarms = store.vault.alarms.count
    store.vault.tend()
    assert store.vault.alarms.count > alarms
    assert {row["id"] for row in rows_of(store, "sessions")} == {row["id"] for row in before}
    assert not found(store, "sessions", before)


@pytest.mark.parametrize(("name", "column"), NUMBERS, ids=[".".join(each) for each in NUMBERS])
def test_the_largest_number_stops_nothing(store, name, column):
    """Uses are taken in, lists are told, changes are made, whatever is counted where."""
    table, before = metadata.tables[name], rows_of(store, name)
    if not before or name in {"history", "audit"}:  # these are verified, and a number in them is a fork or a gap
        return
    run(store, *(update(table).where(*at(table, row)).values({column: BIGGEST}) for row in before[:1] + before[1:] * (not table.c[column].primary_key)))  # fmt: skip
    vault, owner = store.vault, store.owner
    info, _ = vault.sessions.open(owner, "default", "ds")
    if name == "sessions":
        run(store, update(table).where(table.c.id == info.id).values({column: BIGGEST}))
    taken = use(store, info.id)
    assert taken == 1
    list(listed(store))
    store.put(secret(value=b"another-value-1"))
    vault.tend()
    vault.sweep().whole()
    assert all(listed(store))
    vault.sessions.revoke(owner, "default", "ds", info.id)
    vault.close()
    store.vault = Vault.open(store.url, store.data)
    if name in LISTS and (name, column) not in COUNTS:
        assert rows_of(store, name) == [row for row in rows_of(store, name) if row[column] != -1]


def listed(store):
    """Each list that counts or has times."""
    vault, owner = store.vault, store.owner
    for sort in ("use_count", "-last_used_at", "-updated_at"):
        yield vault.entries.list(owner, store.scope(), Kind.SECRET, Listing(sort=sort)).items
    for each in (vault.keys, vault.members, vault.groups, vault.log):
        yield each.list(owner).items
    yield vault.keys.list(owner, sort="-last_used_at").items
    yield vault.datasets.list(owner, "default").items
    yield vault.sessions.list(owner, "default", "ds").items


def use(store, session):
    """A use of the secret, as a data plane writes it down."""
    spool = f"spool-{session}"
    (store.data / "spool").mkdir(exist_ok=True)
    line = f'{{"spool":"{spool}","seq":1,"time":1,"event":"inject","session":"{session}","secrets":["API_KEY"],"request_id":"r"}}\n'
    (store.data / "spool" / f"{spool}.jsonl").write_text(line)
    return store.vault.intake(store.data).take()
