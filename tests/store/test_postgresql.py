"""PostgreSQL alone: several stores on one database, a role that only reads, restarts under load."""

import pwd
import shutil
import threading
from pathlib import Path

import psycopg
import pytest
from certificates import Authority
from postgres import cluster
from stores import CANARY, Store, eventually, secret, use

from proxy.admission.events import Event, Spool, SpoolError
from store.errors import StoreError, Unavailable
from store.log.shipping import Shipper
from store.model import Kind, Scope
from store.reader import Reader
from store.vault import NewSession, Vault

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
                found.append(vault.entries.put(made.owner, made.scope(), Kind.SECRET, secret(value=CANARY)).version)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(vault,)) for vault in (made.vault, other) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(found) == list(range(2, 50))
    assert made.vault.log.verify(made.owner).ok
    assert other.log.verify(made.owner).ok
    other.close()


@pytest.fixture
def granted(made):
    """The store after config/postgresql.sql, run twice as an operator would; gives the URL of the data plane's role."""
    script, options = ROOT / "config/postgresql.sql", ["-v", "control=egret_store", "-v", "data=egret_proxy"]
    where = f"host=127.0.0.1 port={cluster().port} user=egret dbname=postgres"
    for _ in range(2):
        cluster().run("psql", "-X", "-q", *options, "-v", "schema=alone", "-f", str(script), where)
    return cluster().url("alone", "egret_proxy")


def test_the_data_plane_works_with_a_role_that_can_do_nothing_else(made, granted):
    """With the grants of config/postgresql.sql a reader serves and lines are shipped; all else is forbidden."""
    made.dataset(secret())
    reader = Reader(granted, made.data)
    reader.start()
    caller = reader.caller(made.token())
    assert reader.view(caller).resolve(Kind.SECRET, "API_KEY", use()).open().reveal() == CANARY
    spool = Spool(made.data / "spool")
    spool.write(Event("inject", caller.session, Scope("default", "default", "ds"), ("API_KEY",)))
    shipper = Shipper(granted, made.data / "spool")
    shipper.start()
    spool.close()
    shipper.close()
    intake = made.vault.intake(made.data)
    assert (intake.take(), intake.take_table(), made.info().use_count) == (0, 1, 1)
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
        "SELECT * FROM spooled",
        "DELETE FROM spooled",
        "UPDATE spooled SET body=''",
        "CREATE TABLE alone.x (i int)",
    ):
        with psycopg.connect(where) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(attempt)
    reader.close()


def test_lines_that_cannot_be_shipped_wait_and_then_stop_the_proxy(made, granted, monkeypatch):
    """Without the grant they stay on disk, and after a while no more are accepted; with it all arrive, once."""
    made.dataset(secret())
    session = made.vault.sessions.open(made.owner, "default", "ds", NewSession())[0].id
    cluster().sql("REVOKE INSERT ON alone.spooled FROM egret_proxy")
    spool, shipper = Spool(made.data / "spool"), Shipper(granted, made.data / "spool")
    spool.held = lambda: shipper.late
    event = Event("inject", session, Scope("default", "default", "ds"), ("API_KEY",))
    for _ in range(5):
        spool.write(event)
    shipper.start()
    eventually(lambda: shipper._failing_since is not None)
    spool.write(event)
    monkeypatch.setattr("store.log.shipping.LATE", 0.0)
    with pytest.raises(SpoolError):
        spool.write(event)
    cluster().sql("GRANT INSERT ON alone.spooled TO egret_proxy")
    eventually(lambda: not shipper.late)
    spool.write(event)
    again = Shipper(granted, made.data / "spool")  # another worker: it waits for its turn
    assert shipper._alone() and not again._alone()
    shipper.close()
    assert again._alone()
    again._ship()  # as after a crash: from the beginning
    intake = made.vault.intake(made.data)
    assert intake.take_table() == 7
    again._spools._offsets.clear()
    again._ship()
    assert (intake.take_table(), intake.take(), made.info().use_count) == (0, 0, 7)
    spool.close()
    again._engine.dispose()


