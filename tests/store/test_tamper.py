"""Somebody writes to the database: every edit is refused with an alarm, none makes a value go elsewhere."""

import json
import shutil
import sqlite3

import pysqlite3
import pytest
from stores import CANARY, eventually, secret, use

from store.errors import NotAuthenticated, StoreError, Tampered, Unavailable
from store.model import Kind, SecretValue
from store.reader import Reader
from store.records import NewEntry
from store.trust.head import Head
from store.trust.signing import DOCUMENT, Writer
from store.vault import Vault


def write(store, *statements):
    """Edit the database behind the store's back."""
    with pysqlite3.connect(store.data / "egret.db") as connection:
        for statement in statements:
            sql, parameters = statement if isinstance(statement, tuple) else (statement, ())
            assert connection.execute(sql, parameters).rowcount > 0, "the edit hit nothing"
    connection.close()


def query(store, sql, *parameters):
    connection = pysqlite3.connect(store.data / "egret.db")
    try:
        return connection.execute(sql, parameters).fetchall()
    finally:
        connection.close()


def attempt(store, token, name="API_KEY", at=None):
    """Use a secret as a data plane that starts now would; returns the value."""
    reader = Reader(store.url, store.data, max_stale=3600)
    try:
        reader.start()
        view = reader.view(reader.caller(token))
        grant = view.resolve(Kind.SECRET, name, at or use())
        return grant.open().reveal() if hasattr(grant, "open") else grant
    finally:
        reader.close()


def refused(store, token, **asked):
    with pytest.raises((Tampered, NotAuthenticated, Unavailable, StoreError)):
        value = attempt(store, token, **asked)
        assert value != CANARY
        raise Tampered("denied") if not isinstance(value, bytes) else AssertionError(f"opened {len(value)} bytes")


@pytest.fixture
def token(store):
    store.dataset(secret(), secret("OTHER", b"other-value-123"))
    store.dataset(secret("API_KEY", b"foreign-value-1"), dataset="foreign")
    made = store.token()
    assert attempt(store, made) == CANARY
    return made


EDITS = {
    "envelope of another name": "UPDATE versions SET body=(SELECT body FROM versions v JOIN entries e ON e.id=v.entry WHERE e.name='OTHER'), signature=(SELECT signature FROM versions v JOIN entries e ON e.id=v.entry WHERE e.name='OTHER') WHERE entry=(SELECT id FROM entries WHERE name='API_KEY' AND dataset='ds')",
    "envelope and hash of another dataset": "UPDATE versions SET (body, signature, sha256) = (SELECT v.body, v.signature, v.sha256 FROM versions v JOIN entries e ON e.id=v.entry WHERE e.dataset='foreign') WHERE entry=(SELECT id FROM entries WHERE name='API_KEY' AND dataset='ds')",
    "envelope removed": "UPDATE versions SET body=NULL",
    "signature removed": "UPDATE versions SET signature=NULL",
    "signature zeroed": "UPDATE versions SET signature=zeroblob(64)",
    "entry points at the other entry": "UPDATE versions SET entry='stolen' WHERE entry=(SELECT id FROM entries WHERE name='API_KEY' AND dataset='ds')",
    "manifest removed": "DELETE FROM documents WHERE key='manifest/default/default/ds'",
    "manifest of the other dataset": "UPDATE documents SET (body, signature) = (SELECT body, signature FROM documents WHERE key='manifest/default/default/foreign') WHERE key='manifest/default/default/ds'",
    "manifest's hosts edited": "UPDATE documents SET body=CAST(replace(CAST(body AS TEXT), 'api.example.com', 'api.evil.example') AS BLOB) WHERE key='manifest/default/default/ds'",
    "project's manifest removed": "DELETE FROM documents WHERE key='manifest/default/default'",
    "organisation's manifest replaced": "UPDATE documents SET (body, signature) = (SELECT body, signature FROM documents WHERE key='manifest/default/default') WHERE key='manifest/default'",
    "session re-pointed": "UPDATE documents SET body=CAST(replace(CAST(body AS TEXT), '\"dataset\":\"ds\"', '\"dataset\":\"foreign\"') AS BLOB) WHERE key LIKE 'session/%'",
    "session's life prolonged": "UPDATE documents SET body=CAST(replace(CAST(body AS TEXT), '\"expires_at\":1', '\"expires_at\":9') AS BLOB) WHERE key LIKE 'session/%'",
    "session removed": "DELETE FROM documents WHERE key LIKE 'session/%'",
    "tree emptied": "DELETE FROM nodes",
    "root node zeroed": "UPDATE nodes SET body=zeroblob(2048) WHERE path=''",
    "head removed": "DELETE FROM head",
    "head's revision edited": "UPDATE head SET body=replace(body, '\"revision\":', '\"revision\":9')",
    "head's time edited": "UPDATE head SET body=replace(body, '\"issued_at\":1', '\"issued_at\":2')",
    "head's signature zeroed": "UPDATE head SET signature=zeroblob(64)",
    "canary removed": "DELETE FROM documents WHERE key LIKE 'canary/%'",
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS.values(), ids=list(EDITS))
def test_an_edit_is_refused(store, token, edit):
    """A data plane that starts on the edited database gives out nothing."""
    write(store, edit)
    refused(store, token)


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE versions SET hosts='[\"evil.example\"]', sealed_hosts='[\"evil.example\"]'",
        "UPDATE versions SET hosts='[]', sealed_hosts='[]'",
        "UPDATE versions SET locations='[\"url\"]', sealed_locations='[\"url\"]'",
        "UPDATE entries SET state='active', active_version=1, environment=''",
        "UPDATE datasets SET egress='{}', strict_bodies=0",
    ],
)
def test_working_rows_redirect_nothing(store, token, edit):
    """Rules in the control plane's rows are not what the data plane reads: the secret goes where it always went."""
    write(store, edit)
    assert attempt(store, token) == CANARY
    refused(store, token, at=use("evil.example"))


