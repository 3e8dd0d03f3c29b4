"""Who writes to PostgreSQL: every byte and every swap of what is believed is refused, with an alarm; so is yesterday."""

import psycopg
import pytest
from postgres import cluster
from stores import CANARY, Store, secret, use

from store.errors import KeyMismatch, StoreError, Tampered
from store.model import Kind
from store.operator.acceptance import accept_epoch
from store.reader import Reader
from store.trust.tree import bucket_of

pytestmark = pytest.mark.needs("postgresql")
MANIFESTS = ("manifest/default/default/ds", "manifest/default/default", "manifest/default")
ENVELOPE = "entry = (SELECT id FROM entries WHERE name = 'API_KEY' AND dataset = 'ds')"
FLIPS = 4
"""Bytes of each column that are flipped, from the first to the last."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    store = Store.make(tmp_path_factory.mktemp("tamper") / "data", cluster().url("tamper"))
    store.dataset(secret(), secret("OTHER", b"other-value-123"))
    store.dataset(secret("API_KEY", b"foreign-value-1"), dataset="foreign")
    store.foreign_token = store.token("foreign")
    where = f"host=127.0.0.1 port={cluster().port} user=egret dbname=postgres options=-csearch_path=tamper"
    with psycopg.connect(where, autocommit=True) as store.db:
        store.use_token = store.token()
        yield store
    store.close()
    cluster().drop("tamper")


def attempt(store):
    """What a data plane that starts now gets for the session; its alarms."""
    reader = Reader(store.url, store.data, max_stale=3600)
    try:
        reader.start()
        grant = reader.view(reader.caller(store.use_token)).resolve(Kind.SECRET, "API_KEY", use())
        return grant.open().reveal() if hasattr(grant, "open") else grant
    except StoreError as error:
        loud = reader.alarms or isinstance(error, KeyMismatch)  # with a mismatch the process ends, and says why
        return error if loud else AssertionError("no alarm")
    finally:
        reader.close()


def refused(store, what):
    found = attempt(store)
    assert isinstance(found, StoreError), f"{what}: {found!r}"


def believed(store):
    """Every (table, condition, columns) on the way from the head to the envelope."""
    yield "head", "id = 1", ("body", "signature")
    session = store.db.execute("SELECT key FROM documents WHERE key LIKE 'session/%' ORDER BY body LIKE '%foreign%'")
    keys = [*MANIFESTS, *(key for (key,) in session.fetchall() if key.partition("/")[2] in store.use_token)]
    assert len(keys) == 4
    for key in keys:
        yield "documents", f"key = '{key}'", ("body", "signature")
        first, second = bucket_of(key)
        yield "nodes", f"path = '{first}/{second}'", ("body",)
        yield "nodes", f"path = '{first}'", ("body",)
    yield "nodes", "path = ''", ("body",)
    yield "versions", ENVELOPE, ("body", "signature")


def test_every_flipped_byte_is_refused(world):
    """In place, one at a time, in each column on the way from the head to the envelope."""
    flips = 0
    assert attempt(world) == CANARY
    for table, condition, columns in believed(world):
        for column in columns:
            (good,) = world.db.execute(f"SELECT {column} FROM {table} WHERE {condition}").fetchone()
            raw = good.encode() if isinstance(good, str) else bytes(good)
            for step in range(FLIPS):
                index = step * (len(raw) - 1) // (FLIPS - 1)
                bad = raw[:index] + bytes([raw[index] ^ 1]) + raw[index + 1 :]
                bad = bad.decode() if isinstance(good, str) else bad
                world.db.execute(f"UPDATE {table} SET {column} = %s WHERE {condition}", (bad,))
                refused(world, f"byte {index} of {table}.{column} where {condition}")
                flips += 1
            world.db.execute(f"UPDATE {table} SET {column} = %s WHERE {condition}", (good,))
    assert attempt(world) == CANARY
    assert flips > 60


@pytest.mark.parametrize("kind", ["removed", "swapped"])
def test_every_row_removed_or_swapped_for_its_neighbour_is_refused(world, kind):
    """Whole rows with their genuine signatures, in the place of others."""
    for table, condition, columns in list(believed(world)):
        if table == "head" and kind == "swapped":
            continue
        names = ", ".join(columns)
        good = world.db.execute(f"SELECT {names} FROM {table} WHERE {condition}").fetchone()
        marks = ", ".join(f"{column} = %s" for column in columns)
        if kind == "removed":
            saved = world.db.execute(f"SELECT * FROM {table} WHERE {condition}").fetchone()
            world.db.execute(f"DELETE FROM {table} WHERE {condition}")
            refused(world, f"{table} without {condition}")
            world.db.execute(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(saved))})", saved)
            continue
        others = world.db.execute(
            f"SELECT {names} FROM {table} WHERE NOT ({condition}) AND body IS NOT NULL"
        ).fetchall()
        for other in [other for other in others if other[0] != good[0]][:4]:
            world.db.execute(f"UPDATE {table} SET {marks} WHERE {condition}", other)
            refused(world, f"{table} where {condition}")
            world.db.execute(f"UPDATE {table} SET {marks} WHERE {condition}", good)
    assert attempt(world) == CANARY


def test_yesterday_is_refused_until_the_operator_accepts_it(world):
    """Every table as it was, every signature genuine: an older revision than was believed."""
    tables = [name for (name,) in world.db.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'tamper'")]
    for table in tables:
        world.db.execute(f"CREATE TABLE tamper.old_{table} AS TABLE tamper.{table}")
    world.put(secret(value=b"rotated-value-1"))
    assert attempt(world) == b"rotated-value-1"
    with world.db.transaction():
        for table in tables:
            world.db.execute(f"DELETE FROM {table}")
            world.db.execute(f"INSERT INTO {table} TABLE old_{table}")
    refused(world, "an older database")
    with pytest.raises(StoreError):
        world.vault.beat()  # the store that runs notices as well
    reader = Reader(world.url, world.data, max_stale=3600)
    with pytest.raises(StoreError):
        reader._refresh()
    with pytest.raises(StoreError):
        type(world.vault).open(world.url, world.data)
    accept_epoch(world.url, world.data)
    world.vault.close()
    world.vault = type(world.vault).open(world.url, world.data)
    reader.close()
    assert attempt(world) == CANARY


def test_the_writer_does_not_sign_over_a_forged_head(world):
    """Nor does it go on from a manifest that is not the one that the head vouches for."""
    vault = type(world.vault).open(world.url, world.data)
    (good,) = world.db.execute("SELECT body FROM documents WHERE key = %s", (MANIFESTS[0],)).fetchone()
    world.db.execute("UPDATE documents SET body = %s WHERE key = %s", (bytes(good)[:-2] + b" }", MANIFESTS[0]))
    with pytest.raises(Tampered):
        vault.entries.put(world.owner, world.scope(), Kind.SECRET, secret(value=b"another-value-1"))
    world.db.execute("UPDATE documents SET body = %s WHERE key = %s", (good, MANIFESTS[0]))
    world.db.execute('UPDATE head SET body = replace(body, \'"root":"\', \'"root":"0\')')
    vault.beat()  # from the head that it knows, since tree and log end as that says
    assert any("head" in each for each in vault.alarms.present())
    vault.entries.put(world.owner, world.scope(), Kind.SECRET, secret(value=b"another-value-1"))
    assert attempt(world) == b"another-value-1"
    vault.close()
