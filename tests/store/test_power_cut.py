"""The power fails at a random moment, hundreds of times: every acknowledged write is there, and everything verifies.

The statements are the vault's own, recorded from a run, and replayed with the store's pragmas on a disk that forgets what
was not synced. With `synchronous=NORMAL` the same cuts lose acknowledged writes: so the test can fail.
"""

import secrets

import apsw
import pysqlite3
import pytest
from draw import Draw
from power import Disk, RecordingVFS, Tape
from sqlalchemy import event
from stores import Store, secret

from store.database import engine as database
from store.database.engine import Database
from store.keys.keyring import ControlKeys
from store.ledger.commit import Ledger
from store.model import Kind

PUTS = 40
CUTS = 150


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A store as it was (files), its keys, and the statements of the puts that followed, one list per transaction."""
    store = Store.make(tmp_path_factory.mktemp("power") / "data")
    store.dataset(secret())
    store.close()
    start = {path.name: path.read_bytes() for path in store.data.glob("egret.db*")}
    assert list(start) == ["egret.db"]
    store = Store(store.data, store.url, store.key, type(store.vault).open(store.url, store.data), store.owner)
    transactions, current = [], []
    engine = store.vault._gate.database._writer

    @event.listens_for(engine, "before_cursor_execute")
    def _statement(connection, cursor, statement, parameters, context, many):
        current.append((statement, parameters if many else [parameters]))

    @event.listens_for(engine, "commit")
    def _commit(connection):
        transactions.append(list(current))
        current.clear()

    for number in range(PUTS):
        current.clear()
        store.put(secret(value=b"value-%04d" % number * 50))
    store.vault.entries.delete(store.owner, store.scope(), Kind.SECRET, "API_KEY")
    store.close()
    return start, ControlKeys.load(store.data), transactions


def play(recorded, folder, pragmas):
    """Run the recorded transactions on a recording disk; returns what it was told."""
    start, _, transactions = recorded
    folder.mkdir()
    for name, data in start.items():
        (folder / name).write_bytes(data)
    tape = Tape()
    name = f"power-{folder.name}-{secrets.token_hex(4)}"
    vfs = RecordingVFS(tape, name)
    connection = apsw.Connection(str(folder / "egret.db"), vfs=name)
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")
    tape.operations.clear()
    for statements in transactions:
        for statement, many in statements:
            for parameters in many:
                connection.execute(statement, parameters).fetchall()
        connection.execute("COMMIT")
        tape.mark()
    operations = list(tape.operations)
    connection.close()
    vfs.unregister()
    return operations


def judge(files, folder, keys):
    """Open what is left as the store would; returns the beat of its head, or None when it does not verify."""
    folder.mkdir()
    for name, data in files.items():
        if not name.endswith("-shm"):
            (folder / name).write_bytes(data)
    try:
        connection = pysqlite3.connect(folder / "egret.db")
        whole = connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
        opened = Database(f"sqlite:///{folder / 'egret.db'}")
        with opened.read() as reading:
            head = Ledger(opened, keys).head(reading)
            from store.log.audit import verify

            fault = verify(reading, head.audit_seq, head.audit_hash)
        opened.close()
    except Exception:
        return None
    return head.beat if whole and fault is None else None


def cuts(recorded, tmp_path, level):
    """Cut `CUTS` times; returns how often an acknowledged write was lost, and how often nothing verified."""
    start, keys, transactions = recorded
    pragmas = [*database._PRAGMAS, "journal_mode = WAL", f"synchronous = {level}", "wal_autocheckpoint = 20"]
    tape = play(recorded, tmp_path / level, pragmas)
    first = judge(start, tmp_path / f"{level}-start", keys)
    assert first is not None
    assert sum(operation.kind == "mark" for operation in tape) == len(transactions) == PUTS + 1
    lost, broken, lots = 0, 0, Draw(level)
    for number in range(CUTS):
        disk, answered = Disk(start, lots), 0
        for operation in tape[: lots.randrange(len(tape)) + 1]:
            disk.apply(operation)
            answered += operation.kind == "mark"
        beat = judge(disk.after_cut(), tmp_path / f"{level}-{number}", keys)
        broken += beat is None
        lost += beat is not None and beat < first + answered
    return lost, broken


def test_full_syncing_loses_nothing(recorded, tmp_path):
    """What the store uses: 0 lost, 0 broken."""
    assert cuts(recorded, tmp_path, "FULL") == (0, 0)


def test_the_same_cuts_lose_writes_with_normal_syncing(recorded, tmp_path):
    """The negative control."""
    lost, broken = cuts(recorded, tmp_path, "NORMAL")
    assert lost + broken > 0