def test_edited_rules_are_not_signed_in_by_a_change_elsewhere(store, token):
    """The next manifest keeps the lines of the one before; a row edited meanwhile stays an edited row."""
    write(store, "UPDATE versions SET hosts='[\"evil.example\"]', sealed_hosts='[\"evil.example\"]'")
    store.put(NewEntry("NEW", SecretValue(b"new-value-1234"), hosts=["api.example.com"]))
    refused(store, token, at=use("evil.example"))
    assert attempt(store, token) == CANARY


@pytest.mark.parametrize("table", ["versions", "datasets"])
def test_a_value_entered_without_rules_does_not_inherit_edited_ones(store, token, table):
    """A rotation takes rules from the signed manifest, a new secret the dataset's from there: not from their rows."""
    columns = {"versions": ("hosts", "sealed_hosts"), "datasets": ("hosts",)}[table]
    write(store, f"UPDATE {table} SET " + ", ".join(f"{column}='[\"evil.example\"]'" for column in columns))
    name = {"versions": "API_KEY", "datasets": "NEW"}[table]
    store.put(NewEntry(name, SecretValue(b"rotated-value-1")))
    refused(store, token, name=name, at=use("evil.example"))
    if table == "versions":
        assert attempt(store, token) == b"rotated-value-1"


def test_narrowing_undone_by_hand_opens_nothing_new(store, token):
    """`hosts` edited back to the sealed set is signed in by the next write, and is then no more than was sealed."""
    write(store, "UPDATE versions SET hosts='[\"*.example.com\"]'")
    store.put(NewEntry("NEW", SecretValue(b"new-value-1234")))
    refused(store, token, at=use("evil.example.com"))


def test_an_old_document_put_back_is_refused(store, token):
    """A manifest and its signature from before a change are genuine, and of no use."""
    old = query(store, "SELECT body, signature FROM documents WHERE key='manifest/default/default/ds'")[0]
    store.put(secret(value=b"rotated-value-1", hosts=["api.example.com"]))
    write(store, ("UPDATE documents SET body=?, signature=? WHERE key='manifest/default/default/ds'", old))
    refused(store, token)


def test_a_revoked_session_put_back_is_refused(store, token):
    """Its row and signature are genuine, but the head no longer vouches for it."""
    key, body, signature = query(store, "SELECT key, body, signature FROM documents WHERE key LIKE 'session/%'")[0]
    store.vault.sessions.revoke(store.owner, "default", "ds", key.partition("/")[2])
    write(store, ("INSERT INTO documents VALUES (?, ?, ?)", (key, body, signature)))
    refused(store, token)


def test_old_nodes_put_back_are_refused(store, token):
    """The whole tree and document of an earlier moment, under today's head."""
    saved = {table: query(store, f"SELECT * FROM {table}") for table in ("documents", "nodes")}
    store.vault.sessions.revoke_all(store.owner, "default", "ds")
    for table, found in saved.items():
        write(store, f"DELETE FROM {table}")
        marks = ",".join("?" * len(found[0]))
        write(store, *((f"INSERT INTO {table} VALUES ({marks})", row) for row in found))
    refused(store, token)


def test_a_forged_writer_convinces_nobody(store, token):
    """Documents, head and all signed by another key, as a thief of the database would make them."""
    thief = Writer(bytes(32))
    body, _ = query(store, "SELECT body, signature FROM head")[0]
    write(store, ("UPDATE head SET signature=?", (Head(**json.loads(body)).sign(thief),)))
    for key, document in query(store, "SELECT key, body FROM documents"):
        signature = thief.sign(DOCUMENT, key.encode(), document)
        write(store, ("UPDATE documents SET signature=? WHERE key=?", (signature, key)))
    refused(store, token)


