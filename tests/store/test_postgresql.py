"""PostgreSQL alone: several stores on one database, a role that only reads, restarts under load."""

import threading
from pathlib import Path

import psycopg
import pytest
from postgres import cluster
from stores import CANARY, Store, eventually, secret, use

from store.errors import StoreError, Unavailable
from store.model import Kind
from store.reader import Reader
from store.vault import Vault

pytestmark = pytest.mark.needs("postgresql")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def made(tmp_path):
    store = Store.make(tmp_path / "data", cluster().url("alone"))
    yield store
    store.close()
    cluster().drop("alone")


def test_two_stores_write_as_one(made):
    """Two replicas, four threads, one secret: every put has its own version, and one chain holds them all."""
    made.dataset(secret())
    other = Vault.open(made.url, made.data)
    found, errors = [], []

    def work(vault):
        try:
            for _ in range(12):
                found.append(vault.put(made.owner, made.scope(), Kind.SECRET, secret(value=CANARY)).version)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(vault,)) for vault in (made.vault, other) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(found) == list(range(2, 50))
    assert made.vault.verify_audit(made.owner).ok
    assert other.verify_audit(made.owner).ok
    other.close()


def test_the_data_plane_reads_with_a_role_that_can_do_nothing_else(made):
    """With the grants of config/postgresql.sql a reader serves, and the role can write and list nothing."""
    made.dataset(secret())
    for role in ("egret_store", "egret_proxy"):
        cluster().sql(f"DROP ROLE IF EXISTS {role}")
        cluster().sql(f"CREATE ROLE {role} LOGIN")
        cluster().sql(f"GRANT USAGE ON SCHEMA alone TO {role}")
    script = (ROOT / "config/postgresql.sql").read_text().replace("SCHEMA public", "SCHEMA alone")
    script = (
        script.replace(':"control"', "egret_store")
        .replace(':"data"', "egret_proxy")
        .replace("\\set ON_ERROR_STOP on", "")
    )
    cluster().sql("SET search_path = alone; " + script)
    reader = Reader(cluster().url("alone", "egret_proxy"), made.data)
    reader.start()
    view = reader.view(reader.caller(made.token()))
    assert view.resolve(Kind.SECRET, "API_KEY", use()).open().reveal() == CANARY
    where = f"host=127.0.0.1 port={cluster().port} user=egret_proxy dbname=postgres options=-csearch_path=alone"
    for attempt in (
        "UPDATE head SET id=1",
        "DELETE FROM documents",
        "INSERT INTO nodes VALUES ('x', '')",
        "UPDATE versions SET body=''",
        "SELECT * FROM versions",
        "SELECT * FROM entries",
        "SELECT * FROM audit",
        "SELECT * FROM api_keys",
        "CREATE TABLE alone.x (i int)",
    ):
        with psycopg.connect(where) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(attempt)
    reader.close()


def test_a_restart_of_the_server_is_survived(made):
    """Writes fail as unavailable and reads fail closed while it is down; both come back by themselves."""
    made.dataset(secret())
    token = made.token()
    reader = made.reader(max_stale=1.0)
    made.vault.beat()
    eventually(lambda: reader.caller(token))
    cluster().stop()
    with pytest.raises(Unavailable):
        made.put(secret())

    def refused():
        with pytest.raises(StoreError):
            reader.caller(token)

    eventually(refused)
    cluster().start()
    eventually(lambda: made.put(secret(value=b"after-the-crash")), 10)
    eventually(lambda: {v.reveal() for _, v in reader.view(reader.caller(token)).values()} >= {b"after-the-crash"}, 5)
    assert made.vault.verify_audit(made.owner).ok
    reader.close()