def test_one_of_two_stores_leads_until_it_is_gone(made):
    """The other takes over at once when the leader's connection ends, and beats when the head grows old."""
    other = Vault.open(made.url, made.data)
    first, second = made.vault.leader(), other.leader()
    assert (first.ask(), second.ask(), first.ask()) == (True, False, True)
    ours = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    assert cluster().sql(ours)
    assert not first.ask()
    eventually(second.ask)
    assert not first.ask()
    second.close()
    eventually(first.ask)
    first.close()
    assert 0 <= made.vault.head_age() < 60
    other.close()


def test_the_doorbell_rings_for_what_the_data_plane_must_see(made, monkeypatch):
    """A change is seen long before the next look is due; heartbeats and uses do not ring."""
    monkeypatch.setattr("store.reader.bell.PATIENCE", 60.0)
    made.dataset(secret())
    reader = made.reader()
    eventually(lambda: reader._source.bell._connection is not None)
    before = reader._source.head.beat
    made.vault.beat()
    made.put(secret(value=b"second-value-1"))
    eventually(lambda: reader._source.head.beat == before + 2, 10)
    made.vault.beat()
    made.vault.beat()
    cluster().sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    made.put(secret(value=b"third-value-12"))
    eventually(lambda: reader._source.head.beat == before + 5, 10)  # a lost bell is hung up again, and looked after
    reader.close()


def test_a_restart_of_the_server_is_survived(made):
    """Writes fail as unavailable and reads fail closed while it is down; both come back by themselves."""
    made.dataset(secret())
    token, made.stranger = made.token(), made.token()
    reader = made.reader(max_stale=1.0)
    patient = made.reader(max_stale=600)
    eventually(lambda: made.vault.beat() or reader.caller(token))
    eventually(lambda: patient.revision == reader.revision)
    patient.view(patient.caller(token)).values()
    cluster().stop()
    with pytest.raises(Unavailable):
        made.put(secret())

    def refused():
        with pytest.raises(StoreError):
            reader.caller(token)

    eventually(refused)
    eventually(lambda: patient.alarms == 1)
    assert patient.fresh  # what it has seen serves while it is fresh, and asks nobody
    assert patient.view(patient.caller(token)).resolve(Kind.SECRET, "API_KEY", use()).open().reveal() == CANARY
    with pytest.raises(StoreError):
        patient.caller(made.stranger)
    patient.close()
    cluster().start()
    eventually(lambda: made.put(secret(value=b"after-the-crash")), 20)

    def served():
        made.vault.beat()
        values = {each.value.reveal() for each in reader.view(reader.caller(token)).values()}
        assert b"after-the-crash" in values

    eventually(served, 10)
    assert made.vault.log.verify(made.owner).ok
    reader.close()


def test_the_connection_is_verified_where_the_url_says_so(made, tmp_path):
    """`sslmode=verify-full` with the right root serves over TLS; with another root nothing is sent."""
    for folder in ("ours", "others"):
        (tmp_path / folder).mkdir()
    ours, others = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    pem = cluster().folder / "server.pem"
    pem.write_bytes(ours.leaf("127.0.0.1", "localhost").read_bytes())
    pem.chmod(0o600)
    shutil.chown(pem, pwd.getpwuid(cluster().folder.stat().st_uid).pw_name)
    try:
        for setting in (f"ssl_cert_file = '{pem}'", f"ssl_key_file = '{pem}'", "ssl = on"):
            cluster().sql(f"ALTER SYSTEM SET {setting}")
        cluster().sql("SELECT pg_reload_conf()")
        verified = f"{made.url}&sslmode=verify-full&sslrootcert="
        eventually(lambda: Vault.open(f"{verified}{ours.path}", made.data).close() is None)
        with pytest.raises(Unavailable):
            Vault.open(f"{verified}{others.path}", made.data)
    finally:
        cluster().sql("ALTER SYSTEM RESET ALL")
        cluster().sql("SELECT pg_reload_conf()")