def test_every_flipped_byte_of_what_is_believed_is_refused(store, token):
    """Head, root node, manifest, session, envelope: each byte, one at a time, in place."""
    sources = [
        ("head", "body", "1=1"),
        ("documents", "body", "key='manifest/default/default/ds'"),
        ("documents", "signature", "key='manifest/default/default/ds'"),
        ("documents", "body", "key LIKE 'session/%'"),
        ("versions", "body", "entry=(SELECT id FROM entries WHERE name='API_KEY' AND dataset='ds')"),
    ]
    flips = 0
    for table, column, where in sources:
        good = query(store, f"SELECT {column} FROM {table} WHERE {where}")[0][0]
        raw = good.encode() if isinstance(good, str) else good
        for index in range(0, len(raw), max(1, len(raw) // 100)):
            bad = raw[:index] + bytes([raw[index] ^ 1]) + raw[index + 1 :]
            write(
                store,
                (
                    f"UPDATE {table} SET {column}=? WHERE {where}",
                    (bad.decode("latin-1") if isinstance(good, str) else bad,),
                ),
            )
            refused(store, token)
            flips += 1
        write(store, (f"UPDATE {table} SET {column}=? WHERE {where}", (good,)))
        assert attempt(store, token) == CANARY
    assert flips > 400


def test_a_running_reader_notices_and_recovers(store, token, reader):
    """An edit under a live data plane raises the alarm; undone, service resumes by itself."""
    caller = reader.caller(token)
    (good,) = query(store, "SELECT body FROM head")[0]
    write(store, ("UPDATE head SET body=?", (good.replace('"epoch":1', '"epoch":2'),)))
    eventually(lambda: not reader.fresh)
    with pytest.raises(Tampered):
        reader.view(caller)
    assert reader.alarms
    write(store, ("UPDATE head SET body=?", (good,)))
    eventually(lambda: reader.view(caller).resolve(Kind.SECRET, "API_KEY", use()).open().reveal() == CANARY)


def test_a_forged_head_is_not_signed_over(store, token):
    """A running store writes on from the head that it wrote, with an alarm; one that starts is told what to do."""
    forged = ('UPDATE head SET body=replace(body, \'"root":"\', \'"root":"0\')', "DELETE FROM head")
    for edit in forged:
        write(store, edit)
        store.put(secret(hosts=["api.example.com"]))
        assert attempt(store, token) == CANARY
        assert any("head" in each for each in store.vault.alarms.present())
        store.vault.alarms.clear()
    actions = [line.body["action"] for line in store.vault.log.list(store.owner).items]
    assert actions.count("store:mend") == len(forged)
    write(store, 'UPDATE head SET body=replace(body, \'"root":"\', \'"root":"0\')')
    write(store, "UPDATE nodes SET body=zeroblob(2048) WHERE path=''")
    store.vault.close()
    with pytest.raises(Tampered):
        Vault.open(store.url, store.data)


def test_an_api_key_cannot_be_raised_in_the_database(store):
    """Editing a key's document, or putting another's in its place, ends the key instead of raising it."""
    from store.vault import NewKey

    _, small = store.vault.keys.create(store.owner, NewKey("small", "rater_only"))
    write(store, "UPDATE documents SET body=CAST(replace(CAST(body AS TEXT), 'rater_only', 'owner') AS BLOB) WHERE key LIKE 'apikey/%' AND CAST(body AS TEXT) LIKE '%rater_only%'")  # fmt: skip
    with pytest.raises(Tampered):
        store.vault.keys.authenticate(small.reveal().decode())


def test_an_older_database_is_refused_until_the_operator_accepts_it(store, token, tmp_path):
    """The whole file of an earlier moment verifies in every signature; the high-water mark refuses it."""
    store.vault.close()
    backup = tmp_path / "backup.db"
    shutil.copy(store.data / "egret.db", backup)
    store.vault = type(store.vault).open(store.url, store.data)
    store.put(secret(value=b"rotated-value-1"))
    assert attempt(store, token) == b"rotated-value-1"
    store.vault.close()
    shutil.copy(backup, store.data / "egret.db")
    with pytest.raises(Unavailable):
        type(store.vault).open(store.url, store.data)
    reader = Reader(store.url, store.data)
    reader.start()
    assert not reader.fresh
    with pytest.raises(Unavailable):
        reader.caller(token)
    reader.close()


def test_sqlite_of_the_standard_library_reads_the_file_too(store, token):
    """The file is plain SQLite: a thief needs no tool of ours, and finds no value."""
    connection = sqlite3.connect(f"file:{store.data / 'egret.db'}?mode=ro", uri=True)
    dump = "\n".join(str(row) for table in ("entries", "versions", "documents", "audit") for row in connection.execute(f"SELECT * FROM {table}"))  # fmt: skip
    connection.close()
    assert CANARY.decode() not in dump
